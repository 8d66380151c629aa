"""What waits for a link from which nothing leaves is brought to whoever is to take it: on both engines."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from message_table import BASE, NOW, Row, fill, numbered
from sms_house import HURRIED
from waiting import eventually

from prikkfri.clock import ManualClock
from prikkfri.config import Link, Sms
from prikkfri.errors import StorageError
from prikkfri.sms.placing.service import Placing
from prikkfri.sms.routing import Party, RouteOutage
from prikkfri.sms.sealing import Sealer
from prikkfri.sms.shared.service import CentreState, Connection
from prikkfri.storage import Database

LINKS = tuple(
    Link(name=name, partner=name, host="h", port=1, system_id="p", password="p", prefixes=(prefix,), priority=priority)
    for name, prefix, priority in (("nord", "47", 0), ("syd", "47", 1), ("sor", "46", 0))
)
STOPPED, OPEN = (RouteOutage(state, 1.0, "Kari", "r", 1.0, 0.0, 0.0) for state in ("stopped", "open"))


class Desk:
    """A room that places, and its database as the room sees it: each transaction is watched, and may be followed up."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = ManualClock(NOW)
        sealer = Sealer(os.urandom)
        self.shared = CentreState(
            cast(Database, self), cast(Any, None), Sms(links=LINKS), self.clock, os.urandom, sealer, HURRIED
        )
        self.placing = Placing(self.shared)
        self.seen: list[tuple[frozenset[Party], bool]] = []
        """Who claims nothing, and whether what comes goes by the new routes, at each transaction."""
        self.statements: list[int] = []
        """In each transaction."""
        self.then: list[Callable[[], Awaitable[None] | None]] = []
        """What happens after each."""
        self.refusal: Exception | None = None

    async def read(self, work: Any) -> Any:
        if self.refusal:
            raise self.refusal
        return await self.database.read(work)

    async def write(self, work: Any) -> Any:
        self.seen.append((self.shared.drained, self.shared.routes is self.shared.wanted))
        counting = Counting()
        result = await self.database.write(lambda tx: work(counting.over(tx)))
        self.statements.append(counting.count)
        if self.then and (happened := self.then.pop(0)()):
            await happened
        return result

    async def waits(self, *rows: Row, at: str = "link:nord") -> None:
        await self.database.write(lambda tx: fill(tx, numbered([{**row, "target": at} for row in rows])))

    async def place(self) -> dict[str, int]:
        """How many wait for whom after it."""
        await self.placing.place()
        return dict(await self.database.read(lambda q: q.fetch("SELECT target, COUNT(*) FROM sms_message GROUP BY 1")))

    async def told(self) -> list[tuple[str, str]]:
        return await self.database.read(lambda q: q.fetch("SELECT event, detail FROM sms_event ORDER BY time, detail"))


class Counting:
    def __init__(self) -> None:
        self.count = 0

    def over(self, tx: Any) -> Any:
        self.tx = tx
        return self

    def __getattr__(self, name: str) -> Any:
        self.count += 1
        return getattr(self.tx, name)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def rows(count: int, prefix: str = "4790") -> list[Row]:
    return [{**BASE, "recipient": f"{prefix}{number:06d}", "id": f"{prefix}-{number:05d}"} for number in range(count)]


async def test_what_is_held_freed_or_sent_another_way_says_so_in_its_trail(desk: Desk) -> None:
    steps: list[tuple[dict[str, RouteOutage], str, str, str]] = [
        ({"sor": STOPPED}, "held:sor", "held", "from link to held sor"),
        ({"sor": OPEN}, "link:sor", "freed", "from held to link sor"),
    ]
    await desk.waits(*rows(1, "4690"), at="link:sor")
    for stops, target, _, _ in steps:
        desk.clock.advance(1)
        desk.shared.know_outages(stops)
        assert await desk.place() == {target: 1}
    assert await desk.told() == [(event, detail) for _, _, event, detail in steps]
    await desk.waits(*rows(1))
    desk.shared.know_outages({"nord": STOPPED})
    assert (await desk.place())["link:syd"] == 1
    desk.clock.advance(1)
    desk.shared.know_outages({"nord": STOPPED, "syd": STOPPED})
    assert (await desk.place())["held:nord"] == 1
    assert (await desk.told())[2:] == [
        ("sent-another-way", "from link nord to link syd"),
        ("held", "from link syd to held nord"),
    ]


@pytest.mark.parametrize(
    ("stop", "left_at", "found_at"), [(STOPPED, "link:nord", "link:syd"), (OPEN, "held:nord", "link:nord")]
)
async def test_what_a_restart_left_half_moved_is_found(
    desk: Desk, stop: RouteOutage, left_at: str, found_at: str
) -> None:
    """Of what is looked for nobody told: stopped as a centre begins, with what came to wait on the wrong side."""
    desk.shared.know_outages({"nord": stop})
    await desk.place()
    before = len(desk.seen)
    assert not desk.shared.misplaced
    await desk.place()
    assert len(desk.seen) == before, "where nothing waits nothing is looked through"
    await desk.waits(*rows(2), at=left_at)
    assert await desk.place() == {found_at: 2}


