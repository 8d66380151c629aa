"""The centre on a database restored from a snapshot: it takes messages on, and sends nothing until a person decides."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sms_house import HURRIED, House, Opener
from waiting import eventually

from prikkfri.config import Canary
from prikkfri.errors import FencedOut
from prikkfri.protocols.smpp.concatenation import TEXT_SECONDS_MAX
from prikkfri.protocols.smpp.pdu import Status, Tag
from prikkfri.protocols.smpp.receipt import parse_receipt
from prikkfri.protocols.smpp.session import SessionEnd
from prikkfri.sms.http import application, restore_commands
from prikkfri.sms.restored import Decision, parse_mark
from prikkfri.sms.restores.service import POSITIONS_SKIPPED
from prikkfri.storage import Database, Location, Transaction
from prikkfri.storage.opening import open_unmigrated

TABLES = (
    "journal_stream", "journal_batch", "sms_message", "sms_event", "sms_waiting", "sms_restore", "sms_route",
    "sms_reference", "sms_part_reference", "sms_canary",
)  # fmt: skip
Rows = dict[str, list[tuple[Any, ...]]]


def plain(cell: Any) -> Any:
    return bytes(cell) if isinstance(cell, memoryview) else cell


class Snapshots:
    """Copies an area's rows, and brings them back as somebody does who restores a backup, on either engine."""

    def __init__(self, location: Location) -> None:
        self._location = location

    async def taken(self) -> Rows:
        area = open_unmigrated(self._location, "sms")
        try:
            found = {table: await area.read(lambda q, t=table: q.fetch(f"SELECT * FROM {t}")) for table in TABLES}  # type: ignore[misc]
        finally:
            await area.close()
        return {table: [tuple(map(plain, row)) for row in rows] for table, rows in found.items()}

    async def restored(self, held: Rows) -> None:
        async def work(tx: Transaction) -> None:
            for table, rows in held.items():
                await tx.execute(f"DELETE FROM {table}")
                for row in rows:
                    cells = {f"c{number}": cell for number, cell in enumerate(row)}
                    values = ", ".join(f":{name}" for name in cells)
                    await tx.execute(f"INSERT INTO {table} VALUES ({values})", cells)

        area = open_unmigrated(self._location, "sms")
        await area.write(work)
        await area.close()


@pytest.fixture
def snapshots(location: Location) -> Snapshots:
    return Snapshots(location)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere.mark"


async def sent_after_a_snapshot(house: House, snapshots: Snapshots) -> tuple[Rows, str, str]:
    """An ordinary message and a log-in code wait in a snapshot, and are sent after it; the ids of both."""
    shop, clinic = await house.bound_client(), await house.bound_client("clinic")
    _, ordinary = await shop.submit(destination="4790000001")
    _, code = await clinic.submit(destination="4790000002")
    held = await snapshots.taken()
    link = await house.bound_link()
    for identity in ("n1", "n2"):
        request, _ = await link.message()
        link.take_message(request, identity)
    await house.until("SELECT COUNT(*) FROM sms_message WHERE state = 'sent'", 2)
    await house.centre.restores.mark()
    return held, ordinary, code


async def fall_behind(database: Database, mark: Path) -> None:
    """By one commit."""
    found = parse_mark(mark.read_bytes())
    assert found is not None
    sql = f"UPDATE journal_stream SET commits = {found.commits - 1}"
    await database.write(lambda tx: tx.execute(sql))


async def state_of(house: House, message: str) -> tuple[Any, ...]:
    return (await house.fetch(f"SELECT state, reason, restored FROM sms_message WHERE id = '{message}'"))[0]


async def events_of(house: House, message: str) -> list[str]:
    trail = await house.centre.trail(message)
    assert trail is not None
    return [step.event for step in trail.steps]


