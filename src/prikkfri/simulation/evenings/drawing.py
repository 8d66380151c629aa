"""Drawing: one table of sizes, rates, kinds and shares, and from a seed the evening that it comes to.

Seconds count from the beginning of the evening. What is drawn here decides nothing of what assurance should find: that
is the oracle's, from what became of each promise (`world.py`).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

Kind = Literal["refused", "silent", "slow"]
"""Told as broken at once; never answered; answered when the grace time is over."""
Range = tuple[float, float]
Place = Mapping[str, str]
CHANNELS = ("sport", "news", "film", "nature")
CLIENTS = ("television", "phone", "computer", "other")
CLASSES = ("notice", "login", "ordinary")
STREAMS = ("signin", "door", "playout", "sms")


@dataclass(frozen=True, kw_only=True)
class Table:
    """What an evening is drawn from. A share is of all evenings where nothing else is said."""

    minutes: Range = (29.0, 31.0)
    """How long it lasts."""
    outcomes_least: int = 20_000
    outcomes_per_second: Range = (11.5, 40.0)
    """Drawn so that few have many (the sixth power of a lot)."""
    quiet_share: float = 0.3
    """Without any fault ..."""
    crowd_share: float = 0.35
    """... with a crowd at a kick-off, ..."""
    crowd_at: Range = (0.2, 0.45)
    """... at this part of the evening, ..."""
    crowd_times: Range = (2.0, 5.0)
    """... whose sign-ins are so many times the ordinary ..."""
    line_share: float = 0.5
    """... and of those crowds, so many have to stand in line."""
    leaving_share: float = 0.2
    """People leave when the programme ends, ..."""
    leaving_at: Range = (0.5, 0.8)
    """... at this part of the evening."""
    night_share: float = 0.15
    """By night a third of the television, and messages of machines go on."""
    messages_part: tuple[float, ...] = (0.2, 0.45, 0.7)
    """Of the outcomes."""
    partners: tuple[int, ...] = (1, 1, 2, 2, 3, 3, 4, 6, 8, 12, 20, 40)
    accounts: tuple[int, ...] = (2, 3, 5, 8)
    viewers: Range = (400.0, 1_500.0)
    phones: Range = (300.0, 1_200.0)
    phones_off: Range = (0.0, 0.03)
    """Of the phones; half of them are told of as such."""
    unbound_share: float = 0.3
    """An account goes away for good, ..."""
    unbound_from: Range = (0.15, 0.7)
    """... at this part of the evening."""
    wrong_password: float = 0.04
    ordinary_broken: Range = (0.0, 0.002)
    """Of all promises, on any evening."""
    faults: tuple[int, ...] = (1, 1, 1, 1, 1, 2, 2, 3, 4)
    """Of an evening with faults; several begin within three minutes of each other, or as it falls."""
    broken_share: tuple[float, ...] = (0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.0, 1.0)
    door_share: float = 0.1
    """Of the evenings with faults: one more, of the door, which lets nobody in and names nobody."""
    again_share: float = 0.1
    """Of the evenings with faults: the first of them comes again ..."""
    again_after: Range = (1_200.0, 2_100.0)
    """... so much later, on an evening that lasts longer and has no more outcomes for that; ..."""
    again_rest: float = 480.0
    """... so much of it is left then."""
    began: Range = (480.0, 720.0)
    """The first of them; before that assurance learns what is ordinary."""
    lasts: Range = (60.0, 420.0)
    flapping_share: float = 0.15
    """Of the faults: on and off, each for 10 to 40 s."""
    slow_share: float = 0.15
    silent_share: float = 0.3
    """Of the faults at sign-in and of the links; all others are told at once."""
    tries_again: float = 0.7
    """Of those who were not let in, within 20 s, twice at most."""
    comes_back_later: float = 0.5
    """Of those who never got in, within 20 minutes."""
    skewed_share: float = 0.35
    """Clocks of the roles are apart ..."""
    skew_seconds: float = 2.5
    """... so much to either side."""
    late_share: float = 0.3
    """Outcomes are written late: so many of them ..."""
    late_part: float = 0.02
    late_seconds: Range = (1.0, 8.0)
    """... by so much."""
    stalled_share: float = 0.15
    """One role writes nothing for a while, and then all at once."""
    stalled_at: Range = (0.15, 0.7)
    stalled_seconds: Range = (8.0, 30.0)
    doubled_share: float = 0.3
    doubled_part: float = 0.02
    """Outcomes are written twice, within 20 s."""
    shuffled_share: float = 0.3
    """What is written in one second stands in any order."""
    restarted_share: float = 0.4
    """Assurance and its followers are stopped and started ..."""
    restarts: tuple[int, ...] = (1, 1, 2)
    restarted_at: Range = (0.1, 0.85)
    """... at this part of the evening, or (with a fault, seven in ten) around its beginning, ..."""
    away_seconds: tuple[float, ...] = (0.0, 1.0, 5.0, 30.0, 120.0)
    """... after so long; ..."""
    killed_share: float = 0.5
    """... of these stops so many are those of a machine that loses power: nothing more is done or stored."""
    liars_share: float = 0.15
    """Devices report that everything is broken, by so many reports ..."""
    liars: int = 400
    """... within a minute, half of them with the token of a subscriber."""
    told_over_early_share: float = 0.08
    """Of the evenings with faults: a person says that it is over ..."""
    confirmed_share: float = 0.08
    """... confirms what is suspected ..."""
    dismissed_share: float = 0.06
    """... or says that it is nothing."""
    twin_share: float = 0.06
    """Of the disturbed evenings: run again without restarts, lateness and skew, and compared."""


TABLE = Table()


@dataclass(frozen=True, kw_only=True)
class Fault:
    place: Place
    """Dimension values that all hold: service, step, layer, partner ..."""
    kind: Kind
    share: float
    spells: tuple[Range, ...]
    """When it is there."""

    def at(self, second: float) -> bool:
        return any(start <= second < end for start, end in self.spells)

    def __str__(self) -> str:
        where = ", ".join(f"{name}={value}" for name, value in self.place.items())
        flapping = f" in {len(self.spells)} spells" if len(self.spells) > 1 else ""
        when = f"from {self.spells[0][0]:.0f} to {self.spells[-1][1]:.0f} s{flapping}"
        return f"{self.share:.0%} {self.kind} at {where} {when}"


@dataclass(frozen=True, kw_only=True)
class Act:
    """What a person on duty does with the newest open incident."""

    at: float
    kind: Literal["confirm", "dismiss", "all-clear"]


@dataclass(frozen=True, kw_only=True)
class Restart:
    at: float
    away_seconds: float
    steps: int
    """Of the loop, from that second on, after which it is stopped: in the midst of anything."""
    killed: bool = False
    """It is not told of it: what it has not stored by then is lost."""


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What must not matter."""

    skew: Mapping[str, float]
    """Of each role's clock, by its stream."""
    late_part: float = 0.0
    doubled_part: float = 0.0
    shuffled: bool = False
    stalled: tuple[str, float, float] | None = None
    """A stream, and from when to when it is not written."""
    lies_at: float = 0.0
    """When devices report what is not so; 0: never."""
    restarts: tuple[Restart, ...] = ()

    @property
    def none(self) -> bool:
        parts = (self.late_part, self.doubled_part, self.shuffled, self.stalled, self.lies_at, self.restarts)
        return not any(parts) and not any(self.skew.values())


