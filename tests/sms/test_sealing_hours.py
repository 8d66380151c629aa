"""The keys of sealed messages by the hour: durable before an acknowledgement, destroyed when nobody needs them."""

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from message_table import BASE
from sms_house import HURRIED, HouseClock
from test_sealing import earlier_seal
from waiting import eventually

from prikkfri.clock import ManualClock
from prikkfri.config import Account, Link, Sms
from prikkfri.errors import StorageError
from prikkfri.journal import open_journal
from prikkfri.protocols.smpp.pdu import Status
from prikkfri.sms.delivery import wire_body
from prikkfri.sms.keys import store as keys_store
from prikkfri.sms.keys.service import Keys
from prikkfri.sms.keys.steadiness import Steadiness
from prikkfri.sms.messages import Message
from prikkfri.sms.routing import Party
from prikkfri.sms.sealing import Envelope, KeyName, Sealer, hour_of
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.shared.service import CentreState
from prikkfri.sms.store import COLUMNS, insert
from prikkfri.sms.timing import TIMING, Timing
from prikkfri.storage import Database, Location, open_database
from prikkfri.storage.keys import secret_key
from prikkfri.storage.opening import migrate, open_unmigrated
from prikkfri.storage.sealing_keys import EARLIER, SealingKeyFiles, SealingKeysInMemory

NOW = 1_700_000_000.0
HOUR = hour_of(NOW)
SHOP = Account(system_id="shop", password="secret12", senders=("*",), throughput_per_second_max=1e6)
BANK = replace(SHOP, system_id="bank", message_class="otp")
NORD = Link(name="nord", partner="N", host="127.0.0.1", port=1, system_id="p", password="p", prefixes=("47",))
SETTINGS = Sms(accounts=(SHOP, BANK), links=(NORD,))
AT_ONCE = replace(HURRIED, clock_steady_seconds=0.0)
"""In the house the clock is moved by being set."""


@asynccontextmanager
async def centre_at(database: Database, clock: Any, kept: Any) -> AsyncIterator[SmsCentre]:
    """A centre that runs, and binds to nobody."""
    centre = SmsCentre(
        database=database,
        journal=await open_journal(database, stream="sms", clock=clock),
        settings=SETTINGS,
        sealing_keys=kept,
        clock=clock,
        entropy=os.urandom,
        smpp_sockets=[],
        timing=replace(HURRIED, reconnect_seconds=30.0),
    )
    running = asyncio.create_task(centre.run())
    try:
        yield centre
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def rows(database: Database) -> list[Message]:
    found = await database.read(lambda queries: queries.fetch(f"SELECT {COLUMNS} FROM sms_message ORDER BY id"))
    return [Message(*row) for row in found]


def keys_in(home: Path) -> set[bytes]:
    """Whatever of 32 octets stands in any file beside the databases, as it is or in base64."""
    found = set()
    for path in home.rglob("*"):
        if path.is_file() and not path.name.startswith("sms.db"):
            content = path.read_bytes()
            found |= {content[at : at + 32] for at in range(len(content) - 31)}
            with contextlib.suppress(ValueError):
                found |= {base64.urlsafe_b64decode(content)}
    return {key for key in found if len(key) == 32}


def opens(message: Message, keys: Collection[bytes]) -> int:
    """By how many of the keys, without any of our code."""
    assert message.sealed is not None
    bound = [message.id, message.origin, message.sender, message.recipient, message.part, message.expires_at,
             message.message_class]  # fmt: skip
    opened = 0
    for key in keys:
        with contextlib.suppress(InvalidTag):
            AESGCM(key).decrypt(message.sealed[1:13], message.sealed[13:], msgspec.msgpack.encode(bound))
            opened += 1
    return opened


def copies(location: Location, backup: Path) -> bytes:
    """All that lies on this disk of an SQLite database: the file, its log and what was backed up."""
    return b"".join(path.read_bytes() for path in (*location.home.glob("sms.db*"), *backup.glob("*")))


