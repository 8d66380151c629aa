"""Drawing: from a seed to a world of accounts, partners, messages and faults, by one table."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from prikkfri.config import Account, Link
from prikkfri.simulation.messages.texts import GSM, UCS2, WrittenMessage, compose
from prikkfri.simulation.partners.quirks import IdStyle, Quirks

BEGINS = 1_790_000_000.0
HOST = "127.0.0.1"
CENTRE_PORT, PARTNER_PORT = 2775, 3000
PASSWORD = "by lot"  # noqa: S105
COUNTRIES = ("479", "4670", "4520", "3584")
"""Of mobile numbers of four countries; so many digits follow that each is valid."""
DIGITS = {"479": 7, "4670": 7, "4520": 6, "3584": 8}

FAULTS = (
    "killed", "killed-at-a-write", "power-cut", "restarted", "disk-full", "disk-slow", "cut", "stalled",
    "partner-away", "account-away", "route-stopped", "clock-stepped", "second-owner",
    "snapshot-restored",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Table:
    """What is drawn, and how often. Pairs are least and most."""

    messages: int = 6_000
    """Of a world."""
    per_second: tuple[float, float] = (200.0, 3_000.0)
    accounts: tuple[int, int] = (2, 5)
    partners: tuple[int, int] = (2, 4)
    phones: tuple[int, int] = (5, 40)
    """Of a partner. Few, so that many messages are for one."""
    sensitive: float = 0.4
    """The share of accounts whose messages are."""
    long: float = 0.1
    """The share of messages of several parts."""
    wide: float = 0.3
    """The share of messages in UCS-2."""
    by_http: float = 0.15
    inwards: float = 0.1
    """The share of messages from phones to accounts."""
    faults: tuple[int, int] = (0, 8)
    kinds: tuple[str, ...] = FAULTS
    """Of faults, each as often."""
    windows: tuple[int, ...] = (50, 100, 200, 400)
    narrow: float = 0.25
    """The share of worlds in which one link has a small window, or carries only so much a second, and little goes by
    it: what goes one by one costs most of the time."""
    commit_seconds: float = 0.05
    """A COMMIT takes at most so long."""
    odd: float = 0.6
    """The share of partners with quirks."""
    answers_late: float = 0.1
    receipts_late: float = 0.1
    receipts_missing: float = 0.03
    receipts_doubled: float = 0.05
    ids_reused: float = 0.005
    """The share of ids that a partner has given before."""
    ids_alike: float = 0.3
    """The share of worlds in which all partners count their ids from the same."""
    told_by_another: float = 0.005
    """The share of receipts that come over another link."""
    bits_flipped: float = 0.001
    """The share of PDUs in which a bit changes between what writes them and what reads them back."""
    sequence_max: tuple[int, ...] = (500, 2_000, 0x7FFFFFFF)
    """After which sequence numbers begin again, at either end."""
    to_the_end: float = 0.05
    """The share of worlds that go on, when nothing is open any more, until each time that anybody knows of is up."""
    undeliverable: float = 0.05
    off: float = 0.02


TABLE = Table()


@dataclass(frozen=True)
class Fault:
    kind: str
    at: float
    """Virtual seconds since the world began."""
    seconds: float
    size: float
    """From 0 to 1: how much of whatever it is."""


@dataclass(frozen=True, kw_only=True)
class World:
    seed: int
    table: Table
    accounts: tuple[Account, ...]
    links: tuple[Link, ...]
    quirks: Mapping[str, Quirks]
    """By link."""
    written: tuple[WrittenMessage, ...]
    """By the time at which they are handed in."""
    faults: tuple[Fault, ...]
    seconds: float
    """Until the last is handed in."""
    ids_alike: bool = False
    sequence_max: int = 0x7FFFFFFF
    to_the_end: bool = False
    phones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Numbers by link."""


def draw(seed: int, table: Table = TABLE) -> World:
    chance = random.Random(f"messages {seed}")
    accounts = tuple(_account(chance, place, table) for place in range(chance.randint(*table.accounts)))
    prefixes = chance.sample(COUNTRIES, min(chance.randint(*table.partners), len(COUNTRIES)))
    quirks: dict[str, Quirks] = {}
    links = []
    narrow = chance.randrange(len(prefixes)) if chance.random() < table.narrow else -1
    for place, prefix in enumerate(prefixes):
        name = f"link-{place}"
        quirks[name] = _quirks(chance) if chance.random() < table.odd else Quirks()
        links.append(_link(chance, place, prefix, table, narrow=place == narrow))
    phones = {
        link.name: tuple(_number(chance, link.prefixes[0]) for _ in range(chance.randint(*table.phones)))
        for link in links
    }
    rate = chance.uniform(*table.per_second)
    at = sorted(chance.uniform(0.0, table.messages / rate) for _ in range(table.messages))
    ways = [link.name for place, link in enumerate(links) for _ in range(1 if place == narrow else 25)]
    written = tuple(
        _written(chance, number, moment, accounts, ways, phones, table) for number, moment in enumerate(at, start=1)
    )
    seconds = at[-1]
    faults = sorted(
        (
            Fault(chance.choice(table.kinds), chance.uniform(0.0, seconds), chance.uniform(0.5, 8.0), chance.random())
            for _ in range(chance.randint(*table.faults))
        ),
        key=lambda each: each.at,
    )
    return World(
        seed=seed, table=table, accounts=accounts, links=tuple(links), quirks=quirks, written=written,
        faults=tuple(faults), seconds=seconds, phones=phones, ids_alike=chance.random() < table.ids_alike,
        sequence_max=chance.choice(table.sequence_max), to_the_end=chance.random() < table.to_the_end,
    )  # fmt: skip


