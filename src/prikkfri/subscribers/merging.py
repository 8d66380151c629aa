"""Merging a batch of a file into what is known: what is new, what has changed, and what cannot be true."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from prikkfri.subscribers.customer_file import Entry, RefusedRecord
from prikkfri.subscribers.subscriptions import Subscriber, Subscription

Effect = Literal["added", "changed", "unchanged"]


@dataclass(frozen=True)
class MergeResult:
    """What to write, in this order (an e-mail address may pass from one to the next), and what became of each entry."""

    subscribers: list[Subscriber] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    password_hashes: dict[str, str] = field(default_factory=dict, repr=False)
    """Of those entries that have one, by subscriber; the last counts."""
    conflicts: list[RefusedRecord] = field(default_factory=list)
    """Entries that contradict what is known. What they contradict may be put right further down in the file."""


def merge(
    entries: Iterable[Entry], subscribers: Iterable[Subscriber], subscriptions: Iterable[Subscription]
) -> MergeResult:
    """Merges entries in order.

    `subscribers` are those known with the ids or e-mail addresses of the entries; `subscriptions` those known of the
    same subscribers (broadband, television) or of the same numbers (mobile).
    """
    people = {subscriber.id: subscriber for subscriber in subscribers}
    owners = {subscriber.email: subscriber.id for subscriber in people.values() if subscriber.email}
    known = {subscription.key: subscription for subscription in subscriptions}
    holders: dict[str, dict[tuple[str | float, ...], Subscription]] = defaultdict(dict)
    for subscription in known.values():
        if subscription.msisdn:
            holders[subscription.msisdn][subscription.key] = subscription
    merged = MergeResult()
    for entry in entries:
        person, thing = entry.subscriber, entry.subscription
        before = people.get(person.id)
        if owners.get(person.email, person.id) != person.id:
            reason = f"email is that of subscriber {owners[person.email]}; give each their own"
            merged.conflicts.append(RefusedRecord(entry.record, reason))
            continue
        others = holders[thing.msisdn].values()
        if rival := next((o for o in others if o.subscriber_id != person.id and o.overlaps(thing)), None):
            reason = f"msisdn is held by subscriber {rival.subscriber_id} in that time; end that one first (to)"
            merged.conflicts.append(RefusedRecord(entry.record, reason))
            continue
        if person != before:
            if before:
                owners.pop(before.email, None)
            if person.email:
                owners[person.email] = person.id
            people[person.id] = person
            merged.subscribers.append(person)
        if entry.password_hash:
            merged.password_hashes[person.id] = entry.password_hash
        had = known.get(thing.key)
        if thing != had:
            known[thing.key] = thing
            if thing.msisdn:
                holders[thing.msisdn][thing.key] = thing
            merged.subscriptions.append(thing)
        if had is None:
            merged.effects.append("added")
        else:
            merged.effects.append("changed" if person != before or thing != had else "unchanged")
    return merged
