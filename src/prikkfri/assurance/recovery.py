"""Recovery: is it over, and how do we know?

Theory of operation. Four checks, each with its figure.

*Shares back*: since the fault was last in evidence, the promises of the incident's segment speak for the ordinary
share against a share that is still the fault's (a tenth of what it was, or ten times the ordinary one), by a
log-likelihood ratio of at least `PROOF_NATS` (a sequential test: A. Wald, Ann. Math. Stat. 16, 1945; the chance of
saying "over" wrongly is at most exp(-nats)). Silence is no proof: somebody must have come and got it.
*Traffic back*: promises are kept at no less than a part of the rate that the quietest time before lets expect, where
that is known: a crowd that came before the fault is no measure of who comes after it. Where promises were broken, those
who come tell by themselves whether they get it: fewer of them hold nothing up then. Nor do they when the programme that
people came for has ended since: what was ordinary while it was on is no measure any more.
*Contacts falling*: fewer people turn to customer service than at the worst, where such a signal is taken in.
*Held*: it has been well for a time without a break.

An incident in several places is over when each of them is, by what it showed itself: a small one is watered down by a
large one beside it. To some so few come that they never prove it alone: of those it is enough when for `PATIENT_HOLDS`
times the time to be held the evidence for the fault has not stood at `PROOF_NATS`, and all places together prove it.

What cannot be known is said. Without a signal of contacts or of ordinary traffic the proof rests on the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

from prikkfri.assurance.tally import Bucket

PROOF_NATS = 5.0
"""exp(-5): one wrong "over" in 150."""
SHARE_SLACK = 1.5
STILL_PART = 0.1
"""Of the share of the fault that is still the fault ..."""
STILL_TIMES_ORDINARY = 10.0
"""... or so many times the ordinary share, if that is more."""
PATIENT_PART = 0.5
"""When it has been well for `PATIENT_HOLDS` times the time to be held, with few who come, so much of it."""
PATIENT_HOLDS = 3.0
TRAFFIC_BACK = 0.5
"""Part of the ordinary rate of kept promises that counts as traffic back."""
CONTACTS_FALLEN = 0.5
"""Part of the worst rate of contacts that counts as falling ..."""
CONTACTS_FEW = 3
"""... and so many in a period are always few."""


@dataclass(frozen=True, kw_only=True)
class Criteria:
    hold_seconds: float = 300.0
    """How long all must have been well."""
    share_floor: float = 0.005


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of an incident's segment."""

    buckets: Sequence[Bucket]
    """Its counts up to the present, in order, at least over the time to be held."""
    bucket_seconds: float
    usual_share: float
    """Broken, before the incident."""
    fault_share: float
    """Broken, during the incident; at least."""
    usual_rate: float | None = None
    """Kept a second, as the time before lets expect; None when not known."""
    traffic_decides: bool = True
    """Nobody's promise was broken, as far as is known: only that people come again says that it is over."""
    ended: tuple[str, float] | None = None
    """The programme that people came for and that has ended since, and when; None: none has."""
    contacts: Sequence[tuple[float, float]] | None = None
    """Contacts with customer service by (time, count), in order; None when no such signal is taken in."""
    blind_since: float | None = None
    """Since when nothing is known of the present, because a stream cannot be read; None when all is seen."""


@dataclass(frozen=True)
class Check:
    name: str
    met: bool | None
    """None: not known."""
    text: str
    """The figure, as people on duty say it."""
    proof: str = ""
    """By how much it speaks for that; empty: the figure is all."""

    @property
    def figures(self) -> str:
        return f"{self.text} ({self.proof})" if self.proof else self.text


@dataclass(frozen=True)
class Recovery:
    over: bool
    improving: bool
    """Shares and traffic are back, not yet for long enough."""
    broken: bool
    """The data speaks for the fault: it is there (again)."""
    checks: tuple[Check, ...]
    held_seconds: float
    well_since: float | None

    @property
    def sentence(self) -> str:
        return "; ".join(check.text for check in self.checks)

    @property
    def waits_for(self) -> str:
        """What is still lacking before it is over, with its figure; empty: nothing."""
        needed = ("shares back", "held")
        lacking = (c for c in self.checks if c.met is False or (c.met is None and c.name in needed))
        # How long it has been stable says by itself what is lacking; a figure does not.
        return "; ".join(c.text if c.name == "held" else f"{c.name} ({c.text})" for c in lacking)


