"""The console over HTTP: who may come in, what is masked, what leaves a trace."""

import html
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pyotp
import pytest
from console_doubles import EVIL, HTML, KEY, QUICK_HASHER, Disk, Seen
from surroundings import personal_beside, surroundings

from prikkfri.assurance.console import Console, ConsoleUser, ensure_first_user
from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.overview import Overview, RoleState
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.service import Assurance
from prikkfri.assurance.store import raise_alarm
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.journal import Journal, Outcome, open_journal
from prikkfri.journal.others import OthersArea
from prikkfri.storage import Location, open_database, open_reader
from prikkfri.storage.opening import history, migrate, open_unmigrated
from prikkfri.subscribers.subscriptions import Subscriber
from prikkfri.web.console.live import PACE, LiveUpdates, read_overview
from prikkfri.web.console.pages import BODY_BYTES_MAX
from prikkfri.web.console.server import application

ORIGIN = "http://console.test"
KARI = Subscriber("subscriber-0042", "Kari Nordmann", "kari@example.no")
NUMBER = "+4791234567"


@dataclass
class House:
    """A console with a journal to write to, and a browser that is not signed in."""

    browser: httpx.AsyncClient
    assurance: Assurance
    response: Response
    console: Console
    signin: Journal
    clock: ManualClock
    disk: Disk
    browser_at: Callable[[str], httpx.AsyncClient]
    """A browser that finds the same console at another address."""
    password: str

    async def sign_in(self, name: str = "duty", password: str = "") -> httpx.Response:
        return await self.post("/sign-in", name=name, password=password or self.password)

    async def post(self, path: str, *, origin: str = ORIGIN, **fields: str) -> httpx.Response:
        return await self.browser.post(path, data=fields, headers={"origin": origin})

    async def happened(self, **what: object) -> None:
        told = {"time": self.clock.now(), "service": "television", "step": "sign-in", "layer": "signin"}
        await self.signin.append(Outcome(**told, **what))  # type: ignore[arg-type]
        await self.assurance.step("signin")


@pytest.fixture
async def house(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    location = Location(tmp_path)
    database = Disk(await open_database(location, "assurance"))
    writing = await open_database(location, "signin")
    reading = OthersArea(lambda: open_reader(location, "signin"), clock)
    nobody = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(503)))
    neighbours = RoleClient(
        nobody,
        urls={role: f"http://{role}.test" for role in ("signin", "playout", "status")},
        command_keys={"signin": "key", "playout": "key", "status": "key"},
    )
    assurance = Assurance(
        database,
        sources={"signin": reading.page},
        neighbours=neighbours,
        clock=clock,
        settings=Settings(),
        operator="Nordavind",
        status_url="http://status.test",
        zone=ZoneInfo("Europe/Oslo"),
    )
    made = await ensure_first_user(database, clock, hasher=QUICK_HASHER)
    assert made is not None

    async def find(query: str) -> Subscriber | None:
        return KARI if query in (KARI.id, KARI.email, NUMBER) else None

    console = Console(database, clock=clock, key=KEY, hasher=QUICK_HASHER)
    response = Response(
        database, settings=Settings(), surroundings=surroundings(), clock=clock, zone=ZoneInfo("Europe/Oslo")
    )

    personal = personal_beside(database, response, neighbours, clock, find)

    def browser_at(public_url: str) -> httpx.AsyncClient:
        pages = application(
            assurance,
            console,
            response=response,
            personal=personal,
            clock=clock,
            public_url=public_url,
            playout_url="http://playout.test",
            timezone="Europe/Oslo",
            operator="Nordavind",
        )
        return httpx.AsyncClient(transport=httpx.ASGITransport(pages), base_url=public_url, headers=HTML)

    async with browser_at(ORIGIN) as browser:
        yield House(
            browser,
            assurance,
            response,
            console,
            await open_journal(writing, stream="signin", clock=clock),
            clock,
            database,
            browser_at,
            made[1],
        )
    for closing in (reading, writing, database):
        await closing.close()


