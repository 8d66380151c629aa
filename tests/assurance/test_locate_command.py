"""`prikkfri locate`: what it takes, what it says, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from prikkfri.cli import application
from prikkfri.errors import UsageError

TABLE = """minute,cdn,p2p,failed,total
60,5,0,5,500
60,7,0,5,500
60,5,1,5,500
60,7,1,5,500
120,5,0,200,500
120,7,0,5,500
120,5,1,5,500
120,7,1,5,500
"""


def ran(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(application, ["locate", *map(str, arguments)])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (path := tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    return path


def test_the_document_names_segments_suspects_and_what_is_cleared(table: Path, tmp_path: Path) -> None:
    assert ran(table, "--minute", 120, "--json", tmp_path / "found.json").exit_code == 0
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert list(found) == ["segments", "suspects", "cleared"]
    assert found["segments"] == [{"cdn": "5", "p2p": "0"}]
    first = found["suspects"][0]
    assert first["score"] > 16
    assert first | {"score": 0} == {
        "segment": {"cdn": "5", "p2p": "0"}, "settled": 500, "broken": 200, "usual_share": 0.01, "outside_share": 0.01,
        "score": 0,
    }  # fmt: skip
    assert [each["segment"] for each in found["suspects"][1:3]] == [{"cdn": "5"}, {"p2p": "0"}]
    assert [each["segment"] for each in found["cleared"]] == [{"cdn": "7"}, {"p2p": "1"}]
    assert (found["cleared"][0]["settled"], found["cleared"][0]["broken"]) == (1000, 10)


def test_a_person_reads_the_same(table: Path) -> None:
    said = ran(table, "--minute", 120).stdout.splitlines()
    assert said[0] == "cdn=5, p2p=0: 40.0% of 500 broken, 1.0% outside it, 1.0% before"
    assert said[1].startswith("or cdn=5: 20.5% of 1000 broken")
    table.write_text(TABLE.replace("120,5,1,5", "120,5,1,200"), encoding="utf-8")
    assert "cleared cdn=7: 1.0% of 1000 broken, usually 1.0%" in ran(table, "--minute", 120).stdout.splitlines()
    table.write_text(TABLE.replace(",5,500", ",200,500"), encoding="utf-8")
    assert ran(table, "--minute", 120).stdout == "in none of the values that are known\n"


def test_what_it_cannot_read_is_refused_with_its_place(table: Path, tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        error = ran(*arguments).exception
        assert isinstance(error, UsageError), error
        return str(error)

    assert refused(table, "--minute", 90) == f"{table}: the table has no minute 90; it has 60 to 120"
    assert refused(tmp_path / "no", "--minute", 90).endswith("name a CSV file that can be read")
    assert "there is no such folder" in refused(table, "--minute", 120, "--json", tmp_path / "no" / "x")
    table.write_bytes(b"\xff\xfe")
    assert refused(table, "--minute", 90) == f"{table}: it is not UTF-8; name a CSV file that can be read"