async def test_after_its_hour_nothing_that_remains_opens_what_lies_in_database_log_and_backup(
    location: Location, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home, backup, clock = location.home, tmp_path_factory.mktemp("backup"), ManualClock(NOW)
    database = await open_database(location, "sms")
    on_disk = not location.url
    async with centre_at(database, clock, SealingKeyFiles(home)) as centre:
        for account in (BANK, SHOP):
            assert isinstance(await centre.submit(account, "Bank", "+4790000001", "Koden er 483 201"), str)
        code, notice = sorted(await rows(database), key=lambda each: each.message_class, reverse=True)
        assert (code.message_class, notice.message_class) == ("otp", "ordinary")
        assert (code.expires_at, notice.expires_at) == (NOW + 600, NOW + 72 * 3_600)
        keys = keys_in(home)
        assert opens(code, keys) == opens(notice, keys) == 1, "what is tried would open it"
        [gone] = [key for key in keys if opens(code, [key])]
        if on_disk:
            source, copy = apsw.Connection(str(home / "sms.db")), apsw.Connection(str(backup / "sms.db"))
            with copy.backup("main", source, "main") as taking:
                taking.step()
            for each in (source, copy):
                each.close()
            for path in home.glob("sms.db*"):
                (backup / f"copied-{path.name}").write_bytes(path.read_bytes())
        dumped = await database.read(lambda queries: queries.fetch("SELECT * FROM sms_message"))
        assert any(code.sealed in row for row in dumped)

        clock.advance(3_600)
        await eventually(lambda: not (home / "keys" / "sealing" / f"{HOUR}-otp.key").exists())
        await eventually(lambda: gone not in keys_in(home))
        ended = {each.id: each for each in await rows(database)}
        assert ended[code.id].sealed is None and ended[notice.id].sealed == notice.sealed
        remaining = keys_in(home)
        assert opens(code, remaining) == 0, "of a dump, or of a backup"
        assert opens(notice, remaining) == 1, "what may still be sent is not hurt"
        if on_disk:
            lying = copies(location, backup)
            assert code.sealed in lying, "it lies there still, and nothing opens it"
            for form in (gone, gone.hex().encode(), base64.b64encode(gone)[:40], base64.urlsafe_b64encode(gone)[:40]):
                assert form not in lying
    await database.close()


# What is acknowledged can be opened after a crash.


class Disk(SealingKeysInMemory):
    """One that waits, or refuses, when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.waiting = asyncio.Event()
        self.refuses = False
        self.kept: list[set[str]] = []
        self.destroyed: list[str] = []

    async def keep(self, keys: Mapping[str, bytes]) -> None:
        self.kept.append(set(keys))
        self.waiting.set()
        await self.go_on.wait()
        if self.refuses:
            raise StorageError("no room")
        await super().keep(keys)

    async def destroy(self, names: Collection[str]) -> None:
        if self.refuses:
            raise StorageError("no room")
        self.destroyed += names
        await super().destroy(names)


async def test_no_message_is_stored_before_its_key_is_durable(database: Database) -> None:
    disk = Disk()
    async with centre_at(database, ManualClock(NOW), disk) as centre:
        asked = [asyncio.create_task(centre.submit(BANK, "Bank", "+4790000001", text)) for text in "ab"]
        await disk.waiting.wait()
        await centre.waiting("nord")  # a look at the database, which nothing has reached
        assert await rows(database) == [] and not any(each.done() for each in asked)
        disk.go_on.set()
        assert all(isinstance(each, str) for each in await asyncio.gather(*asked))
        assert [opens(each, disk.keys.values()) for each in await rows(database)] == [1, 1]
        await centre.submit(BANK, "Bank", "+4790000001", "c")
        assert disk.kept == [{KeyName("otp", HOUR).text}], "once it is kept the disk is left alone"


async def test_where_no_key_can_be_kept_nothing_is_taken_on_and_later_it_is(database: Database) -> None:
    disk = Disk()
    disk.go_on.set()
    disk.refuses = True
    async with centre_at(database, ManualClock(NOW), disk) as centre:
        with pytest.raises(StorageError, match="no room"):
            await centre.submit(BANK, "Bank", "+4790000001", "a")
        assert await rows(database) == []
        disk.refuses = False
        assert isinstance(await centre.submit(BANK, "Bank", "+4790000001", "b"), str)
        [message] = await rows(database)
        assert opens(message, disk.keys.values()) == 1


# Until when a key is kept.


def room(database: Database, clock: Any, kept: Any, timing: Timing = TIMING) -> tuple[Keys, Sealer]:
    sealer = Sealer(os.urandom, kept.load())
    nobody: Any = None
    return Keys(CentreState(database, nobody, SETTINGS, clock, os.urandom, sealer, timing), kept), sealer


def sealed(sealer: Sealer, identity: str, **changes: Any) -> Message:
    message = Message(
        identity, identity, 1, 1, "account:bank", "link:nord", "otp", "Bank", "4790000001", None, 0, NOW, NOW, NOW + 600
    )
    message = msgspec.structs.replace(message, **changes)
    envelope = Envelope(b"Koden er 483 201", 0, 0, 5, 0)
    return msgspec.structs.replace(message, sealed=sealer.seal(envelope, message.binding, os.urandom(12)))


@pytest.mark.parametrize("state", ["waiting", "sending", "in-doubt"])
async def test_a_key_is_kept_while_something_of_its_hour_may_still_be_sent(database: Database, state: str) -> None:
    clock, kept = ManualClock(NOW), SealingKeysInMemory()
    keys, sealer = room(database, clock, kept)
    earlier, open_still = sealed(sealer, "a", expires_at=NOW - 3_600), sealed(sealer, "b")
    await keys.make_durable()
    assert set(kept.keys) == {f"{HOUR - 1}-otp", f"{HOUR}-otp"}
    await database.write(lambda tx: insert(tx, [earlier, open_still]))
    await database.write(lambda tx: tx.execute(f"UPDATE sms_message SET state = '{state}' WHERE id = 'b'"))
    await database.write(lambda tx: tx.execute("UPDATE sms_message SET state = 'delivered', ended_at = 1 WHERE id='a'"))
    clock.advance(7_200)
    await keys.destroy_what_is_over()
    assert set(kept.keys) == {f"{HOUR}-otp"} and sealer.open(open_still.sealed, open_still.binding)
    await database.write(lambda tx: tx.execute("UPDATE sms_message SET state = 'sent' WHERE id = 'b'"))
    await keys.destroy_what_is_over()
    assert kept.keys == {} and sealer.names == [], "what has gone is not written again"


async def test_the_statements_find_the_first_that_may_be_sent_and_the_last_that_may_be_opened(
    database: Database,
) -> None:
    assert await database.read(keys_store.earliest_open) == float("inf")
    assert await database.read(keys_store.latest_sealed) == 0.0
    states = ("waiting", "sending", "in-doubt", "sent", "quarantined", "delivered", "expired")
    ended = {"quarantined", "delivered", "expired"}
    expiries = dict(zip(states, (30.0, 20.0, 40.0, 10.0, 50.0, 5.0, 60.0), strict=True))
    columns = ", ".join(BASE)
    for state, expires_at in expiries.items():
        row = {**BASE, "id": state, "state": state, "expires_at": expires_at, "ended_at": float(state in ended)}
        values = ", ".join(f":{column}" for column in BASE)
        await database.write(
            lambda tx, row=row, values=values: tx.execute(f"INSERT INTO sms_message ({columns}) VALUES ({values})", row)
        )
    assert await database.read(keys_store.earliest_open) == 20.0
    assert await database.read(keys_store.latest_sealed) == 50.0
    await database.write(lambda tx: tx.execute("DELETE FROM sms_message WHERE state IN ('sending', 'quarantined')"))
    assert await database.read(keys_store.earliest_open) == 30.0
    assert await database.read(keys_store.latest_sealed) == 40.0


async def test_a_clock_that_is_set_destroys_nothing_until_it_has_held_for_an_hour(database: Database) -> None:
    clock, kept = HouseClock(), SealingKeysInMemory()
    keys, sealer = room(database, clock, kept)
    sealed(sealer, "a")
    await keys.make_durable()
    for set_by in (7_200.0, -7_200.0, 86_400.0):  # forth by mistake, back, and forth again
        clock.advance(set_by)
        await keys.destroy_what_is_over()
        assert set(kept.keys) == {f"{HOUR}-otp"}
    clock.advance(3_599.0, on_the_wire=True)
    await keys.destroy_what_is_over()
    assert set(kept.keys) == {f"{HOUR}-otp"}
    clock.advance(1.0, on_the_wire=True)
    await keys.destroy_what_is_over()
    assert kept.keys == {}


@pytest.mark.parametrize(("beside", "left"), [(5.0, 0), (-5.0, 0), (5.5, 1), (-5.5, 1)])
async def test_a_clock_that_drifts_by_five_seconds_has_not_been_set(
    database: Database, beside: float, left: int
) -> None:
    clock, kept = HouseClock(), SealingKeysInMemory()
    keys, sealer = room(database, clock, kept)
    sealed(sealer, "a")
    await keys.make_durable()
    clock.advance(7_200.0, on_the_wire=True)
    clock.advance(beside)
    await keys.destroy_what_is_over()
    assert len(kept.keys) == left


async def test_a_start_on_a_machine_that_has_been_up_for_weeks_is_no_step_of_the_clock(database: Database) -> None:
    clock, kept = HouseClock(), SealingKeysInMemory()
    clock.advance(2e6, on_the_wire=True)
    keys, sealer = room(database, clock, kept)
    sealed(sealer, "a")
    await keys.make_durable()
    await keys.destroy_what_is_over()
    assert kept.keys == {}


def test_a_clock_drifts_and_is_set() -> None:
    first = Steadiness(1_000.0)
    assert first.lasts(-1e9, steady_seconds=3_600.0), "as it was when we started it is believed"
    drifted = first.observe(1_015.0, 10.0, step_seconds=5.0)
    assert drifted == Steadiness(1_005.0) and drifted.observe(1_030.0, 20.0, step_seconds=5.0) == Steadiness(1_010.0)
    for now in (1_015.1, 1_004.9):
        stepped = first.observe(now, 10.0, step_seconds=5.0)
        assert stepped == Steadiness(now - 10.0, 10.0)
        assert not stepped.lasts(3_609.9, steady_seconds=3_600.0)
        assert stepped.lasts(3_610.0, steady_seconds=3_600.0)


async def test_what_could_not_be_destroyed_is_tried_again_and_seals_nothing_meanwhile(database: Database) -> None:
    clock, disk = ManualClock(NOW), Disk()
    disk.go_on.set()
    keys, sealer = room(database, clock, disk)
    sealed(sealer, "a")
    await keys.make_durable()
    clock.advance(3_600)
    disk.refuses = True
    with pytest.raises(StorageError):
        await keys.destroy_what_is_over()
    assert sealer.names == [] and set(disk.keys) == {f"{HOUR}-otp"}
    disk.refuses = False
    await keys.destroy_what_is_over()
    assert disk.keys == {}
    await keys.destroy_what_is_over()
    assert disk.destroyed == [f"{HOUR}-otp"], "a look at nothing costs nothing"


async def test_an_operator_is_told_why_keys_are_not_destroyed_and_once_they_can_be_they_are(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    clock, disk = ManualClock(NOW), Disk()
    disk.go_on.set()
    keys, sealer = room(database, clock, disk, HURRIED)
    sealed(sealer, "a")
    await keys.make_durable()
    clock.advance(3_600)
    disk.refuses = True
    keeping = asyncio.create_task(keys.keep())
    await eventually(lambda: "sealing keys whose hour is over are not destroyed: no room" in caplog.text)
    disk.refuses = False
    await eventually(lambda: not disk.keys)
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping


async def test_what_is_under_way_at_the_turn_of_its_hour_is_not_sent_again_and_then_its_key_goes(house: Any) -> None:
    async with house(timing=AT_ONCE) as at:
        link, client = await at.bound_link(), await at.bound_client()
        await client.submit()
        request, _ = await link.message()
        clinic = await at.bound_client("clinic")
        await clinic.submit()
        link.take_message((await link.message())[0], "net-1")
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'sent'", 1)
        names = {KeyName("ordinary", hour_of(NOW + 72 * 3_600)).text, KeyName("log-in-code", hour_of(NOW + 600)).text}
        assert set(at.sealing_keys.keys) == names
        at.clock.advance(80 * 3_600)
        await eventually(lambda: len(at.sealing_keys.keys) == 1)
        assert set(at.sealing_keys.keys) == names - {KeyName("log-in-code", HOUR).text}
        link.answer(request, Status.SYSTEM_ERROR)
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'expired'", 1)
        await eventually(lambda: not at.sealing_keys.keys)
        await at.nothing_more_for(link, client)


async def test_what_is_held_past_its_hour_is_released_by_nobody_since_its_text_is_gone(house: Any) -> None:
    async with house(timing=AT_ONCE) as at:
        link, client = await at.bound_link(), await at.bound_client("clinic")
        link.cut()
        await eventually(lambda: not at.centre.counters()["links_bound"])
        _, identity = await client.submit()
        await at.change("UPDATE sms_message SET recipient = '4790000002'")
        await at.bound_link()
        await at.until("SELECT state FROM sms_message", "quarantined")
        await at.change(f"UPDATE sms_message SET recipient = '{4790000001}'")
        assert (await at.centre.quarantine.examined(identity)).hindrance == ""
        at.clock.advance(3_600)
        await eventually(lambda: not at.sealing_keys.keys)
        done = await at.centre.quarantine.release(identity, by="Kari")
        assert done.hindrance == "its text is gone, since the key to it is: it can only be discarded"
        assert (await at.centre.quarantine.discard(identity, by="Kari")).hindrance == ""
        assert await at.fetch("SELECT sealed, state FROM sms_message") == [(None, "rejected")]


# What waits at an upgrade.


async def test_what_waits_at_an_upgrade_still_opens_and_its_key_goes_with_the_last_of_it(location: Location) -> None:
    """A database as the version before this one left it, and the one key that it had."""
    key = secret_key(location.home, "sealing")
    old = open_unmigrated(location, "sms")
    await old.engine.prepare()
    await migrate(old, up_to=18)
    then = {column: value for column, value in BASE.items() if column not in ("restored", "holder")}  # which came later
    columns = ", ".join(then)
    values = ", ".join(f":{column}" for column in then)
    for identity, expires_at in (("a", NOW + 60), ("b", NOW + 7_200)):
        row = {**then, "id": identity, "submission": identity, "expires_at": expires_at}
        message = Message(*((BASE | row)[field] for field in Message.__struct_fields__))
        row["sealed"] = earlier_seal(key, message.binding, os.urandom(12), [b"hei", 0, 0, 5, 9])
        await old.write(lambda tx, row=row: tx.execute(f"INSERT INTO sms_message ({columns}) VALUES ({values})", row))
    await old.close()

    database, clock, kept = await open_database(location, "sms"), ManualClock(NOW), SealingKeyFiles(location.home)
    last = KeyName(None, hour_of(NOW + 7_200)).text
    async with centre_at(database, clock, kept):
        await eventually(lambda: set(kept.load()) == {last})
        assert not (location.home / "keys" / "sealing.key").exists()
        for message in await rows(database):
            sealer = Sealer(os.urandom, kept.load())
            assert b"hei" in wire_body(message, sealer, Party("link", "nord"), now=NOW).body
            assert sealer.names == [KeyName(None, hour_of(NOW + 7_200))]
        clock.advance(10_800)
        await eventually(lambda: not list((location.home / "keys" / "sealing").iterdir()) or None)
        assert key not in keys_in(location.home)
        assert [each.sealed for each in await rows(database)] == [None, None]
    await database.close()


async def test_a_centre_sends_what_an_earlier_one_sealed(house: Any, database: Database) -> None:
    key = os.urandom(32)
    message = sealed(Sealer(os.urandom), "a", expires_at=NOW + 600)
    earlier = earlier_seal(key, message.binding, os.urandom(12), [b"as before", 0, 0, 5, 9])
    await database.write(lambda tx: insert(tx, [msgspec.structs.replace(message, sealed=earlier)]))
    async with house(earlier_key=key) as at:
        link = await at.bound_link()
        request, message = await link.message()
        assert message.octets == b"as before"
        link.take_message(request, "net-1")


async def test_an_upgrade_that_is_broken_off_anywhere_is_done_again(database: Database) -> None:
    clock, key = ManualClock(NOW), os.urandom(32)
    for left in ({EARLIER: key}, {EARLIER: key, f"{HOUR}": key}, {f"{HOUR}": key}):
        kept = SealingKeysInMemory(left)
        keys, sealer = room(database, clock, kept)
        message = sealed(Sealer(os.urandom), left and "a", expires_at=NOW)
        earlier = earlier_seal(key, message.binding, os.urandom(12), [b"hei", 0, 0, 5, 9])
        await database.write(lambda tx: tx.execute("DELETE FROM sms_message"))
        await database.write(lambda tx, message=message: insert(tx, [message]))
        await keys.recover()
        assert kept.keys == {f"{HOUR}": key}
        assert sealer.open(earlier, message.binding).octets == b"hei"


# Lives.


@given(st.sampled_from(["otp", "code", "log-in-code", "sensitive", "health"]), st.floats(1, 120))
def test_a_sensitive_class_lives_as_long_as_the_setting_says(message_class: str, minutes: float) -> None:
    settings = replace(SETTINGS, accounts=(replace(BANK, message_class=message_class),), life_minutes_sensitive=minutes)
    shared = CentreState(None, None, settings, ManualClock(NOW), os.urandom, Sealer(os.urandom), TIMING)  # type: ignore[arg-type]
    assert shared.rules(Party("account", "bank")).life_seconds_max == minutes * 60


def test_other_classes_and_what_networks_hand_in_live_as_long_as_any() -> None:
    shared = CentreState(None, None, SETTINGS, ManualClock(NOW), os.urandom, Sealer(os.urandom), TIMING)  # type: ignore[arg-type]
    for party in (Party("account", "shop"), Party("link", "nord")):
        assert shared.rules(party).life_seconds_max == float("inf")


async def test_a_sensitive_message_leaves_with_what_is_left_of_ten_minutes(house: Any) -> None:
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client("clinic")
        sent = []
        for validity, wait in (("", 0.0), ("000000000130000R", 30.5), ("000000010000000R", 0.0)):
            link.cut()
            await eventually(lambda: not at.centre.counters()["links_bound"])
            assert (await client.submit(validity=validity))[0] == Status.OK
            at.clock.advance(wait)
            link = await at.bound_link()
            request, message = await link.message()
            sent.append(message.validity)
            link.take_message(request, f"net-{len(sent)}")
        assert sent == ["000000001000000R", "000000000059000R", "000000001000000R"]


async def test_a_link_that_wants_it_so_is_told_until_when_a_message_is_valid(house: Any) -> None:
    async with house(link_changes={"validity": "absolute"}) as at:
        link, client = await at.bound_link(), await at.bound_client("clinic")
        await client.submit()
        request, message = await link.message()
        assert message.validity == "231114222320000+"
        link.take_message(request, "net-1")


async def test_what_has_less_than_a_second_left_expires_and_never_leaves(house: Any) -> None:
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client("clinic")
        link.cut()
        await eventually(lambda: not at.centre.counters()["links_bound"])
        await client.submit(validity="000000000002000R")
        at.clock.advance(1.001)
        link = await at.bound_link()
        at.clock.advance(0.5)
        await at.nothing_more_for(link, await at.bound_client())
        assert await at.fetch("SELECT state FROM sms_message WHERE message_class = 'log-in-code'") == [("waiting",)]
        at.clock.advance(0.5)
        await at.until("SELECT state FROM sms_message WHERE message_class = 'log-in-code'", "expired")
        assert await at.fetch("SELECT sealed FROM sms_message WHERE message_class = 'log-in-code'") == [(None,)]


async def test_what_becomes_too_late_while_it_is_claimed_is_given_back_and_expires(house: Any) -> None:
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client("clinic")
        at.engine.held_where = "SELECT 1 FROM sms_message WHERE state = 'sending'"
        handing_in = asyncio.create_task(client.submit(validity="000000000010000R"))
        await at.engine.waiting.wait()  # the claim, and on a busy machine what it claims in the same commit
        at.clock.advance(9.5)
        at.engine.go_on.set()
        await handing_in
        given_back = "state = 'waiting' AND attempted_at > 0 AND attempts = 0"
        await at.until(f"SELECT COUNT(*) FROM sms_message WHERE {given_back}", 1)
        at.clock.advance(0.5)
        await at.until("SELECT state FROM sms_message", "expired")
        await at.nothing_more_for(link, await at.bound_client())
        assert not at.centre.counters()["messages_quarantined_total"]


@pytest.mark.parametrize("given_up", ["refused", "told", "overdue"])
async def test_a_body_is_erased_at_its_end(house: Any, given_up: str) -> None:
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client()
        await client.submit()
        request, message = await link.message()
        if given_up == "refused":
            link.answer(request, Status.INVALID_DESTINATION)
        else:
            link.take_message(request, "net-1")
            await at.until("SELECT state FROM sms_message", "sent")
            if given_up == "told":
                link.tell(message, "net-1")
            else:
                at.clock.advance(74 * 3_600)
        ends = {"refused": "rejected", "told": "delivered", "overdue": "unreported"}
        await at.until("SELECT state FROM sms_message", ends[given_up])
        assert await at.fetch("SELECT sealed FROM sms_message") == [(None,)]