PAGES = (
    "/", "/live", "/chart.json", "/outcomes", "/customers", "/incidents", "/incidents/live", "/incidents/x",
    "/incidents/x/live", "/incidents/x/hit", "/controls", "/controls/live", "/system", "/looks", "/people",
)  # fmt: skip
ORDERS = (
    "/sign-out", "/customers", "/alarms/seen", "/people", "/people/remove", "/people/password", "/contacts",
    "/people/code", "/people/remove-code",
    "/controls/channel", "/controls/route", "/incidents/x/act", "/incidents/x/release", "/incidents/x/tell",
    "/incidents/x/hit", "/incidents/x/csv", "/customers/end-sessions", "/customers/password-link",
    "/customers/export", "/customers/erase",
)  # fmt: skip
FIELDS = {
    "name": "ola", "query": KARI.id, "customer": KARI.id, "why": "case 4711", "old": "x", "new": "long enough, surely",
    "kind": "confirm", "sure": KARI.id, "table": "hit", "text": "gap",
}  # fmt: skip
"""Such that every order would do something."""


async def test_nobody_sees_or_does_anything_who_has_not_signed_in(house: House) -> None:
    wrong = await house.sign_in(password="wrong")
    assert wrong.status_code == 401 and "set-cookie" not in wrong.headers
    assert (await house.sign_in(name="nobody")).status_code == 401
    await house.happened(verdict="broken", reason="overloaded", customer=KARI.id)
    for cookie in ("", "made-up"):
        if cookie:
            house.browser.cookies.set("prikkfri-console", cookie)
        for page in PAGES:
            answer = await house.browser.get(page)
            if page.endswith(("/live", "/chart.json")):
                assert (answer.status_code, answer.json()["error"]) == (401, "signed-out"), page
            else:
                assert (answer.status_code, answer.text) == (303, ""), page
                assert answer.headers["location"] == f"/sign-in?to={page}"
        for order in ORDERS:
            answer = await house.post(order, **FIELDS)
            assert (answer.status_code, answer.text, answer.headers["location"]) == (303, "", "/sign-in"), order
    assert [account.name for account in await house.console.users()] == ["duty"]
    assert await house.console.accesses() == []


async def test_whoever_signs_in_comes_to_the_page_that_they_wanted(house: House) -> None:
    asked = await house.browser.get("/outcomes?step=deliver&layer=link")
    page = await house.browser.get(asked.headers["location"])
    action = page.text.split('action="')[1].split('"')[0]
    answer = await house.browser.post(
        html.unescape(action), data={"name": "duty", "password": house.password}, headers={"origin": ORIGIN}
    )
    assert answer.headers["location"] == "/outcomes?step=deliver&layer=link"


async def test_every_page_is_for_this_browser_alone_and_runs_nothing_foreign(house: House) -> None:
    pages = [await house.browser.get("/sign-in"), await house.browser.get("/static/console.css")]
    await house.sign_in()
    pages += [await house.browser.get(page) for page in PAGES if not page.endswith("/live")]
    for answer in pages:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and answer.headers["x-content-type-options"] == "nosniff"
        kept = "no-cache" if "static" in answer.url.path else "no-store"
        assert answer.headers["cache-control"] == kept, answer.url


async def test_nothing_else_is_served(house: House) -> None:
    await house.sign_in()
    for path in ("/static/server.py", "/static/..%2fserver.py", "/static/", "/nothing"):
        assert (await house.browser.get(path)).status_code == 404, path
    styled = await house.browser.get("/static/chart.js")
    assert styled.headers["content-type"].startswith("text/javascript")
    for order in {*ORDERS} - {*PAGES}:
        assert (await house.browser.get(order)).status_code in (404, 405), order


async def test_the_first_account_is_made_once(house: House) -> None:
    assert await ensure_first_user(house.assurance.database, house.clock, hasher=QUICK_HASHER) is None
    assert len(house.password.replace("-", "")) == 20


async def test_a_session_ends_by_signing_out_and_by_itself(house: House) -> None:
    assert (await house.sign_in()).headers["location"] == "/"
    cookie = house.browser.cookies["prikkfri-console"]
    assert (await house.browser.get("/")).status_code == 200
    await house.post("/sign-out")
    house.browser.cookies.set("prikkfri-console", cookie)  # whoever had copied it is out too
    assert (await house.browser.get("/")).status_code == 303
    house.browser.cookies.clear()
    await house.sign_in()
    house.clock.advance(13 * 3_600)
    assert (await house.browser.get("/")).status_code == 303


