"""The made-up customers, accounts and links of `prikkfri serve --demo`; no person, number or firm is real."""

import random
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from prikkfri.clock import SystemClock
from prikkfri.config import Config
from prikkfri.errors import UsageError
from prikkfri.signin.credentials import SALT_BYTES, hash_password
from prikkfri.signin.service import set_password_hashes
from prikkfri.simulation.partners import operators
from prikkfri.simulation.partners.operators import LOSES_RECEIPTS, MISDELIVERS, NAMES, Partner
from prikkfri.storage import Location, open_database
from prikkfri.subscribers.service import import_file

PASSWORD = "prikkfri-demo"  # noqa: S105
"""Of every made-up customer. The demo listens on loopback only."""
SMPP_PASSWORD = operators.PASSWORD
HANDSET_SMPP_PORT = 2776
PARTNER_SMPP_PORTS = (2777, 2778)
PARTNERS = (MISDELIVERS, LOSES_RECEIPTS)
"""Of the misdelivery, those that a demo has beside its own network."""
PARTNER_PEOPLE, PARTNER_CANARIES = 12, 8
"""Phones of each."""
NETWORK = "Fjordmobil"
PEOPLE = 500
PHONES = 6
"""So many of the people have their phone on the page; the others' are in their pockets."""

LAST_NAMES = ("Nordmann", "Berg", "Lund", "Dahl", "Haugen", "Moen", "Strand", "Vik", "Solberg", "Eide")


@dataclass(frozen=True)
class Person:
    subscriber_id: str
    name: str
    email: str
    msisdn: str
    """E.164."""
    packages: tuple[str, ...]


def people(count: int, *, seed: int = 1) -> list[Person]:
    """The first `count` of an endless list of made-up people; the first one has everything."""
    lots = random.Random(seed)
    found = []
    for number in range(count):
        first, last = lots.choice(NAMES), lots.choice(LAST_NAMES)
        if number == 0:
            first, last = "Kari", "Nordmann"
        packages = ("basic", "sport") if number == 0 or lots.random() < 0.7 else ("basic",)
        email = "kari@example.no" if number == 0 else f"{first}.{last}.{number}@example.no".lower()
        found.append(Person(f"demo-{number:05d}", f"{first} {last}", email, f"+4790{100_000 + number:06d}", packages))
    return found


def subscribers_csv(persons: list[Person]) -> str:
    """The people as a file for `prikkfri subscribers import`."""
    lines = ["subscriber_id,name,email,kind,product,msisdn,from,to"]
    for person in persons:
        head = f"{person.subscriber_id},{person.name},{person.email}"
        lines.append(f"{head},mobile,Fri 20,{person.msisdn},2024-01-01,")
        lines += [f"{head},television,{package},,2024-01-01," for package in person.packages]
    return "\n".join(lines) + "\n"


def configuration(
    *,
    handset_smpp_port: int = HANDSET_SMPP_PORT,
    grace_seconds: float = 6.0,
    partner_smpp_ports: Sequence[int] = (),
) -> str:
    """The demo's configuration file; with `PARTNERS` when it is said where they listen."""
    text = f"""\
# Made by `prikkfri serve --demo`. Change what you like; every setting has a default.
operator = "Fjordnett"

[door]
# The crowd of a rehearsal comes from this one machine.
joins_per_network = 5000

[signin]
code_account = "codes"

# Times are short here, so that an incident can be watched from its first second to the credit within two minutes.
# docs/configuration.md has the ordinary ones.
[streaming]
fallback_wait_seconds = 3
fallback_held_seconds = 20

[assurance]
sign_in_grace_seconds = {grace_seconds:g}
line_grace_seconds = {grace_seconds:g}
hold_seconds = 6
tell_account = "operator"

[[assurance.remedies]]
name = "Sign-in failed at a live event"
service = "television"
tiers = [{{from_minutes = 0, amount = 4900}}]

# Who may submit messages, over SMPP (port 2775) and over HTTP (port 8083).
[[sms.accounts]]
system_id = "operator"
password = "{SMPP_PASSWORD}"
senders = ["*"]

[[sms.accounts]]
system_id = "codes"
password = "{SMPP_PASSWORD}"
message_class = "log-in-code"
senders = ["Fjordnett"]
binds_max = 0

[[sms.accounts]]
system_id = "middag"
password = "{SMPP_PASSWORD}"
message_class = "notice"
short_codes = ["2010"]
senders = ["2010", "Middag"]

[[sms.accounts]]
system_id = "legevakt"
password = "{SMPP_PASSWORD}"
senders = ["Legevakt"]
message_class = "log-in-code"

# Where messages are delivered: the simulated handset network of the demo.
[[sms.links]]
name = "handsets"
partner = "{NETWORK}"
host = "127.0.0.1"
port = {handset_smpp_port}
system_id = "prikkfri"
password = "{SMPP_PASSWORD}"
prefixes = ["47"]
network = "own"
"""
    if not partner_smpp_ports:
        return text
    quick = "[sms]\ncanary_seconds = 1\ncanary_grace_seconds = 4\n\n"
    text = text.replace("[assurance]\n", f"{quick}[assurance]\n")
    people, canaries = PARTNER_PEOPLE, PARTNER_CANARIES
    return text + operators.food_box() + operators.links(PARTNERS, partner_smpp_ports, people=people, canaries=canaries)


def write_configuration(home: Path) -> bool:
    """Writes the demo's configuration unless the home has one; says whether it did."""
    path = home / "prikkfri.toml"
    if path.exists():
        return False
    path.touch(mode=0o600)
    path.write_text(configuration(partner_smpp_ports=PARTNER_SMPP_PORTS), encoding="utf-8")
    return True


def phones(persons: list[Person]) -> list[str]:
    """The phones of all of them, as the handset network takes them."""
    return [f"{person.msisdn}={person.name if n < PHONES else ''}" for n, person in enumerate(persons)]


def partners_of(config: Config) -> Mapping[int, Partner]:
    """Those of `PARTNERS` that a demo's configuration has, by the port of each one's page."""
    links = {link.name for link in config.sms.links}
    return {config.phones_port + at: each for at, each in enumerate(PARTNERS, 1) if each.link in links}


def refuse_without_partners(config: Config) -> None:
    """Raises `UsageError` with the mend when a demo's configuration lacks some of `PARTNERS`."""
    if len(partners_of(config)) < len(PARTNERS):
        raise UsageError(
            f"{config.home} was made before a demo had the partners {' and '.join(each.name for each in PARTNERS)};"
            " start a demo in a new home: make run HOME_FOLDER=another-home"
        )


async def seed(config: Config, persons: list[Person]) -> None:
    """Imports the people and gives them their password; safe to repeat."""
    clock = SystemClock()
    location = Location(config.home, config.storage.url)
    subscribers = await open_database(location, "subscribers")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "people.csv"
        file.write_text(subscribers_csv(persons), encoding="utf-8")
        await import_file(
            subscribers,
            file,
            region=config.region,
            timezone=ZoneInfo(config.streaming.timezone),
            clock=clock,
            progress=lambda done, size: None,
        )
    await subscribers.close()
    # One hash for all: with a password that is printed on the screen, salt has nothing to protect.
    hashed = hash_password(PASSWORD, secrets.token_bytes(SALT_BYTES))
    signin = await open_database(location, "signin")
    await set_password_hashes(signin, [(person.subscriber_id, hashed) for person in persons], clock.now())
    await signin.close()