def _account(chance: random.Random, place: int, table: Table) -> Account:
    return Account(
        system_id=f"account-{place}",
        password=PASSWORD,
        message_class="otp" if chance.random() < table.sensitive else "ordinary",
        short_codes=(f"{2_100 + place}",),
        senders=("*",),
        in_doubt=chance.choice(("resend", "report")),
        throughput_per_second_max=1e6,
    )


def _link(chance: random.Random, place: int, prefix: str, table: Table, *, narrow: bool) -> Link:
    window, per_second = chance.choice(((1, 0.0), (10, 0.0), (50, 200.0))) if narrow else (0, 0.0)
    return Link(
        name=f"link-{place}",
        partner=f"Partner {place}",
        host=HOST,
        port=PARTNER_PORT + place,
        system_id="prikkfri",
        password=PASSWORD,
        prefixes=(prefix,),
        network="own" if chance.random() < 0.3 else "partner",
        binds=chance.choice((1, 1, 1, 2, 3)),
        window=window or chance.choice(table.windows),
        throughput_per_second_max=per_second,
    )


def _number(chance: random.Random, prefix: str) -> str:
    return prefix + "".join(chance.choices("0123456789", k=DIGITS[prefix]))


def _quirks(chance: random.Random) -> Quirks:
    """Each of the odd ways of the field, a few at once."""
    base: Literal[10, 16] = chance.choice((10, 16))
    style = IdStyle(base, chance.choice((0, 8, 16)), upper=chance.random() < 0.3)
    other = IdStyle(chance.choice((10, 16)), chance.choice((0, 10)))
    odd: dict[str, object] = {
        "answer_id": style,
        "parameter_id": chance.choice((style, other)),
        "text_id": chance.choice((style, other)),
    }
    further: dict[str, object] = {
        "answer_form": chance.choice(("without-nul", "two-nuls", "cut-parameter", "unreadable", "no-body")),
        "refuse": chance.uniform(0.0, 0.2),
        "throughput_per_second_max": chance.choice((0.0, 100.0)),
        "silent": chance.uniform(0.0, 0.03),
        "id_in": chance.choice(("both", "parameter", "text")),
        "empty_parameter": True,
        "state_in": chance.choice(("both", "parameter", "text")),
        "words": {"DELIVERED": chance.choice(("DELIVERED", "delivrd", "DELIVERD", "Delivered"))},
        "network_error": chance.randrange(1, 300),
        "text": "id:7 stat:UNDELIV err:1",
        "behind_id": chance.choice((",", "\n")),
        "addresses": chance.choice(("swapped", "national", "national-unmarked", "empty")),
        "wide": True,
        "carrier": chance.choice(("message_payload", "data_sm")),
        "marked": False,
        "brings_reference": False,
        "receipt_first": True,
        "stray": chance.uniform(0.0, 0.1),
    }
    for name in chance.sample(sorted(further), chance.randint(1, 4)):
        odd[name] = further[name]
    if odd.get("id_in") == "parameter":
        odd.pop("empty_parameter", None)  # else its receipts would name no message at all
    if odd.get("refuse"):
        odd["refuse_status"] = chance.choice((0x45, 0x58, 0x14, 0x400, 0x08))
    return Quirks(**odd)  # type: ignore[arg-type]


def _written(
    chance: random.Random,
    number: int,
    at: float,
    accounts: tuple[Account, ...],
    ways: Sequence[str],
    phones: Mapping[str, tuple[str, ...]],
    table: Table,
) -> WrittenMessage:
    account, link = chance.choice(accounts), chance.choice(ways)
    phone = chance.choice(phones[link])
    coding = UCS2 if chance.random() < table.wide else GSM
    over = "smpp" if chance.random() >= table.by_http else "http"
    if chance.random() < table.inwards:
        sender, recipient, over = phone, account.short_codes[0], link
    else:
        sender, recipient = chance.choice(("Shop", "Bank", account.short_codes[0])), phone
    is_long = chance.random() < table.long
    marks = chance.randint(9, 20) if is_long else chance.randint(1, 2 if coding == UCS2 else 3)
    text = compose(chance, number, recipient, coding, marks)
    # From a phone a message is an ordinary one, whoever it is for.
    sensitive = account.message_class == "otp" and over != link
    return WrittenMessage(number, account.system_id, sender, recipient, sensitive, text, coding, at, over)
