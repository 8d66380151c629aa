"""Merging a file into what is known, against plain rules that look at everything each time."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.subscribers.customer_file import Entry, Record
from prikkfri.subscribers.merging import MergeResult, merge
from prikkfri.subscribers.subscriptions import STILL, Subscriber, Subscription

people = st.builds(
    Subscriber,
    id=st.sampled_from(["s1", "s2", "s3"]),
    name=st.sampled_from(["Kari", "Ola"]),
    email=st.sampled_from(["", "", "a@x.no", "b@x.no"]),
)
things = st.builds(
    lambda kind, product, number, starts, lasts: Subscription(
        "", kind, product, number if kind == "mobile" else "", float(starts), starts + lasts
    ),
    kind=st.sampled_from(["mobile", "mobile", "television", "broadband"]),
    product=st.sampled_from(["p", "q"]),
    number=st.sampled_from(["+471", "+472"]),
    starts=st.integers(0, 5),
    lasts=st.sampled_from([1.0, 2.0, STILL]),
)
entries = st.lists(
    st.builds(lambda who, what: Entry(Record(0, []), who, replace(what, subscriber_id=who.id)), people, things),
    max_size=14,
).map(lambda made: [replace(entry, record=Record(line, [])) for line, entry in enumerate(made)])


class Known:
    """What a database knows, and what of it a merge is given."""

    def __init__(self) -> None:
        self.people: dict[str, Subscriber] = {}
        self.things: dict[tuple[str | float, ...], Subscription] = {}

    def take(self, batch: Sequence[Entry]) -> MergeResult:
        ids = {entry.subscriber.id for entry in batch}
        emails = {entry.subscriber.email for entry in batch} - {""}
        numbers = {entry.subscription.msisdn for entry in batch}
        merged = merge(
            batch,
            [person for person in self.people.values() if person.id in ids or person.email in emails],
            [
                thing
                for thing in self.things.values()
                if (thing.msisdn in numbers if thing.msisdn else thing.subscriber_id in ids)
            ],
        )
        self.people |= {person.id: person for person in merged.subscribers}
        self.things |= {thing.key: thing for thing in merged.subscriptions}
        return merged

    def holders(self, number: str, at: float) -> set[str]:
        return {
            thing.subscriber_id
            for thing in self.things.values()
            if thing.msisdn == number and thing.starts <= at < thing.ends
        }

    def contradicts(self, entry: Entry) -> bool:
        """Looks at every moment."""
        who, what = entry.subscriber, entry.subscription
        if who.email and any(p.email == who.email and p.id != who.id for p in self.people.values()):
            return True
        moments = [at / 2 for at in range(30) if what.starts <= at / 2 < what.ends]
        return bool(what.msisdn) and any(self.holders(what.msisdn, at) - {who.id} for at in moments)


@settings(max_examples=150)
@given(entries)
def test_what_contradicts_is_refused_and_leaves_no_trace_and_all_else_is_taken(entries: list[Entry]) -> None:
    known = Known()
    for entry in entries:
        before = dict(known.people), dict(known.things)
        contradicts = known.contradicts(entry)
        merged = known.take([entry])
        assert [conflict.record.line for conflict in merged.conflicts] == [entry.record.line] * contradicts
        if contradicts:
            assert (known.people, known.things, merged.effects) == (*before, [])
        else:
            assert known.people == before[0] | {entry.subscriber.id: entry.subscriber}
            assert known.things == before[1] | {entry.subscription.key: entry.subscription}
            had = before[1].get(entry.subscription.key)
            same = had == entry.subscription and before[0].get(entry.subscriber.id) == entry.subscriber
            assert merged.effects == ["added" if had is None else "unchanged" if same else "changed"]
    for number in ("+471", "+472"):
        assert all(len(known.holders(number, at / 2)) <= 1 for at in range(30))
    emails = [person.email for person in known.people.values() if person.email]
    assert len(emails) == len(set(emails))


@settings(max_examples=150)
@given(entries, st.integers(1, 14))
def test_how_a_file_falls_into_batches_makes_no_difference(entries: list[Entry], size: int) -> None:
    one_by_one, in_batches = Known(), Known()
    singly = [one_by_one.take([entry]) for entry in entries]
    together = [in_batches.take(entries[start : start + size]) for start in range(0, len(entries), size)]
    assert (one_by_one.people, one_by_one.things) == (in_batches.people, in_batches.things)
    for merged in (singly, together):
        assert sum(len(m.effects) + len(m.conflicts) for m in merged) == len(entries)
    assert [c for m in singly for c in m.conflicts] == [c for m in together for c in m.conflicts]
    assert [e for m in singly for e in m.effects] == [e for m in together for e in m.effects]
