"""The tables of incident response on both engines: what each statement changes, and what it must leave alone."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from msgspec import structs
from response_house import SIGN_IN, tried

from prikkfri.assurance.answers import Answer
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import Hit, Impact, ListChange, Scope
from prikkfri.assurance.incidents import Fact, Incident, apply_fact, open_incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.assurance.response import store
from prikkfri.assurance.response.store import Contact, FrozenList, ListedHit, ListSummary
from prikkfri.journal import Page
from prikkfri.storage import Database, Location, Parameters, Row, Snapshot, open_database

TABLES = ("incident", "incident_impact", "incident_hit", "service_credit", "contact")


@pytest.fixture
async def area(location: Location) -> AsyncIterator[Database]:
    database = await open_database(location, "assurance")
    yield database
    await database.close()


def incident(name: str, opened_at: float = 1_000.0) -> Incident:
    return open_incident(name, Alarm("share", SIGN_IN, opened_at, opened_at - 5, 0.0, 1.0, 5.0, 30.0, 25.0), opened_at)


def hit(number: int, **more: Any) -> Hit:
    known = Hit(f"s-{number}", f"d-{number}", "television", "sign-in", 10.0 + number, 3, 2, "overloaded", None, True)
    return structs.replace(known, **more)


def made(*hits: Hit, digest: str = "digest", asked: int = 9) -> Impact:
    return Impact(Scope((SIGN_IN,), 1.0, 2.0), hits, asked, 4, digest)


def credit(name: str, customer: str, amount: int = 4_900) -> ServiceCredit:
    return ServiceCredit(f"{name}:{customer}", name, customer, amount, "NOK", "kick-off", "waited")


async def rows(database: Database, name: str) -> dict[str, list[Row]]:
    """All that stands of an incident, table by table."""
    found = {}
    for table in TABLES[:-1]:
        column = "id" if table == "incident" else "incident"
        found[table] = await database.read(
            lambda q, table=table, column=column: q.fetch(  # type: ignore[misc]
                f"SELECT * FROM {table} WHERE {column} = :name ORDER BY 1, 2", {"name": name}
            )
        )
    return found


@pytest.fixture
async def neighbour(area: Database) -> AsyncIterator[None]:
    """Another incident that hit the same customers, of which nothing may change."""
    await area.write(lambda t: store.save_incident(t, incident("other", 900.0)))
    await area.write(lambda t: store.save_answers(t, "other", [Answer(1, "?", "text", ())]))
    await area.write(lambda t: store.save_impact(t, "other", made(hit(1), hit(2)), "a gap", 950.0))
    await area.write(lambda t: store.freeze_impact(t, "other", 960.0))
    await area.write(lambda t: store.give_credits(t, [credit("other", "s-1")], given_by="Ola", now=970.0))
    before = await rows(area, "other")
    assert all(before.values())
    yield
    assert await rows(area, "other") == before


@pytest.mark.usefixtures("neighbour")
async def test_an_incident_is_kept_as_it_last_was_and_found_by_its_name(area: Database) -> None:
    first = incident("i")
    await area.write(lambda t: store.save_incident(t, first))
    await area.write(lambda t: store.save_answers(t, "i", [Answer(2, "what", "text", ("line",))]))
    later = apply_fact(first, Fact("evidence", 1_010.0))
    await area.write(lambda t: store.save_incident(t, later))
    assert await area.read(lambda q: store.incident(q, "i")) == later
    assert await area.read(lambda q: store.incident(q, "j")) is None
    assert await area.read(lambda q: store.answers(q, "i")) == [Answer(2, "what", "text", ("line",))]
    assert await area.read(lambda q: store.answers(q, "j")) == []
    (row,) = (await rows(area, "i"))["incident"]
    assert row[:4] == ("i", "television", "confirmed", 1_000.0)


async def test_incidents_come_newest_first_and_no_more_than_asked_for(area: Database) -> None:
    for name, at in (("b", 5.0), ("d", 7.0), ("a", 5.0), ("c", 6.0)):
        await area.write(lambda t, name=name, at=at: store.save_incident(t, incident(name, at)))  # type: ignore[misc]
    assert [each.id for each in await area.read(lambda q: store.incidents(q, most=9))] == ["d", "c", "b", "a"]
    assert [each.id for each in await area.read(lambda q: store.incidents(q, most=3))] == ["d", "c", "b"]


@pytest.mark.usefixtures("neighbour")
async def test_a_list_is_replaced_with_all_its_evidence_and_what_it_was_frozen_at_stays(area: Database) -> None:
    ours = incident("i")
    await area.write(lambda t: store.save_incident(t, ours))
    assert await area.read(lambda q: store.listed(q, "i")) is None
    assert await area.snapshot(lambda q: store.impact_of(q, ours)) is None
    first = made(hit(1), hit(2), hit(3), digest="first")
    await area.write(lambda t: store.save_impact(t, "i", first, "", 1_100.0))
    assert await area.snapshot(lambda q: store.impact_of(q, ours)) == (first, "", FrozenList("", 0.0))
    await area.write(lambda t: store.freeze_impact(t, "i", 1_200.0))
    changed = hit(
        2, customer="", device="d-9", service="messages", step="deliver", first_asked=99.0, tries=8, unanswered=7,
        last_reason="abandoned", kept_later_at=98.5, observed=False,
    )  # fmt: skip
    second = Impact(Scope((SIGN_IN,), 3.0, 4.0), (hit(1), structs.replace(changed)), 5, 6, "second", 7)
    for change in (None, between(first.hits, second.hits)):
        await area.write(lambda t: store.save_impact(t, "i", first, "", 1_100.0))
        await area.write(lambda t, change=change: store.save_impact(t, "i", second, "a gap", 1_300.0, change=change))  # type: ignore[misc]
        assert await area.snapshot(lambda q: store.impact_of(q, ours)) == (
            second,
            "a gap",
            FrozenList("first", 1_200.0),
        )
        assert await area.read(lambda q: store.listed(q, "i")) == ListSummary(
            1, 1_300.0, "second", "a gap", FrozenList("first", 1_200.0)
        )
        assert await area.snapshot(lambda q: store.hits_of(q, "i")) == [hit(1), changed]
    # The same person with other evidence is the same line.
    other = hit(1, **{**structs.asdict(changed), "customer": "s-1"})
    await area.write(lambda t: store.save_impact(t, "i", made(other), "", 1.0, change=between([hit(1)], [other])))
    assert other in await area.snapshot(lambda q: store.hits_of(q, "i"))


@pytest.mark.usefixtures("neighbour")
async def test_a_long_list_is_written_whole_in_parts(area: Database) -> None:
    everybody = [hit(n) for n in range(2 * store.ROWS_AT_ONCE + 1)]
    whole = between([], everybody)
    await area.write(lambda t: store.save_impact(t, "i", made(*everybody), "", 1.0, change=whole))
    count = "SELECT COUNT(*), MIN(first_asked), MAX(first_asked) FROM incident_hit WHERE incident = 'i'"
    assert await area.read(lambda q: q.fetch_one(count)) == (4_001, 10.0, 4_010.0)
    assert await area.snapshot(lambda q: store.hits_of(q, "i")) == sorted(everybody, key=lambda each: each.key)
    first, count = await area.read(lambda q: store.first_hits(q, "i", most=2))
    assert (first, count) == ([everybody[0], everybody[1]], len(everybody))
    change = between(everybody, [everybody[7]])
    await area.write(lambda t: store.save_impact(t, "i", made(everybody[7]), "", 1.0, change=change))
    assert await area.snapshot(lambda q: store.hits_of(q, "i")) == [everybody[7]]


async def test_many_credits_are_given_once_each_and_read_whole(area: Database) -> None:
    many = [credit("i", f"s-{number}") for number in range(2 * store.ROWS_AT_ONCE + 1)]
    elsewhere = credit("j", "s-1")
    give = partial(store.give_credits, credits=many, given_by="Kari", now=6.0)
    await area.write(lambda t: store.give_credits(t, [many[1], elsewhere], given_by="rule:policy", now=5.0))
    assert await area.write(give) == [many[0], *many[2:]]
    assert await area.write(give) == []
    stored = await area.read(lambda q: store.credits_of(q, "i"))
    assert [each.credit for each in stored] == sorted(many, key=lambda each: each.key)
    assert await area.read(lambda q: store.credits_of(q, "j")) == [
        store.CreditRecord(elsewhere, "rule:policy", 5.0, "", 0.0)
    ]


class Meanwhile:
    """Asks a snapshot; after its first question somebody else writes."""

    at_one_moment = True

    def __init__(self, queries: Snapshot, write: Callable[[], Awaitable[Any]]) -> None:
        self.queries, self.write = queries, write
        self.asked = 0

    async def fetch(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        found = await self.queries.fetch(sql, parameters)
        await self._asked()
        return found

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        found = await self.queries.fetch_one(sql, parameters)
        await self._asked()
        return found

    async def _asked(self) -> None:
        self.asked += 1
        if self.asked == 1:
            await self.write()


async def test_a_list_that_is_written_while_it_is_read_is_told_as_it_was_with_its_own_digest(area: Database) -> None:
    """Statement by statement its digest was that of one list, and those on it were of another."""
    ours, before, after = incident("i"), made(hit(1), hit(2), digest="before"), made(hit(3), digest="after", asked=4)
    await area.write(lambda t: store.save_incident(t, ours))
    await area.write(lambda t: store.save_impact(t, "i", before, "", 1.0))

    async def write() -> None:
        await area.write(lambda t: store.save_impact(t, "i", after, "", 2.0))

    told = await area.snapshot(lambda q: store.impact_of(Meanwhile(q, write), ours))
    assert told is not None and told[0] == before
    again = await area.snapshot(lambda q: store.impact_of(q, ours))
    assert again is not None and again[0] == after


def between(before: Sequence[Hit], after: Sequence[Hit]) -> ListChange:
    return ListChange.between({each.key: each for each in before}, after)


class Taken:
    """A transaction that takes whatever it is told, at once."""

    async def execute(self, statement: str, parameters: Any = None) -> int:
        return 1

    async def execute_many(self, statement: str, rows: Any) -> None:
        pass


def test_while_a_long_list_is_written_others_have_their_turn_and_nobody_waits() -> None:
    many = [hit(n) for n in range(2 * store.ROWS_AT_ONCE + 1)]
    for known, then in (([], made(*many)), (many, made())):
        # Driven by hand, without a loop: whoever waited for a time to pass would have none to wait in.
        work = store.save_impact(Taken(), "i", then, "", 1.0, change=between(known, then.hits))  # type: ignore[arg-type]
        turns = 0
        with pytest.raises(StopIteration):
            while True:
                work.send(None)
                turns += 1
        assert turns == 3


@pytest.mark.usefixtures("neighbour")
async def test_a_credit_is_given_once_whatever_is_said_later(area: Database) -> None:
    both = [credit("i", "s-1"), credit("i", "s-2")]
    given = await area.write(lambda t: store.give_credits(t, both[:1], given_by="rule:policy", now=5.0))
    assert given == both[:1]
    again = [credit("i", "s-1", amount=99_999), both[1]]
    assert await area.write(lambda t: store.give_credits(t, again, given_by="Kari", now=6.0)) == both[1:]
    assert await area.write(lambda t: store.give_credits(t, again, given_by="Kari", now=7.0)) == []
    stored = await area.read(lambda q: store.credits_of(q, "i"))
    assert stored == [
        store.CreditRecord(both[0], "rule:policy", 5.0, "", 0.0),
        store.CreditRecord(both[1], "Kari", 6.0, "", 0.0),
    ]


@pytest.mark.usefixtures("neighbour")
async def test_one_is_marked_told_and_nobody_else(area: Database) -> None:
    both = [credit("i", "s-1"), credit("i", "s-2")]
    await area.write(lambda t: store.give_credits(t, both, given_by="rule:policy", now=5.0))
    await area.write(lambda t: store.mark_notified(t, "i:s-1", "m-1", 9.0))
    stored = await area.read(lambda q: store.credits_of(q, "i"))
    assert [(each.credit.customer, each.told_message, each.told_at) for each in stored] == [
        ("s-1", "m-1", 9.0), ("s-2", "", 0.0),
    ]  # fmt: skip
    await area.write(lambda t: store.mark_notified(t, "i:s-1", "", 0.0))
    assert {each.told_at for each in await area.read(lambda q: store.credits_of(q, "i"))} == {0.0}


async def test_a_customer_finds_their_own_incidents_newest_first_with_their_own_credit(area: Database) -> None:
    for number in range(25):
        name = f"i{number:02}"
        hits = made(hit(1, first_asked=100.0 + number, kept_later_at=200.0), hit(2), hit(3, customer="", device="d-x"))
        await area.write(lambda t, name=name, hits=hits: store.save_impact(t, name, hits, "", 1.0))  # type: ignore[misc]
    given = [credit("i24", "s-1", 100), credit("i24", "s-2", 999), credit("i23", "s-2", 999)]
    await area.write(lambda t: store.give_credits(t, given, given_by="Kari", now=5.0))
    found = await area.read(lambda q: store.incidents_that_hit(q, "s-1"))
    assert found[:2] == [ListedHit("i24", 124.0, 200.0, 100, "NOK"), ListedHit("i23", 123.0, 200.0, 0, "")]
    assert [each.incident for each in found] == [f"i{number:02}" for number in range(24, 4, -1)]
    assert len(await area.read(lambda q: store.incidents_that_hit(q, "s-1", most=2))) == 2
    assert await area.read(lambda q: store.incidents_that_hit(q, "")) == []
    assert await area.read(lambda q: store.incidents_that_hit(q, "s-9")) == []
    # Of what only their own device told they hear once a person has given something for it.
    await area.write(lambda t: store.save_impact(t, "told", made(hit(7, observed=False)), "", 1.0))
    assert await area.read(lambda q: store.incidents_that_hit(q, "s-7")) == []
    await area.write(lambda t: store.give_credits(t, [credit("told", "s-7", 100)], given_by="Kari", now=5.0))
    assert [each.amount for each in await area.read(lambda q: store.incidents_that_hit(q, "s-7"))] == [100]


async def test_contacts_are_taken_in_once_and_counted_by_service_and_period(area: Database) -> None:
    at = [(999.9, "television"), (1_000.0, "television"), (1_059.9, "television"), (1_060.0, "television"),
          (1_061.0, "messages"), (1_185.0, "television")]  # fmt: skip
    contacts = [Contact(str(n), moment, service, "kind", "chat") for n, (moment, service) in enumerate(at)]
    assert await area.write(lambda t: store.add_contacts(t, contacts)) == contacts
    known = [replace(contacts[1], at=1_500.0), Contact("new", 1_240.0, "television", "", "")]
    assert await area.write(lambda t: store.add_contacts(t, known)) == known[1:]

    async def counted(service: str) -> list[tuple[float, float]]:
        return await area.read(lambda q: store.contact_counts(q, service, since=1_000.0, period_seconds=60.0))

    assert await counted("television") == [(1_000.0, 2), (1_060.0, 1), (1_180.0, 1), (1_240.0, 1)]
    assert await counted("messages") == [(1_060.0, 1)] and await counted("music") == []
    since = await area.read(lambda q: store.contacts_since(q, 1_059.9, most=3))
    assert since == contacts[2:5]


async def test_holders_are_those_of_the_devices_in_question(area: Database) -> None:
    outcomes = [
        tried(10.0, "s-1", device="d-1", kept=True),
        tried(20.0, "s-2", device="d-1", kept=True),
        tried(30.0, "s-1", device="d-1", kept=True),
        tried(40.0, "s-3", device="d-old", kept=True),
        tried(100.0, device="d-1"),
        tried(101.0, "s-5", device="d-told", observed=False),
        tried(102.0, "s-6"),
    ]

    async def work(transaction: Any) -> None:
        page = Page("i", 1, len(outcomes), outcomes, len(outcomes), 0, 0)
        await outcome_store.add_outcomes(transaction, "signin", page, 200.0)
        await outcome_store.join_devices(transaction, outcomes, 200.0)

    await area.write(work)
    found = await area.read(lambda q: store.holders_of(q, ["d-1", "d-1", "d-told", "nowhere"]))
    assert sorted(found) == [("d-1", "s-1", 10.0, 30.0), ("d-1", "s-2", 20.0, 20.0)]
    many = [f"x-{number}" for number in range(450)]
    assert len(await area.read(lambda q: store.holders_of(q, [*many, "d-1", "d-old"]))) == 3
    assert await area.read(lambda q: store.holders_of(q, [])) == []


async def test_a_night_has_cost_a_customer_what_its_other_incidents_gave_in_that_currency(area: Database) -> None:
    """What is missed here is paid twice: it is what the cap of a night is reckoned from."""
    opened_at = {"before": 99.9, "first": 100.0, "second": 150.0, "abroad": 150.0, "ours": 150.0, "after": 200.0}
    given = [credit(name, "s-1", 1 << number) for number, name in enumerate(opened_at)]
    given = [replace(each, currency="SEK") if each.incident == "abroad" else each for each in given]
    for name, at in opened_at.items():
        await area.write(lambda t, name=name, at=at: store.save_incident(t, incident(name, at)))  # type: ignore[misc]
    await area.write(lambda t: store.give_credits(t, [*given, credit("first", "s-2", 700)], given_by="Kari", now=5.0))
    night: dict[str, Any] = {"since": 100.0, "until": 200.0, "but": "ours"}
    found = await area.read(lambda q: store.credited_amounts(q, currency="NOK", **night))
    assert found == {"s-1": 0b000110, "s-2": 700}
    assert await area.read(lambda q: store.credited_amounts(q, currency="SEK", **night)) == {"s-1": 0b001000}  # type: ignore[arg-type]


@pytest.mark.usefixtures("neighbour")
async def test_who_stands_on_a_list_by_a_device_waits_for_its_holder_until_that_is_done(area: Database) -> None:
    nameless = [hit(number, customer="") for number in (1, 2, 3)]
    await area.write(lambda t: store.save_impact(t, "j", made(*nameless[:1]), "", 1.0))
    await area.write(lambda t: store.save_impact(t, "i", made(*nameless, hit(4)), "", 1.0))
    seen = [tried(10.0 + n, f"s-{n}", device=f"d-{n}", kept=True) for n in (9, 4, 3, 2, 1)]
    await area.write(lambda t: outcome_store.join_devices(t, seen, 99.0))

    async def waiting(**part: Any) -> list[str]:
        return await area.read(lambda q: store.named_devices(q, **{"most": 9, **part}))

    assert await waiting() == ["d-1", "d-2", "d-3"]
    assert [await waiting(after="d-1", most=1), await waiting(after="d-3")] == [["d-2"], []]
    nameless_on = await area.read(lambda q: store.nameless_on(q, ["d-1", "d-2", "d-4"]))
    assert nameless_on == {"d-1": {"i", "j"}, "d-2": {"i"}}
    assert await area.read(lambda q: store.holders_of(q, ["d-2"])) == [("d-2", "s-2", 12.0, 12.0)]
    await area.write(lambda t: store.forget_named(t, ["d-1", "d-3"]))
    assert await waiting() == ["d-2"]


HOUR = outcome_store.LATE_AROUND_SECONDS


@pytest.mark.parametrize(
    ("hours", "anew"),
    [(7.9, False), (8.5, False), (9, True), (11, True), (13, True), (14, False)],
    ids=["long before", "before", "an hour before", "in it", "an hour after", "long after"],
)
async def test_what_is_told_late_has_the_lists_made_anew_to_which_it_may_belong(
    area: Database, hours: float, anew: bool
) -> None:
    """Of an incident that lasted from ten to twelve o'clock; no grace time is longer than an hour."""
    around = replace(made(hit(1)), scope=Scope((SIGN_IN,), 10 * HOUR, 12 * HOUR))
    for name in ("i", "j"):
        await area.write(lambda t, name=name: store.save_impact(t, name, around, "", 1.0))  # type: ignore[misc]
    told = [tried(hours * HOUR, "s-1")]
    for _ in range(2):
        await area.write(lambda t: outcome_store.note_late(t, told, 99 * HOUR))
    assert await area.read(store.late_incidents) == (["i", "j"] if anew else [])
    await area.write(lambda t: store.forget_late(t, "j"))
    assert await area.read(store.late_incidents) == (["i"] if anew else [])


async def test_what_is_told_in_time_or_by_a_device_alone_has_no_list_made_anew(area: Database) -> None:
    await area.write(lambda t: store.save_impact(t, "i", made(hit(1)), "", 1.0))
    in_time, by_a_device, late = tried(1.5, "s-1"), tried(1.0, "s-1", observed=False), tried(1.25, "s-1")
    now = in_time.time + outcome_store.LATE_SECONDS
    await area.write(lambda t: outcome_store.note_late(t, [in_time, by_a_device], now))
    assert await area.read(store.late_incidents) == []
    await area.write(lambda t: outcome_store.note_late(t, [in_time, by_a_device, late], now))
    assert await area.read(store.late_incidents) == ["i"]


async def test_of_the_watch_the_last_that_was_kept_is_read(area: Database) -> None:
    assert await area.read(store.watch) is None
    for counted_to, document in ((1_000.0, "[]"), (1_030.5, "[1]")):
        await area.write(lambda t, at=counted_to, text=document: store.save_watch(t, at, text))  # type: ignore[misc]
        assert await area.read(store.watch) == (counted_to, document)