async def test_a_first_start_goes_on_and_leaves_a_mark_that_follows_the_commits(house: Opener, mark: Path) -> None:
    async with house(mark_file=mark) as opened:
        assert not opened.centre.holds and opened.centre.restores.troubles() == []
        first = parse_mark(mark.read_bytes())
        client, link = await opened.bound_client(), await opened.bound_link()
        assert (await client.submit())[0] == Status.OK
        link.take_message((await link.message())[0], "n1")
        await opened.until("SELECT COUNT(*) FROM sms_message WHERE state = 'sent'", 1)
        [(commits, position, incarnation)] = await opened.fetch(
            "SELECT commits, position, incarnation FROM journal_stream"
        )

        def come_so_far() -> bool:
            now = parse_mark(mark.read_bytes())
            return now is not None and now.commits >= commits and now.position >= position

        await eventually(come_so_far)
        last = parse_mark(mark.read_bytes())
        assert first is not None and last is not None
        assert first.line == last.line == incarnation and first.commits < last.commits
        assert opened.centre.counters()["mark_age_seconds"] == 0.0
        opened.clock.advance(0.5)
        await eventually(lambda: opened.centre.counters()["mark_age_seconds"] in (0.0, 0.5))
    async with house(mark_file=mark) as opened:  # a restart is no restored snapshot
        assert not opened.centre.holds
        assert await opened.fetch("SELECT number FROM sms_restore") == []


async def test_a_mark_is_not_written_anew_while_nothing_is_committed(house: Opener, mark: Path) -> None:
    async with house(mark_file=mark, timing=replace(HURRIED, look_seconds=60.0)) as opened:
        restores = opened.centre.restores

        async def written_anew() -> list[bool]:
            """Whether a mark that is gone is written again; empty: something was committed meanwhile."""
            await restores.mark()
            noted = parse_mark(mark.read_bytes())
            mark.unlink()
            await restores.mark()
            written = mark.exists()
            [(commits,)] = await opened.fetch("SELECT commits FROM journal_stream")
            return [written] if noted is not None and noted.commits == commits else []

        assert await eventually(written_anew) == [False]  # what a start commits may come after somebody is let in
        await opened.change("UPDATE sms_waiting SET messages = messages")  # moves no position, and is a commit
        await eventually(mark.exists)


async def test_what_waited_in_a_restored_snapshot_is_held_and_discarded(
    house: Opener, mark: Path, snapshots: Snapshots
) -> None:
    async with house(mark_file=mark) as opened:
        held, ordinary, code = await sent_after_a_snapshot(opened, snapshots)
    await snapshots.restored(held)
    async with house(mark_file=mark) as opened:
        restores, client, link = opened.centre.restores, await opened.bound_client(), await opened.bound_link()
        assert opened.centre.holds
        [said] = restores.troubles()
        assert "2 messages in it may have been sent since" in said
        status, new = await client.submit(destination="4790000003")
        assert status == Status.OK  # what is taken on now is safe
        found = await restores.newest()
        assert found is not None
        assert (found.waiting, found.sensitive, found.accepted, found.holds) == (2, 1, 1, True)
        assert found.commits_missing > 0 and found.outcomes_missing > 0 and found.seconds_missing == 0.0
        counters = opened.centre.counters()
        assert (counters["sending_held"], counters["messages_restored_total"]) == (1, 1)
        opened.clock.advance(1.0)
        assert await restores.decide(Decision.DISCARD, by="Kari")
        assert not await restores.decide(Decision.SEND, by="Ola")
        request, message = await link.message()  # the first that leaves
        assert message.destination == "4790000003"
        link.take_message(request, "n3")
        decided_at = opened.clock.now()
        for old in (ordinary, code):
            assert await state_of(opened, old) == ("unreported", "restored", -1)
            assert "restored" in await events_of(opened, old)
        assert "accepted-after-restore" in await events_of(opened, new)
        [(attempts, attempted_at)] = await opened.fetch(
            f"SELECT attempts, attempted_at FROM sms_message WHERE id = '{new}'"
        )
        assert (attempts, attempted_at) == (1, decided_at)  # nothing was so much as claimed before
        await opened.nothing_more_for(link, client)
        found = await restores.newest()
        assert found is not None and (found.given_up, found.let_go, found.accepted) == (2, 0, 1)
        assert (found.decided_by, found.decision, found.holds) == ("Kari", "discard", False)
        assert not opened.centre.holds and restores.troubles() == []
        [stopped] = await opened.outcomes("stop-sending")
        [started] = await opened.outcomes("start-sending")
        assert (stopped.reason, stopped.dimensions) == ("snapshot-restored", {"by": "rule:mark"})
        assert (started.reason, started.dimensions) == ("discard", {"by": "Kari"})
        settled = [each for each in await opened.outcomes("deliver") if each.reason == "restored"]
        assert {(each.layer, each.verdict, each.promise) for each in settled} == {
            ("sms-centre", "broken", ordinary), ("sms-centre", "broken", code)
        }  # fmt: skip
        assert (await opened.fetch("SELECT SUM(messages) FROM sms_waiting"))[0][0] == 0
    async with house(mark_file=mark) as opened:  # decided once is decided
        assert not opened.centre.holds
        assert opened.centre.counters()["messages_restored_total"] == 1