UNDISTURBED = Disturbance(skew=dict.fromkeys(STREAMS, 0.0))


@dataclass(frozen=True, kw_only=True)
class Evening:
    seed: int
    begins: float
    """Seconds since 1970 UTC."""
    seconds: float
    per_second: float
    messages_part: float
    viewers: int
    phones: int
    phones_off: float
    ordinary_broken: float
    partners: int
    accounts: int
    night: bool
    crowd_at: float
    """0: none."""
    crowd_times: float
    line: bool
    leaving_at: float
    """0: nobody leaves."""
    unbound_from: float
    """0: every account is bound."""
    faults: tuple[Fault, ...]
    disturbance: Disturbance
    acts: tuple[Act, ...]
    twin: bool
    """Also run without the disturbance, and compared."""

    @property
    def ends(self) -> float:
        return self.begins + self.seconds


def draw(seed: int, table: Table = TABLE) -> Evening:
    """The evening of a seed."""
    lots = random.Random(f"evening {seed}")
    seconds = 60.0 * lots.uniform(*table.minutes)
    night = lots.random() < table.night_share
    moment = datetime(2026, 1, 1, 1 if night else 18, tzinfo=UTC)
    moment += timedelta(days=lots.randrange(365), hours=lots.randrange(4), seconds=lots.randrange(3_600))
    least, most = table.outcomes_per_second
    lot = lots.random() ** 6
    partners, accounts = lots.choice(table.partners), lots.choice(table.accounts)
    crowd = lots.random() < table.crowd_share
    messages_part = lots.choice(table.messages_part)
    faults = () if lots.random() < table.quiet_share else _faults(lots, table, partners, accounts)
    apart = random.Random(f"more of evening {seed}")
    if faults and apart.random() < table.door_share:
        faults = (*faults, _at_the_door(apart, table))
    later = random.Random(f"later on evening {seed}")
    drawn_rate = least + (most - least) * lot
    if faults and later.random() < table.again_share:
        faults = (*faults, _again(later, table, faults[0]))
        seconds, drawn_rate = max(seconds, faults[-1].spells[-1][1] + table.again_rest), 0.0
    disturbance = _killing(later, table, _disturbance(lots, apart, table, seconds, faults))
    return Evening(
        seed=seed,
        begins=moment.timestamp(),
        seconds=seconds,
        per_second=max(drawn_rate, 1.06 * table.outcomes_least / seconds),
        messages_part=max(messages_part, 0.7) if night else messages_part,
        viewers=round(lots.uniform(*table.viewers)),
        phones=round(lots.uniform(*table.phones)),
        phones_off=lots.uniform(*table.phones_off),
        ordinary_broken=lots.uniform(*table.ordinary_broken),
        partners=partners,
        accounts=accounts,
        night=night,
        crowd_at=seconds * lots.uniform(*table.crowd_at) if crowd else 0.0,
        crowd_times=lots.uniform(*table.crowd_times),
        line=lots.random() < table.line_share,
        leaving_at=seconds * lots.uniform(*table.leaving_at) if lots.random() < table.leaving_share else 0.0,
        unbound_from=seconds * lots.uniform(*table.unbound_from) if lots.random() < table.unbound_share else 0.0,
        faults=faults,
        disturbance=disturbance,
        acts=_acts(lots, table, faults),
        twin=not disturbance.none and lots.random() < table.twin_share,
    )


