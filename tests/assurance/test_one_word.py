"""How an incident stands, on every surface: command line, JSON, console, answer sheet and public page."""

import asyncio
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from response_house import SIGN_IN
from typer.testing import CliRunner

from prikkfri.assurance.answers import IncidentFacts, answer_sheet
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import Fact, Incident, apply_fact, open_incident
from prikkfri.assurance.overview import Overview
from prikkfri.assurance.publishing import summary
from prikkfri.assurance.response import store
from prikkfri.assurance.status import statements
from prikkfri.cli import application
from prikkfri.storage import Location, open_database
from prikkfri.web.console import wording

OSLO = ZoneInfo("Europe/Oslo")
NINE = 1_534_791_600.0  # 20 August 2018, 21:00 in Oslo
STORY = {
    "suspected": (),
    "confirmed": (Fact("confirm", NINE + 60, "Kari"),),
    "dismissed": (Fact("confirm", NINE + 60, "Kari"), Fact("dismiss", NINE + 120, "Kari")),
    "resolved": (Fact("confirm", NINE + 60, "Kari"), Fact("all-clear", NINE + 120, "Kari")),
}


def incident(word: str) -> Incident:
    found = open_incident("i", Alarm("share", SIGN_IN, NINE, NINE - 5, 0.005, 0.9, 40, 30.0, 25.0), NINE)
    for fact in STORY[word]:
        found = apply_fact(found, fact)
    return apply_fact(found, Fact("act", NINE + 30, "rule:x", "heard of late, see [/etc] and [red]"))


@pytest.mark.parametrize("word", STORY)
def test_one_word_in_one_zone_and_in_the_order_of_time(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = incident(word)

    async def prepare() -> None:
        database = await open_database(Location(tmp_path), "assurance")
        await database.write(lambda t: store.save_incident(t, known))
        await store_answers(database)
        await database.close()

    async def store_answers(database) -> None:  # type: ignore[no-untyped-def]
        sheet = answer_sheet(IncidentFacts(incident=known), now=NINE + 200, zone=OSLO)
        await database.write(lambda t: store.save_answers(t, "i", sheet))

    asyncio.run(prepare())

    def ran(*arguments: str) -> str:
        return CliRunner(env={"COLUMNS": "200"}).invoke(application, [*arguments, "--home", str(tmp_path)]).stdout

    assert f" {word}" in ran("incidents") and f" {word}" in ran("incidents", "show", "i")
    assert "service=" not in ran("incidents") and "sign-in" in ran("incidents")
    # What somebody wrote is no markup: the first ended the command, and the second was gone.
    assert ran("incidents", "show", "i").count("heard of late, see [/etc] and [red]") == 2
    (listed,) = json.loads(ran("incidents", "--json", "-"))
    shown = json.loads(ran("incidents", "show", "i", "--json", "-"))["incident"]
    assert listed["state"] == shown["state"] == shown["timeline"][-1]["state"] == word
    assert wording.state_name(known).lower().startswith(word)
    times = [entry["at"] for entry in shown["timeline"]]
    assert times == sorted(times)
    text = ran("incidents", "show", "i")
    assert "21:00:" in text and "19:00:" not in text and "15:00:" not in text, "one zone: that of the installation"
    told = statements([known], now=NINE + 200, zone=OSLO)
    document = summary(
        Overview(NINE, "kept", (), (), (), (), NINE),
        [],
        operator="Test",
        url="",
        zone=ZoneInfo("Europe/Oslo"),
        told=told,
    )
    assert [each["state"] for each in document["incidents"]] == ([word] if word in ("confirmed", "resolved") else [])
    if word == "dismissed":
        assert "Dismissed: Kari found that it was nothing." in text and "resolved" not in text