async def test_sent_all_the_same_an_ordinary_one_may_come_twice_and_a_sensitive_one_is_reported(
    house: Opener, mark: Path, snapshots: Snapshots
) -> None:
    async with house(mark_file=mark) as opened:
        held, ordinary, code = await sent_after_a_snapshot(opened, snapshots)
    await snapshots.restored(held)
    async with house(mark_file=mark) as opened:
        assert await opened.centre.restores.decide(Decision.SEND, by="Ola")
        link = await opened.bound_link()
        request, message = await link.message()
        assert message.destination == "4790000001"
        link.take_message(request, "again")
        await opened.nothing_more_for(link, await opened.bound_client())
        assert (await state_of(opened, ordinary))[::2] == ("sent", -1)
        assert await state_of(opened, code) == ("unreported", "restored", -1)


async def test_it_is_held_across_restarts_until_what_was_decided_is_done(
    house: Opener, mark: Path, snapshots: Snapshots
) -> None:
    async with house(mark_file=mark) as opened:
        held, ordinary, _ = await sent_after_a_snapshot(opened, snapshots)
    await snapshots.restored(held)
    before = mark.read_bytes()
    async with house(mark_file=mark) as opened:
        line = (await opened.fetch("SELECT line FROM sms_restore"))[0][0]
        assert (noted := parse_mark(mark.read_bytes())) is not None and noted.line == line
    mark.write_bytes(before)  # as if that had ended before its first mark
    async with house(mark_file=mark) as opened:
        assert opened.centre.holds
        client = await opened.bound_client()
        for _ in range(60):
            await client.submit()
        # The restored history has come further by now than the one that was lost.
        assert await opened.fetch("SELECT number, waiting, accepted FROM sms_restore") == [(1, 2, 60)]
        await opened.change("UPDATE sms_restore SET decision = 'discard', decided_by = 'Kari', decided_at = 1.0")
    async with house(mark_file=mark) as opened:  # decided, and ended before it was done
        await eventually(lambda: not opened.centre.holds)
        assert await state_of(opened, ordinary) == ("unreported", "restored", -1)
        [(waiting,)] = await opened.fetch("SELECT COUNT(*) FROM sms_message WHERE state = 'waiting'")
        assert waiting == 60
    await snapshots.restored(held)  # the same once more
    async with house(mark_file=mark) as opened:
        assert opened.centre.holds
        assert await state_of(opened, ordinary) == ("waiting", "", 1)


