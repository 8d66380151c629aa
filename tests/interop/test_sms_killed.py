"""kill -9 in mid-stream: nothing that was acknowledged is lost, and no text reaches another phone."""

import random
import threading
from collections import Counter
from typing import Any

import pytest
from smpp_peers import PASSWORD, PHONES, Centre, Handsets, basic, get
from waiting import until

pytestmark = pytest.mark.slow

KILLS = 3


class Stream:
    """A client that submits as fast as it gets answers, over whatever connection it can get, until told to stop."""

    def __init__(self, centre: Centre) -> None:
        self.acknowledged: dict[str, tuple[str, str]] = {}
        self.submitted = 0
        self._centre = centre
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Stream":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        import smpplib.client
        import smpplib.exceptions

        while not self._stopping.is_set():
            client = smpplib.client.Client(
                "127.0.0.1", self._centre.smpp_port, timeout=5, allow_unknown_opt_params=True
            )
            try:
                client.connect()
                client.bind_transmitter(system_id="shop", password=PASSWORD)
                self._submit_until_it_breaks(client)
            except (smpplib.exceptions.ConnectionError, OSError):
                self._stopping.wait(0.05)
            finally:
                client.disconnect()

    def _submit_until_it_breaks(self, client) -> None:
        waiting: dict[int, tuple[str, str]] = {}

        def sent(pdu) -> None:
            assert pdu.status == 0
            self.acknowledged[pdu.message_id.decode()] = waiting.pop(pdu.sequence)

        client.set_message_sent_handler(sent)
        while not self._stopping.is_set() or waiting:
            while len(waiting) < 20 and not self._stopping.is_set():
                self.submitted += 1
                message = (PHONES[self.submitted % len(PHONES)], f"text number {self.submitted}")
                pdu = client.send_message(
                    source_addr_ton=5,
                    source_addr="Shop",
                    dest_addr_ton=1,
                    dest_addr_npi=1,
                    destination_addr=message[0],
                    short_message=message[1].encode(),
                )
                waiting[pdu.sequence] = message
            client.read_once()
        client.unbind()


def test_what_was_acknowledged_survives_kill_9(centre: Centre, handsets: Handsets) -> None:
    lots = random.Random(7)
    with Stream(centre) as stream:
        for _ in range(KILLS):
            enough = len(stream.acknowledged) + 50 + lots.randrange(200)
            until(lambda enough=enough: len(stream.acknowledged) > enough, what="messages to flow")
            centre.process.kill()
            centre.process.start()
    centre.wait_until_linked()

    def trail(identity: str) -> dict[str, Any]:
        return get(f"{centre.url}/messages/{identity}", **basic("shop"))

    undecided = set(stream.acknowledged)

    def all_decided() -> bool:
        undecided.difference_update(
            [each for each in undecided if trail(each)["state"] not in ("waiting", "sending", "in-doubt")]
        )
        return not undecided

    until(all_decided, what="every message to be decided")

    def arrived() -> Counter[tuple[str, str]]:
        return Counter((phone, entry["text"]) for phone in PHONES for entry in handsets.inbox(phone))

    assert not Counter(stream.acknowledged.values()) - arrived(), "an acknowledged text is on no phone"

    # Nothing but what was submitted is on any phone, and each on the phone it was for.
    sent_to = {f"text number {n}": PHONES[n % len(PHONES)] for n in range(1, stream.submitted + 1)}
    for phone, text in arrived():
        assert sent_to[text] == phone

    # What the network had taken when the process died, its receipts tell of afterwards; the rest is sent again. So each
    # came once, those too whose answer the client never saw.
    assert not [key for key, count in arrived().items() if count > 1]
    events = Counter(step["event"] for identity in stream.acknowledged for step in trail(identity)["steps"])
    assert events["doubt-settled"] + events["to-be-sent-again"] == events["in-doubt"]
