"""What people order of the line: a rate, a pause, to let nobody new join, to open; a room that opens at a moment.

Theory of operation. One order stands at a time, and beside it one room. Each order that is taken has a number, and
names the number of the last one that its giver has seen: an order that comes late, or twice, finds another number and
changes nothing, whatever the clocks say. No order moves anybody: the front goes on, stands, or goes to the end.

A room is a stretch of positions, set aside when it begins. Whoever comes before it opens is drawn a place in it by a
keyed lottery of their device, whenever they came; whoever comes afterwards stands behind it.
"""

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import Literal, get_args

OrderKind = Literal["auto", "rate", "pause", "drain", "open"]
Reason = Literal["fault", "maintenance", "other"]
REASONS: tuple[Reason, ...] = get_args(Reason)
RATE_MIN, RATE_MAX = 0.1, 100_000.0
"""People per second."""
ROOM_SECONDS_MIN, ROOM_SECONDS_MAX = 30.0, 3 * 3_600.0
"""From its beginning to its opening; a ticket is good for twice the longest."""
OPENS_WITHIN_SECONDS = 31 * 86_400.0
HISTORY_KEPT = 20
ROOM_WINDOWS = 256
"""So many windows are drawn from: with the lots inside each there are four million places."""


@dataclass(frozen=True, slots=True)
class Order:
    """`auto`: none; the line moves as fast as signin can."""

    kind: OrderKind = "auto"
    per_second: float = 0.0
    """People let in, of a rate."""
    reason: str = ""
    """Of `REASONS`, of a pause."""
    by: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class ScheduledRoom:
    room_from: float
    opens_at: float
    by: str
    at: float
    """When it was ordered."""
    begins: float | None = None
    """Its first position; None: it has not begun."""
    opened_at: float | None = None

    @property
    def first(self) -> float:
        """Its first position; endless before it has begun."""
        return float("inf") if self.begins is None else self.begins

    @property
    def ends(self) -> float:
        """Beyond its last position."""
        return self.first + ROOM_WINDOWS

    def holds(self, position: float) -> bool:
        return self.first <= position < self.ends


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order that was taken, in words that stand after whoever gave it."""

    at: float
    by: str
    order: str


@dataclass(frozen=True, slots=True)
class Steering:
    number: int = 0
    """Orders that were taken so far."""
    order: Order = field(default_factory=Order)
    room: ScheduledRoom | None = None
    history: tuple[OrderRecord, ...] = ()
    """The last ones, the newest last."""

    @property
    def closed_room(self) -> ScheduledRoom | None:
        """The room that people come into, until it opens."""
        room = self.room
        return room if room is not None and room.begins is not None and room.opened_at is None else None


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What somebody orders."""

    kind: Literal["auto", "rate", "pause", "drain", "open", "schedule", "withdraw"]
    by: str
    after: int
    """The number of the last order that they know of."""
    per_second: float = 0.0
    reason: str = ""
    room_from: float | None = None
    """None: from now on."""
    opens_at: float = 0.0
    sure: bool = False
    """That more may be let in than signin says it can take."""


@dataclass(frozen=True, slots=True)
class OrderRefusal:
    why: Literal["bad-order", "not-sure", "ordered-meanwhile", "waiting-room-off", "not-kept"]
    said: str


def apply_order(steering: Steering, wanted: OrderRequest, *, now: float, rate_max: float) -> Steering | OrderRefusal:
    """The steering after an order, the same when it changes nothing. `rate_max`: what is ordered without being sure."""
    if _stands_already(steering, wanted):
        return steering
    if said := _find_fault(wanted, steering, now):
        return OrderRefusal("bad-order", said)
    if wanted.after != steering.number:
        return OrderRefusal("ordered-meanwhile", "something else was ordered meanwhile; look at it, then say it again")
    if not wanted.sure and wanted.kind == "rate" and wanted.per_second > rate_max:
        said = f"signin says that it can take {rate_max:.3g} a second; to order more, say that you are sure"
        return OrderRefusal("not-sure", said)
    if not wanted.sure and wanted.kind == "open":
        return OrderRefusal(
            "not-sure", "everybody would be let in at once, whatever signin can take; say that you are sure"
        )
    number = steering.number + 1
    if wanted.kind == "schedule":
        return replace(steering, number=number, room=_schedule(steering.room, wanted, now))
    if wanted.kind == "withdraw":
        return replace(steering, number=number, room=_withdraw(steering.room, now))
    return replace(steering, number=number, order=_make_order(wanted, now))


