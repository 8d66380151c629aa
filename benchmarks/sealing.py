"""What a key for each class and hour of expiry costs a message, beside one key for all.

    python benchmarks/sealing.py [--messages 200000] [--json FILE]

Messages of three classes, whose expiry lies anywhere in 72 hours, are sealed and opened; the same envelope is then
sealed and opened by AES-256-GCM under one key with the binding of the version before. The best of five rounds is shown,
in microseconds a message, and what a fresh key costs that is made durable on this disk.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from prikkfri.sms.sealing import Binding, Envelope, Sealer
from prikkfri.storage.sealing_keys import SealingKeyFiles

NOW = 1_700_000_000.0
ROUNDS = 5
_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Envelope)
ENVELOPE = Envelope(b"Your code is 483 201. It is valid for ten minutes.", 0, 0, 5, 0)


def microseconds(work: Callable[[], object], messages: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best / messages * 1e6


class OneKey:
    """As the version before sealed."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, envelope: Envelope, bound: tuple[object, ...], nonce: bytes) -> bytes:
        return nonce + self._cipher.encrypt(nonce, _encoder.encode(envelope), _encoder.encode(bound))

    def open(self, sealed: bytes, bound: tuple[object, ...]) -> Envelope:
        return _decoder.decode(self._cipher.decrypt(sealed[:12], sealed[12:], _encoder.encode(bound)))


def measure(messages: int) -> dict[str, float]:
    bindings = [
        Binding(f"id-{n}", "account:shop", "Shop", "4790000001", 1, NOW + n % (72 * 3_600), ("otp", "code", "x")[n % 3])
        for n in range(messages)
    ]
    nonces = [os.urandom(12) for _ in range(messages)]
    sealer, one = Sealer(os.urandom), OneKey(os.urandom(32))
    for binding in bindings:
        sealer.seal(ENVELOPE, binding, nonces[0])
    earlier = [(each.message_id, each.sender, each.recipient, each.expires_at) for each in bindings]
    by_hour = [sealer.seal(ENVELOPE, *each) for each in zip(bindings, nonces, strict=True)]
    by_one = [one.seal(ENVELOPE, *each) for each in zip(earlier, nonces, strict=True)]
    works: dict[str, Callable[[], object]] = {
        "seal": lambda: [sealer.seal(ENVELOPE, *each) for each in zip(bindings, nonces, strict=True)],
        "seal, one key": lambda: [one.seal(ENVELOPE, *each) for each in zip(earlier, nonces, strict=True)],
        "open": lambda: [sealer.open(*each) for each in zip(by_hour, bindings, strict=True)],
        "open, one key": lambda: [one.open(*each) for each in zip(by_one, earlier, strict=True)],
    }
    return {name: round(microseconds(work, messages), 2) for name, work in works.items()}


def fresh_key_milliseconds() -> float:
    with tempfile.TemporaryDirectory() as home:
        kept = SealingKeyFiles(Path(home))
        began = time.perf_counter()
        for hour in range(20):
            asyncio.run(kept.keep({f"{hour}-otp": os.urandom(32)}))
        return round((time.perf_counter() - began) / 20 * 1e3, 2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.messages)
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "microseconds": found,
        "more_microseconds_a_message": round(
            found["seal"] - found["seal, one key"] + found["open"] - found["open, one key"], 2
        ),
        "fresh_key_milliseconds": fresh_key_milliseconds(),
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
