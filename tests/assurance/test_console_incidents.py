"""The pages of incidents over HTTP: what is shown, what can be done, what leaves a trace."""

import asyncio
import csv
import html
import io
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from console_doubles import EVIL, HTML, KEY, QUICK_HASHER, Disk, Seen
from msgspec import structs
from starlette.types import ASGIApp
from surroundings import personal_beside, surroundings

from prikkfri.assurance.answers import NOT_KNOWN, QUESTIONS
from prikkfri.assurance.console import Console, ensure_first_user
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.impact import Hit, Impact, Scope, impact
from prikkfri.assurance.incidents import Fact, Incident, apply_fact, open_incident, record_placement
from prikkfri.assurance.localisation import Cell, place
from prikkfri.assurance.outcomes.store import add_outcomes, join_devices
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.assurance.response import store
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.store import Contact
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.service import Assurance
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.config import Remedy, Tier
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Location, open_database
from prikkfri.web.console.live import Pace
from prikkfri.web.console.server import application

ORIGIN = "http://console.test"
OSLO = ZoneInfo("Europe/Oslo")
SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
HIT = 40
HOLD_SECONDS = 6.0
NUMBER = "+4791234567"


@dataclass
class House:
    browser: httpx.AsyncClient
    pages: ASGIApp
    response: Response
    console: Console
    database: Disk
    clock: ManualClock
    password: str
    messages: list[tuple[str, str]] = field(default_factory=list)
    taken: int = 0

    async def post(self, path: str, *, origin: str = ORIGIN, **fields: str) -> httpx.Response:
        return await self.browser.post(path, data=fields, headers={"origin": origin})

    async def act(self, kind: str, **fields: str) -> httpx.Response:
        """Of somebody who is sure."""
        return await self.post("/incidents/evening/act", **{"kind": kind, "sure": "yes"} | fields)

    async def text(self, path: str = "/incidents/evening") -> str:
        answer = await self.browser.get(path)
        assert answer.status_code == 200, answer.text
        return html.unescape(answer.text)

    async def incident(self) -> Incident:
        known = await self.response.evaluations.known("evening")
        assert known is not None
        return known.incident

    async def begins(self, *, confirmed: bool = True, reported: int = 0) -> None:
        """An evening goes wrong for forty subscribers; the list of them is made."""
        now = self.clock.now()
        found = open_incident("evening", Alarm("share", SIGN_IN, now, now - 5, 0.005, 0.9, 40, 30.0, 25.0), now)
        if confirmed:
            found = apply_fact(found, Fact("evidence", now, text="has stood for 10 s"))
        table = [
            Cell(Segment.of({"step": "sign-in", "layer": "signin"}), 100, 90),
            Cell(Segment.of({"step": "start-playback", "layer": "streams"}), 900, 1),
        ]
        found = record_placement(found, place(table), now)
        outcomes = [
            Outcome(
                time=now - 3, service="television", step="sign-in", layer="signin", verdict="broken",
                reason="overloaded", customer=f"subscriber-{number:04}", device=f"d-secret-{number:04}",
                observed=number >= reported,
            )
            for number in range(HIT)
        ]  # fmt: skip
        listed = impact(outcomes, Scope(found.segments, now - 5, now + 60), now=now + 600)
        assert len(listed.hits) == HIT
        await self.happened(outcomes)

        await self.database.write(lambda t: store.save_incident(t, found))
        await self.database.write(lambda t: store.save_impact(t, "evening", listed, "", now))
        await self.response.recover()

    async def happened(self, outcomes: list[Outcome]) -> None:
        last, now = self.taken + len(outcomes), self.clock.now()
        page = Page("i", self.taken + 1, last, outcomes, last, 0, 0)
        await self.database.write(lambda t: add_outcomes(t, "signin", page, now))
        await self.database.write(lambda t: join_devices(t, outcomes, now))
        self.taken = last

    async def people_get_in(self, seconds: int) -> None:
        """So many seconds of that, at the end of which the system looks."""
        self.clock.advance(seconds)
        now = self.clock.now()
        kept = {"service": "television", "step": "sign-in", "layer": "signin", "verdict": "kept"}
        await self.happened(
            [
                Outcome(time=now - ago, customer=f"other-{self.taken}-{ago}-{number}", **kept)  # type: ignore[arg-type]
                for ago in range(seconds)
                for number in range(20)
            ]
        )
        await self.response.evaluations.look()

    async def is_over(self) -> None:
        """As the facts of the data would have it, without any data: no money moves by that."""
        await self.response.actions.act("evening", Fact("improving", self.clock.now()))
        await self.response.actions.act("evening", Fact("proven", self.clock.now()))
        await self.database.write(lambda t: store.freeze_impact(t, "evening", self.clock.now()))


