"""How the partners of the SMS centre speak, as it tells of them."""

from dataclasses import dataclass, field

import msgspec

from prikkfri.assurance.controls import DetectableShare


@dataclass(frozen=True)
class Durations:
    """Seconds; None: nothing has been measured."""

    half: float | None
    most: float | None
    longest: float | None


@dataclass(frozen=True)
class PartnerReport:
    """Of one link; shares from 0 to 1, None while there was nothing to share."""

    link: str
    partner: str
    binds: int
    bound_since: float
    waiting: int
    rate: float
    ids: str
    complaint: str
    taken: int
    refused: dict[str, int]
    round_trip: Durations
    unanswered: int
    without_answer: float | None
    unreadable: int
    answered_late: int
    states: dict[str, int]
    unknown: dict[str, int]
    unnamed: int
    receipts: int
    receipt_after: Durations
    without_receipt: float | None
    late: float | None
    out_of_order: float | None
    repeated: int
    unmatched: float | None
    receipts_waiting: int
    receipts_held: int
    canaries_per_minute: float = 0.0
    """Of which something is learnt."""
    noticed: tuple[DetectableShare, ...] = ()
    handed_in: int = 0
    turned_back: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class AccountQueue:
    account: str
    binds: int
    waiting: int


@dataclass(frozen=True)
class PartnersReport:
    since: float
    links: tuple[PartnerReport, ...]
    accounts: tuple[AccountQueue, ...]


def partners_of(document: bytes) -> PartnersReport:
    """Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=PartnersReport)