async def test_the_cookie_is_for_the_console_alone(house: House) -> None:
    cookie = (await house.sign_in()).headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "path=/" in cookie
    assert cookie.startswith("prikkfri-console=") and "domain" not in cookie and "; secure" not in cookie
    form = {"name": "duty", "password": house.password}
    async with house.browser_at("https://console.test/") as safe:
        answer = await safe.post("/sign-in", data=form, headers={"origin": "https://console.test"})
        cookie = answer.headers["set-cookie"].lower()
        assert cookie.startswith("__host-prikkfri-console=") and "; secure" in cookie and "httponly" in cookie
        assert (await safe.get("/")).status_code == 200
        assert (await safe.post("/sign-out", headers={"origin": "http://console.test"})).status_code == 403


async def test_a_browser_that_signed_in_gets_in_while_its_name_is_guessed_at(house: House) -> None:
    answer = await house.sign_in()
    cookie = answer.headers.get_list("set-cookie")[1].lower()
    assert cookie.startswith("prikkfri-console-browser=") and "max-age=34560000" in cookie and "httponly" in cookie
    await house.post("/sign-out")
    async with house.browser_at(ORIGIN) as stranger:
        form = {"data": {"name": "duty", "password": "wrong"}, "headers": {"origin": ORIGIN}}
        guesses = [await stranger.post("/sign-in", **form) for _ in range(8)]  # type: ignore[arg-type]
    assert [guess.status_code for guess in guesses] == [401] * 6 + [429] * 2
    assert guesses[-1].headers["retry-after"] == "50" and "Wait a little" in guesses[-1].text
    assert (await house.sign_in()).status_code == 303
    assert (await house.browser.get("/")).status_code == 200


async def test_signing_in_leads_nowhere_else(house: House) -> None:
    form = {"data": {"name": "duty", "password": house.password}, "headers": {"origin": ORIGIN}}
    outside = ("//evil.test/", "https://evil.test/", "/\\evil.test", "javascript:1", "", "/a\r\nb: c", "/a b", "/æ")
    for to in outside:
        answer = await house.browser.post("/sign-in", params={"to": to}, **form)  # type: ignore[arg-type]
        assert answer.headers["location"] == "/", to
    answer = await house.browser.post("/sign-in", params={"to": "/outcomes?step=deliver"}, **form)  # type: ignore[arg-type]
    assert answer.headers["location"] == "/outcomes?step=deliver"


async def test_orders_come_from_the_console_itself(house: House) -> None:
    await house.sign_in()
    house.browser.headers["accept"] = "*/*"
    for path in ("/sign-in", *ORDERS):
        for origin in ("", "null", "http://evil.test", ORIGIN + ":8080", "https://console.test", ORIGIN + ".evil.test"):
            answer = await house.post(path, origin=origin, **FIELDS)
            assert (answer.status_code, answer.json()["error"]) == (403, "wrong-origin"), (path, origin)
    for method in ("PUT", "DELETE", "PATCH"):
        assert (await house.browser.request(method, "/people")).status_code == 405
    assert await house.console.accesses() == []
    assert (await house.browser.get("/")).status_code == 200


async def test_too_large_an_order_is_refused(house: House) -> None:
    house.browser.headers["accept"] = "*/*"
    for size, status in ((BODY_BYTES_MAX - len("name="), 401), (BODY_BYTES_MAX - len("name=") + 1, 413)):
        assert (await house.post("/sign-in", name="x" * size)).status_code == status

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"name=duty" * 100

    answer = await house.browser.post("/sign-in", content=endless(), headers={"origin": ORIGIN})
    assert (answer.status_code, answer.json()["error"]) == (413, "too-large")


