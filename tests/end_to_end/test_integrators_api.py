"""What integrators call, as it says of itself, asked by a foreign tool that believes every word of it."""

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import schemathesis
from running_house import Loop
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from prikkfri.clock import SystemClock
from prikkfri.config import ROLES, Config, load
from prikkfri.protocols import device_token
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.simulation.installation import Installation, free_ports, ports_section
from prikkfri.storage.keys import publish_public_key, signing_key

pytestmark = pytest.mark.slow
FIXED = 20_260_611
PHASES = ("examples", "coverage", "fuzzing", "stateful")
EXAMPLES_MAX = 6
SAID_BY_NO_SCHEMA = ("bad-recipient", "bad-sender")
CONFIGURATION = """
[[sms.accounts]]
system_id = "shop"
password = "secret12"
senders = ["*"]
throughput_per_second_max = 100000

[[sms.links]]
name = "nord"
partner = "Nordtel"
host = "127.0.0.1"
port = {port}
system_id = "prikkfri"
password = "secret12"
prefixes = ["47"]
"""


@dataclass(frozen=True)
class Running:
    config: Config
    token: str

    def url(self, role: str) -> str:
        return self.config.roles.edge(role).url


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    *ports, nobody = free_ports(len(ROLES) + 2)
    (home / "prikkfri.toml").write_text(CONFIGURATION.format(port=nobody) + ports_section(ports), encoding="utf-8")
    key = signing_key(home, "signin-device")
    publish_public_key(home, "device", "signin", key)
    now = SystemClock().now()
    token = DeviceToken("s-1", "d-" + "A" * 22, ("basic",), now, now + 3_600, b"0123456789abcdef")
    loop, installation = Loop(), Installation(home)
    try:
        loop.run(lambda: installation.start(("sms", "assurance", "status")))
        yield Running(load(home, file=None, environment={}), device_token.issue(key.private, key.kid, token))
    finally:
        loop.run(installation.stop)
        loop.close()


def config(running: Running, role: str, seed: int, phases: Sequence[str]) -> SchemathesisConfig:
    """Whether a number is one, and who may send as whom, no schema can say: these refusals of it are expected."""
    headers = {
        "sms": {"Authorization": "Basic c2hvcDpzZWNyZXQxMg=="},
        "assurance": {"Authorization": f"Bearer {running.token}"},
    }
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "headers": headers.get(role, {}),
            "generation": {"max-examples": EXAMPLES_MAX, "database": "none"},
            "phases": {name: {"enabled": name in phases} for name in PHASES},
            "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "400", "401", "404", "422"]}},
        }
    )


def findings(running: Running, role: str, *, seed: int, phases: Sequence[str]) -> tuple[list[str], Counter[str]]:
    """What it finds fault with, and how often it was given which answer."""
    schema = schemathesis.openapi.from_url(
        f"{running.url(role)}/openapi.json", config=config(running, role, seed, phases)
    )
    found: list[str] = []
    answered: Counter[str] = Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            found.append(repr(event.value))
        if isinstance(event, events.FatalError):
            found.append(repr(event.exception))
        if not isinstance(event, events.ScenarioFinished):
            continue
        told = event.recorder
        for check in (check for checks in told.checks.values() for check in checks if check.failure_info):
            found.append(f"{check.name}: {check.failure_info.failure}\n{check.failure_info.code_sample}")
        for name, interaction in told.interactions.items():
            if (answer := interaction.response) is None:
                continue
            answered[f"{answer.status_code}"] += 1
            meant = told.cases[name].value.meta
            if meant and meant.generation.mode.is_positive and answer.status_code == 400:
                error = answer.json()["error"]
                if error not in SAID_BY_NO_SCHEMA:
                    found.append(f"what the schema allows is a {error}: {told.cases[name].value.body!r}")
    return found, answered


@pytest.mark.parametrize("role", ["sms", "assurance", "status"])
def test_a_foreign_tool_finds_nothing(running: Running, role: str) -> None:
    found, answered = findings(running, role, seed=FIXED, phases=PHASES)
    assert not found, "\n\n".join(found)
    assert answered["202" if role == "sms" else "200"] and answered["405"]
    fresh = random.SystemRandom().randrange(2**32)
    found, _ = findings(running, role, seed=fresh, phases=("fuzzing",))
    if found and "CI" in os.environ:
        # What a change did not bring holds no change up; the seed is in the summary, to be mended and kept.
        pytest.xfail(f"{role}, seed {fresh}: {found[:3]}")
    assert not found, f"seed {fresh}\n" + "\n\n".join(found)