@pytest.fixture
async def house(location: Location, clock: ManualClock) -> AsyncIterator[House]:
    database = Disk(await open_database(location, "assurance"))
    nobody = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(503)))
    remedy = Remedy(name="kick-off", service="television", tiers=(Tier(from_minutes=0.0, amount=4_900),))
    settings = Settings(sign_in_grace_seconds=2.0, hold_seconds=HOLD_SECONDS, remedies=(remedy,))
    messages: list[tuple[str, str]] = []

    async def products(customers: Sequence[str], at: float) -> Mapping[str, str]:
        return dict.fromkeys(customers, "sport")

    async def tell(customer: str, texts: Mapping[str, str]) -> str:
        text = texts["nb"]
        messages.append((customer, text))
        return f"m-{len(messages)}"

    response = Response(
        database,
        settings=settings,
        surroundings=surroundings(products=products, tell=tell),
        clock=clock,
        zone=OSLO,
    )  # fmt: skip
    neighbours = RoleClient(nobody, urls={}, command_keys={})
    assurance = Assurance(
        database,
        sources={},
        neighbours=neighbours,
        clock=clock,
        settings=settings,
        operator="Nordavind",
        status_url="http://status.test",
        zone=ZoneInfo("Europe/Oslo"),
    )
    made = await ensure_first_user(database, clock, hasher=QUICK_HASHER)
    assert made is not None

    async def find(query: str) -> None:
        return None

    console = Console(database, clock=clock, key=KEY, hasher=QUICK_HASHER)
    pages = application(
        assurance,
        console,
        response=response,
        personal=personal_beside(database, response, neighbours, clock, find),
        clock=clock,
        public_url=ORIGIN,
        playout_url="http://playout.test",
        timezone="Europe/Oslo",
        operator="Nordavind",
        pace=Pace(live_seconds=0.01, watchers_max=1),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(pages), base_url=ORIGIN, headers=HTML) as browser:
        house = House(browser, pages, response, console, database, clock, made[1], messages)
        await house.post("/sign-in", name="duty", password=house.password)
        yield house
    await nobody.aclose()
    await database.close()


def local(at: float) -> str:
    """As a browser's field for a time sends it."""
    return datetime.fromtimestamp(at, OSLO).strftime("%Y-%m-%dT%H:%M")


def form_with(page: str, words: str) -> str:
    """The opening tag of the form that holds these words."""
    start = page.rindex("<form", 0, page.index(words))
    return page[start : page.index(">", start) + 1]


async def test_the_list_says_when_there_is_none(house: House) -> None:
    assert "No incident yet." in await house.text("/incidents")
    assert (await house.browser.get("/incidents/unknown")).status_code == 404
    for path in ("act", "release", "tell", "csv", "hit"):
        answer = await house.post(f"/incidents/unknown/{path}", kind="note", text="x", table="hit", why="case 4711")
        assert answer.status_code == 404, path
    assert await house.console.accesses() == []


async def test_the_list_says_what_where_and_how_many(house: House) -> None:
    await house.begins()
    page = await house.text("/incidents")
    assert (
        "Sign-in broken since" in page and "streams and starting to watch are not affected" in page and "40 hit" in page
    )
    assert 'href="/incidents/evening"' in page and "Confirmed" in page


async def test_an_open_incident_is_the_sentence_of_the_first_page(house: House) -> None:
    assert "/incidents/evening" not in await house.text("/")
    await house.begins()
    page = await house.text("/")
    assert re.search(r'<h1>.*<a href="/incidents/evening">Sign-in broken since [\d:]+; .* 40 hit\.</a></h1>', page)
    await house.is_over()
    assert "/incidents/evening" not in await house.text("/")


