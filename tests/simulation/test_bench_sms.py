"""`prikkfri bench sms`: its judge notices what it must, it measures real roles, and its document has its keys."""

import asyncio
import json
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main
import uvloop
from typer.testing import CliRunner

import prikkfri.cli
from prikkfri.errors import UsageError
from prikkfri.simulation.bench import kannel, machine, sms
from prikkfri.simulation.bench.distance import listen_far_away
from prikkfri.simulation.bench.sms_ledger import PHONES, Ledger, Verdict, phone_of, words_of

KEYS = {
    "messages", "receipts", "seconds", "messages_per_second", "cpu_us_per_message", "response_p99_ms", "peak_rss_mb",
    "fsync_ms", "lost", "duplicated", "misdelivered", "fsync",
}  # fmt: skip
SMALL = sms.Load(messages=200, warm_up=20, per_second=200, paced_seconds=0.5)


def ledger_of(messages: int, *, receipts: bool = True) -> Ledger:
    """Two accounts' messages, each accepted, arrived and told to be delivered."""
    ledger = Ledger(receipts)
    for number in range(messages):
        ledger.hand_in(number % 2)
        ledger.accept(number, f"id-{number}")
        ledger.arrive(phone_of(number), words_of(number))
        if receipts:
            ledger.tell(number % 2, f"id-{number}", phone_of(number), delivered=True)
    return ledger


@pytest.mark.parametrize("receipts", [True, False])
def test_what_came_as_it_should_is_clean(receipts: bool) -> None:
    ledger = ledger_of(PHONES + 1, receipts=receipts)
    assert ledger.settled
    assert ledger.verdict() == Verdict(0, 0, 0) and ledger.verdict().clean


def test_one_that_never_arrives_is_lost_whatever_its_receipt_says() -> None:
    ledger = ledger_of(3)
    number = ledger.hand_in(0)
    ledger.accept(number, "id-3")
    ledger.tell(0, "id-3", phone_of(number), delivered=True)
    assert ledger.verdict() == Verdict(1, 0, 0) and not ledger.verdict().clean


@pytest.mark.parametrize("told", [False, None])
def test_one_whose_receipt_does_not_come_or_denies_it_is_lost(told: bool | None) -> None:
    ledger = ledger_of(3)
    number = ledger.hand_in(0)
    ledger.accept(number, "id-3")
    ledger.arrive(phone_of(number), words_of(number))
    assert not ledger.settled
    if told is not None:
        ledger.tell(0, "id-3", phone_of(number), delivered=told)
    assert ledger.verdict() == Verdict(1, 0, 0)


def test_what_was_not_accepted_is_owed_to_nobody() -> None:
    ledger = ledger_of(3)
    ledger.hand_in(0)
    assert not ledger.settled and ledger.verdict() == Verdict(0, 0, 0)


def test_what_comes_twice_is_noticed_at_either_end() -> None:
    ledger = ledger_of(3)
    ledger.arrive(phone_of(1), words_of(1))
    assert ledger.verdict() == Verdict(0, 1, 0) and not ledger.verdict().clean
    ledger.tell(1, "id-1", phone_of(1), delivered=True)
    assert ledger.verdict() == Verdict(0, 2, 0)


def test_an_id_that_two_messages_were_given_is_noticed() -> None:
    ledger = ledger_of(3)
    number = ledger.hand_in(1)
    ledger.accept(number, "id-1")
    ledger.arrive(phone_of(number), words_of(number))
    assert ledger.verdict().duplicated == 1


@pytest.mark.parametrize(
    ("phone", "words"),
    [
        (phone_of(1), words_of(0)),
        (phone_of(0), words_of(1)),
        (phone_of(0), words_of(0)[:-1]),
        (phone_of(3), words_of(3)),
        (phone_of(0), "nobody wrote this"),
    ],
)
def test_what_reaches_a_stranger_or_says_what_nobody_wrote_is_noticed(phone: str, words: str) -> None:
    ledger = ledger_of(3)
    ledger.arrive(phone, words)
    assert ledger.verdict() == Verdict(0, 0, 1) and not ledger.verdict().clean


