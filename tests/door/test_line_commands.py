"""What an operator types about the line, against a real door over a real socket."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from typer.testing import CliRunner

from prikkfri.cli import application
from prikkfri.clock import ManualClock
from prikkfri.config import Config
from prikkfri.door import http
from prikkfri.door.service import Door, load_keys
from prikkfri.door.waiting_room import Capacity
from prikkfri.errors import PrikkfriError, UsageError
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import command_key


@dataclass
class Installed:
    home: Path
    door: Door
    clock: ManualClock

    def ran(self, *arguments: str) -> Any:
        environment = {"COLUMNS": "200", "LOGNAME": "kari"}
        return CliRunner(env=environment).invoke(application, ["line", *arguments, "--home", str(self.home)])

    @property
    def ordered(self) -> tuple[str, float, str, str]:
        order = self.door.steering()[0].order
        return order.kind, order.per_second, order.reason, order.by


@pytest.fixture
def installed(tmp_path: Path, clock: ManualClock) -> Iterator[Installed]:
    async def ask() -> Capacity | None:
        return Capacity(10, 0.2)

    door = Door(
        record=lambda outcome: None, config=Config(home=tmp_path), keys=load_keys(tmp_path), clock=clock,
        tokens=DeviceTokens(tmp_path, clock), ask_capacity=ask,
    )  # fmt: skip
    asyncio.run(door.ask_signin())
    edge = http.application(
        door, viewer_origin="http://tv.test", open_channels_url="", command_key=command_key(tmp_path, "door")
    )

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            given = asyncio.run(self.asked(body))
            self.send_response(given.status_code)
            self.send_header("content-length", str(len(given.content)))
            self.end_headers()
            self.wfile.write(given.content)

        async def asked(self, body: bytes) -> httpx.Response:
            transport = httpx.ASGITransport(edge)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://door.test") as client:
                return await client.request(
                    self.command, self.path, content=body, headers={"authorization": self.headers["authorization"]}
                )

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    (tmp_path / "prikkfri.toml").write_text(f"[roles.door]\nport = {server.server_address[1]}\n")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Installed(tmp_path, door, clock)
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_order_is_given_by_its_command_and_shown_with_its_giver(installed: Installed) -> None:
    shown = installed.ran("show")
    assert shown.exit_code == 0 and "nothing: it moves by itself" in shown.stdout
    for arguments, ordered, said in (
        (("rate", "4.5"), ("rate", 4.5, "", "kari"), "ordered: 4.5 people a second, since "),
        (("drain", "--by", "Ola"), ("drain", 0.0, "", "Ola"), "ordered: nobody new joins, since "),
        (("open", "--sure"), ("open", 0.0, "", "kari"), "ordered: everybody is let in at once, since "),
        (("pause", "--reason", "fault"), ("pause", 0.0, "fault", "kari"), "ordered: pause (fault), since "),
    ):
        told = installed.ran(*arguments)
        assert (told.exit_code, installed.ordered) == (0, ordered), told.output
        assert said in told.stdout and f"by {ordered[3]}" in told.stdout
    shown = installed.ran("show", "--json", "-")
    document = json.loads(shown.stdout)
    assert shown.exit_code == 1 and document["order"]["kind"] == "pause"
    assert [taken["order"] for taken in document["history"]][-1] == "paused the line (fault)"
    assert "not known" in installed.ran("show").stdout  # the wait, while it stands
    assert installed.ran("auto").exit_code == 0 and installed.ran("show").exit_code == 0
    installed.clock.advance(5)
    shown = installed.ran("show")
    assert shown.exit_code == 1 and "silent since" in shown.stdout


def test_a_room_is_scheduled_on_the_installations_clocks_and_withdrawn(installed: Installed) -> None:
    told = installed.ran("schedule", "--opens", "1970-01-01T01:02")
    assert isinstance(told.exception, PrikkfriError) and "a room opens 30 s to 3 h" in str(told.exception)
    zone, now = ZoneInfo("Europe/Oslo"), int(installed.clock.now())
    moments = {name: datetime.fromtimestamp(now + s, zone) for name, s in (("--opens", 300), ("--from", 120))}
    typed = {name: f"{at:%Y-%m-%dT%H:%M:%S}" for name, at in moments.items()}
    told = installed.ran("schedule", "--opens", typed["--opens"], "--from", typed["--from"])
    assert told.exit_code == 0 and f"opens {moments['--opens']:%Y-%m-%d %H:%M:%S}" in told.stdout, told.output
    room = installed.door.steering()[0].room
    assert room and (room.opens_at, room.room_from) == (moments["--opens"].timestamp(), moments["--from"].timestamp())
    assert "scheduled room: none" in installed.ran("schedule", "--withdraw").stdout
    assert installed.door.steering()[0].room is None


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (("rate", "11"), PrikkfriError, "not done: signin says that it can take 10 a second; to order more"),
        (("open",), PrikkfriError, "not done: everybody would be let in at once"),
        (("pause", "--reason", "lunch"), UsageError, "--reason: there is no reason 'lunch'; the reasons are fault, "),
        (("rate", "0"), UsageError, "PEOPLE is 0.1 to 100000 a second, not 0; to let nobody in: prikkfri line pause"),
        (("rate", "nan"), UsageError, "PEOPLE is 0.1 to 100000 a second, not nan"),
        (("schedule",), UsageError, "say which: --opens TIME, or --withdraw"),
        (("schedule", "--opens", "2030-01-01", "--withdraw"), UsageError, "say which: --opens TIME, or --withdraw"),
        (("schedule", "--opens", "tonight"), UsageError, "--opens tonight: that is no moment"),
    ],
)
def test_what_cannot_be_ordered_is_said_in_one_line(
    installed: Installed, arguments: tuple[str, ...], kind: type[Exception], said: str
) -> None:
    told = installed.ran(*arguments)
    assert isinstance(told.exception, kind) and str(told.exception).startswith(said)
    assert "\n" not in str(told.exception) and told.stdout == "" and installed.door.steering()[0].number == 0