async def test_a_suspicion_never_hides_what_is_confirmed(house: House) -> None:
    await house.begins()
    now = house.clock.now()
    later = open_incident(
        "later", Alarm("share", Segment.of({"service": "messages"}), now, now, 0, 0.1, 40, 30.0, 25.0), now
    )
    await house.database.write(lambda t: store.save_incident(t, replace(later, opened_at=now + 60)))
    await house.response.recover()
    page = await house.text("/")
    assert page.index("/incidents/evening") < page.index("/incidents/later")


async def test_the_answer_sheet_has_eleven_answers_and_says_what_is_not_known(house: House) -> None:
    await house.begins()
    page = await house.text()
    places = [page.index(question) for question in QUESTIONS]
    assert places == sorted(places)
    assert "40 of 40 who asked; the list names each." in page
    rows = page.split('<li class="answer')[1:]
    assert len(rows) == 11
    for row in rows:
        assert (NOT_KNOWN in row) == row.startswith(" not-known")
    assert sum(NOT_KNOWN in row for row in rows) == 3  # load, when solved, whether it is over


async def test_the_page_of_an_incident_names_nobody(house: House) -> None:
    await house.begins()
    await house.is_over()
    await house.post("/incidents/evening/release", sure="yes")
    for path in ("/", "/incidents", "/incidents/evening"):
        page = await house.text(path)
        assert "subscriber-00" not in page and "d-secret" not in page, path
    assert await house.console.accesses() == []


async def test_what_a_person_does_stands_on_the_timeline(house: House) -> None:
    await house.begins(confirmed=False)
    assert "hidden" not in form_with(await house.text(), "Confirm the incident")
    assert (await house.act("confirm")).headers["location"] == "/incidents/evening"
    assert "hidden" in form_with(await house.text(), "Confirm the incident")
    await house.act("mitigate", text=f"Sport 1 on the open channel {EVIL}")
    found = await house.incident()
    assert found.state == "mitigated" and found.timeline[-1].who == "duty"
    answer = await house.browser.get("/incidents/evening")
    assert "Sport 1 on the open channel" in answer.text and EVIL not in answer.text


async def test_whatever_comes_from_outside_is_text(house: House) -> None:
    now = house.clock.now()
    partner = Segment.of({"service": "messages", "step": "deliver", "partner": EVIL})
    found = open_incident("evening", Alarm("share", partner, now, now, 0.0, 0.9, 40, 30.0, 25.0), now)
    for fact in (Fact("confirm", now, EVIL, EVIL), Fact("mitigate", now, EVIL, EVIL), Fact("note", now, EVIL, EVIL)):
        found = apply_fact(found, fact)
    found = record_placement(found, place([Cell(partner, 100, 90), Cell(Segment.of({"step": EVIL}), 900, 1)]), now)
    hit = Hit(EVIL, EVIL, "messages", EVIL, now, 1, 1, EVIL, None, True)
    unknown = Hit("", "<b>", "messages", EVIL, now, 1, 1, EVIL, now, False)
    listed = Impact(Scope(found.segments, now, now + 1), (hit, unknown), 9, 0, EVIL)
    await house.database.write(lambda t: store.save_incident(t, found))
    await house.database.write(lambda t: store.save_incident(t, replace(found, id="before", opened_at=now - 9)))
    await house.database.write(lambda t: store.save_impact(t, "evening", listed, EVIL, now))
    await house.response.recover()
    await house.response.register.add_contacts([Contact("1", now, "messages", EVIL, EVIL)])
    pages = {path: await house.browser.get(path) for path in ("/", "/incidents", "/incidents/evening", "/looks")}
    pages["masked"] = await house.browser.get("/incidents/evening/hit")
    pages["full"] = await house.post("/incidents/evening/hit", why=EVIL)
    pages["typed"] = await house.act("review", text=EVIL)
    pages["unsure"] = await house.act("estimate", solution_at=EVIL)
    for name, page in pages.items():
        seen = Seen(page)
        assert not {"evil-x", "onload"} & seen.elements, name
        assert any(EVIL.lower() in text.lower() for text in seen.texts) or name == "/looks", name
    assert Seen(pages["full"]).texts.count(EVIL) > Seen(pages["masked"]).texts.count(EVIL)


async def test_a_promise_is_kept_as_the_operators_clock_says(house: House) -> None:
    await house.begins()
    now = house.clock.now()
    at = now - now % 60 + 900
    await house.act("estimate", solution_at=local(at), next_update_at="")
    found = await house.incident()
    assert (found.expected_solution_at, found.next_update_at) == (at, None)
    house.clock.advance(1_800)
    assert "overdue by" in await house.text()