async def test_whatever_comes_from_outside_is_text(house: House) -> None:
    await house.sign_in()
    named = {"reason": EVIL, "dimensions": {EVIL: EVIL}, "customer": "x<i>", "device": "<b>"}
    told = Outcome(time=house.clock.now(), service=EVIL, step=EVIL, layer=EVIL, verdict="broken", **named)  # type: ignore[arg-type]
    await house.signin.append(told)
    await house.assurance.step("signin")
    await house.assurance.database.write(lambda t: raise_alarm(t, EVIL, house.clock.now()))
    made = await house.post("/people", name=EVIL)
    pages = {
        "made": made,
        "sought": await house.post("/customers", query=EVIL, why=EVIL),
        "refused": await house.post("/customers", query=EVIL, why=""),
        "customer": await house.post("/customers", query=KARI.id, why=EVIL),
        "outcomes": await house.browser.get("/outcomes"),
        "asked": await house.browser.get("/outcomes", params={"step": EVIL, "layer": EVIL, "verdict": EVIL}),
        "switched": await house.post("/controls/channel", name=EVIL, state="open"),
        "back": await house.browser.get("/sign-in", params={"to": "/" + EVIL}),
        **{page: await house.browser.get(page) for page in ("/people", "/looks", "/system", "/", "/customers")},
    }
    for name, page in pages.items():
        seen = Seen(page)
        assert not {"evil-x", "onload", "i"} & seen.elements, name
        if name not in ("/", "/customers", "back"):
            assert any(EVIL.lower() in text.lower() for text in seen.texts), name


async def test_pages_that_leave_no_trace_show_nothing_of_a_customer(house: House) -> None:
    await house.sign_in()
    for verdict in ("kept", "broken"):
        await house.happened(
            verdict=verdict, customer=KARI.id, device="d-secret", promise="p-secret", dimensions={"to": NUMBER}
        )
    for page in PAGES:
        if page in ("/outcomes", "/incidents/x/hit") or page.endswith("/live"):
            continue
        answer = await house.browser.get(page)
        for secret in (KARI.id, KARI.id[-4:], KARI.email, KARI.name, "secret", NUMBER[1:], NUMBER[-3:]):
            assert secret not in answer.text, page
    assert await house.console.accesses() == []


async def test_what_is_old_is_not_shown_as_new(house: House) -> None:
    await house.sign_in()
    await house.happened(verdict="kept", customer="a")
    page = (await house.browser.get("/")).text
    assert "newest outcome 0 s ago" in page
    system = (await house.browser.get("/system")).text
    assert '<td class="kept"><span class="mark" aria-hidden="true"></span>followed</td>' in system
    house.clock.advance(60)
    page = (await house.browser.get("/")).text
    assert "What happens now is not known: nothing current has been read from signin since 23:13." in page
    assert "newest outcome 55 s ago" in page and "All promises kept" not in page
    system = (await house.browser.get("/system")).text
    assert "behind since 23:13" in system and "60 s ago" in system and ">followed<" not in system
    house.clock.advance(900)
    assert "no outcome in the last 15 minutes" in (await house.browser.get("/")).text


async def test_who_does_not_answer_and_what_was_dropped_stands_beside(house: House) -> None:
    await house.sign_in()
    await house.happened(verdict="kept", customer="a")
    page = (await house.browser.get("/")).text
    assert page.count("not asked yet") == 3 and "Status page not told yet" in page
    house.assurance.processes["signin"] = RoleState("signin", True, house.clock.now())
    house.assurance.processes["playout"] = RoleState("playout", False, house.clock.now() - 60)
    signin = house.assurance.streams["signin"]
    house.assurance.streams["signin"] = replace(signin, behind=1_234, overflowed=5_678)
    await house.assurance.publish()
    for path in ("/", "/system"):
        page = (await house.browser.get(path)).text
        assert "silent since 23:12" in page and "1,234 behind" in page and "not asked yet" in page
        assert "Status page not told yet: the status role answered 503" in page
    assert '<td class="figure broken">5,678</td>' in page
    house.clock.advance(60)
    assert "not read since 23:13" in (await house.browser.get("/")).text
    house.assurance.streams["signin"] = replace(signin, trouble="it is locked", trouble_since=house.clock.now())
    assert "cannot be read since 23:14: it is locked" in (await house.browser.get("/system")).text


