"""Outcomes as they lie on disk and go over the wire: what an earlier version wrote is read for ever."""

import msgspec
import pytest

from prikkfri.journal import Outcome
from prikkfri.journal.outcomes import decode_batch, encode_batch

WHOLE = Outcome(
    time=1_700_000_000.5,
    service="messages",
    step="deliver",
    layer="link",
    verdict="broken",
    reason="no-route",
    customer="S-1",
    device="+4790000001",
    promise="m-1",
    observed=False,
    dimensions={"partner": "Nordtel"},
)


def test_what_is_on_disk_stays_readable() -> None:
    """The fields of a batch by their place, as they have been written since the first version."""
    place = [1_700_000_000.5, "messages", "deliver", "link", "broken", "no-route", "S-1", "+4790000001", "m-1", False]
    on_disk = msgspec.msgpack.encode([[*place, {"partner": "Nordtel"}], place[:5]])
    assert decode_batch(on_disk) == [
        WHOLE,
        Outcome(time=1_700_000_000.5, service="messages", step="deliver", layer="link", verdict="broken"),
    ]
    assert encode_batch([WHOLE]) == msgspec.msgpack.encode([[*place, {"partner": "Nordtel"}]])


def test_an_outcome_is_seen_by_a_role_itself_unless_it_says_otherwise() -> None:
    """Only what was observed moves money."""
    plain = Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept")
    assert plain.observed is True
    assert (plain.reason, plain.customer, plain.device, plain.promise, plain.dimensions) == ("", "", "", "", {})


@pytest.mark.parametrize(
    "payload", [b"", b"\x91\x93rubbish", msgspec.msgpack.encode([[0.0, "s", "t", "l", "perhaps"]])]
)
def test_what_is_no_batch_is_refused(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_batch(payload)