@pytest.mark.parametrize("ahead", [-60, 31 * 86_400])
async def test_a_promise_must_be_one(house: House, ahead: float) -> None:
    await house.begins()
    answer = await house.act("estimate", solution_at=local(house.clock.now() + ahead))
    assert answer.status_code == 422 and "must be a time to come" in answer.text
    for wrong in ("soon", "99999-01-01T00:00"):
        assert (await house.act("estimate", next_update_at=wrong)).status_code == 422
    assert (await house.incident()).expected_solution_at is None


async def test_each_promise_is_kept_under_its_own_name_up_to_thirty_days(house: House) -> None:
    await house.begins()
    now = house.clock.now()
    at = now - now % 60 + 60
    last = at - 60 + 30 * 86_400
    await house.act("estimate", solution_at=local(last), next_update_at=local(at))
    found = await house.incident()
    assert (found.expected_solution_at, found.next_update_at) == (last, at)
    assert (await house.act("estimate", solution_at=local(last + 60))).status_code == 422
    await house.act("estimate", next_update_at=local(at + 60))  # what is left empty is not known any more
    found = await house.incident()
    assert (found.expected_solution_at, found.next_update_at) == (None, at + 60)
    page = await house.text()
    assert "expected solution: not known yet" in page
    house.clock.advance(at + 60 - now)
    assert "overdue" not in (await house.text()).partition('id="actions"')[0]
    house.clock.advance(61)
    assert f"{datetime.fromtimestamp(at + 60, OSLO):%H:%M}, overdue by 61 s" in await house.text()
    await house.act("all-clear", text="it works")
    assert "That cannot be done any more" in (await house.act("estimate", solution_at=local(last))).text


async def test_a_text_may_be_as_long_as_is_said_and_no_longer(house: House) -> None:
    await house.begins()
    assert (await house.act("note", text="æ" * 500)).status_code == 303
    assert (await house.incident()).timeline[-1].text == "æ" * 500
    for why, status in (("123", 422), ("1234", 200), ("y" * 200, 200), ("y" * 201, 422), (" 12 ", 422)):
        assert (await house.post("/incidents/evening/csv", table="hit", why=why)).status_code == status
        assert (await house.post("/incidents/evening/hit", why=why)).status_code == status


async def test_long_lists_are_cut_and_say_so(house: House) -> None:
    await house.begins()
    for n in range(210):
        house.clock.advance(1)
        await house.response.actions.act("evening", Fact("note", house.clock.now(), "kari", f"note {n:03}"))
    page = await house.text()
    listed = re.findall(r"note (\d{3})", page)
    assert listed == [f"{n:03}" for n in range(209, 9, -1)] and "The newest 200 of 213 entries." in page
    known = await house.response.evaluations.known("evening")
    assert known is not None and known.impact is not None
    hits = tuple(structs.replace(known.impact.hits[0], customer=f"many-{n:04}") for n in range(501))
    many = replace(known.impact, hits=hits)
    await house.database.write(lambda t: store.save_impact(t, "evening", many, "", house.clock.now()))
    full = (await house.post("/incidents/evening/hit", why="case 4711")).text
    assert "many-0499" in full and "many-0500" not in full and "The first 500 of 501" in full
    rows = (await house.post("/incidents/evening/csv", table="hit", why="case 4711")).text
    assert rows.count("many-") == 501
    for n in range(50):
        other = replace(known.incident, id=f"other-{n:02}", opened_at=known.incident.opened_at + 1 + n)
        await house.database.write(lambda t, other=other: store.save_incident(t, other))  # type: ignore[misc]
    page = await house.text("/incidents")
    assert page.index("other-49") < page.index("other-00") and "evening" not in page and "The newest 50;" in page


async def test_a_list_that_may_lack_somebody_says_so(house: House) -> None:
    await house.begins()
    known = await house.response.evaluations.known("evening")
    assert known is not None and known.impact is not None
    listed = known.impact
    await house.database.write(lambda t: store.save_impact(t, "evening", listed, "door dropped 12", house.clock.now()))
    assert "The list may lack somebody: door dropped 12." in await house.text()


