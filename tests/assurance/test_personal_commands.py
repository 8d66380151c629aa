"""A customer's data exported and erased by command: the edge that answers, and what an operator types."""

from pathlib import Path

import httpx
from console_elsewhere import KARI, Elsewhere, console_beside
from typer.testing import CliRunner

from prikkfri.assurance.personal.http import ERASE, EXPORT, application
from prikkfri.cli import application as typed
from prikkfri.clock import ManualClock
from prikkfri.errors import UsageError

KEY = {"authorization": "Bearer k"}
WANTED = {"customer": KARI.id, "by": "Eva", "why": "asked by letter"}


async def test_only_the_key_exports_and_erases_and_both_are_on_the_record(tmp_path: Path, clock: ManualClock) -> None:
    async with console_beside(Elsewhere(), tmp_path, clock) as house:
        edge = application(house.personal, house.console, command_key="k")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://assurance") as role:
            for path in (EXPORT, ERASE):
                assert (await role.post(path, json=WANTED)).status_code == 401
                for wrong in ({"why": "x"}, {"by": ""}, {"customer": ""}, {"more": "x"}):
                    assert (await role.post(path, json=WANTED | wrong, headers=KEY)).status_code == 400
                # An address may be somebody else's by the time that it is done.
                for nobody in ("s/9", KARI.email):
                    answer = await role.post(path, json=WANTED | {"customer": nobody}, headers=KEY)
                    assert (answer.status_code, answer.json()["error"]) == (404, "no-such-customer")
            assert await house.console.accesses() == []
            house.elsewhere.alive = False
            for path in (EXPORT, ERASE):
                silent = await role.post(path, json=WANTED, headers=KEY)
                assert (silent.status_code, silent.json()["error"]) == (503, "not-whole")
            house.elsewhere.alive = True
            assert (await role.post(EXPORT, json=WANTED, headers=KEY)).json()["customer"]["name"] == KARI.name
            assert (await role.post(ERASE, json=WANTED, headers=KEY)).json() == {"messages": 0, "outcomes": 0}
            assert house.elsewhere.asked_of_signin[-1] == ("/customers/erase", {"customer": KARI.id, "by": "Eva"})
        looks = [(each.who, each.what, each.subject, each.why) for each in await house.console.accesses()]
        assert sorted(set(looks)) == [
            ("Eva", "customer erased", KARI.id, "asked by letter"),
            ("Eva", "data of a customer, exported", KARI.id, "asked by letter"),
        ]


def test_a_command_says_why_and_that_it_is_sure(tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    file.write_text(
        "subscriber_id,name,email,kind,product,msisdn,from,to\nS1,Kari,,mobile,Fri,+4791234567,2020-01-01,\n"
    )

    def refusal(*arguments: str) -> str:
        ended = CliRunner().invoke(typed, ["subscribers", *arguments, "--home", str(tmp_path)])
        assert isinstance(ended.exception, UsageError), ended.output
        return str(ended.exception)

    assert CliRunner().invoke(typed, ["subscribers", "import", str(file), "--home", str(tmp_path)]).exit_code == 0
    for command in ("export", "erase"):
        assert "--why takes 4 to 200 characters" in refusal(command, "S1", "--why", "x")
        assert "is or holds" in refusal(command, "S9", "--why", "asked by letter")
    assert "say --yes to erase customer S1 for good" in refusal("erase", "+4791234567", "--why", "asked by letter")
    for sure in (["export", "S1"], ["erase", "S1", "--yes"]):
        assert "no assurance role has run there" in refusal(*sure, "--why", "asked by letter")