async def test_another_database_is_held_and_so_is_one_that_was_lost(house: Opener, mark: Path) -> None:
    async with house(mark_file=mark):
        pass
    found = parse_mark(mark.read_bytes())
    assert found is not None
    for incarnation in ("another", "lost"):
        async with house(mark_file=mark) as opened:
            await opened.change(f"UPDATE journal_stream SET incarnation = '{incarnation}'")
            await opened.change("DELETE FROM sms_restore")
        async with house(mark_file=mark) as opened:
            assert opened.centre.holds
            newest = await opened.centre.restores.newest()
            assert newest is not None and newest.seconds_missing is None
            assert newest.line.startswith(f"{incarnation}.")


async def test_a_doubt_is_not_decided_by_itself_while_it_is_held(
    house: Opener, mark: Path, snapshots: Snapshots
) -> None:
    async with house(mark_file=mark) as opened:
        held, ordinary, _ = await sent_after_a_snapshot(opened, snapshots)
    await snapshots.restored(held)
    async with house(mark_file=mark, in_doubt_seconds=1.0) as opened:
        await opened.change(f"UPDATE sms_message SET state = 'in-doubt', doubts = 1 WHERE id = '{ordinary}'")
        await opened.change("UPDATE sms_waiting SET messages = 1")
        link, client = await opened.bound_link(), await opened.bound_client()
        opened.clock.advance(100.0)
        # Another message's time is up: housekeeping has looked at all of it.
        await opened.change("UPDATE sms_message SET expires_at = 1.0 WHERE message_class = 'log-in-code'")
        # Nobody can say that it did not arrive.
        await opened.until("SELECT state FROM sms_message WHERE message_class = 'log-in-code'", "unreported")
        assert await opened.fetch("SELECT reason FROM sms_message WHERE message_class = 'log-in-code'") == [
            ("restored",)
        ]
        assert await opened.fetch("SELECT messages FROM sms_waiting") == [(0,)]
        assert (await state_of(opened, ordinary))[0] == "in-doubt"
        assert await opened.centre.restores.decide(Decision.SEND, by="Kari")
        request, _ = await link.message()  # as any other in doubt: it goes once more
        link.take_message(request, "again")
        await opened.nothing_more_for(link, client)


@pytest.mark.parametrize("octets", [b"", b"prikkfri-mark-1 torn", b"\xff\0" * 40])
async def test_a_garbled_mark_is_none_and_it_is_said(
    house: Opener, mark: Path, caplog: pytest.LogCaptureFixture, octets: bytes
) -> None:
    mark.write_bytes(octets)
    async with house(mark_file=mark) as opened:
        assert not opened.centre.holds
        assert "the mark cannot be understood" in caplog.text
        assert parse_mark(mark.read_bytes()) is not None