async def test_what_is_wrong_is_said_and_what_was_typed_stays(house: House) -> None:
    await house.begins()
    before = (await house.incident()).timeline
    for kind in ("", "proven", "alarm", "credited", "doubted", "relapse"):  # what only the system can say
        assert (await house.act(kind, text="x")).status_code == 422, kind
    for kind in ("act", "note", "mitigate", "all-clear", "dismiss"):
        assert (await house.act(kind, text=" ")).status_code == 422, kind
    assert (await house.act("note", text="x" * 501)).status_code == 422
    refused = await house.act("review", text="typed before it was over")
    assert refused.status_code == 422 and "That cannot be done any more" in refused.text
    assert 'value="typed before it was over"' in refused.text
    assert (await house.incident()).timeline == before


async def test_over_before_proof_is_marked_and_opened_again_by_the_data(house: House) -> None:
    await house.begins()
    assert "Declare it over before proof" in await house.text()
    await house.act("all-clear", text="the phones are silent")
    found = await house.incident()
    assert found.state == "resolved" and found.unproven
    page = await house.text()
    assert "Resolved, not proven" in page and "said a person; the data had not proven it" in page
    await house.response.actions.act("evening", Fact("relapse", house.clock.now()))
    page = await house.text()
    assert "said to be over 1× before, and was not" in page
    # People get in again; the system has just not yet said so when somebody does.
    await house.people_get_in(1)
    assert "Declare it over before proof" in await house.text()
    await house.people_get_in(10)
    assert (await house.incident()).state == "recovering"
    assert "The data has proven that it is." in await house.text()
    assert "Declare it over before proof" not in await house.text()


async def test_what_our_roles_saw_is_credited_by_rule_and_the_rest_waits_for_a_person(house: House) -> None:
    await house.begins(reported=4)
    await house.people_get_in(3)
    page = await house.text()
    assert "36 customers, kr\u00a01,764.00" in page and "Given by itself when it is proven over." in page
    assert "Of 4 only their own device tells" in page
    assert "hidden" in form_with(page, "Release what waits") and await house.response.register.credits("evening") == []
    await house.people_get_in(7)
    await house.people_get_in(1)
    found = await house.incident()
    assert found.state == "resolved" and not found.unproven
    given = await house.response.register.credits("evening")
    assert len(given) == 36 and {each.given_by for each in given} == {"rule:policy"}
    page = await house.text()
    assert "36, kr\u00a01,764.00" in page and "Of 4 only their own device tells" in page
    assert "hidden" not in form_with(page, "Release what waits")
    await house.people_get_in(2)  # looked at again, nothing is given again
    assert (await house.post("/incidents/evening/release", sure="yes")).headers["location"].endswith("?given=4")
    assert (await house.post("/incidents/evening/release", sure="yes")).headers["location"].endswith("?given=0")
    by = Counter(each.given_by for each in await house.response.register.credits("evening"))
    assert by == {"rule:policy": 36, "duty": 4}
    reported = {
        each.credit.customer for each in await house.response.register.credits("evening") if each.given_by == "duty"
    }
    assert reported == {f"subscriber-{number:04}" for number in range(4)}
    assert "hidden" in form_with(await house.text(), "Release what waits")


async def test_all_credits_wait_for_a_person_when_a_person_said_that_it_is_over(house: House) -> None:
    await house.begins(reported=4)
    assert "hidden" in form_with(await house.text(), "Release what waits")
    await house.act("all-clear", text="the phones are silent")
    await house.response.evaluations.look()
    assert await house.response.register.credits("evening") == []
    assert "hidden" not in form_with(await house.text(), "Release what waits")
    for sure in ({}, {"sure": "no"}):
        assert (await house.post("/incidents/evening/release", **sure)).status_code == 422
    assert await house.response.register.credits("evening") == []
    first = await house.post("/incidents/evening/release", sure="yes")
    assert first.headers["location"] == "/incidents/evening?given=40"
    assert (await house.post("/incidents/evening/release", sure="yes")).headers["location"].endswith("?given=0")
    page = await house.text("/incidents/evening?given=40")
    assert "40 credits were given just now." in page and "40, kr\u00a01,960.00" in page
    assert "hidden" in form_with(page, "Release what waits")
    assert {given.given_by for given in await house.response.register.credits("evening")} == {"duty"}