@pytest.mark.parametrize(
    ("account", "message_id", "phone"),
    [(0, "id-1", phone_of(1)), (1, "id-1", phone_of(2)), (1, "id-9", phone_of(1))],
)
def test_a_receipt_that_reaches_another_account_or_tells_of_another_phone_is_noticed(
    account: int, message_id: str, phone: str
) -> None:
    ledger = ledger_of(3)
    ledger.tell(account, message_id, phone, delivered=True)
    assert ledger.verdict() == Verdict(0, 0, 1)


def test_the_tried_role_has_a_core_of_its_own_where_there_are_two() -> None:
    assert machine.cores_of({3, 1, 2}) == machine.Cores(1, 2, 3)
    assert not machine.cores_of({3, 1, 2}).shared
    assert machine.cores_of({5}) == machine.Cores(5, 5, 1)
    assert "1 core shared by all" in machine.described(machine.cores_of({5}))


def test_a_quantile_is_one_of_the_values() -> None:
    assert machine.quantile([], 0.99) == 0
    assert machine.quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert machine.quantile([float(n) for n in range(1, 101)], 0.99) == 100.0


def test_a_busy_machine_is_said_to_be_one() -> None:
    assert machine.busy(machine.BUSY_SHARE) == ""
    assert machine.busy(0.31) == "busy machine: others took 31% of it"


def test_the_document_has_its_keys() -> None:
    assert {field.name for field in fields(sms.Result)} >= KEYS


def test_kannel_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="install Debian's package kannel"):
        kannel.refuse_missing(tmp_path)


def test_a_file_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    command = typer.main.get_command(prikkfri.cli.application)
    with pytest.raises(UsageError, match="there is no such folder"):
        command.main(["bench", "sms", "--json", str(tmp_path / "no" / "x.json")], standalone_mode=False)


@pytest.mark.slow
def test_a_short_run_loses_nothing_and_writes_one_document() -> None:
    words = ["bench", "sms", "--messages", "200", "--pace", "200", "--seconds", "0.5", "--json", "-"]
    answer = CliRunner().invoke(prikkfri.cli.application, words)
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert found.keys() >= KEYS
    assert (found["lost"], found["duplicated"], found["misdelivered"], found["fsync"]) == (0, 0, 0, True)
    assert found["cpu_us_per_message"] > 0 and found["peak_rss_mb"] > 0 and found["fsync_ms"] > 0


@pytest.mark.slow
def test_what_is_planted_at_the_network_is_noticed_in_a_real_run() -> None:
    came = 0

    def planted(ledger: Ledger, phone: str, words: str) -> None:
        nonlocal came
        came += 1
        if came == 50:
            return  # lost
        ledger.arrive(phone_of(int(phone[3:]) + 1) if came == 60 else phone, words)
        if came == 70:
            ledger.arrive(phone, words)

    cores = machine.this_machine()
    found = uvloop.run(sms.run(SMALL, database="", cores=cores, say=lambda _: None, taken=planted))
    assert (found.lost, found.duplicated, found.misdelivered) == (2, 1, 1), "what goes astray is lost, too"
    assert not found.clean


async def test_a_line_to_far_away_brings_all_in_order_both_ways_and_ends_with_either_end() -> None:
    heard = asyncio.get_running_loop().create_future()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.readexactly(6_000))
        writer.write(b"and back")
        writer.close()

    far = await asyncio.start_server(echo, "127.0.0.1", 0)
    line = await listen_far_away(0, far.sockets[0].getsockname()[1], 0.02)
    reader, writer = await asyncio.open_connection("127.0.0.1", line.sockets[0].getsockname()[1])
    said = b"".join(f"{number:06}".encode() for number in range(1_000))
    for start in range(0, len(said), 500):
        writer.write(said[start : start + 500])
        await writer.drain()
    assert await heard == said
    assert await reader.read() == b"and back"
    writer.close()
    for server in (line, far):
        server.close()
