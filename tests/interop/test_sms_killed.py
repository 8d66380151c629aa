"""kill -9 in mid-stream: nothing that was acknowledged is lost, and no text reaches another phone."""

import os
import random
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from smpp_peers import PASSWORD, PHONES, Centre, Handsets, basic, get, started_centre, started_partner
from waiting import WAIT_SECONDS_MAX, until

from prikkfri.protocols.smpp.pdu import Status
from prikkfri.simulation.partners.quirks import Quirks

pytestmark = pytest.mark.slow

KILLS = 3
KILLS_BESIDE_PARTNER = int(os.environ.get("KILLS", "2"))
"""Of the test with a partner that leaves the book; KILLS=20 is what a release is judged by."""
WINDOW = 50
"""Of the link, as it is configured where nothing is said."""
LEAVES_THE_BOOK = Quirks(
    answer_form="without-nul",
    answer_seconds=0.02,
    refuse=0.002,
    refuse_status=Status.QUEUE_FULL,
    brings_reference=False,
    words={"DELIVERED": "delivrd"},
    error="00000",
)
"""Nothing tells what became of a doubt: what was on the wire at a kill is there, and nobody says so."""
OPEN = ("waiting", "sending", "in-doubt")


class Stream:
    """A client that submits as fast as it gets answers, over whatever connection it can get, until told to stop."""

    def __init__(self, centre: Centre, account: str = "shop") -> None:
        self.acknowledged: dict[str, tuple[str, str]] = {}
        self.submitted = 0
        self._account = account
        self._centre = centre
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def text(self, number: int) -> str:
        return f"text number {number} of {self._account}"

    def meant(self) -> dict[str, str]:
        """The phone that each text is for, of all that was ever submitted."""
        return {self.text(number): PHONES[number % len(PHONES)] for number in range(1, self.submitted + 1)}

    def __enter__(self) -> "Stream":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(WAIT_SECONDS_MAX)
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
                client.bind_transmitter(system_id=self._account, password=PASSWORD)
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
                message = (PHONES[self.submitted % len(PHONES)], self.text(self.submitted))
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

    until(all_decided, seconds_max=150, what="every message to be decided")

    def arrived() -> Counter[tuple[str, str]]:
        return Counter((phone, entry["text"]) for phone in PHONES for entry in handsets.inbox(phone))

    assert not Counter(stream.acknowledged.values()) - arrived(), "an acknowledged text is on no phone"

    # Nothing but what was submitted is on any phone, and each on the phone it was for.
    sent_to = stream.meant()
    for phone, text in arrived():
        assert sent_to[text] == phone

    # What the network had taken when the process died, its receipts tell of afterwards; the rest is sent again. So each
    # came once, those too whose answer the client never saw.
    assert not [key for key, count in arrived().items() if count > 1]
    events = Counter(step["event"] for identity in stream.acknowledged for step in trail(identity)["steps"])
    assert events["doubt-settled"] + events["to-be-sent-again"] == events["in-doubt"]


def test_a_partner_that_leaves_the_book_gets_at_most_the_open_window_twice(tmp_path: Path) -> None:
    """And only what an account that wants it sent again has in doubt, each listed."""
    lots = random.Random(11)
    with (
        started_partner(tmp_path, LEAVES_THE_BOOK) as partner,
        started_centre(tmp_path, link_port=partner.smpp_port, in_doubt_seconds=0.5) as centre,
    ):
        with Stream(centre) as shop, Stream(centre, "clinic") as clinic:
            for _ in range(KILLS_BESIDE_PARTNER):
                enough = len(shop.acknowledged) + 20 + lots.randrange(60)
                until(lambda enough=enough: len(shop.acknowledged) > enough, what="messages to flow")
                centre.process.kill()
                centre.process.start()
        centre.wait_until_linked()

        def rows(query: str) -> list[tuple[Any, ...]]:
            with closing(sqlite3.connect(f"file:{centre.home / 'sms.db'}?mode=ro", uri=True)) as database:
                return database.execute(query).fetchall()

        def states() -> Counter[str]:
            return Counter(dict(rows("SELECT state, COUNT(*) FROM sms_message GROUP BY state")))

        until(lambda: not states().keys() & set(OPEN), what="every message to be decided")
        came = Counter((each["phone"], each["text"]) for each in get(f"{partner.url}/deliveries"))
        again = Counter(row[0] for row in rows("SELECT message FROM sms_event WHERE event = 'to-be-sent-again'"))
        ended = dict(rows("SELECT id, state FROM sms_message"))

    for (phone, text), count in came.items():
        assert (shop.meant() | clinic.meant())[text] == phone
        assert count == 1 or text in shop.meant(), "what must not come twice did"
    doubled = {text: count - 1 for (_, text), count in came.items() if count > 1}
    assert sum(doubled.values()) <= again.total() <= KILLS_BESIDE_PARTNER * WINDOW

    lost = {identity: text for identity, (phone, text) in shop.acknowledged.items() if not came[phone, text]}
    assert not lost, "an acknowledged text is on no phone"
    for identity, (_, text) in shop.acknowledged.items():
        assert doubled.get(text, 0) <= again[identity], "what came twice is not listed as sent again"
    for identity, (phone, text) in clinic.acknowledged.items():
        assert came[phone, text] or ended[identity] == "unreported", "neither on its phone nor told as a doubt"
    told = Counter(ended[identity] for identity in clinic.acknowledged)
    print(
        f"{KILLS_BESIDE_PARTNER} kills: {len(shop.acknowledged) + len(clinic.acknowledged)} acknowledged,"
        f" lost {len(lost)}, doubled {sum(doubled.values())} of {again.total()} sent again,"
        f" reported as doubts {told['unreported']}"
    )