async def test_a_button_reads_what_it_needs_and_not_what_happened(house: House) -> None:
    """The outcomes of the evening, which may be millions, are away: what is pressed is done all the same."""
    await house.begins(reported=4)
    await house.act("all-clear", text="the phones are silent")
    await house.response.evaluations.look()
    await house.database.write(lambda t: t.execute("ALTER TABLE outcome RENAME TO gone"))
    assert (await house.act("note", text="Kari has the watch")).status_code == 303
    assert (await house.post("/incidents/evening/release", sure="yes")).headers["location"].endswith("?given=40")
    assert (await house.post("/incidents/evening/tell", sure="yes")).headers["location"].endswith("?told=40")
    for table in ("hit", "credits", "exposed"):
        found = await house.post("/incidents/evening/csv", table=table, why="case 4711: the bill")
        assert found.status_code == 200 and len(found.text.splitlines()) == (1 if table == "exposed" else 41)
    assert "of 40" not in await house.text("/incidents/evening/hit")
    assert (await house.post("/incidents/nothing/act", kind="note", text="?")).status_code == 404


async def test_messages_exposed_are_shown_in_part_and_handed_out_whole(house: House) -> None:
    now, count = house.clock.now(), 2_100
    on_nord = {"service": "messages", "layer": "link", "dimensions": {"link": "nord", "class": "code"}}
    astray = [
        Outcome(time=at, step="route", verdict="broken", promise=f"k{at}", **on_nord)  # type: ignore[arg-type]
        for at in (now - 30, now - 10)
    ]
    went = [
        Outcome(
            time=now - 30 + number / 1_000, step="deliver", verdict="asked", promise=f"m{number:04}",
            device=f"+479000{number:04}", **on_nord,  # type: ignore[arg-type]
        )
        for number in range(count)
    ]  # fmt: skip
    await house.happened([*astray, *went])
    placed = Segment.of({"service": "messages", "link": "nord"})
    found = open_incident("evening", Alarm("share", placed, now, now - 30, 0.005, 0.9, 40, 30.0, 25.0), now)
    await house.database.write(lambda t: store.save_incident(t, found))
    page = await house.text("/incidents/evening/hit")
    assert page.count("/messages/m") == 500 and "The first 500 of 2,100" in page and "m0499" in page
    handed_out = await house.post("/incidents/evening/csv", table="exposed", why="case 4711: the clinic")
    assert handed_out.headers["content-disposition"] == 'attachment; filename="incident-evening-exposed.csv"'
    rows = list(csv.DictReader(io.StringIO(handed_out.text)))
    assert [row["message"] for row in rows] == [f"m{number:04}" for number in range(count)]
    assert handed_out.headers["cache-control"] == "no-store" and rows[-1]["recipient"].endswith("+4790002099")


async def test_those_credited_who_are_on_the_list_no_more_are_shown_to_a_person(house: House) -> None:
    await house.begins()
    await house.is_over()
    assert "on the list no more" not in await house.text()
    astray = [ServiceCredit(f"evening:x{n:02}", "evening", f"x{n:02}", 100, "NOK", "p", "") for n in range(21)]
    await house.database.write(lambda t: store.give_credits(t, astray[:20], given_by="rule:policy", now=1.0))
    page = await house.text()
    assert "20 credited, and on the list no more: x00, " in page and "x19. Nothing is taken back" in page
    await house.database.write(lambda t: store.give_credits(t, astray, given_by="rule:policy", now=1.0))
    assert "21 credited, and on the list no more: x00, " in (page := await house.text())
    assert "x19 and others. Nothing" in page


async def test_those_credited_are_told_once(house: House) -> None:
    await house.begins()
    await house.is_over()
    assert "hidden" in form_with(await house.text(), "Notify credited customers")
    await house.post("/incidents/evening/release", sure="yes")
    assert "hidden" not in form_with(await house.text(), "Notify credited customers")
    told = await house.post("/incidents/evening/tell", sure="yes")
    assert told.headers["location"] == "/incidents/evening?told=40"
    assert "40 text messages are on their way" in await house.text("/incidents/evening?told=40")
    await house.post("/incidents/evening/tell", sure="yes")  # somebody clicks again, impatient
    await house.response.announcements.tell_next()
    await house.response.announcements.tell_next()
    assert len({customer for customer, _ in house.messages}) == len(house.messages) == HIT
    assert "hidden" in form_with(await house.text(), "Notify credited customers")