async def test_figures_lead_to_the_outcomes_that_they_count(house: House) -> None:
    await house.sign_in()
    await house.happened(verdict="kept", customer="a")
    await house.happened(verdict="broken", reason="overloaded", customer="b", observed=False)
    await house.happened(verdict="broken", reason="overloaded", customer="c")
    page = html.unescape((await house.browser.get("/")).text)
    assert (
        '<a class="broken" href="/outcomes?verdict=broken&service=television&step=sign-in&layer=signin">1</a>' in page
    )
    assert page.count(">reported</span>") == 1 and "50.0 %" in page and "100 %" in page
    for query, shown, most in (("", 3, ""), ("verdict=broken", 2, ""), ("verdict=kept&step=deliver", 0, "No such")):
        listed = (await house.browser.get(f"/outcomes?{query}")).text
        assert listed.count('<td class="masked">') == 2 * shown and most in listed
    house.clock.advance(901)
    assert "No such outcome" in (await house.browser.get("/outcomes")).text
    subjects = [look.subject for look in await house.console.accesses()]
    assert subjects == ["all", "step=deliver, verdict=kept", "verdict=broken", "all"]


async def test_an_alarm_is_seen_by_somebody(house: House) -> None:
    await house.sign_in()
    for text in ("a gap", "another gap"):
        await house.assurance.database.write(lambda t, text=text: raise_alarm(t, text, house.clock.now()))
    await house.post("/alarms/seen", text="a gap")
    seen = {alarm.text: alarm.seen_by for alarm in await house.assurance.alarms()}
    assert seen == {"a gap": "duty", "another gap": ""}


async def test_the_overview_says_it_in_one_sentence(house: House) -> None:
    await house.sign_in()
    await house.happened(verdict="kept", customer="a")
    page = await house.browser.get("/")
    assert "All promises kept in the last 15 minutes." in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for _ in range(5):
        await house.happened(verdict="broken", reason="overloaded", customer="a")
    assert "Sign-in broken since 23:13." in (await house.browser.get("/")).text


async def test_outcomes_are_masked_and_the_look_is_recorded(house: House) -> None:
    await house.sign_in()
    await house.happened(
        verdict="broken", reason="overloaded", customer=KARI.id, device="d-" + "k" * 22, dimensions={"to": NUMBER}
    )
    page = html.unescape((await house.browser.get("/outcomes?verdict=broken")).text)
    assert "overloaded" in page and "…0042" in page
    for secret in (KARI.id, "k" * 22, NUMBER, NUMBER[1:], "91234567"):
        assert secret not in page
    (look,) = await house.console.accesses()
    assert (look.who, look.subject) == ("duty", "verdict=broken")
    assert "verdict=broken" in (await house.browser.get("/looks")).text


@pytest.mark.parametrize("query", [KARI.id, KARI.email, NUMBER])
async def test_a_customer_is_shown_when_it_is_said_why_and_that_is_recorded(house: House, query: str) -> None:
    await house.sign_in()
    device = "d-" + "k" * 22
    await house.happened(verdict="broken", reason="overloaded", device=device)
    await house.happened(verdict="kept", customer=KARI.id, device=device)
    refused = await house.post("/customers", query=query, why=" ")
    assert refused.status_code == 422 and "overloaded" not in refused.text
    assert await house.console.accesses() == []
    page = await house.post("/customers", query=query, why="case 4711")
    assert "overloaded" in page.text and device not in page.text
    (look,) = await house.console.accesses()
    assert (look.who, look.what, look.subject, look.why) == ("duty", "a customer's page", KARI.id, "case 4711")


async def test_looking_for_somebody_who_is_not_there_is_a_look_too(house: House) -> None:
    await house.sign_in()
    assert (await house.post("/customers", query="+4799999999", why="case 4711")).status_code == 404
    assert (await house.post("/customers", query="999 99 999", why="case 4712")).status_code == 404
    second, first = await house.console.accesses()
    for look, why in ((first, "case 4711"), (second, "case 4712")):
        assert (look.who, look.what, look.why) == ("duty", "customer sought, not found", why)
        assert sum(character.isdigit() for character in look.subject) <= 5


async def test_nothing_is_shown_when_the_trace_cannot_be_kept(house: House) -> None:
    await house.sign_in()
    await house.happened(verdict="broken", reason="overloaded", customer=KARI.id)
    house.disk.full = True
    for answer in (
        await house.browser.get("/outcomes"),
        await house.post("/customers", query=KARI.id, why="case 4711"),
        await house.post("/customers", query="nobody", why="case 4711"),
    ):
        assert answer.status_code == 503
        assert "overloaded" not in answer.text and "does not answer" in answer.text