def _faults(lots: random.Random, table: Table, partners: int, accounts: int) -> tuple[Fault, ...]:
    first = lots.uniform(*table.began)
    found: list[Fault] = []
    for number in range(lots.choice(table.faults)):
        place = _place(lots, partners, accounts)
        if any(dict(each.place) == dict(place) for each in found):
            continue
        begins = first if number == 0 else first + lots.uniform(0.0, 180.0)
        lasts = lots.uniform(*table.lasts)
        spells = [(begins, begins + lasts)]
        if lots.random() < table.flapping_share:
            spells, at = [], begins
            while at < begins + lasts:
                on, off = lots.uniform(10.0, 40.0), lots.uniform(10.0, 40.0)
                spells.append((at, at + on))
                at += on + off
        told, kind = lots.random(), "refused"
        if place["step"] in ("sign-in", "deliver") and not {"client", "account"} & place.keys():
            kind = (
                "slow"
                if told < table.slow_share
                else "silent"
                if told < table.slow_share + table.silent_share
                else kind
            )
        found.append(Fault(place=place, kind=kind, share=lots.choice(table.broken_share), spells=tuple(spells)))  # type: ignore[arg-type]
    return tuple(found)


def _place(lots: random.Random, partners: int, accounts: int) -> Place:
    television, messages = {"service": "television"}, {"service": "messages"}
    sign_in = {**television, "step": "sign-in", "layer": "signin"}
    deliver = {**messages, "step": "deliver", "layer": "link"}
    partner = f"partner-{lots.randrange(partners)}"
    return lots.choice(
        (
            sign_in,
            sign_in,
            {**sign_in, "client": lots.choice(CLIENTS[:3])},
            {**television, "step": "playback-token", "layer": "door"},
            {**television, "step": "start-playback", "layer": "streams"},
            {**television, "step": "start-playback", "layer": "streams", "channel": lots.choice(CHANNELS)},
            deliver,
            {**deliver, "partner": partner},
            {**deliver, "partner": partner},
            {**deliver, "partner": partner},
            {**deliver, "account": f"account-{lots.randrange(accounts)}"},
            {**messages, "step": "submit", "layer": "sms-centre"},
        )
    )