async def test_a_mark_that_cannot_be_written_is_said_and_messages_are_sent(
    house: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = tmp_path / "disk" / "sms.mark"
    async with house(mark_file=mark) as opened:
        client, link = await opened.bound_client(), await opened.bound_link()
        assert (await client.submit())[0] == Status.OK
        link.take_message((await link.message())[0], "n1")
        [said] = opened.centre.restores.troubles()
        assert "the mark is not kept" in said and "No such file" in said
        assert opened.centre.counters()["mark_failures_total"] >= 1
        assert caplog.text.count("a restored snapshot may go unnoticed") == 1  # not each second
        mark.parent.mkdir()
        await eventually(mark.exists)
        await eventually(lambda: not opened.centre.restores.troubles())


async def test_a_mark_that_cannot_be_read_is_said(house: Opener, tmp_path: Path) -> None:
    mark = tmp_path / "folder.mark"
    mark.mkdir()
    async with house(mark_file=mark) as opened:
        assert not opened.centre.holds
        assert opened.centre.restores.troubles()


async def test_many_that_waited_are_found_and_gone_through_in_steps(
    house: Opener, mark: Path, database: Database
) -> None:
    async with house(mark_file=mark) as opened:
        client = await opened.bound_client()
        _, message = await client.submit()
        copy = await opened.fetch(f"SELECT * FROM sms_message WHERE id = '{message}'")
        names = [f"c{number}" for number in range(len(copy[0]))]

        async def work(tx: Transaction) -> None:
            # All expire at the same moment, so that their order is that of their ids.
            for number in range(1_100):
                row = dict(zip(names, copy[0], strict=True)) | {"c0": f"{number:05}", "c1": f"{number:05}"}
                await tx.execute(f"INSERT INTO sms_message VALUES ({', '.join(f':{n}' for n in names)})", row)
            await tx.execute("UPDATE sms_waiting SET messages = 1101")

        await opened.database.write(work)
        await opened.centre.restores.mark()
    await fall_behind(database, mark)
    async with house(mark_file=mark) as opened:
        newest = await opened.centre.restores.newest()
        assert newest is not None and (newest.waiting, newest.sensitive) == (1_101, 0)
        assert await opened.centre.restores.decide(Decision.DISCARD, by="Kari")
        await eventually(lambda: not opened.centre.holds)
        newest = await opened.centre.restores.newest()
        assert newest is not None and newest.given_up == 1_101
        assert await opened.fetch("SELECT COUNT(*) FROM sms_message WHERE state = 'unreported'") == [(1_101,)]
        assert await opened.fetch("SELECT messages FROM sms_waiting") == [(0,)]


async def test_a_person_sees_and_decides_over_http(house: Opener, mark: Path, database: Database) -> None:
    async with house(mark_file=mark) as opened:
        await (await opened.bound_client()).submit()
        await opened.centre.restores.mark()

        async def asked(opened: House, method: str, key: str = "key", document: Any = None) -> tuple[int, Any]:
            commands = restore_commands(opened.centre.restores, command_key="key")
            transport = httpx.ASGITransport(application(opened.centre, commands))
            async with httpx.AsyncClient(transport=transport, base_url="http://sms") as client:
                headers = {"Authorization": f"Bearer {key}"}
                answer = await client.request(method, "/restored", json=document, headers=headers)
                return answer.status_code, answer.json()

        assert await asked(opened, "GET") == (200, {"holds": False, "restore": None})
        assert (await asked(opened, "POST", document={"action": "send", "by": "Kari"}))[0] == 409
    await fall_behind(database, mark)
    async with house(mark_file=mark) as opened:
        status, found = await asked(opened, "GET")
        assert status == 200 and found["holds"] and found["restore"]["commits_missing"] >= 1
        wanted = {"waiting": 1, "outcomes_missing": 0, "seconds_missing": 0.0, "decision": ""}
        assert {key: found["restore"][key] for key in wanted} == wanted
        assert (await asked(opened, "GET", "wrong"))[0] in (401, 403)
        for wrong in ({"action": "keep", "by": "Kari"}, {"action": "send", "by": ""}, {"action": "send"}):
            assert (await asked(opened, "POST", document=wrong))[0] == 400
        status, found = await asked(opened, "POST", document={"action": "send", "by": "Kari"})
        assert status == 200 and found["restore"]["decided_by"] == "Kari"
        await eventually(lambda: not opened.centre.holds)
        assert (await asked(opened, "POST", document={"action": "send", "by": "Kari"}))[0] == 409
        assert not (await asked(opened, "GET"))[1]["holds"]


async def test_a_snapshot_from_just_before_a_clean_stop_is_noticed(
    house: Opener, mark: Path, snapshots: Snapshots
) -> None:
    """None of the marks of each second comes after its last commit."""
    async with house(mark_file=mark, timing=replace(HURRIED, mark_seconds=3_600.0)) as opened:
        client = await opened.bound_client()
        held = await snapshots.taken()
        assert (await client.submit())[0] == Status.OK
    await snapshots.restored(held)
    async with house(mark_file=mark) as opened:
        assert opened.centre.holds


async def test_whoever_is_fenced_out_writes_no_mark(house: Opener, mark: Path, database: Database) -> None:
    seldom = replace(HURRIED, look_seconds=3_600.0, mark_seconds=3_600.0)
    async with house(mark_file=mark, timing=seldom) as opened:
        await opened.bound_client()  # what a start commits is committed
        await opened.centre.restores.mark()
        await database.write(
            lambda tx: tx.execute("UPDATE journal_stream SET epoch = epoch + 1, commits = commits + 1")
        )
        mark.unlink()
        with pytest.raises(FencedOut):
            await opened.centre.restores.mark()
        await opened.centre.restores.mark_last()  # goes its way to the end
        assert not mark.exists() and opened.centre.restores.troubles() == []


async def test_whoever_is_fenced_out_ends_also_while_nothing_is_to_be_written(
    house: Opener, mark: Path, database: Database
) -> None:
    """Until then it would send what it had claimed, beside whoever has taken over."""
    with pytest.raises(ExceptionGroup) as caught:
        async with house(mark_file=mark, timing=replace(HURRIED, look_seconds=3_600.0)) as opened:
            client = await opened.bound_client()
            await database.write(lambda tx: tx.execute("UPDATE journal_stream SET epoch = epoch + 1"))
            while not isinstance(await client.event(), SessionEnd):
                pass
    assert caught.group_contains(FencedOut)


async def test_one_that_expires_after_it_was_let_go_may_have_arrived(
    house: Opener, mark: Path, database: Database
) -> None:
    """And one whose time is up when somebody decides is not let go."""
    async with house(mark_file=mark) as opened:
        client = await opened.bound_client()
        (_, overdue), (_, kept) = await client.submit(), await client.submit()
    await fall_behind(database, mark)
    async with house(mark_file=mark, timing=replace(HURRIED, look_seconds=3_600.0)) as opened:
        await opened.change(f"UPDATE sms_message SET expires_at = 1.0 WHERE id = '{overdue}'")
        assert await opened.centre.restores.decide(Decision.SEND, by="Kari")
        await eventually(lambda: not opened.centre.holds)
        assert await state_of(opened, overdue) == ("unreported", "restored", -1)
        assert await state_of(opened, kept) == ("waiting", "", -1)
    async with house(mark_file=mark) as opened:
        _, new = await (await opened.bound_client()).submit()
        await opened.change(f"UPDATE sms_message SET expires_at = 1.0 WHERE id IN ('{kept}', '{new}')")
        await opened.until(f"SELECT state FROM sms_message WHERE id = '{kept}'", "unreported")
        await opened.until(f"SELECT state FROM sms_message WHERE id = '{new}'", "expired")
        assert await opened.fetch("SELECT SUM(messages) FROM sms_waiting") == [(0,)]


async def test_followers_do_not_take_what_is_new_for_what_was_lost(
    house: Opener, mark: Path, database: Database
) -> None:
    """Positions that the lost history has used are not used again."""
    async with house(mark_file=mark) as opened:
        await (await opened.bound_client()).submit()
    last = parse_mark(mark.read_bytes())
    assert last is not None and last.position > 0
    await fall_behind(database, mark)
    async with house(mark_file=mark) as opened:
        [(reached,)] = await opened.fetch("SELECT position FROM journal_stream")
        assert reached == last.position + POSITIONS_SKIPPED + 1


def part_of(name: str, number: int) -> dict[str, Any]:
    return {"octets": bytes((5, 0, 3, 7, 2, number)) + b"x" * 153, "esm_class": 0x40, "source": name}


LONG = {"octets": b"", "tlvs": ((Tag.MESSAGE_PAYLOAD, b"x" * 161),), "source": "Shop"}


async def test_no_phone_takes_a_part_of_a_new_text_for_one_of_a_text_that_was_lost(
    house: Opener, mark: Path, database: Database, snapshots: Snapshots
) -> None:
    """Nobody knows any more which references the lost history used: for a day, others are used that it cannot have."""

    async def borne(opened: House) -> dict[str, int]:
        """By sender."""
        return dict(await opened.fetch("SELECT sender, reference FROM sms_part_reference"))

    async with house(mark_file=mark) as opened:
        client = await opened.bound_client()
        before = await snapshots.taken()
        await client.submit(**part_of("Before", 1))
        await client.submit(**LONG)
        lost = await borne(opened)
        assert lost["Before"] == 7 and lost["Shop"] < 256
    octets = [0]
    for _ in range(2):  # the same snapshot once more: the history that was lost then has used others, too
        await snapshots.restored(before)
        async with house(mark_file=mark) as opened:
            client = await opened.bound_client()
            for fields in (part_of("Felles", 1), LONG):
                assert (await client.submit(**fields))[0] == Status.OK
            after = await borne(opened)
            assert after["Felles"] % 256 == 7 and after["Felles"] // 256 == after["Shop"] // 256
            octets.append(after["Felles"] // 256)
    assert 0 not in octets[1:] and len(set(octets)) == 3
    async with house(mark_file=mark) as opened:  # a restart changes nothing in it
        client = await opened.bound_client()
        await client.submit(**part_of("Andre", 1))
        assert (await borne(opened))["Andre"] == after["Felles"]
        await opened.change(f"UPDATE sms_restore SET noticed_at = noticed_at - {TEXT_SECONDS_MAX}")
    async with house(mark_file=mark) as opened:  # after a day
        client = await opened.bound_client()
        await client.submit(**part_of("Later", 1))
        await client.submit(**part_of("Felles", 2))
        now = await borne(opened)
        assert (now["Later"], now["Felles"]) == (7, after["Felles"])
        assert await opened.fetch("SELECT COUNT(*) FROM sms_message WHERE sender = 'Felles'") == [(4,)]


async def test_a_part_that_was_cut_anew_is_one_submission_with_one_receipt(
    house: Opener, mark: Path, database: Database
) -> None:
    async with house(mark_file=mark) as opened:
        await (await opened.bound_client()).submit()
    await fall_behind(database, mark)
    async with house(mark_file=mark) as opened:
        assert await opened.centre.restores.decide(Decision.DISCARD, by="Ola")
        client, link = await opened.bound_client(), await opened.bound_link()
        _, identity = await client.submit(registered_delivery=1, **part_of("Felles", 2))
        found = [await link.message() for _ in range(2)]
        assert [message.octets for _, message in found] == [
            b"\6\x08\4\1\7\4\3" + b"x" * 76, b"\6\x08\4\1\7\4\4" + b"x" * 77,
        ]  # fmt: skip
        for number, (request, _) in enumerate(found):
            link.take_message(request, f"n{number}")
        for number, (_, message) in enumerate(found):
            await opened.nothing_more_for_account(client, link)
            link.tell(message, f"n{number}")
            assert (await link.answered()).status == Status.OK
        _, receipt = await client.message()
        assert parse_receipt(receipt).message_id == identity


async def test_canaries_in_a_restored_snapshot_say_nothing_of_their_way(
    house: Opener, mark: Path, database: Database
) -> None:
    """Their phones have told of them since, and that is lost."""
    canary = Canary(msisdn="+4790000009", link="nord")
    async with house(mark_file=mark, canaries=(canary,), canary_seconds=3_600.0) as opened:
        await opened.until("SELECT COUNT(*) FROM sms_canary", 1)
    await fall_behind(database, mark)
    async with house(mark_file=mark, canaries=(canary,), canary_seconds=3_600.0) as opened:
        await opened.until("SELECT verdict FROM sms_canary", "untold")
        await eventually(lambda: opened.canaries.counters()['canaries_total{verdict="untold"}'] == 1)