async def test_while_it_is_placed_nobody_claims_it_but_canaries_over_a_stopped_link(desk: Desk) -> None:
    await desk.waits(*rows(1))
    desk.shared.know_down(frozenset({"nord"}))
    await desk.place()
    assert desk.seen[0][0] == {Party("link", "nord"), Party("held", "nord")} and desk.shared.drained == frozenset()
    desk.seen.clear()
    desk.shared.know_outages({"nord": STOPPED})
    await desk.place()
    assert desk.seen and {drained for drained, _ in desk.seen} == {frozenset()}


async def back(desk: Desk, due_at: float) -> None:
    """Nord was down and is back; over syd, which stood in for it, something has not left."""
    desk.shared.know_down(frozenset({"nord"}))
    await desk.place()
    await desk.waits({**BASE, "due_at": due_at}, at="link:syd")
    desk.shared.know_down(frozenset())
    await desk.place()


async def test_a_link_that_is_back_gets_nothing_before_what_came_before_has_left_or_had_its_time(desk: Desk) -> None:
    await back(desk, NOW)
    for waited in (0.0, HURRIED.give_back_seconds_max - 0.5):
        desk.clock.advance(waited)
        await desk.place()
        assert desk.shared.routes is not desk.shared.wanted
    desk.clock.advance(0.5)
    await desk.place()
    assert desk.shared.routes is desk.shared.wanted


async def test_when_what_came_before_has_left_or_is_not_due_a_link_gets_what_comes_at_once(desk: Desk) -> None:
    await back(desk, NOW)
    await desk.database.write(lambda tx: tx.execute("DELETE FROM sms_message"))
    await desk.place()
    assert desk.shared.routes is desk.shared.wanted
    await back(desk, NOW + 0.5)
    assert desk.shared.routes is desk.shared.wanted


async def test_what_was_stored_while_the_last_was_placed_goes_in_one_step_before_all_that_follow(desk: Desk) -> None:
    """More than a look takes in, at the moment at which it began."""
    await desk.waits(*rows(1))
    late = [{**each, "due_at": NOW} for each in rows(501, "4791")]
    desk.then = [lambda: None, lambda: desk.waits(*late)]
    desk.shared.know_down(frozenset({"nord"}))
    assert (await desk.place())["link:syd"] == 502
    assert [by_the_new for _, by_the_new in desk.seen] == [False, False, True], "link, held, and both once more"


async def test_what_comes_back_meanwhile_is_placed_before_anything_goes_by_the_new_routes(desk: Desk) -> None:
    async def comes_back() -> None:
        await desk.waits(*rows(2))
        desk.shared.came_back(Party("link", "nord"))

    desk.then = [lambda: None, comes_back]
    desk.shared.know_down(frozenset({"nord"}))
    assert await desk.place() == {"link:syd": 2}
    assert [by_the_new for _, by_the_new in desk.seen] == [False, False, False, False, True]


async def test_a_look_goes_on_behind_the_last_that_it_saw_and_costs_the_same_however_many_move(desk: Desk) -> None:
    await desk.waits(*rows(999, "4890"))  # of a network that nobody takes
    desk.shared.know_down(frozenset({"nord"}))
    assert await desk.place() == {"link:nord": 999}
    assert len(desk.seen) == 2 + 1 + 1, "two looks at the link, one at what is held for it, and one at what came late"
    await desk.database.write(lambda tx: tx.execute("DELETE FROM sms_message"))
    desk.shared.know_outages({"nord": STOPPED})
    await desk.place()
    costs = []
    for count, prefix, there in ((1, "4791", 1), (40, "4792", 41)):
        await desk.waits(*rows(count, prefix))
        desk.statements.clear()
        assert await desk.place() == {"link:syd": there}
        costs.append(desk.statements[:])
    assert costs[0] == costs[1]


async def test_an_operator_is_told_which_links_are_down_and_why_nothing_is_placed(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("nord", "syd", "sor"):
        assert desk.shared.bound.away_seconds(Party("link", name), desk.clock.monotonic()) == 0.0
    desk.clock.advance(HURRIED.take_over_seconds)
    keeping = asyncio.create_task(desk.placing.keep())
    await eventually(lambda: "links that are down: nord, sor, syd" in caplog.text)
    for name in ("nord", "syd", "sor"):
        desk.shared.bound.enter(Party("link", name), cast(Connection, None), 0.0)
    await eventually(lambda: "links that are down: none" in caplog.text)
    desk.refusal = StorageError("no room")
    desk.shared.know_outages({"sor": STOPPED})
    await eventually(lambda: "what waits for links that are away is not placed: no room" in caplog.text)
    desk.refusal = None
    await eventually(lambda: desk.shared.routes is desk.shared.wanted)
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
