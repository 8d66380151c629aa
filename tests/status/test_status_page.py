"""The status role: tells what it was told, how old that is, and never more than is known."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from prikkfri.assurance.publishing import as_known, unknown_summary
from prikkfri.clock import ManualClock
from prikkfri.protocols.iso8601 import iso
from prikkfri.web.status_page.server import DOCUMENT_BYTES_MAX, DOCUMENTS, application, checked
from prikkfri.web.status_page.words import LANGUAGES, WORDS, age_said, time_said, wanted_language

KEY = "the status command key"
URL = "http://status.test"
MINUTE = 60.0


STATES = {"none": "operational", "minor": "unknown", "major": "partial_outage", "critical": "major_outage"}


def document(clock: ManualClock, *, status: str = "operational", indicator: str = "none") -> dict[str, Any]:
    page = {"id": "prikkfri", "name": "Nordavind", "url": URL, "time_zone": "Etc/UTC", "updated_at": iso(clock.now())}
    said = "All Systems Operational" if indicator == "none" else "Major Service Outage"
    component = {"id": "sign-in", "name": "Signing in", "status": status, "updated_at": iso(clock.now())}
    return {
        "page": page,
        "status": {"indicator": indicator, "description": said},
        "components": [component],
        "incidents": [],
        "scheduled_maintenances": [],
    }


def status_page(folder: Path, clock: ManualClock) -> ASGIApp:
    return application(
        folder, command_key=KEY, clock=clock, operator="Nordavind", public_url=URL, timezone="Europe/Oslo"
    )


def client_of(page: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(page), base_url=URL, headers={"accept-language": "en"})


@pytest.fixture
async def client(tmp_path: Path, clock: ManualClock) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(status_page(tmp_path, clock)) as client:
        yield client


async def publish(client: httpx.AsyncClient, body: object, key: str = KEY) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.put("/publish", content=content, headers={"authorization": f"Bearer {key}"})


async def test_before_anything_was_told_nothing_is_known(client: httpx.AsyncClient) -> None:
    summary = (await client.get("/api/v2/summary.json")).json()
    assert summary["status"]["indicator"] == "minor"
    assert summary["status"]["description"] == "Not Known Yet"
    page = (await client.get("/")).text
    assert WORDS["en"]["unknown"] in page and "Not updated yet" in page and "Updated" not in page
    assert "This page has not been told anything yet. It looks again by itself." in page


async def test_what_was_told_is_served_to_anyone_anywhere(client: httpx.AsyncClient, clock: ManualClock) -> None:
    assert (await publish(client, document(clock))).status_code == 204
    answer = await client.get("/api/v2/summary.json")
    assert answer.json() == document(clock)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "public, max-age=5"
    assert (await client.get("/api/v2/status.json")).json().keys() == {"page", "status"}
    page = await client.get("/")
    assert WORDS["en"]["operational"] in page.text and "Updated 0 s ago" in page.text
    assert (await client.head("/")).content == b""


async def test_it_is_told_after_a_restart_with_everybody_else_dead(tmp_path: Path, clock: ManualClock) -> None:
    async with client_of(status_page(tmp_path, clock)) as client:
        await publish(client, document(clock))
    clock.advance(20)
    async with client_of(status_page(tmp_path, clock)) as client:
        assert (await client.get("/api/v2/summary.json")).json()["status"]["indicator"] == "none"
        assert "Updated 20 s ago" in (await client.get("/")).text


async def test_after_a_minute_all_is_well_is_not_said_any_more(client: httpx.AsyncClient, clock: ManualClock) -> None:
    await publish(client, document(clock))
    told_at = document(clock)["page"]["updated_at"]
    clock.advance(MINUTE)
    assert (await client.get("/api/v2/status.json")).json()["status"]["indicator"] == "none"
    clock.advance(1)
    summary = (await client.get("/api/v2/summary.json")).json()
    assert summary["status"]["indicator"] == "minor"
    assert summary["status"]["last_known"]["indicator"] == "none"
    assert summary["components"][0]["status"] == "degraded_performance"
    assert summary["page"]["updated_at"] == told_at
    page = (await client.get("/")).text
    assert f'<h1><span class="mark" aria-hidden="true"></span>{WORDS["en"]["unknown"]}</h1>' in page
    assert "Last known then: Everything works" in page
    assert "state.operational" not in page and ">Works<" not in page


async def test_what_was_broken_stays_broken_when_nothing_more_is_known(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    await publish(client, document(clock, status="major_outage", indicator="critical"))
    clock.advance(3_600)
    summary = (await client.get("/api/v2/summary.json")).json()
    assert summary["status"]["indicator"] == "critical"
    assert summary["components"][0]["status"] == "major_outage"


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", KEY])
async def test_only_who_holds_the_key_may_tell(
    client: httpx.AsyncClient, clock: ManualClock, authorization: str
) -> None:
    headers = {"authorization": authorization} if authorization else {}
    answer = await client.put("/publish", json=document(clock), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert (await client.get("/api/v2/status.json")).json()["status"]["description"] == "Not Known Yet"


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", "/publish", 405, "PUT"), ("GET", "/publish", 405, "PUT"), ("POST", "/", 405, "GET, HEAD"),
        ("PUT", "/api/v2/summary.json", 405, "GET, HEAD"), ("GET", "/nothing", 404, None),
        ("GET", "/api/v2/incidents.json", 404, None), ("GET", "/../config.py", 404, None),
    ],
)  # fmt: skip
async def test_nothing_else_is_here(
    client: httpx.AsyncClient, clock: ManualClock, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = await client.request(method, path, json=document(clock), headers={"authorization": f"Bearer {KEY}"})
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    assert (await client.get("/api/v2/status.json")).json()["status"]["description"] == "Not Known Yet"


async def test_the_page_brings_its_own_style_and_script(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["x-content-type-options"] == "nosniff"
    for pattern, kind in ((r'href="(/\w+\.css)"', "text/css"), (r'src="(/\w+\.js)"', "text/javascript")):
        found = re.search(pattern, page.text)
        assert found, pattern
        answer = await client.get(found[1])
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8" and len(answer.content) > 500
        assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"page": 1}', b"null"])
async def test_what_is_no_summary_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, clock: ManualClock, body: bytes
) -> None:
    await publish(client, document(clock))
    assert (await publish(client, body)).status_code == 422
    assert (await client.get("/api/v2/summary.json")).json() == document(clock)


async def test_too_much_is_refused(client: httpx.AsyncClient, clock: ManualClock) -> None:
    body = json.dumps(document(clock)).encode()
    assert (await publish(client, body + b" " * (DOCUMENT_BYTES_MAX + 1 - len(body)))).status_code == 413
    assert (await client.get("/api/v2/status.json")).json()["status"]["description"] == "Not Known Yet"
    assert (await publish(client, body + b" " * (DOCUMENT_BYTES_MAX - len(body)))).status_code == 204


async def test_a_document_that_did_not_arrive_whole_changes_nothing(tmp_path: Path, clock: ManualClock) -> None:
    page, sent = status_page(tmp_path, clock), []
    chunks = [{"type": "http.request", "body": json.dumps(document(clock)).encode(), "more_body": True}]

    async def receive() -> dict[str, Any]:
        return chunks.pop() if chunks else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {KEY}".encode())]
    await page({"type": "http", "method": "PUT", "path": "/publish", "headers": headers}, receive, send)
    assert sent == [], "nobody is there to be answered"
    async with client_of(page) as client:
        assert (await client.get("/api/v2/status.json")).json()["status"]["description"] == "Not Known Yet"


async def test_a_broken_file_is_nothing_known(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "summary.json").write_bytes(b'{"page": {"upda')
    async with client_of(status_page(tmp_path, clock)) as client:
        assert (await client.get("/api/v2/status.json")).json()["status"]["description"] == "Not Known Yet"


async def test_a_full_disk_does_not_keep_the_public_from_what_is_known(tmp_path: Path, clock: ManualClock) -> None:
    folder = tmp_path / "status"
    folder.write_text("a file where the folder should be")
    async with client_of(status_page(folder, clock)) as client:
        assert (await publish(client, document(clock))).status_code == 204
        assert (await client.get("/api/v2/status.json")).json()["status"]["indicator"] == "none"


async def test_what_is_told_anew_is_shown_at_once_and_grows_old_by_the_second(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    await publish(client, document(clock))
    assert WORDS["en"]["operational"] in (await client.get("/")).text
    await publish(client, document(clock, status="major_outage", indicator="critical"))
    page = (await client.get("/")).text
    assert "major disruption" in page and WORDS["en"]["operational"] not in page
    assert (await client.get("/api/v2/status.json")).json()["status"]["indicator"] == "critical"
    clock.advance(7)
    assert "Updated 7 s ago" in (await client.get("/")).text


async def test_a_document_from_the_future_ages_from_now(client: httpx.AsyncClient, clock: ManualClock) -> None:
    ahead = document(clock)
    ahead["page"]["updated_at"] = iso(clock.now() + 86_400)
    await publish(client, ahead)
    clock.advance(MINUTE + 1)
    assert (await client.get("/api/v2/status.json")).json()["status"]["indicator"] == "minor"


async def test_names_from_a_document_are_text_on_the_page(client: httpx.AsyncClient, clock: ManualClock) -> None:
    told = document(clock)
    told["components"][0] |= {"id": "other", "name": "<script>alert(1)</script>"}
    await publish(client, told)
    page = await client.get("/")
    assert "<script>alert" not in page.text and "&lt;script&gt;alert" in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]


async def test_promises_of_an_incident_that_did_not_hold_are_shown_as_such(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    told = document(clock, status="partial_outage", indicator="major")
    update = {"body": "Found it.", "status": "identified", "created_at": iso(clock.now())}
    told["incidents"] = [
        {"id": "i", "name": "Sign-in fails", "status": "identified", "incident_updates": [update]}
        | {"next_update_at": iso(clock.now() + 600), "expected_at": iso(clock.now() - 60)}
    ]
    await publish(client, told)
    page = (await client.get("/")).text
    assert "Found it." in page
    assert "Next update at 23:23" in page and "Was expected to be solved at 23:12; that did not hold" in page
    told["incidents"][0] |= {"next_update_at": iso(clock.now() - 60), "expected_at": iso(clock.now() + 60)}
    await publish(client, told)
    page = (await client.get("/")).text
    assert "The update promised for 23:12 is late" in page and "Expected to be solved at 23:14" in page
    # Nobody has told this page since: that a word is late it knows by itself, what was mended meanwhile it does not.
    clock.advance(MINUTE + 1)
    page = (await client.get("/")).text
    assert "is late" in page and "Expected to be solved at 23:14" in page and "did not hold" not in page


async def test_an_incident_is_told_in_the_readers_language(client: httpx.AsyncClient, clock: ManualClock) -> None:
    told = document(clock, status="partial_outage", indicator="major")
    told["components"][0] |= {"state": "partial_outage", "since": iso(clock.now() - 60)}
    update = {"body": "Found.", "bodies": {"nb": "Funnet."}, "created_at": iso(clock.now() - 86_400)}
    told["incidents"] = [
        {"id": "i", "name": "It fails", "names": {"nb": "Det svikter"}, "status": "x", "incident_updates": [update]}
    ]
    await publish(client, told)
    page = (await client.get("/?lang=nb")).text
    assert "Det svikter" in page and "Funnet." in page and "It fails" not in page and "Found." not in page
    assert "13. nov. 23:13" in page and "siden 23:12" in page and "Noen problemer" in page
    page = (await client.get("/?lang=sv")).text
    assert "It fails" in page and "Found." in page and "Vissa störningar" in page


async def test_for_machines_what_is_over_is_not_unresolved(client: httpx.AsyncClient, clock: ManualClock) -> None:
    told = document(clock)
    for status in ("investigating", "identified", "monitoring", "resolved", "postmortem"):
        told["incidents"].append({"id": status, "name": "?", "status": status, "incident_updates": []})
    await publish(client, told)
    unresolved = (await client.get("/api/v2/incidents/unresolved.json")).json()
    assert unresolved.keys() == {"page", "incidents"}
    assert [each["id"] for each in unresolved["incidents"]] == ["investigating", "identified", "monitoring"]
    assert len((await client.get("/api/v2/summary.json")).json()["incidents"]) == 5
    page = (await client.get("/?lang=nb")).text
    worked_on, _, earlier = page.partition("Tidligere")
    assert "Dette arbeider vi med" in worked_on and (worked_on.count("<article"), earlier.count("<article")) == (3, 2)
    told["incidents"] = told["incidents"][3:]
    await publish(client, told)
    page = (await client.get("/")).text
    assert "What we are working on" not in page and "Earlier" in page  # what is over is not worked on
    components = await client.get("/api/v2/components.json")
    assert components.json().keys() == {"page", "components"}
    assert components.headers["content-type"] == "application/json; charset=utf-8"


SAID = {
    "nb": ("Alt virker", "Vi vet ikke alt akkurat nå", "Enkelte tjenester: noen problemer",
           "Enkelte tjenester: store problemer"),
    "sv": ("Allt fungerar", "Vi vet inte allt just nu", "Vissa tjänster: vissa störningar",
           "Vissa tjänster: stora störningar"),
    "en": ("Everything works", "We do not know everything right now", "Some services: partial disruption",
           "Some services: major disruption"),
}  # fmt: skip
TONES = ("kept", "warning", "warning", "broken")


@pytest.mark.parametrize("language", SAID)
async def test_the_headline_says_what_the_document_says(
    client: httpx.AsyncClient, clock: ManualClock, language: str
) -> None:
    for indicator, words, tone in zip(("none", "minor", "major", "critical"), SAID[language], TONES, strict=True):
        told = document(clock, indicator=indicator)
        told["status"]["state"] = STATES[indicator]
        await publish(client, told)
        page = (await client.get(f"/?lang={language}")).text
        assert f'<section class="headline {tone}"' in page and f"</span>{words}" in page
        assert [other for other in (*SAID["nb"], *SAID["sv"], *SAID["en"]) if f"</span>{other}" in page] == [words]


@pytest.mark.parametrize(
    ("language", "headline", "zone"),
    [
        ("nb", "Tekstmeldinger: store problemer", "Tider i norsk tid"),
        ("sv", "Sms: stora störningar", "Tider i norsk tid"),
        ("en", "Text messages: major disruption", "Times in Norwegian time"),
    ],
)
async def test_the_headline_names_the_part_that_is_worst_off(
    client: httpx.AsyncClient, clock: ManualClock, language: str, headline: str, zone: str
) -> None:
    told = document(clock, indicator="critical")
    (part,) = told["components"]
    told["components"] = [
        part | {"id": "watch", "name": "Watching", "status": "partial_outage"},
        part | {"id": "messages", "name": "Text messages", "status": "major_outage"},
    ]
    await publish(client, told)
    page = (await client.get(f"/?lang={language}")).text
    assert f"</span>{headline}</h1>" in page and f"<title>{headline} " in page and zone in page
    clock.advance(MINUTE + 1)
    assert headline in (await client.get(f"/?lang={language}")).text  # what was known last


PARTS = {
    "operational": ("kept", "Virker", "Fungerar", "Works"),
    "unknown": ("unknown", "Ukjent", "Okänt", "Not known"),
    "degraded_performance": ("warning", "Ustabilt", "Instabilt", "Unstable"),
    "partial_outage": ("warning", "Noen problemer", "Vissa störningar", "Partial disruption"),
    "major_outage": ("broken", "Store problemer", "Stora störningar", "Major disruption"),
    "under_maintenance": ("warning", "Vedlikehold pågår", "Underhåll pågår", "Being maintained"),
}


async def test_each_part_says_how_it_stands(client: httpx.AsyncClient, clock: ManualClock) -> None:
    told = document(clock)
    (part,) = told["components"]
    told["components"] = [
        part | {"id": name, "name": name} | ({"status": "degraded_performance", "state": name} if name == "unknown"
                                             else {"status": name})
        for name in PARTS
    ]  # fmt: skip
    told["components"] += [part | {"id": name} for name in ("sign-in", "watch", "messages")]
    await publish(client, told)
    names = {"nb": ("Innlogging", "TV-bildet", "Tekstmeldinger"), "sv": ("Inloggning", "Tv-bilden", "Sms"),
             "en": ("Signing in", "Watching", "Text messages")}  # fmt: skip
    for place, language in enumerate(("nb", "sv", "en"), 1):
        page = (await client.get(f"/?lang={language}")).text
        found = re.findall(
            r'<li class="(\w+)">\s*<span class="name">(.*?)</span>\s*<span class="state">.*?</span>(.*?)</', page
        )
        assert found == [
            *((words[0], name, words[place]) for name, words in PARTS.items()),
            *(("kept", name, PARTS["operational"][place]) for name in names[language]),
        ]


async def test_of_a_head_only_the_head_is_sent(tmp_path: Path, clock: ManualClock) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    scope = {"type": "http", "method": "HEAD", "path": "/", "headers": [], "query_string": b""}
    await status_page(tmp_path, clock)(scope, receive, send)
    assert int(dict(sent[0]["headers"])[b"content-length"]) > 1_000 and sent[1]["body"] == b""


async def test_a_foreign_document_is_told_by_its_indicator(client: httpx.AsyncClient, clock: ManualClock) -> None:
    """One that gives no state of ours."""
    for indicator, words in zip(
        ("none", "minor", "major", "critical"), (SAID["en"][n] for n in (0, 2, 2, 3)), strict=True
    ):
        await publish(client, document(clock, indicator=indicator))
        assert f"</span>{words}" in (await client.get("/")).text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from(["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2018-08-20T21:00:00", "<b>", "{0}", "%s"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
FIELDS = [
    ("page", "updated_at"), ("page", "name"), ("status", "indicator"), ("status", "state"), ("status", "last_known"),
    ("status", "description"), ("components",), ("components", 0), ("components", 0, "since"), ("components", 0, "id"),
    ("components", 0, "state"), ("components", 0, "status"), ("components", 0, "name"), ("incidents",),
    ("incidents", 0, "names"), ("incidents", 0, "names", "en"), ("incidents", 0, "next_update_at"),
    ("incidents", 0, "expected_at"), ("incidents", 0, "incident_updates"), ("incidents", 0, "status"),
    ("incidents", 0, "incident_updates", 0, "bodies"), ("incidents", 0, "incident_updates", 0, "created_at"),
    ("incidents", 0, "incident_updates", 0, "body"), ("scheduled_maintenances",),
]  # fmt: skip


@given(st.sampled_from(FIELDS), anything)
@settings(max_examples=70)
def test_whatever_it_takes_it_can_show(
    tmp_path_factory: pytest.TempPathFactory, path: tuple[str | int, ...], value: object
) -> None:
    """A document that is taken and cannot be shown would leave the public with an error, also after a restart."""
    clock = ManualClock()
    told = document(clock)
    update = {"body": "b", "bodies": {"en": "b"}, "created_at": iso(clock.now())}
    told["incidents"] = [{"id": "i", "name": "n", "names": {}, "status": "identified", "incident_updates": [update]}]
    place: Any = told
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    async def shown() -> None:
        async with client_of(status_page(tmp_path_factory.getbasetemp() / "any-summary", clock)) as client:
            if (await publish(client, told)).status_code == 422:
                return
            for _ in range(2):
                for address in (*(f"/?lang={language}" for language in LANGUAGES), "/api/v2/summary.json"):
                    assert (await client.get(address)).status_code == 200
                assert (await client.get("/api/v2/incidents/unresolved.json")).status_code == 200
                for name, (described, _, _) in DOCUMENTS.items():
                    msgspec.json.decode((await client.get(f"/api/v2/{name}")).content, type=described)
                clock.advance(MINUTE + 1)

    asyncio.run(shown())


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("nb-NO,nb;q=0.9,en;q=0.8", "nb"),
        ("nn", "nb"),
        ("da,en;q=0.5", "nb"),
        ("sv-SE", "sv"),
        ("de,sv;q=0.3,en;q=0.2", "sv"),
        ("en;q=0.1,sv;q=0.9", "sv"),
        ("nb;q=0,en", "en"),
        ("nb;q=0", "en"),
        ("no;q=0.4, sv ; q=0.4", "nb"),
        ("fr", "en"),
        ("", "en"),
        (";;q=,nb;q=x", "en"),
    ],
)
def test_the_reader_chooses_the_language(asked: str, given: str) -> None:
    assert wanted_language(asked) == given


async def test_the_page_says_its_language(client: httpx.AsyncClient, clock: ManualClock) -> None:
    await publish(client, document(clock))
    page = await client.get("/", headers={"accept-language": "nb"})
    assert '<html lang="nb">' in page.text and "Alt virker" in page.text
    assert page.headers["vary"] == "accept-language"
    assert "Allt fungerar" in (await client.get("/?lang=sv", headers={"accept-language": "nb"})).text


def test_every_language_says_everything_with_the_same_figures() -> None:
    assert WORDS["en"].keys() == WORDS["nb"].keys() == WORDS["sv"].keys() and WORDS.keys() == LANGUAGES.keys()
    for key in WORDS["en"]:
        assert len({tuple(re.findall(r"\{\w+\}", WORDS[language][key])) for language in WORDS}) == 1, key
        assert all(WORDS[language][key] for language in WORDS)
    for language, others in (("en", ("nb", "sv")), ("nb", ("en", "sv")), ("sv", ("en", "nb"))):
        for state in ("operational", "unknown", "partial_outage", "major_outage"):
            said = {WORDS[language][state], WORDS[language][f"state.{state}"]}
            assert said.isdisjoint(WORDS[other][key] for other in others for key in (state, f"state.{state}"))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, ("0 s", "0 s")), (0, ("0 s", "0 s")), (99.9, ("99 s", "99 s")), (100, ("1 min", "1 min")),
        (5_999, ("99 min", "99 min")), (6_000, ("1 h", "1 t")), (172_799, ("47 h", "47 t")), (172_800, ("2 d", "2 d")),
    ],
)  # fmt: skip
def test_an_age_is_never_said_to_be_less_than_a_step_below_it(seconds: float, said: tuple[str, str]) -> None:
    assert (age_said(seconds, "en"), age_said(seconds, "nb")) == said


def test_a_time_of_another_day_has_its_date() -> None:
    oslo, noon = ZoneInfo("Europe/Oslo"), 1_534_759_200.0  # 20 August 2018, 12:00 in Oslo
    assert {time_said(noon, noon + 12 * 3_600 - 1, oslo, language) for language in LANGUAGES} == {"12:00"}
    said = [time_said(noon, noon + 12 * 3_600, oslo, language) for language in ("nb", "sv", "en")]
    assert said == ["20. aug. 12:00", "20 aug. 12:00", "20 Aug 12:00"]
    months = [
        [time_said(noon + (n - 7) * 30.44 * 86_400, 0.0, oslo, name).split()[1] for n in range(12)]
        for name in ("nb", "sv", "en")
    ]
    assert [[month[:3].lower().replace("maj", "mai") for month in each] for each in months[:2]] == [
        ["jan", "feb", "mar", "apr", "mai", "jun", "jul", "aug", "sep", "okt", "nov", "des"],
        ["jan", "feb", "mar", "apr", "mai", "jun", "jul", "aug", "sep", "okt", "nov", "dec"],
    ]
    assert months[2] == ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@given(st.floats(0, 1e9))
def test_an_age_is_short_in_every_language(seconds: float) -> None:
    assert all(len(age_said(seconds, language)) <= 9 for language in WORDS)


@given(st.binary(max_size=300) | st.from_regex(r'\{"page": .*\}', fullmatch=True).map(str.encode))
def test_what_cannot_be_a_summary_is_a_value_error_and_nothing_else(body: bytes) -> None:
    with pytest.raises(ValueError):
        checked(body, 0.0, ZoneInfo("UTC"))


@given(st.floats(0, 1e9), st.sampled_from(["none", "minor", "major", "critical"]))
def test_the_older_the_less_is_said_and_never_that_all_is_well(age: float, indicator: str) -> None:
    told = unknown_summary("Nordavind", URL, ZoneInfo("UTC")) | {"status": {"indicator": indicator, "description": "?"}}
    told["page"] = told["page"] | {"updated_at": iso(1_700_000_000)}
    known = as_known(told, 1_700_000_000 + age)
    assert (known["status"]["indicator"] == "none") == (indicator == "none" and age <= MINUTE)