async def test_nobody_else_moves_money_or_incidents(house: House) -> None:
    await house.begins()
    await house.is_over()
    orders = {"act": {"kind": "review", "text": "x"}, "release": {}, "tell": {}, "csv": {"table": "hit", "why": "4711"}}
    for path, fields in orders.items():
        for origin in ("", "null", "http://evil.test"):
            answer = await house.post(f"/incidents/evening/{path}", origin=origin, **fields)
            assert answer.status_code == 403, (path, origin)
    for path in orders:
        got = await house.browser.get(f"/incidents/evening/{path}")
        assert got.status_code == 405, path
    house.browser.cookies.clear()
    for path, fields in orders.items():
        answer = await house.post(f"/incidents/evening/{path}", **fields)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in"), path
    for path in ("/incidents", "/incidents/evening", "/incidents/evening/hit"):
        assert (await house.browser.get(path)).status_code == 303
    for path in ("/incidents/live", "/incidents/evening/live"):
        assert (await house.browser.get(path)).status_code == 401
    assert (await house.incident()).state == "resolved" and await house.response.register.credits("evening") == []


async def test_a_look_at_those_hit_leaves_a_trace_masked_or_in_full(house: House) -> None:
    await house.begins()
    masked = await house.text("/incidents/evening/hit")
    assert "…0007" in masked and "subscriber-0007" not in masked and "d-secret" not in masked
    refused = await house.post("/incidents/evening/hit", why=" ")
    assert refused.status_code == 422 and "subscriber-0007" not in refused.text
    full = await house.post("/incidents/evening/hit", why="case 4711")
    assert "subscriber-0007" in full.text
    looks = [(look.what, look.subject, look.why) for look in await house.console.accesses()]
    assert ("those hit, in full", "incident evening", "case 4711") in looks
    assert looks.count(("those hit, masked", "incident evening", "")) == 2


async def test_tables_leave_with_a_reason(house: House) -> None:
    await house.begins()
    await house.is_over()
    await house.post("/incidents/evening/release", sure="yes")
    for why in ("", "x", "y" * 201):
        refused = await house.post("/incidents/evening/csv", table="hit", why=why)
        assert refused.status_code == 422 and "subscriber-00" not in refused.text
    assert await house.console.accesses() == []
    hit = await house.post("/incidents/evening/csv", table="hit", why="case 4711")
    assert hit.headers["content-disposition"] == 'attachment; filename="incident-evening-hit.csv"'
    rows = list(csv.DictReader(io.StringIO(hit.text)))
    assert [row["customer"] for row in rows] == [f"subscriber-{number:04}" for number in range(HIT)]
    credits = await house.post("/incidents/evening/csv", table="credits", why="billing run")
    rows = list(csv.DictReader(io.StringIO(credits.text)))
    assert len({row["key"] for row in rows}) == HIT and {row["amount_minor"] for row in rows} == {"4900"}
    looks = {(look.what, look.why) for look in await house.console.accesses()}
    assert looks == {("CSV of an incident: credits", "billing run"), ("CSV of an incident: hit", "case 4711")}
    assert (await house.post("/incidents/evening/csv", table="passwords", why="case 4711")).status_code == 404


async def test_nothing_leaves_when_the_trace_cannot_be_kept(house: House) -> None:
    await house.begins()
    house.database.full = True
    for answer in (
        await house.browser.get("/incidents/evening/hit"),
        await house.post("/incidents/evening/hit", why="case 4711"),
        await house.post("/incidents/evening/csv", table="hit", why="case 4711"),
    ):
        assert answer.status_code == 503 and "0007" not in answer.text


async def test_the_list_tells_whether_it_is_the_one_that_was_frozen(house: House) -> None:
    await house.begins()
    assert "not frozen yet" in await house.text()
    await house.is_over()
    assert "the same list" in await house.text()
    known = await house.response.evaluations.known("evening")
    assert known is not None and known.impact is not None
    late = replace(known.impact, hits=known.impact.hits[1:], digest="0" * 64)
    await house.database.write(lambda t: store.save_impact(t, "evening", late, "", house.clock.now()))
    assert "changed since, by what came late" in await house.text()


OVER: dict[str, Any] = {"type": "over"}