async def test_why_not_is_a_page_for_a_browser_and_json_for_all_others(house: House) -> None:
    await house.sign_in()
    made = (await house.post("/people", name="ola", role="look")).text
    password = made.split('<code class="password">')[1].split("<")[0]

    async def asked(path: str, status: int, error: str, *, said: str = "", **fields: str) -> None:
        for accept in ("*/*", "application/json", "", HTML["accept"]):
            house.browser.headers["accept"] = accept
            answer = await (house.post(path, **fields) if fields else house.browser.get(path))
            assert answer.status_code == status, (path, accept)
            if accept == HTML["accept"]:
                assert (
                    answer.headers["content-type"] == "text/html; charset=utf-8" and answer.headers["vary"] == "Accept"
                )
            else:
                document = answer.json()
                assert document["error"] == error and document["message"].startswith(said), (path, accept)
                assert answer.headers["cache-control"] == "no-store"
                assert answer.headers["x-content-type-options"] == "nosniff"
        house.browser.headers["accept"] = HTML["accept"]

    await asked("/people", 422, "not-accepted", said="That name is taken", name="ola", role="look")
    await asked("/customers", 422, "not-accepted", said="Say whom", query="", why="x")
    await asked("/customers", 404, "not-found", said="Nobody has", query="nobody", why="case 4711")
    await asked("/incidents/x", 404, "not-found", said="There is nothing")
    await asked("/controls/channel", 503, "unavailable", said="sport was not switched", name="sport", state="closed")
    house.disk.full = True
    await asked("/outcomes", 503, "unavailable", said="The console's database does not answer")
    house.disk.full = False
    await house.sign_in(name="ola", password=password)
    await asked("/alarms/seen", 403, "looks-only", said="You may look", text="gap")
    await house.post("/sign-out")
    await asked("/sign-in", 401, "wrong-credentials", said="Name or password is wrong", name="nobody", password="wrong")


async def test_whoever_asks_for_json_without_a_session_is_refused_and_not_sent_to_sign_in(house: House) -> None:
    for accept in ("*/*", "application/json"):
        house.browser.headers["accept"] = accept
        for path in PAGES:
            answer = await house.browser.get(path)
            assert (answer.status_code, answer.json()["error"]) == (401, "signed-out"), path
        for path in ORDERS:
            answer = await house.post(path, **FIELDS)
            assert (answer.status_code, answer.json()["error"]) == (401, "signed-out"), path


async def test_too_many_tries_are_told_when_to_come_again_whoever_asks(house: House) -> None:
    for _ in range(6):
        await house.sign_in(name="nobody", password="wrong")
    for accept in ("*/*", HTML["accept"]):
        house.browser.headers["accept"] = accept
        answer = await house.sign_in(name="nobody", password="wrong")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "50")
        if accept == "*/*":
            assert (answer.json()["error"], answer.json()["retry_after_s"]) == ("too-many-tries", 50)


LOOKS = (
    "/customers",
    "/customers/export",
    "/people/password",
    "/people/code",
    "/incidents/x/hit",
    "/incidents/x/csv",
    "/sign-out",
)
"""Orders that change nothing but one's own; signing out last."""


async def test_an_account_that_looks_sees_everything_and_changes_nothing(house: House) -> None:
    await house.sign_in()
    page = (await house.post("/people", name="ola", role="look")).text
    password = page.split('<code class="password">')[1].split("<")[0]
    before = await house.browser.get("/people")
    assert "looks-only" not in before.text
    assert [(each.name, each.role) for each in await house.console.users()] == [("duty", "act"), ("ola", "look")]
    await house.happened(verdict="broken", reason="overloaded", customer=KARI.id)
    await house.sign_in("ola", password)
    for path in PAGES:
        if not path.endswith("/live"):
            answer = await house.browser.get(path)
            assert answer.status_code == (404 if "/x" in path else 200), path
            assert path == "/chart.json" or '<body class="looks-only">' in answer.text, path
    for order in ORDERS:
        if order not in LOOKS:
            answer = await house.post(order, **FIELDS | {"name": "duty"})
            assert (answer.status_code, "You may look, and not act" in answer.text) == (403, True), order
    assert [(each.name, each.role) for each in await house.console.users()] == [("duty", "act"), ("ola", "look")]
    for order in LOOKS:
        assert (await house.post(order, **FIELDS)).status_code != 403, order
    assert (await house.browser.get("/")).status_code == 303