def judge(evidence: Evidence, criteria: Criteria, *, now: float) -> Recovery:
    """Whether it is over, as of `now`."""
    if evidence.blind_since is not None:
        text = f"the present is not seen, since {now - evidence.blind_since:.0f} s"
        return Recovery(False, False, False, (Check("shares back", None, text),), 0.0, None)
    evidence = _undiluted(evidence, criteria)
    well_since = _well_since(evidence, criteria)
    held_seconds = now - well_since if well_since is not None else 0.0
    patient = _is_patient(held_seconds, criteria)
    shares = _shares_back(evidence, criteria, well_since, PATIENT_PART if patient else STILL_PART)
    traffic = _traffic_back(evidence, well_since, now)
    contacts = _contacts_falling(evidence.contacts)
    held = Check("held", held_seconds >= criteria.hold_seconds, _stable(held_seconds, criteria))
    improving = bool(shares.met) and traffic.met is not False
    over = improving and bool(held.met) and contacts.met is not False
    return Recovery(
        over=over,
        improving=improving,
        # The end of the fault lies in the last stretch for as long as that is: what is proven back is not broken by it.
        broken=not shares.met and _broken(evidence, criteria, now),
        checks=(shares, traffic, contacts, held),
        held_seconds=held_seconds,
        well_since=well_since,
    )


def in_each_place(whole: Recovery, places: Sequence[tuple[str, Recovery]], criteria: Criteria) -> Recovery:
    """What was judged of the whole, of which each of several places has to be well by itself.

    `places`: each by its name, judged without traffic and contacts, which are those of the whole.
    """
    broken = any(place.broken for _, place in places)
    whole = replace(whole, improving=whole.improving and not broken, broken=whole.broken or broken)
    waiting = [each for each in places if not each[1].over and not _is_patient(each[1].held_seconds, criteria)]
    if not waiting:
        return whole
    name, last = min(waiting, key=lambda each: each[1].held_seconds)
    shares, *_, held = last.checks
    lacking = {check.name: replace(check, text=f"{name}: {check.text}") for check in (shares, held) if not check.met}
    return replace(
        whole,
        over=False,
        checks=tuple(lacking.get(check.name, check) for check in whole.checks),
        held_seconds=min(whole.held_seconds, last.held_seconds),
    )


def with_pictures(
    judged: Recovery, gone: Sequence[str], criteria: Criteria, *, back_since: float, alone: bool, now: float
) -> Recovery:
    """What was judged by promises, of an incident that began with channels without a picture.

    `gone`: those that still have none; `back_since`: when the last of the others had it back. `alone`: nothing else
    speaks for the incident. Then a picture that holds is the proof, whether or not somebody comes to see it.
    """
    back, back_seconds = not gone, now - back_since
    text = f"the picture is back, {_stable(back_seconds, criteria)}" if back else f"no picture on {', '.join(gone)}"
    held = back_seconds >= criteria.hold_seconds
    return replace(
        judged,
        over=back and held and (not judged.broken if alone else judged.over),
        improving=back and (not judged.broken if alone else judged.improving),
        broken=bool(gone) or judged.broken,
        checks=(Check("picture back", back, text), *judged.checks),
    )


def _is_patient(held_seconds: float, criteria: Criteria) -> bool:
    return held_seconds >= PATIENT_HOLDS * criteria.hold_seconds


def _stable(seconds: float, criteria: Criteria) -> str:
    return f"stable for {seconds:.0f} s ({criteria.hold_seconds:.0f} s required)"


def _ordinary(evidence: Evidence, criteria: Criteria) -> float:
    return min(0.5, max(criteria.share_floor, SHARE_SLACK * evidence.usual_share))


def _log_ratio(buckets: Sequence[Bucket], ordinary: float, fault: float, part: float = STILL_PART) -> float:
    """Nats by which the counts speak for the ordinary share against what is left of the share of the fault.

    Against the share of the fault itself, the first kept promise after a total outage would be proof enough.
    """
    a_kept, a_broken = _nats_of_one(ordinary, fault, part)
    return sum(b.kept for b in buckets) * a_kept + sum(b.broken for b in buckets) * a_broken