class Heard:
    """An answer as it comes: its beginning, then the events of a stream that may have no end."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def begins(self) -> tuple[int, dict[bytes, bytes]]:
        start = await self.messages.get()
        return start["status"], dict(start["headers"])

    async def event(self) -> dict[str, Any]:
        while not (chunk := (message := await self.messages.get()).get("body", b"").decode()).startswith("event: "):
            assert message != OVER, "the answer came to its end, and no event was in it"
        name, data = chunk.removesuffix("\n\n").split("\n")
        return {"event": name.removeprefix("event: "), **json.loads(data.removeprefix("data: "))}


@asynccontextmanager
async def listening(house: House, path: str) -> AsyncIterator[Heard]:
    """What comes of a stream, for whose end `ASGITransport` would wait."""
    heard = Heard()
    cookies = "; ".join(f"{name}={value}" for name, value in house.browser.cookies.items())
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "client": None,
        "server": ("console.test", 80), "headers": [(b"cookie", cookies.encode()), (b"host", b"console.test")],
    }  # fmt: skip
    nothing_more: asyncio.Queue[Any] = asyncio.Queue()
    serving = asyncio.ensure_future(house.pages(scope, nothing_more.get, heard.messages.put))
    serving.add_done_callback(lambda _: heard.messages.put_nowait(OVER))
    try:
        yield heard
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_events_carry_the_parts_of_the_page(house: House) -> None:
    await house.begins()
    for path in ("/incidents/evening", "/incidents", "/controls", "/"):
        shown = await house.text(path)
        async with listening(house, path.rstrip("/") + "/live") as heard:
            first = await heard.event()
            assert first["event"] == "seen" and first["at"] == house.clock.now()
            assert await heard.event() == {"event": "same"}  # nothing is sent twice
            assert first["html"] and all(html.unescape(part) in shown for part in first["html"].values())
            assert all(f'id="{place}"' in shown for place in first["html"])
            house.clock.advance(1)
            assert (await heard.event())["event"] in ("same", "seen")


async def test_of_an_incident_that_is_not_there_nothing_is_told(house: House) -> None:
    async with listening(house, "/incidents/nothing/live") as heard:
        assert (await heard.event())["html"] == {}


async def test_more_than_can_be_told_live_are_told_to_come_again(house: House) -> None:
    async with listening(house, "/incidents/live") as heard:
        await heard.event()
        async with listening(house, "/incidents/evening/live") as refused:
            status, headers = await refused.begins()
            assert (status, headers[b"retry-after"]) == (503, b"5")
    async with listening(house, "/incidents/evening/live") as heard:
        assert (await heard.event())["event"] == "seen"


async def upload(house: House, content: bytes, field: str = "file") -> httpx.Response:
    files = {field: ("contacts.csv", content, "text/csv")}
    return await house.browser.post("/contacts", files=files, headers={"origin": ORIGIN})


async def test_contacts_are_taken_in_once_and_bad_rows_told(house: House) -> None:
    at = local(house.clock.now() - 60)
    rows = [f"c{n},{at},television,cannot sign in,telephone" for n in range(5)]
    text = "\n".join(["ID,at,service,kind,channel", *rows, "c9,tomorrow,television,x,y", ",0,television,x,y", "c1"])
    answer = await upload(house, text.encode())
    page = html.unescape(answer.text)
    assert answer.status_code == 200 and "5 contacts read, 5 of them new; 3 rows refused." in page
    assert "line 7: at is neither" in page and "line 8: id is empty" in page and "line 9: not as many" in page
    assert "5 contacts read, 0 of them new" in (await upload(house, text.encode())).text
    counts = await house.database.read(
        lambda q: store.contact_counts(q, "television", since=house.clock.now() - 600, period_seconds=600)
    )
    assert sum(count for _, count in counts) == 5


async def test_what_is_no_file_of_contacts_is_refused(house: House) -> None:
    assert (await upload(house, b"id,at\n1,2\n")).status_code == 422
    assert (await upload(house, b"\xff\xfe\x00")).status_code == 422
    assert (await upload(house, b"")).status_code == 422
    assert (await upload(house, b"id,at,service,kind,channel", field="other")).status_code == 422
    assert (await house.post("/contacts", file="x")).status_code == 422
    assert (await upload(house, b"x" * 1_100_000)).status_code == 413
    evil = await house.browser.post("/contacts", files={"file": b"x"}, headers={"origin": "http://evil.test"})
    assert evil.status_code == 403