@pytest.mark.parametrize("role", ["", "admin", "ACT"])
async def test_an_account_of_no_known_role_only_looks(house: House, role: str) -> None:
    await house.sign_in()
    await house.post("/people", name="ola", role=role)
    assert [each.role for each in await house.console.users() if each.name == "ola"] == ["look"]
    page = await house.browser.get("/people")
    assert "<td>look</td>" in page.text and "<td>act</td>" in page.text


async def test_accounts_from_before_there_were_roles_act(tmp_path: Path, clock: ManualClock) -> None:
    old = open_unmigrated(Location(tmp_path), "assurance")
    await old.engine.prepare()
    await migrate(old, up_to=next(number for number, name, _ in history() if name == "console_roles") - 1)
    await old.write(
        lambda t: t.execute(
            "INSERT INTO console_account (name, password_hash, created_at, created_by) VALUES ('kari', '', 0, 'duty')"
        )
    )
    await old.close()
    database = await open_database(Location(tmp_path), "assurance")
    accounts = await Console(database, clock=clock, key=KEY, hasher=QUICK_HASHER).users()
    assert accounts == [ConsoleUser("kari", 0.0, "duty", "act")]
    await database.close()


async def test_a_second_factor_is_set_up_asked_for_and_removed_by_somebody_else(house: House) -> None:
    await house.sign_in()
    made = (await house.post("/people", name="ola", role="look")).text
    password = made.split('<code class="password">')[1].split("<")[0]
    await house.sign_in("ola", password)
    offer = (await house.post("/people/code")).text
    salt = offer.split('name="salt" value="')[1].split('"')[0]
    shown = offer.split('<code class="password">')[1].split("<")[0]
    [address] = [part.split("<")[0] for part in html.unescape(offer).split("<code>") if part.startswith("otpauth:")]
    authenticator = pyotp.parse_uri(address)
    assert isinstance(authenticator, pyotp.TOTP) and authenticator.secret == shown
    assert (authenticator.issuer, authenticator.name) == ("Nordavind Prikkfri", "ola")

    def code() -> str:
        return authenticator.at(int(house.clock.now()))

    def none() -> str:
        """A code that is good for nothing now."""
        good = {authenticator.at(int(house.clock.now()) + skew) for skew in (-30, 0, 30)}
        return min({"000000", "000001", "000002", "000003"} - good)

    wrong = await house.post("/people/code", salt=salt, code=none())
    assert wrong.status_code == 422 and shown in wrong.text
    begun = await house.post("/people/code", salt=salt, code=f"{code()[:3]} {code()[3:]}")
    recovery = re.findall('<code class="password">([a-z2-7-]{11})</code>', begun.text)
    assert begun.status_code == 200 and len(recovery) == 8
    page = (await house.browser.get("/people")).text
    assert "8 recovery codes are left" in page and not any(each in page for each in recovery)
    assert "asks for a code" in page and shown not in page and "<td>code</td>" in page
    assert (await house.post("/people/remove-code", name="ola")).status_code == 403
    await house.post("/sign-out")
    house.clock.advance(30)
    asked = await house.sign_in("ola", password)
    assert asked.status_code == 200 and "Now the code" in asked.text and "prikkfri-console" not in house.browser.cookies
    half_in = asked.text.split('name="half_in" value="')[1].split('"')[0]
    refused = await house.post("/sign-in", half_in=half_in, code=none())
    assert refused.status_code == 401 and half_in in refused.text
    assert (await house.post("/sign-in", half_in=half_in, code=code())).status_code == 303
    assert (await house.browser.get("/")).status_code == 200
    half_in = (await house.sign_in("ola", password)).text.split('name="half_in" value="')[1].split('"')[0]
    assert (await house.post("/sign-in", half_in=half_in, code=recovery[5])).status_code == 303
    assert "7 recovery codes are left" in (await house.browser.get("/people")).text
    await house.sign_in()
    assert (await house.post("/people/remove-code", name="duty")).status_code == 422
    assert (await house.post("/people/remove-code", name="ola")).status_code == 303
    assert (await house.sign_in("ola", password)).status_code == 303