def _at_the_door(lots: random.Random, table: Table) -> Fault:
    begins = lots.uniform(*table.began)
    place = {"service": "television", "step": "enter", "layer": "door"}
    spells = ((begins, begins + lots.uniform(*table.lasts)),)
    return Fault(place=place, kind="refused", share=lots.choice(table.broken_share), spells=spells)


def _again(lots: random.Random, table: Table, fault: Fault) -> Fault:
    """The same fault, as if nobody had mended it."""
    later = lots.uniform(*table.again_after)
    return replace(fault, spells=tuple((start + later, end + later) for start, end in fault.spells))


def _killing(lots: random.Random, table: Table, disturbance: Disturbance) -> Disturbance:
    restarts = (replace(each, killed=lots.random() < table.killed_share) for each in disturbance.restarts)
    return replace(disturbance, restarts=tuple(restarts))


def _disturbance(
    lots: random.Random, apart: random.Random, table: Table, seconds: float, faults: Sequence[Fault]
) -> Disturbance:
    skewed = lots.random() < table.skewed_share
    skew = {stream: lots.uniform(-table.skew_seconds, table.skew_seconds) if skewed else 0.0 for stream in STREAMS}
    late, doubled = lots.random() < table.late_share, lots.random() < table.doubled_share
    shuffled = lots.random() < table.shuffled_share
    stalled = None
    if lots.random() < table.stalled_share:
        since = seconds * lots.uniform(*table.stalled_at)
        stalled = (lots.choice(STREAMS), since, since + lots.uniform(*table.stalled_seconds))
    restarts: list[Restart] = []
    if lots.random() < table.restarted_share:
        for _ in range(lots.choice(table.restarts)):
            # Around a fault as often as not: that is where it can matter.
            near = lots.choice(faults).spells[0][0] + lots.uniform(-30.0, 300.0) if faults else 0.0
            at = near if faults and lots.random() < 0.7 else seconds * lots.uniform(*table.restarted_at)
            restarts.append(
                Restart(at=float(round(at)), away_seconds=lots.choice(table.away_seconds), steps=lots.randrange(80))
            )
    return Disturbance(
        skew=skew,
        late_part=table.late_part if late else 0.0,
        doubled_part=table.doubled_part if doubled else 0.0,
        shuffled=shuffled,
        stalled=stalled,
        lies_at=seconds * apart.uniform(0.1, 0.8) if apart.random() < table.liars_share else 0.0,
        restarts=tuple(sorted(restarts, key=lambda each: each.at)),
    )


def _acts(lots: random.Random, table: Table, faults: Sequence[Fault]) -> tuple[Act, ...]:
    if not faults:
        return ()
    drawn_for: tuple[tuple[Literal["confirm", "dismiss", "all-clear"], float], ...] = (
        ("confirm", table.confirmed_share),
        ("all-clear", table.told_over_early_share),
        ("dismiss", table.dismissed_share),
    )
    begins = faults[0].spells[0][0]
    return tuple(
        Act(at=begins + lots.uniform(15.0, 120.0), kind=kind) for kind, share in drawn_for if lots.random() < share
    )


def rows(table: Table = TABLE) -> list[tuple[str, str]]:
    """The table as it is printed: what, and from what it is drawn."""
    return [(field.name.replace("_", " "), _said(getattr(table, field.name))) for field in fields(table)]


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{each:,g}" for each in value)
    return f"{value:,g}" if isinstance(value, int | float) else str(value)
