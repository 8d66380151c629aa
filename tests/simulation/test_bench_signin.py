"""`prikkfri bench signin`: what it makes of a crowd, its lean client, its picture, and a short run of real roles."""

import asyncio
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import fields, replace
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner
from waiting import WAIT_SECONDS_MAX

import prikkfri.cli
from prikkfri.cli.benchmarks import loads_of
from prikkfri.errors import UsageError
from prikkfri.simulation.bench import baseline, curve, probe, signin
from prikkfri.simulation.bench.crowd import FetchResult, Point, Visitor, goals, middle, point, recovery_s
from prikkfri.simulation.bench.lean_http import LeanSession

KEYS = {"hash_limit_per_s", "points", "recovery_s", "peak_pss_mb", "baseline"}
POINT_KEYS = {
    "load_x", "offered_per_s", "goodput_per_s", "wasted_share", "p50_s", "p99_s", "inside_failed", "inside_p99_ms",
}  # fmt: skip
GOOD = Point(2, 80, 38, 0.95, 0.01, 1, 2, 0, 20, 40, 41)


def test_a_point_counts_what_happened_in_its_stretch() -> None:
    came = [
        Visitor(8.0, 10.0),  # before it, and got in during it
        Visitor(10.0, 11.0),
        Visitor(15.0, 18.0),
        Visitor(19.5, 20.0),  # got in as it ended
        Visitor(19.0),  # gave up
        Visitor(20.0, 20.5),
    ]
    inside = [
        FetchResult(9.9, 900, "x"),
        FetchResult(10.0, 20),
        FetchResult(19.0, 30, "playlist: 503"),
        FetchResult(20.0, 900, "x"),
    ]
    found = point(2, came, inside, begins=10.0, ends=20.0, hashes=10, limits=(0.5, 0.3))
    assert (found.offered_per_s, found.goodput_per_s, found.goodput_share) == (0.4, 0.3, 0.75)
    assert found.wasted_share == 0.5, "ten hashes, five of them let somebody in who was still there"
    assert (found.p50_s, found.p99_s) == (2.0, 3.0)
    assert (found.inside_failed, found.inside_p99_ms) == (1, 30)
    assert not found.valid and (found.limit_before_per_s, found.limit_after_per_s) == (0.5, 0.3)


def test_a_point_before_which_nothing_was_hashed_wastes_nothing() -> None:
    found = point(1, [], [], begins=0.0, ends=10.0, hashes=0, limits=(0.0, 0.0))
    assert (found.wasted_share, found.goodput_share, found.p99_s, found.inside_p99_ms) == (0, 0, 0, 0)


def test_a_point_is_valid_where_the_limit_stayed() -> None:
    assert replace(GOOD, limit_before_per_s=95.0, limit_after_per_s=100.0).valid
    assert replace(GOOD, limit_before_per_s=100.0, limit_after_per_s=95.0).valid
    assert not replace(GOOD, limit_before_per_s=94.9, limit_after_per_s=100.0).valid


def test_the_median_of_the_valid_ones_counts() -> None:
    runs = [replace(GOOD, goodput_share=share) for share in (0.9, 0.7, 0.8)]
    assert middle(runs).goodput_share == 0.8
    moved = [replace(each, limit_after_per_s=20.0) for each in runs]
    assert middle([runs[0], *moved[1:]]).goodput_share == 0.9
    assert middle(moved).goodput_share == 0.8
    assert middle(runs[:2]).goodput_share == 0.7, "of two the worse"


def test_it_has_recovered_when_as_many_get_in_as_come() -> None:
    coming = [Visitor(100 + n / 10) for n in range(100)]
    assert recovery_s(coming, left_at=100.0, ends=110.0) is None
    late = [replace(each, got_at=each.at + (3.0 if each.at < 103 else 0.5)) for each in coming]
    found = recovery_s(late, left_at=100.0, ends=110.0)
    assert found == pytest.approx(3.0, abs=0.5)
    at_once = [replace(each, got_at=each.at) for each in coming]
    assert recovery_s(at_once, left_at=100.0, ends=110.0) == 0
    assert recovery_s(at_once, left_at=100.0, ends=100.9) is None, "no whole second was looked at"
    assert recovery_s([], left_at=100.0, ends=110.0) is None


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({}, []),
        ({"limit_after_per_s": 50.0}, ["the limit agrees"]),
        ({"goodput_share": 0.89}, ["goodput 90 %"]),
        ({"goodput_share": 0.89, "load_x": 0.5}, []),
        ({"wasted_share": 0.011}, ["1 % of hashes"]),
        ({"inside_failed": 1}, ["nobody inside fails"]),
    ],
)
def test_each_goal_is_noticed_where_it_is_missed(change: dict[str, float], missed: list[str]) -> None:
    found = goals([GOOD, replace(GOOD, **change)], 5.0, 200.0, together=False)
    assert [name for name, holds in found if not holds] == [
        name for name, _ in found if any(name.replace("%", " %").startswith(each) for each in missed)
    ]
    assert len([name for name, holds in found if not holds]) == len(missed)


def test_recovery_and_memory_are_goals_and_one_core_is_asked_for_less() -> None:
    assert [holds for _, holds in goals([GOOD], 5.1, 200.1, together=False)][-2:] == [False, False]
    assert not goals([GOOD], None, 0.0, together=False)[-2][1]
    less = replace(GOOD, goodput_share=0.8)
    assert [goals([less], 1.0, 1.0, together=together)[1][1] for together in (True, False)] == [True, False]


