"""Both rehearsals on three machines, across a network that is bad all the time and cut in the middle."""

import asyncio
import contextlib
import random
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from prikkfri.clock import SystemClock
from prikkfri.config import ROLES
from prikkfri.simulation import demo, kickoff_result, misdelivery, misdelivery_result
from prikkfri.simulation.installation import free_ports, ports_section
from prikkfri.simulation.kickoff import Evening, Say
from prikkfri.simulation.kickoff_plan import Plan
from prikkfri.simulation.machines.installation import CORE, LAYOUT, OFFICE, SpreadInstallation
from prikkfri.simulation.machines.network import Network
from prikkfri.simulation.machines.weather import KICKOFF, MISDELIVERY, Outage, Spell, be_as_between_towns, go_through
from prikkfri.simulation.partners.operators import PARTNERS
from prikkfri.simulation.people import ANSWER_SECONDS_MAX, open_session
from prikkfri.simulation.rehearsing import a_database, account_of_messages, stage_kickoff
from prikkfri.simulation.report import Check

FAULTS = ("the fault: ", "Nordtel hands ")
"""How a rehearsal says that what it is about begins."""


@dataclass(frozen=True)
class EveningAcross:
    """What an evening came to."""

    figures: dict[str, Any]
    checks: Sequence[Check]
    spells: Sequence[Spell]
    packets: dict[str, dict[str, int]]
    """By cable: passed, lost, torn."""


async def kickoff_across(server: str, plan: Plan, *, say: Say, spells: Sequence[Spell] = KICKOFF) -> EveningAcross:
    """The evening of the kick-off. `server`: a PostgreSQL, by its Unix socket. Raises `PrikkfriError`."""
    people = demo.people(plan.inside + plan.coming, seed=plan.seed)
    *ports, handset_smpp, handset_http = free_ports(len(ROLES) + 3)
    text = demo.configuration(handset_smpp_port=handset_smpp, grace_seconds=plan.grace_seconds) + ports_section(ports)
    async with _spread(server, text, layout=ROLES, seed=plan.seed, say=say) as installation:
        await demo.seed(installation.configuration(), people)
        phones = ["-m", "prikkfri.simulation.handsets"]
        phones += [f"--smpp-port={handset_smpp}", f"--http-port={handset_http}", *demo.phones(people)]
        await installation.start_program("handsets", phones)
        await installation.lead_to(handset_http, CORE)
        await installation.start()
        async with open_session() as http, Forecast(installation.network, spells, say) as told:
            phones_url = f"http://localhost:{handset_http}"
            evening = Evening(installation, plan, people, phones_url, http, SystemClock(), told)
            truth, accounts = await stage_kickoff(evening)
        result, checks = kickoff_result.judge(truth, accounts)
        return EveningAcross(asdict(result), checks, spells, _packets(installation.network))


async def misdelivery_across(
    server: str, plan: misdelivery.Plan, *, say: Say, spells: Sequence[Spell] = MISDELIVERY
) -> EveningAcross:
    """The evening of the misdelivery. `server`: a PostgreSQL, by its Unix socket. Raises `PrikkfriError`."""
    ports = free_ports(len(ROLES) + 1 + 2 * len(PARTNERS))
    smpp, pages = ports[-6:-3], ports[-3:]
    text = misdelivery.configuration(plan, ports, smpp)
    layout = misdelivery.ROLES_NEEDED
    async with _spread(server, text, layout=layout, seed=plan.seed, say=say) as installation:
        partners = await misdelivery.start_partners(installation, plan, smpp, pages)
        for page in pages:
            await installation.lead_to(page, CORE)
        await installation.start()
        async with open_session() as http, Forecast(installation.network, spells, say) as told:
            evening = misdelivery.Evening(installation, plan, partners, http, SystemClock(), told)
            truth, accounts = await evening.stage(partial(account_of_messages, installation))
        result, checks = misdelivery_result.judge(truth, accounts, evening.seen)
        checks = [excused(check, truth, told.been) for check in checks]
        figures = asdict(result) | {"passed": all(check.holds for check in checks)}
        return EveningAcross(figures, checks, spells, _packets(installation.network))


def excused(check: Check, truth: misdelivery.Truth, been: Sequence[Outage]) -> Check:
    """The check, of those messages alone that were not handed in while the SMS centre was cut off from its database.

    Those it refuses, since it could not keep them; whoever hands one in waits for an answer for some seconds.
    """
    if check.name != misdelivery_result.TAKEN_ON:
        return check
    cut = [(each.began_at - ANSWER_SECONDS_MAX, each.ended_at) for each in been if each.parts(CORE, OFFICE)]
    refused = [each for each in truth.sent if not each.id]
    others = [each for each in refused if not any(begin <= each.at <= end for begin, end in cut)]
    return Check(
        check.name, f"{len(refused)} were not, {len(others)} of them with its database at hand", holds=not others
    )


@asynccontextmanager
async def _spread(
    server: str, text: str, *, layout: Sequence[str], seed: int, say: Say
) -> AsyncIterator[SpreadInstallation]:
    network = Network(list(LAYOUT), random.Random(seed))
    with contextlib.closing(network), tempfile.TemporaryDirectory(prefix="prikkfri-machines-") as folder:
        network.open()
        be_as_between_towns(network)
        async with a_database(server) as database:
            installation = SpreadInstallation.make(Path(folder), network, text, server=database, layout=layout)
            say(f"three machines start, in {folder}")
            try:
                await installation.open()
                yield installation
            finally:
                network.be("passes")
                await installation.stop()


@dataclass
class Forecast:
    """A `Say`: when it hears of the fault, the network goes through its spells."""

    network: Network
    spells: Sequence[Spell]
    say: Say
    been: Sequence[Outage] = ()
    _weather: asyncio.Task[None] | None = None

    def __call__(self, line: str) -> None:
        self.say(line)
        if line.startswith(FAULTS) and self._weather is None:
            self._weather = asyncio.create_task(self._go_through())

    async def _go_through(self) -> None:
        self.been = await go_through(self.network, self.spells, SystemClock(), self.say)

    async def __aenter__(self) -> "Forecast":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._weather is not None:
            self._weather.cancel()
            await asyncio.gather(self._weather, return_exceptions=True)


def _packets(network: Network) -> dict[str, dict[str, int]]:
    return {
        name: {"passed": cable.passed, "lost": cable.lost, "torn": cable.torn}
        for name, cable in network.named_cables().items()
    }