async def test_people_come_and_go(house: House) -> None:
    await house.sign_in()
    page = (await house.post("/people", name="ola")).text
    password = page.split('<code class="password">')[1].split("<")[0]
    assert (await house.post("/people", name="ola")).status_code == 422
    assert (await house.post("/people/remove", name="duty")).status_code == 422
    other = house.browser_at(ORIGIN)
    form = {"data": {"name": "ola", "password": password}, "headers": {"origin": ORIGIN}}
    assert (await other.post("/sign-in", **form)).status_code == 303  # type: ignore[arg-type]
    assert (await other.get("/")).status_code == 200
    await house.post("/people/remove", name="ola")
    assert (await other.get("/")).status_code == 303
    assert (await other.post("/sign-in", **form)).status_code == 401  # type: ignore[arg-type]


async def test_a_changed_password_ends_the_old_sessions(house: House) -> None:
    await house.sign_in()
    assert (await house.post("/people/password", old=house.password, new="short")).status_code == 422
    assert (await house.post("/people/password", old="wrong", new="long enough, surely")).status_code == 422
    assert (await house.post("/people/password", old=house.password, new="long enough, surely")).status_code == 303
    assert (await house.browser.get("/")).status_code == 303
    assert (await house.sign_in()).status_code == 401
    assert (await house.sign_in(password="long enough, surely")).status_code == 303


async def test_no_password_and_no_session_is_kept_as_it_is(house: House) -> None:
    await house.sign_in()
    token = house.browser.cookies["prikkfri-console"]
    for table in ("console_account", "console_session"):
        rows = await house.assurance.database.read(lambda q, table=table: q.fetch(f"SELECT * FROM {table}"))
        assert rows and house.password not in str(rows) and token not in str(rows)


async def test_events_carry_the_page_and_the_chart(house: House) -> None:
    await house.sign_in()
    await house.happened(verdict="kept")
    house.clock.advance(20)
    chart = (await house.browser.get("/chart.json?window=15m")).json()
    (line,) = chart["series"]
    assert chart["period"] == 5 and len(chart["times"]) == 180
    assert line["key"] == "television/sign-in" and sum(line["kept"]) * 5 == pytest.approx(1)

    # ASGITransport waits for the end of an answer, and a stream of events has none: take the first from its source.
    async def render(seen: Overview) -> dict[str, str]:
        return {"sentence": seen.tone}

    live = LiveUpdates(read_overview(house.assurance, render), clock=house.clock, pace=PACE)
    events = live.events("15m")
    assert await anext(events) == b"retry: 2000\n\n"
    name, data = (await anext(events)).decode().strip().split("\n")
    assert name == "event: seen"
    event = json.loads(data.removeprefix("data: "))
    assert event["at"] == house.clock.now() and event["chart"]["series"][0]["key"] == "television/sign-in"
    assert live.watchers == 1
    await events.aclose()  # type: ignore[attr-defined]
    assert live.watchers == 0


async def test_a_rush_is_told_on_the_overview_where_it_is_broadest_and_is_no_incident(house: House) -> None:
    """Three times as many sign in, on three clients alike; it goes when it is over."""
    await house.sign_in()
    watch, page = house.response.watch, await house.browser.get("/")
    assert "More come than of late" not in page.text

    async def live(rate: int, seconds: int) -> None:
        for _ in range(seconds):
            house.clock.advance(1.0)
            known = {"time": house.clock.now() - 3, "service": "television", "step": "sign-in", "layer": "signin"}
            told = [
                Outcome(**known, verdict="kept", dimensions={"client": client})  # type: ignore[arg-type]
                for client in ("tv", "web", "phone")
                for _ in range(rate)
            ]
            watch.arrived("signin", told)
            await watch.tick()

    await live(10, 330)
    await live(30, 15)
    page = await house.browser.get("/")
    (said,) = re.findall(r"<li>([^<]*expected[^<]*)</li>", page.text)
    found = re.fullmatch(r"Sign-in: (\d+) a second, 30 expected, since \d\d:\d\d", said)
    assert found and 45 <= int(found[1]) <= 75
    assert await house.response.register.incidents() == [] and watch.standing == ()
    await live(10, 60)
    page = await house.browser.get("/")
    assert "More come than of late" not in page.text
    assert await house.response.register.incidents() == []
