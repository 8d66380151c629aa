"""A customer's page: what customer service is asked comes first; their data is exported and erased on the record."""

import html
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from console_elsewhere import KARI, ORIGIN, Elsewhere, House, console_beside
from outcome_rows import outcome_rows

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import Hit, Impact, Scope
from prikkfri.assurance.incidents import Fact, Incident, apply_fact, open_incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.assurance.response import store
from prikkfri.assurance.segments import Segment
from prikkfri.clock import ManualClock
from prikkfri.journal import Outcome, Page
from prikkfri.subscribers.subscriptions import STILL, Subscriber, Subscription

NUMBER = "+4791234567"
SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
DELIVER = Segment.of({"service": "messages", "step": "deliver", "partner": "Telia"})


@pytest.fixture
async def house(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    now = clock.now()
    held = [
        Subscription(KARI.id, "mobile", "Fri 20", NUMBER, now - 1e6, STILL),
        Subscription(KARI.id, "television", "sport", "", now - 2e7, now - 1e6),
    ]
    trails = {
        name: {
            "id": name, "state": state, "sender": "Legevakt", "recipient": "+47 ••••• 567", "account": "clinic",
            "steps": [{"time": now - 60, "event": "accepted", "detail": "from account clinic"}],
        }
        for name, state in (("m-1", "waiting"), ("m-told", "delivered"))
    }  # fmt: skip
    elsewhere = Elsewhere(subscriptions=held, trails=trails, named=[KARI, Subscriber("s/2", "Kari Berg", "kb@x.no")])
    async with console_beside(elsewhere, tmp_path, clock) as opened_house:
        yield opened_house


async def evening(house: House, name: str = "evening", *, over: bool = True, customer: str = KARI.id) -> Incident:
    """An incident that hit this customer, for which they were credited and told when it was over."""
    database, now = house.assurance.database, house.assurance.clock.now()
    found = open_incident(name, Alarm("share", SIGN_IN, now, now - 5, 0.005, 0.9, 40, 30.0, 25.0), now)
    found = apply_fact(found, Fact("evidence", now, text="has stood for 10 s"))
    if over:
        found = apply_fact(apply_fact(found, Fact("improving", now)), Fact("proven", now))
    hit = Hit(customer, "d-secret", "television", "sign-in", now - 3, 3, 2, "overloaded", now + 30, True)
    await database.write(lambda t: store.save_incident(t, found))
    made = Impact(Scope((SIGN_IN,), now, now), (hit,), 9, 0, "x")
    await database.write(lambda t: store.save_impact(t, name, made, "", now))
    if over:
        credit = ServiceCredit(f"{name}:{customer}", name, customer, 4_900, "NOK", "kick-off", "waited")
        await database.write(lambda t: store.give_credits(t, [credit], given_by="rule:policy", now=now + 60))
        await database.write(lambda t: store.mark_notified(t, credit.key, "m-told", now + 70))
    return found


async def took(house: House, *outcomes: Outcome) -> None:
    page = Page("i", 1, len(outcomes), list(outcomes), len(outcomes), 0, 0)
    now = house.assurance.clock.now()
    await house.assurance.database.write(lambda t: outcome_store.add_outcomes(t, "sms", page, now))


def delivery(house: House, message: str = "m-1") -> Outcome:
    return Outcome(time=house.assurance.clock.now() - 60, service="messages", step="deliver", layer="link",
                   verdict="asked", device=NUMBER, promise=message)  # fmt: skip


async def say(house: House, path: str = "/customers", **fields: str) -> httpx.Response:
    return await house.browser.post(path, data=fields, headers={"origin": ORIGIN})


async def looked(house: House) -> httpx.Response:
    page = await say(house, query=KARI.email, why="case 4711")
    assert page.status_code == 200, page.text
    return page


def text_of(page: httpx.Response) -> str:
    """What a person reads."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", page.text)).split())


async def test_it_answers_what_customer_service_is_asked_and_the_raw_outcomes_come_last(house: House) -> None:
    await evening(house)
    await took(house, delivery(house))
    answer = await looked(house)
    text, page = text_of(answer), answer.text
    assert "Yes: in one incident." in text
    assert "3 times, sign-in" in text and "too many at once" in text  # by what, in words
    assert "kr 49.00" in text and "by SMS" in text  # credited and told
    assert 'href="/incidents/evening"' in page and 'href="/messages/m-told"' in page
    assert "Fri 20" in text and "+47 ••••• 567" in text and "not now" in text  # what they hold, and held
    assert "is on its way" in text and 'href="/messages/m-1"' in page  # what is open
    order = ["Was this customer hit?", "What they hold", "What is open", "Their text messages", "Signed in on",
             "Their data", "Raw outcomes"]  # fmt: skip
    assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)
    for secret in (NUMBER, NUMBER[1:], "d-secret", KARI.email):
        assert secret not in page
    assert [(each.what, each.subject, each.why) for each in await house.console.accesses()] == [
        ("a customer's page", KARI.id, "case 4711")
    ]


async def test_nobody_who_was_not_hit_is_told_so_and_what_lasts_is_open(house: House) -> None:
    text = text_of(await looked(house))
    assert "No: this customer stands on the list of no incident." in text and "Nothing." in text
    await evening(house, "other", over=False, customer="s/9")
    await evening(house, "mine", over=False)
    await house.response.recover()
    page = text_of(await looked(house))
    assert "Yes: in one incident, which lasts." in page
    assert "Hit by Sign-in, which lasts." in page
    assert "customer is not on its list" not in page  # their television ended: it is no service of theirs
    now = house.assurance.clock.now()
    house.elsewhere.subscriptions.append(Subscription(KARI.id, "television", "sport", "", now - 9, STILL))
    near = "An incident is open in a service of theirs: Sign-in. This customer is not on its list."
    assert near in text_of(await looked(house))


async def test_a_silent_centre_is_no_empty_list(house: House) -> None:
    await took(house, delivery(house))
    house.elsewhere.alive = False
    text = text_of(await looked(house))
    assert "The SMS centre does not answer: what happened to their messages is not known" in text
    assert "Nothing, as far as is known" in text and "None that is still kept" not in text


async def test_several_of_one_name_are_told_apart_and_one_is_chosen(house: House) -> None:
    page = (await say(house, query="kari", why="case 4711")).text
    assert "2 of that name" in page and "Kari Berg" in page and "k•••@example.no" in page and KARI.email not in page
    assert 'name="query" value="s/2"' in page and "Was this customer hit?" not in page
    assert [(each.what, each.subject) for each in await house.console.accesses()] == [
        ("customers of a name", "2 named kari")
    ]
    assert "Was this customer hit?" in (await say(house, query=KARI.id, why="case 4711")).text
    assert (await say(house, query="nobody", why="case 4711")).status_code == 404


async def test_a_message_has_a_page_of_its_own(house: House) -> None:
    page = await house.browser.get("/messages/m-1")
    assert page.status_code == 200 and "Waiting" in page.text and "from account clinic" in page.text
    assert [(each.what, each.subject) for each in await house.console.accesses()] == [
        ("trail of a message, masked", "m-1")
    ]
    assert (await house.browser.get("/messages/unknown")).status_code == 404
    house.elsewhere.alive = False
    assert (await house.browser.get("/messages/m-1")).status_code == 503


async def test_all_that_is_kept_is_exported_with_a_reason(house: House) -> None:
    await evening(house)
    await took(house, delivery(house), delivery(house, "gone"))
    assert (await say(house, "/customers/export", customer=KARI.id, why="x")).status_code == 422
    assert (await say(house, "/customers/export", customer="kari", why="case 4711")).status_code == 422
    assert await house.console.accesses() == []
    answer = await say(house, "/customers/export", customer=KARI.id, why="case 4711")
    assert "attachment" in answer.headers["content-disposition"] and answer.headers["cache-control"] == "no-store"
    document = json.loads(answer.content)
    assert document["customer"] == {"id": KARI.id, "name": KARI.name, "email": KARI.email}
    assert [each["msisdn"] for each in document["subscriptions"]] == [NUMBER, ""]
    assert document["subscriptions"][0]["ends"] is None
    assert [(each["incident"], each["amount"]) for each in document["incidents"]] == [("evening", 4_900)]
    assert document["sign-in"]["passwords"] and [each["id"] for each in document["messages"]] == ["m-1"]
    house.elsewhere.alive = False
    silent = await say(house, "/customers/export", customer=KARI.id, why="case 4711")
    assert silent.status_code == 503 and "Nothing was exported" in silent.text  # half of it would look like all
    assert [each.what for each in await house.console.accesses()] == ["data of a customer, exported"] * 2


async def test_a_customer_is_erased_when_their_id_is_typed(house: House) -> None:
    await evening(house)
    await took(house, delivery(house))
    said = {"customer": KARI.id, "why": "asked for it by letter"}
    for wrong in ({}, {"sure": "yes"}, {"sure": "s/2"}):
        refused = await say(house, "/customers/erase", **said, **wrong)
        assert refused.status_code == 422 and "Nothing was erased" in refused.text
    assert await house.console.accesses() == [] and "/customers/erase" not in str(house.elsewhere.asked_of_signin)
    done = await say(house, "/customers/erase", **said, sure=KARI.id)
    assert done.status_code == 200 and "is erased" in done.text
    assert [path for path, _ in house.elsewhere.asked_of_signin if "devices?" not in path] == [
        "/customers/devices/end", "/customers/erase",
    ]  # fmt: skip
    assert "m-1" not in house.elsewhere.trails
    hits = await house.response.register.hits("evening")
    assert len(hits) == 1 and hits[0].customer.startswith("erased-") and "secret" not in hits[0].device
    (given,) = await house.response.register.credits("evening")
    assert given.credit.customer == hits[0].customer and given.credit.amount == 4_900
    assert [(each.what, each.subject, each.why) for each in await house.console.accesses()] == [
        ("customer erased", KARI.id, "asked for it by letter")
    ]
    assert (await say(house, query=KARI.id, why="case 4711")).status_code == 404


async def test_what_is_not_erased_is_said_and_can_be_erased_again(house: House) -> None:
    await took(house, delivery(house))
    house.elsewhere.alive = False
    failed = await say(house, "/customers/erase", customer=KARI.id, why="by letter", sure=KARI.id)
    assert failed.status_code == 503 and "Not all is erased: the sign-in role does not answer" in failed.text
    house.elsewhere.alive = True
    again = await say(house, "/customers/erase", customer=KARI.id, why="by letter", sure=KARI.id)
    assert again.status_code == 200


async def test_from_an_incident_one_comes_to_its_customers_and_its_messages(house: House) -> None:
    await evening(house)
    masked = (await house.browser.get("/incidents/evening/hit")).text
    assert 'name="query"' not in masked and KARI.id not in masked
    full = await say(house, "/incidents/evening/hit", why="case 4711")
    assert f'name="query" value="{KARI.id}"' in full.text and 'name="why" value="case 4711"' in full.text
    there = await say(house, query=KARI.id, why="case 4711")
    assert 'href="/incidents/evening"' in there.text

    now = house.assurance.clock.now()
    found = open_incident("astray", Alarm("share", DELIVER, now, now - 5, 0.005, 0.9, 40, 30.0, 25.0), now)
    found = apply_fact(found, Fact("evidence", now, text="has stood for 10 s"))
    await house.assurance.database.write(lambda t: store.save_incident(t, found))
    way = {"partner": "Telia", "link": "nord", "direction": "out"}
    sent = {"service": "messages", "layer": "link", "dimensions": way}
    await took(
        house,
        Outcome(time=now - 4, step="route", verdict="broken", reason="misdelivery", **sent),  # type: ignore[arg-type]
        Outcome(time=now - 3, step="deliver", verdict="asked", device=NUMBER, promise="m-1", **sent),  # type: ignore[arg-type]
        Outcome(time=now - 1, step="route", verdict="broken", reason="misdelivery", **sent),  # type: ignore[arg-type]
    )
    page = (await house.browser.get("/incidents/astray/hit")).text
    assert 'href="/messages/m-1"' in page and "Their messages" in page and NUMBER not in page


async def test_what_is_told_late_of_somebody_who_was_erased_loses_their_name_unless_they_came_back(
    house: House,
) -> None:
    await say(house, "/customers/erase", customer=KARI.id, why="by letter", sure=KARI.id)
    late = Outcome(time=house.assurance.clock.now(), service="television", step="watch", layer="streams",
                   verdict="kept", customer=KARI.id, device="d-late")  # fmt: skip
    await took(house, late)

    async def names() -> set[str]:
        rows = await house.assurance.database.read(lambda q: outcome_rows(q, "customer"))
        return {row[0] for row in rows}

    house.elsewhere.erased = False  # a later file has brought them back
    await house.personal.sweep()
    assert await names() == {KARI.id}
    house.elsewhere.erased = True
    house.assurance.clock.advance(2 * 86_400.0 + 1)  # type: ignore[attr-defined]
    await house.personal.sweep()
    assert await names() == {KARI.id}
    house.assurance.clock.advance(-2.0)  # type: ignore[attr-defined]
    await house.personal.sweep()
    (name,) = await names()
    assert name.startswith("erased-")
