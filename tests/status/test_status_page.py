"""The status role: tells what it was told, how old that is, and never more than is known."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp

from prikkfri.assurance.publishing import KNOWN_SECONDS, as_known, iso, never_told
from prikkfri.clock import ManualClock
from prikkfri.web.status_page.server import DOCUMENT_BYTES_MAX, application, checked
from prikkfri.web.status_page.words import WORDS, age_said, wanted_language

KEY = "the status command key"
URL = "http://status.test"


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
    assert WORDS["en"]["unknown"] in (await client.get("/")).text


async def test_what_was_told_is_served_to_anyone_anywhere(client: httpx.AsyncClient, clock: ManualClock) -> None:
    assert (await publish(client, document(clock))).status_code == 204
    answer = await client.get("/api/v2/summary.json")
    assert answer.json() == document(clock)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "public, max-age=5"
    assert (await client.get("/api/v2/status.json")).json().keys() == {"page", "status"}
    page = await client.get("/")
    assert WORDS["en"]["operational"] in page.text and "Known as of 0 s ago" in page.text
    assert (await client.head("/")).content == b""


async def test_it_is_told_after_a_restart_with_everybody_else_dead(tmp_path: Path, clock: ManualClock) -> None:
    async with client_of(status_page(tmp_path, clock)) as client:
        await publish(client, document(clock))
    clock.advance(20)
    async with client_of(status_page(tmp_path, clock)) as client:
        assert (await client.get("/api/v2/summary.json")).json()["status"]["indicator"] == "none"
        assert "Known as of 20 s ago" in (await client.get("/")).text


async def test_after_a_minute_all_is_well_is_not_said_any_more(client: httpx.AsyncClient, clock: ManualClock) -> None:
    await publish(client, document(clock))
    told_at = document(clock)["page"]["updated_at"]
    clock.advance(KNOWN_SECONDS)
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


@pytest.mark.parametrize("key", ["", "wrong", KEY + "x", KEY[:-1]])
async def test_only_who_holds_the_key_may_tell(client: httpx.AsyncClient, clock: ManualClock, key: str) -> None:
    answer = await publish(client, document(clock), key=key or " ")
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert (await client.get("/api/v2/status.json")).json()["status"]["description"] == "Not Known Yet"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"page": 1}', b"null"])
async def test_what_is_no_summary_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, clock: ManualClock, body: bytes
) -> None:
    await publish(client, document(clock))
    assert (await publish(client, body)).status_code == 422
    assert (await client.get("/api/v2/summary.json")).json() == document(clock)


async def test_too_much_is_refused(client: httpx.AsyncClient) -> None:
    assert (await publish(client, b" " * (DOCUMENT_BYTES_MAX + 1))).status_code == 413


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


async def test_a_document_from_the_future_ages_from_now(client: httpx.AsyncClient, clock: ManualClock) -> None:
    ahead = document(clock)
    ahead["page"]["updated_at"] = iso(clock.now() + 86_400)
    await publish(client, ahead)
    clock.advance(KNOWN_SECONDS + 1)
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
    assert "Next word from us at" in page and "that did not hold" in page


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


def test_every_language_says_everything() -> None:
    assert WORDS["en"].keys() == WORDS["nb"].keys() == WORDS["sv"].keys()


@given(st.floats(0, 1e9))
def test_an_age_is_short_in_every_language(seconds: float) -> None:
    assert all(len(age_said(seconds, language)) <= 9 for language in WORDS)


@given(st.binary(max_size=300) | st.from_regex(r'\{"page": .*\}', fullmatch=True).map(str.encode))
def test_what_cannot_be_a_summary_is_a_value_error_and_nothing_else(body: bytes) -> None:
    with pytest.raises(ValueError):
        checked(body, 0.0)


@given(st.floats(0, 1e9), st.sampled_from(["none", "minor", "major", "critical"]))
def test_the_older_the_less_is_said_and_never_that_all_is_well(age: float, indicator: str) -> None:
    told = never_told("Nordavind", URL) | {"status": {"indicator": indicator, "description": "?"}}
    told["page"] = told["page"] | {"updated_at": iso(1_700_000_000)}
    known = as_known(told, 1_700_000_000 + age)
    assert (known["status"]["indicator"] == "none") == (indicator == "none" and age <= KNOWN_SECONDS)