def advance(steering: Steering, now: float, next_position: float, first_position: float) -> Steering:
    """A room begins at its time, behind all who stand (`next_position`) and not before the position of the moment
    (`first_position`); and opens, also when everybody is let in."""
    room = steering.room
    if room is None or room.opened_at is not None:
        return steering
    if room.begins is None and now >= room.room_from:
        room = replace(room, begins=float(-int(-max(next_position, first_position) // 1)))
    if room.begins is not None and (now >= room.opens_at or steering.order.kind == "open"):
        room = replace(room, opened_at=min(now, room.opens_at))
    return steering if room is steering.room else replace(steering, room=room)


def draw_position(room: ScheduledRoom, device: str, key: bytes, lots: int) -> float:
    """The position of a device in a room: by a keyed lottery, the same however often and whenever it comes.
    `lots`: so many places a window has."""
    text = b"room %d %s" % (room.first, device.encode())
    place = int.from_bytes(hmac.digest(key, text, hashlib.sha256)[:8], "big") % (ROOM_WINDOWS * lots)
    return room.first + place / lots


def describe_order(before: Steering, after: Steering, zone: tzinfo) -> tuple[str, str]:
    """What was ordered, as a slug and as words that stand after whoever ordered it."""
    if after.room != before.room:
        if after.room is None or after.room.opened_at is not None:
            return "withdraw", "withdrew the scheduled waiting room"
        opens = datetime.fromtimestamp(after.room.opens_at, zone)
        return "schedule", f"scheduled the waiting room to open at {opens:%Y-%m-%d %H:%M:%S}"
    match after.order:
        case Order("rate", per_second):
            return "rate", f"let {per_second:g} people a second in through the line"
        case Order("pause", reason=reason):
            return "pause", f"paused the line ({reason})"
        case Order("drain"):
            return "drain", "let nobody new join the line"
        case Order("open"):
            return "open", "opened the line: everybody is let in at once"
        case _:
            return "auto", "let the line move by itself again"


def record_order(steering: Steering, taken: OrderRecord) -> Steering:
    return replace(steering, history=(*steering.history, taken)[-HISTORY_KEPT:])


def public_notice(steering: Steering, now: float) -> dict[str, object] | None:
    """What people who wait should know: that the line stands by order, when it opens, that nobody new joins."""
    order, room = steering.order, steering.closed_room
    if order.kind == "pause":
        return {"state": "paused", "reason": order.reason, "since": order.at}
    if room is not None:
        return {"state": "scheduled", "opens_at": room.opens_at, "in_s": max(0.0, room.opens_at - now)}
    return {"state": "drained", "since": order.at} if order.kind == "drain" else None


def _find_fault(wanted: OrderRequest, steering: Steering, now: float) -> str:
    """What is wrong with an order; empty: nothing."""
    if wanted.kind == "rate" and not RATE_MIN <= wanted.per_second <= RATE_MAX:
        return f"a rate is {RATE_MIN:g} to {RATE_MAX:g} people a second; to let nobody in, pause"
    if wanted.kind == "pause" and wanted.reason not in REASONS:
        return f"a pause has a reason: {', '.join(REASONS)}"
    if wanted.kind == "schedule":
        begins = max(now, wanted.room_from or now)
        longest_from = steering.closed_room.room_from if steering.closed_room else begins
        if wanted.opens_at - begins < ROOM_SECONDS_MIN or wanted.opens_at - longest_from > ROOM_SECONDS_MAX:
            return f"a room opens {ROOM_SECONDS_MIN:.0f} s to {ROOM_SECONDS_MAX / 3_600:.0f} h after it begins"
        if wanted.opens_at > now + OPENS_WITHIN_SECONDS:
            return f"a room opens within {OPENS_WITHIN_SECONDS / 86_400:.0f} days"
    return ""


def _stands_already(steering: Steering, wanted: OrderRequest) -> bool:
    """Whether what is wanted stands already."""
    order, room = steering.order, steering.room
    if wanted.kind == "withdraw":
        return room is None or room.opened_at is not None
    if wanted.kind == "schedule":
        if room is None or room.opened_at is not None or room.opens_at != wanted.opens_at:
            return False
        return room.begins is not None or wanted.room_from in (None, room.room_from)
    same = order.kind == wanted.kind
    return (
        same
        and (wanted.kind != "rate" or order.per_second == wanted.per_second)
        and (wanted.kind != "pause" or order.reason == wanted.reason)
    )


def _make_order(wanted: OrderRequest, now: float) -> Order:
    match wanted.kind:
        case "rate":
            return Order("rate", wanted.per_second, by=wanted.by, at=now)
        case "pause":
            return Order("pause", reason=wanted.reason, by=wanted.by, at=now)
        case "drain" | "open" | "auto" as kind:
            return Order(kind, by=wanted.by, at=now)
    raise AssertionError(wanted.kind)


def _schedule(room: ScheduledRoom | None, wanted: OrderRequest, now: float) -> ScheduledRoom:
    """Whoever stands in a room that has begun stays in it, and its opening is moved."""
    if room is not None and room.begins is not None and room.opened_at is None:
        return replace(room, opens_at=wanted.opens_at, by=wanted.by)
    return ScheduledRoom(max(now, wanted.room_from or now), wanted.opens_at, wanted.by, now)


def _withdraw(room: ScheduledRoom | None, now: float) -> ScheduledRoom | None:
    """One that people stand in opens at once; they keep what they were drawn."""
    return None if room is None or room.begins is None else replace(room, opened_at=now)