def test_what_those_inside_wrote_is_read_up_to_the_last_whole_line(tmp_path: Path) -> None:
    assert probe.read(tmp_path / "none") == []
    (tmp_path / "inside").write_text("1.5 20.25 \n2.5 30.00 playlist: 503\n3.5 4")
    assert probe.read(tmp_path / "inside") == [FetchResult(1.5, 20.25), FetchResult(2.5, 30.0, "playlist: 503")]


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "1,1", "101", "nan", "1,,2"])
def test_loads_that_are_none_are_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--points .*: say how many times"):
        loads_of(text)


def test_loads_are_read() -> None:
    assert loads_of("0.5,100") == (0.5, 100.0)


def test_the_picture_shows_both_curves_and_says_where_it_was() -> None:
    theirs = [replace(GOOD, load_x=1.0), replace(GOOD, load_x=10.0, goodput_share=0.0)]
    drawn = curve.picture([replace(GOOD, load_x=1.0), GOOD], theirs, "a <machine>")
    root = ElementTree.fromstring(drawn)
    lines = root.findall("{*}polyline")
    assert len(lines) == 2 and len(root.findall("{*}circle")) == 4
    words = {each.text for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"1 ×", "2 ×", "10 ×", "FastAPI", "Prikkfri", "a <machine>"} <= words
    assert {each.get("fill") for each in root.findall("{*}circle")} == {curve.OURS, curve.THEIRS}
    moved = ElementTree.fromstring(curve.picture([replace(GOOD, limit_after_per_s=50.0)], None, "m"))
    assert [each.get("fill") for each in moved.findall("{*}circle")] == ["#ffffff"], "not valid: hollow"
    alone = ElementTree.fromstring(curve.picture([GOOD], None, "m"))
    assert len(alone.findall("{*}polyline")) == 1 and "FastAPI" not in "".join(alone.itertext())


class Server:
    """Says one thing after the other, each on the connection on which it was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.asked: list[bytes] = []
        self._ends: list[asyncio.Future[None]] = []

    async def over(self) -> None:
        """When nobody is connected any more."""
        await asyncio.gather(*self._ends)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._ends.append(over := asyncio.get_running_loop().create_future())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.asked.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                writer.write(answer)
                if not answer or b"connection: close" in answer:
                    break
        except asyncio.IncompleteReadError:
            pass
        writer.close()
        await writer.wait_closed()
        over.set_result(None)


async def url_of(server: Server) -> tuple[asyncio.Server, str]:
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    return listening, f"http://localhost:{listening.sockets[0].getsockname()[1]}"


async def test_the_lean_client_asks_as_viewers_do_and_keeps_its_connection() -> None:
    server = Server(
        b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"a": 1}',
        b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No\r\n\r\n",
    )
    listening, url = await url_of(server)
    async with listening:
        http = LeanSession()
        async with http.post(f"{url}/enter", json={"device": "d"}, headers={"Origin": "o"}) as answer:
            assert answer.status == 200 and await answer.json() == {"a": 1}
        async with http.get(f"{url}/waiting", params={"ticket": "a&b"}) as answer:
            assert answer.status == 503 and answer.headers.get("Retry-After") == "7"
            assert await answer.text() == "abcde" and await answer.read() == b"abcde"
        for status in (200, 204):
            async with http.get(url) as answer:
                assert answer.status == status
        http.close()
        await server.over()
    assert server.connections == 2, "one was kept until the server closed it"
    assert server.asked[0].startswith(b"POST /enter HTTP/1.1\r\n") and server.asked[0].endswith(b'{"device": "d"}')
    assert b"\r\nOrigin: o\r\n" in server.asked[0] and server.asked[1].startswith(b"GET /waiting?ticket=a%26b ")


async def test_the_lean_client_closes_the_connection_of_whoever_leaves() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listening:
        http = LeanSession()

        async def ask() -> None:
            async with http.get(f"http://localhost:{listening.sockets[0].getsockname()[1]}/"):
                raise AssertionError("nobody answered")

        asking = asyncio.create_task(ask())
        await asked.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.wait_for(gone.wait(), WAIT_SECONDS_MAX)


async def test_a_server_that_says_nothing_is_trouble() -> None:
    server = Server(b"")
    listening, url = await url_of(server)
    async with listening:
        with pytest.raises(ConnectionError):
            async with LeanSession().get(url):
                pass
        await server.over()


def test_the_document_has_its_keys() -> None:
    assert {field.name for field in fields(signin.Result)} >= KEYS
    assert {field.name for field in fields(Point)} >= POINT_KEYS


def test_a_picture_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    command = typer.main.get_command(prikkfri.cli.application)
    with pytest.raises(UsageError, match=r"--svg .*: there is no such folder"):
        command.main(["bench", "signin", "--svg", str(tmp_path / "no" / "x.svg")], standalone_mode=False)


@pytest.mark.slow
def test_a_short_run_lets_people_in_and_writes_one_document(tmp_path: Path) -> None:
    words = ["bench", "signin", "--points", "0.5", "--seconds", "1", "--rounds", "1", "--json", "-"]
    answer = CliRunner().invoke(prikkfri.cli.application, [*words, "--svg", str(tmp_path / "curve.svg")])
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert found.keys() >= KEYS and found["hash_limit_per_s"] > 0 and found["peak_pss_mb"] > 0
    [only] = found["points"]
    assert only.keys() >= POINT_KEYS and only["load_x"] == 0.5 and only["inside_failed"] == 0
    assert (found["baseline"]["points"] is None) == bool(baseline.missing())
    assert "polyline" in (tmp_path / "curve.svg").read_text()