def _nats_of_one(ordinary: float, fault: float, part: float = STILL_PART) -> tuple[float, float]:
    """The same of one promise that is kept, and of one that is broken."""
    still = min(fault, max(part * fault, STILL_TIMES_ORDINARY * ordinary))
    fault = min(max(still, 2 * ordinary), 0.999)
    return log((1 - ordinary) / (1 - fault)), log(ordinary / fault)


def _well_since(evidence: Evidence, criteria: Criteria) -> float | None:
    """The end of the last bucket in which the evidence for the fault stood at `PROOF_NATS`; it is summed as a CUSUM."""
    a_kept, a_broken = _nats_of_one(_ordinary(evidence, criteria), evidence.fault_share)
    fault, since = 0.0, evidence.buckets[0].time if evidence.buckets else None
    for bucket in evidence.buckets:
        fault = min(PROOF_NATS, max(0.0, fault - (bucket.kept * a_kept + bucket.broken * a_broken)))
        if fault == PROOF_NATS and bucket.broken:
            since = bucket.time + evidence.bucket_seconds
    return since


def _undiluted(evidence: Evidence, criteria: Criteria) -> Evidence:
    """With the share that was broken while the fault was in evidence, if that is more: what is well since waters it."""
    until = _well_since(evidence, criteria)
    during = [bucket for bucket in evidence.buckets if until is not None and bucket.time < until]
    settled, broken = sum(b.settled for b in during), sum(b.broken for b in during)
    return replace(evidence, fault_share=max(evidence.fault_share, broken / settled)) if broken else evidence


def _since(evidence: Evidence, moment: float | None) -> list[Bucket]:
    return [] if moment is None else [bucket for bucket in evidence.buckets if bucket.time >= moment]


def _shares_back(evidence: Evidence, criteria: Criteria, well_since: float | None, part: float) -> Check:
    buckets = _since(evidence, well_since)
    settled, broken = sum(b.settled for b in buckets), sum(b.broken for b in buckets)
    if not settled:
        return Check("shares back", None, "no promise has been settled since")
    proof = _log_ratio(buckets, _ordinary(evidence, criteria), evidence.fault_share, part)
    text = f"{broken / settled:.2%} of {settled:.0f} failed, {evidence.fault_share:.1%} during the fault"
    return Check("shares back", proof >= PROOF_NATS, text, f"proof {proof:.1f} of {PROOF_NATS:.0f}")


def _traffic_back(evidence: Evidence, well_since: float | None, now: float) -> Check:
    if evidence.usual_rate is None:
        return Check("traffic back", None, "the ordinary traffic is not known")
    seconds = now - well_since if well_since is not None else 0.0
    if seconds <= 0:
        return Check("traffic back", False, "not yet")
    rate = sum(bucket.kept for bucket in _since(evidence, well_since)) / seconds
    text = f"{rate:.2g} kept a second, ordinarily {evidence.usual_rate:.2g}"
    back = rate >= TRAFFIC_BACK * evidence.usual_rate
    if not back and evidence.ended is not None:
        title, ended_at = evidence.ended
        return Check("traffic back", None, f"{text}: “{title}” ended {now - ended_at:.0f} s ago, and fewer come")
    if not back and not evidence.traffic_decides:
        return Check("traffic back", None, f"{text}: fewer come, and whether they get it decides")
    return Check("traffic back", back, text)


def _contacts_falling(contacts: Sequence[tuple[float, float]] | None) -> Check:
    if not contacts:
        return Check("contacts falling", None, "no signal of customer contacts is taken in")
    worst, last = max(count for _, count in contacts), contacts[-1][1]
    few = max(CONTACTS_FEW, CONTACTS_FALLEN * worst)
    return Check("contacts falling", last <= few, f"{last:.0f} contacts of late, {worst:.0f} at the worst")


def _broken(evidence: Evidence, criteria: Criteria, now: float) -> bool:
    """The last stretch, as long as the time to be held, speaks for the fault."""
    recent = [bucket for bucket in evidence.buckets if bucket.time >= now - criteria.hold_seconds]
    return _log_ratio(recent, _ordinary(evidence, criteria), evidence.fault_share) <= -PROOF_NATS
