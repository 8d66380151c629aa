"""What benchmarks/signin.py measures in time, counted: calls of one sign-in with a pass, on the loop's thread."""

import asyncio
import json
import sys
from typing import Any

from signin_house import DEVICE, DEVICE_KEY, PASSWORD, VIEWER, House

from prikkfri.protocols import admission_pass
from prikkfri.protocols.admission_pass import Pass
from prikkfri.storage import Location
from prikkfri.storage.keys import publish_public_key, signing_key

STEPS_MAX = 1_150
AGENT = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36"
HEADERS = [(b"host", b"signin.example"), (b"origin", VIEWER.encode()), (b"user-agent", AGENT)]


async def test_a_sign_in_takes_no_more_steps_than_it_did(quick_house: House, location: Location) -> None:
    house, steps = quick_house, 0
    key = signing_key(house.config.home, "door-pass")
    publish_public_key(house.config.home, "pass", "door", key)

    def body(number: int) -> bytes:
        held = Pass(f"pass-{number}", DEVICE, house.clock.now() + 300, f"enter-{number}", DEVICE_KEY.holder)
        shown = admission_pass.issue(key.private, key.kid, held)
        proof = DEVICE_KEY.proof("sign-in", shown)
        asked = {"login": "+4791234567", "password": PASSWORD, "device": DEVICE, "pass": shown, "proof": proof}
        return json.dumps(asked).encode()

    def counted(_: object, event: str, __: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    async def cost(sent: bytes) -> int:
        nonlocal steps
        answered = asyncio.Event()
        events = [{"type": "http.request", "body": sent}]

        async def receive() -> Any:
            if events:
                return events.pop()
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            assert message.get("status", 200) == 200

        scope = {"type": "http", "method": "POST", "path": "/sign-in", "query_string": b"", "headers": HEADERS,
                 "client": ("127.0.0.1", 1)}  # fmt: skip
        steps = 0
        sys.setprofile(counted)
        try:
            await house.application(scope, receive, send)
        finally:
            sys.setprofile(None)
            answered.set()
        return steps

    bodies = [body(number) for number in range(8)]
    await cost(bodies[0])
    costs = [await cost(each) for each in bodies[1:]]
    if location.url:
        return  # a driver in Python: what it does is not ours to count
    assert min(costs) <= STEPS_MAX, costs
