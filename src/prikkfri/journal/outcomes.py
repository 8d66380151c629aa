"""The outcome: what became of one promise.

A promise is made when a customer asks. Whoever sees the asking may write `asked`; whoever settles it writes `kept` or
`broken` with the same `promise` id. Many promises are asked and settled at once and need only the one outcome.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

Verdict = Literal["asked", "kept", "broken"]


class Outcome(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """One entry of the journal. A struct, not a dataclass, and none of the collector's business (it refers to nothing
    that could refer back), because 200,000 of them are made in a CPU second."""

    time: float
    """When it was decided: seconds since 1970 UTC."""
    service: str
    """`television`, `messages`, or the name of somebody else's service."""
    step: str
    """The point in the journey: `enter`, `sign-in`, `playback-token`, `start-playback`, `submit`, `deliver` ..."""
    layer: str
    """The part that answered: `interface`, `door`, `signin`, `streams`, `sms-centre`, `link`, `account`."""
    verdict: Verdict
    reason: str = ""
    """Why, as a slug (`wrong-credentials`, `overloaded`, `no-route`); empty when kept."""
    customer: str = ""
    """The subscriber's id, empty while only the device is known."""
    device: str = ""
    """The device's pseudonym; a later outcome with both joins them."""
    promise: str = ""
    """Ties an asking to its settlement (a message id, say); empty where one outcome is all there is."""
    observed: bool = True
    """True when a role saw it itself, False when a customer's device reported it."""
    dimensions: Mapping[str, str] = {}
    """What a fault can be placed by: `{"partner": "Telia", "direction": "in"}`, `{"channel": "sport"}`."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Outcome])


def encode_batch(outcomes: list[Outcome]) -> bytes:
    try:
        return _encoder.encode(outcomes)
    except UnicodeEncodeError:
        # Half a surrogate pair out of somebody's JSON must not cost its neighbours in the batch their place.
        return _encoder.encode([msgspec.convert(_whole(msgspec.to_builtins(o)), Outcome) for o in outcomes])


def _whole(value: object) -> object:
    """The same with `?` for what is no character."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list | tuple) else value


def decode_batch(payload: bytes) -> list[Outcome]:
    """Raises `msgspec.DecodeError` when the payload is not a batch of outcomes."""
    return _decoder.decode(payload)
