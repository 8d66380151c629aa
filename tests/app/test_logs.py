"""A role's log: one JSON object a line, rotated."""

import json
import logging
from pathlib import Path

import pytest

from prikkfri.app.limits import AppLimits
from prikkfri.app.logs import configure_logs, log_file

pytestmark = pytest.mark.usefixtures("own_logs")


def lines(home: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in log_file(home, "door").read_text(encoding="utf-8").splitlines()]


def test_each_line_says_when_who_and_what_and_an_exception_stands_in_its_line(tmp_path: Path) -> None:
    configure_logs(tmp_path, "door")
    log = logging.getLogger("prikkfri.test")
    log.debug("too much")
    record = log.makeRecord(log.name, logging.WARNING, "file", 1, "%s ble Ærfuglen vår", ("to",), None)
    record.created, record.msecs = 1_700_000_000.0425, 42.5
    log.handle(record)
    try:
        raise OSError("no disk")
    except OSError:
        log.exception("it\nended")
    first, second = lines(tmp_path)
    assert first == {
        "time": "2023-11-14T22:13:20.042Z",
        "level": "warning",
        "role": "door",
        "logger": "prikkfri.test",
        "message": "to ble Ærfuglen vår",
    }
    assert (second["level"], second["message"]) == ("error", "it\nended")
    assert second["exception"].startswith("Traceback") and second["exception"].endswith("OSError: no disk")


@pytest.mark.parametrize("noisy", ["uvicorn.access", "httpx", "httpcore"])
def test_request_lines_of_libraries_which_hold_tokens_are_not_written(tmp_path: Path, noisy: str) -> None:
    configure_logs(tmp_path, "door")
    logging.getLogger(noisy).info("GET /live/a-secret-token/index.m3u8")
    logging.getLogger(noisy).warning("all is lost")
    assert [line["message"] for line in lines(tmp_path)] == ["all is lost"]


def test_a_log_fills_no_disk(tmp_path: Path) -> None:
    configure_logs(tmp_path, "door", limits=AppLimits(log_bytes_max=1_000, log_files_max=2))
    for letter in "abcdef":
        logging.getLogger("prikkfri.test").error(letter * 500)
    files = sorted(tmp_path.glob("logs/*"))
    assert [file.name for file in files] == ["door.log", "door.log.1", "door.log.2"]
    assert all(500 < file.stat().st_size < 1_000 for file in files)
    assert lines(tmp_path)[0]["message"][0] == "f"
