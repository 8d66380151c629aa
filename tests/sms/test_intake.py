"""What a batch of events comes to: who is answered what, and what is stored of it."""

import hashlib
import os

import pytest
from msgspec import structs

from prikkfri.protocols.smpp.concatenation import Part, PartReferences, References
from prikkfri.protocols.smpp.pdu import NOTHING, Bind, Command, MessageResponse, ShortMessage, Status, Tag
from prikkfri.protocols.smpp.receipt import MessageState, Receipt
from prikkfri.protocols.smpp.session import (
    Event,
    PeerResponse,
    Request,
    ResponseTimeout,
    SessionEnd,
    UnreadableResponse,
)
from prikkfri.sms.addresses import Numbering
from prikkfri.sms.delivery import RefusalKind, Retry
from prikkfri.sms.intake import BatchContext, BatchResult, ReceiptDelivery, read_events
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.loops import TURNS_MAX
from prikkfri.sms.messages import DueReceipt, Message
from prikkfri.sms.outcomes import Partners
from prikkfri.sms.routing import Party, Routes
from prikkfri.sms.sealing import Sealer
from prikkfri.sms.submission import Rules, TokenBucket
from prikkfri.sms.trail import Step

NOW = 1_700_000_000.0
PARTNERS = Partners({"nord": "Fjordmobil"})
NORD = Party("link", "nord")
SHOP = Party("account", "shop")
ROUTES = Routes({"2010": SHOP}, {"47": (NORD.name,)}, 2)
SEALER = Sealer(os.urandom)
FOR_NOW = {
    Status.SYSTEM_ERROR: 0x08,
    Status.QUEUE_FULL: 0x14,
    Status.TEMPORARY_APPLICATION_ERROR: 0x64,
    Status.INVALID_BIND_STATUS: 0x04,
}
"""Refusals that say nothing of the message itself: it is tried again."""
FOR_GOOD = (0x01, 0x0A, 0x0B, 0x43, 0x45, 0x65, 0xFE, 0x400)


class Entropy:
    """Octets that never come twice."""

    def __init__(self) -> None:
        self.drawn: list[bytes] = []

    def __call__(self, octets: int) -> bytes:
        self.drawn.append(hashlib.shake_256(len(self.drawn).to_bytes(8)).digest(octets))
        return self.drawn[-1]

    def gave(self, octets: bytes) -> bool:
        return any(octets in each for each in self.drawn)


def given(party: Party = SHOP, **rules: object) -> BatchContext:
    return BatchContext(Rules(party, ROUTES, **rules), SEALER, PARTNERS, Entropy(), NOW, lambda party: False)


def read(*events: Event | ReceiptDelivery, by: BatchContext | None = None, tokens: float = 100.0) -> BatchResult:
    return read_events(events, TokenBucket(tokens, NOW), by or given())


def submitted(sequence: int = 1, command: Command = Command.SUBMIT_SM, **fields: object) -> Request:
    message = ShortMessage(**{"source": "Shop", "destination": "4790000001", "octets": b"hei", **fields})
    return Request(command, sequence, message)


def stored(**fields: object) -> Message:
    """A message of ours that went to a link."""
    [message] = read(submitted()).messages
    return structs.replace(message, **{"attempts": 1, **fields})


RECEIPT = DueReceipt("id-1", "Shop", "4790000001", 2, NOW - 60, NOW - 1)


def test_each_message_of_a_batch_is_answered_with_its_own_id_and_holds_its_own_text() -> None:
    requests = [submitted(n, destination=f"479000000{n}", octets=b"code %d" % n) for n in range(1, 6)]
    requests.insert(2, submitted(9, destination="nobody"))
    intake = read(*requests)
    assert [request for request, _, _ in intake.answers] == requests
    by_id = {message.id: message for message in intake.messages}
    assert len(by_id) == len(intake.messages) == 5
    for request, status, body in intake.answers:
        if request.sequence == 9:
            assert (status, body) == (Status.INVALID_DESTINATION, MessageResponse(""))
            continue
        message = by_id[body.message_id]
        assert status == Status.OK
        assert message.recipient == request.body.destination
        assert SEALER.open(message.sealed, message.binding).octets == request.body.octets
    assert intake.refused == 1


def test_no_nonce_is_ever_used_twice() -> None:
    """Two texts under one nonce of AES-GCM tell each other's letters, and let anybody forge a third."""
    by = given()
    long = {"octets": b"", "tlvs": ((Tag.MESSAGE_PAYLOAD, b"x" * 1_000),)}
    intake = read(submitted(1, **long), submitted(2), submitted(3, **long), by=by)
    nonces = [message.sealed[1:13] for message in intake.messages]
    assert len(nonces) == 7 + 1 + 7
    assert len(set(nonces)) == len(nonces)
    assert all(by.entropy.gave(nonce) for nonce in nonces)  # what is random, and nothing made from it
    told = [bytes.fromhex(body.message_id[11:]) for _, _, body in intake.answers]
    assert not any(identity in nonce for identity in told for nonce in nonces)
    texts = [SEALER.open(message.sealed, message.binding).octets for message in intake.messages[:7]]
    assert b"".join(text[6:] for text in texts) == b"x" * 1_000
    # Two texts under one reference would be mixed by the phone that puts them together.
    last = SEALER.open(intake.messages[8].sealed, intake.messages[8].binding).octets
    assert len({text[3] for text in texts}) == 1
    assert last[3] != texts[0][3]
    assert {message.submission for message in intake.messages[:7]} == {intake.answers[0][2].message_id}


def test_parts_of_two_accounts_with_one_name_have_references_that_follow_each_other() -> None:
    by, long = given(), {"octets": b"", "tlvs": ((Tag.MESSAGE_PAYLOAD, b"x" * 161),)}
    other = structs.replace(given(Party("account", "clinic")), references=by.references)
    found = [read(submitted(n, **long), by=who).messages[0] for n, who in enumerate((by, other, by, other), 1)]
    marks = [SEALER.open(message.sealed, message.binding).octets[3] for message in found]
    assert marks == [marks[0] + n for n in range(4)]


def test_ids_tell_the_time_and_cannot_be_guessed() -> None:
    by = given()
    intake = read(submitted(1), submitted(2), by=by)
    ids = [body.message_id for _, _, body in intake.answers]
    assert [identity[:11] for identity in ids] == [f"{int(NOW * 1000):011x}"] * 2
    assert len(set(ids)) == 2
    for identity in ids:
        assert by.entropy.gave(bytes.fromhex(identity[11:]))
        assert len(identity[11:]) == 2 * 5


def test_what_is_taken_on_and_what_is_refused_are_outcomes() -> None:
    intake = read(submitted(1), submitted(2, source=""), by=given(message_class="log-in-code"))
    told = [(o.step, o.verdict, o.reason, o.promise, o.layer, o.time) for o in intake.outcomes]
    identity = intake.answers[0][2].message_id
    assert told == [
        ("submit", "kept", "", "", "sms-centre", NOW),
        ("submit", "broken", "bad-sender", "", "sms-centre", NOW),
        ("deliver", "asked", "", identity, "sms-centre", NOW),
    ]
    assert {o.dimensions["class"] for o in intake.outcomes} == {"log-in-code"}
    assert intake.outcomes[0].dimensions["account"] == intake.outcomes[2].dimensions["account"] == "shop"
    assert intake.outcomes[2].device == "+4790000001"


def test_what_is_taken_on_was_asked_at_its_time_and_of_whoever_takes_it() -> None:
    intake = read(submitted(1), submitted(2))
    assert intake.messages[1].accepted_at > NOW, "its place in the order is ahead"
    assert [o.time for o in intake.outcomes if o.step == "deliver"] == [NOW, NOW]
    by = structs.replace(given(NORD), is_away={"account:shop"}.__contains__)
    [away] = [o for o in read(submitted(destination="2010"), by=by).outcomes if o.step == "deliver"]
    assert (away.layer, away.reason, away.time) == ("account", "account-not-bound", NOW)


def test_the_same_from_a_network_to_a_network_goes_a_few_times_and_then_it_is_a_loop() -> None:
    by = structs.replace(given(NORD), rules=Rules(NORD, Routes({"2010": SHOP}, {"47": ("syd",)}, 2)))
    again = [submitted(n, Command.DELIVER_SM, source="4690000001") for n in range(TURNS_MAX + 2)]
    intake = read(*again, by=by)
    assert [status for _, status, _ in intake.answers] == [Status.OK] * TURNS_MAX + [Status.INVALID_DESTINATION] * 2
    assert (intake.turned_back, intake.refused, len(intake.messages)) == (["loop"] * 2, 2, TURNS_MAX)
    # What ends here, or begins here, does so as often as it likes; and who is refused otherwise is not turned back.
    for who, recipient in ((by, "2010"), (given(SHOP), "4790000001")):
        assert read(*(submitted(n, destination=recipient) for n in range(TURNS_MAX + 2)), by=who).refused == 0
    nowhere = read(submitted(destination="nobody"), by=by)
    assert (nowhere.refused, nowhere.turned_back) == (1, [])


def test_a_link_that_writes_the_low_octet_first_is_read_so() -> None:
    for little, octets in ((True, b"h\0e\0i\0"), (False, b"\0h\0e\0i")):
        [message] = read(submitted(octets=octets, data_coding=8), by=given(NORD, ucs2_little=little)).messages
        assert message.sealed is not None
        assert SEALER.open(message.sealed, message.binding).octets == b"\0h\0e\0i"


def test_who_is_too_fast_is_told_so_and_nothing_is_kept() -> None:
    by = given(throughput_per_second_max=2.0)
    intake = read(*(submitted(n) for n in range(1, 5)), by=by, tokens=2.0)
    assert [status for _, status, _ in intake.answers] == [Status.OK, Status.OK, Status.THROTTLED, Status.THROTTLED]
    assert [body.message_id for _, _, body in intake.answers[2:]] == ["", ""]
    assert len(intake.messages) == intake.refused == 2
    assert [o.reason for o in intake.outcomes if o.step == "submit"] == ["", "", "throttled", "throttled"]
    assert intake.throttled is False  # the party is throttled; it has not asked us to be
    later = structs.replace(by, now=NOW + 0.5)
    assert read_events([submitted(5)], intake.bucket, later).answers[0][1] == Status.OK
    assert read_events([submitted(5)], intake.bucket, structs.replace(by, now=NOW + 0.4)).refused == 1


def test_a_refused_message_takes_a_token_as_one_taken_on_does() -> None:
    intake = read(submitted(1, destination="nobody"), submitted(2), by=given(throughput_per_second_max=1.0), tokens=1.0)
    assert [status for _, status, _ in intake.answers] == [Status.INVALID_DESTINATION, Status.THROTTLED]


def test_the_network_takes_a_message_and_gives_it_an_id() -> None:
    message = stored()
    intake = read(PeerResponse(message, Status.OK, MessageResponse("net-1")), by=given(NORD))
    assert intake.sent == [(message.id, "net-1")]
    [outcome] = intake.outcomes
    assert (outcome.step, outcome.layer, outcome.verdict, outcome.reason) == ("deliver", "link", "asked", "")
    assert outcome.promise == message.submission
    assert outcome.dimensions == {
        "class": "ordinary",
        "account": "shop",
        "link": "nord",
        "partner": "Fjordmobil",
        "direction": "out",
    }
    assert (intake.ended, intake.put_off, intake.in_doubt, intake.answers, intake.events) == ([], [], [], [], [])
    assert read(PeerResponse(message, Status.OK, NOTHING), by=given(NORD)).sent == [(message.id, "")]


def test_what_is_told_late_of_one_copy_is_kept_apart_from_what_is_told_of_the_next() -> None:
    first, second = stored(target="link:nord", attempted_at=10.0), stored(target="link:nord", attempted_at=90.0)
    late = PeerResponse(first, Status.QUEUE_FULL, MessageResponse(), late=True)
    intake = read(late, PeerResponse(second, Status.QUEUE_FULL, MessageResponse()), by=given(NORD))
    assert [len(intake.late.put_off), len(intake.put_off)] == [1, 1]
    assert (intake.late_claims, intake.taken_late) == ({first.id: 10.0}, set())
    taken = read(PeerResponse(first, Status.OK, MessageResponse("net-1"), late=True), by=given(NORD))
    assert (taken.late.sent, taken.sent, taken.taken_late) == ([(first.id, "net-1")], [], {first.id})
    to_account = stored(target="account:shop")
    delivered = read(PeerResponse(to_account, Status.OK, MessageResponse(), late=True))
    assert (delivered.ended, delivered.taken_late) == ([], {to_account.id})


def test_an_account_that_takes_a_message_has_it() -> None:
    message = stored(target="account:shop", recipient="2010")
    intake = read(PeerResponse(message, Status.OK, MessageResponse()))
    assert intake.ended == [(message.id, DeliveryState.DELIVERED, "")]
    assert (intake.sent, intake.outcomes) == ([], [])


def test_a_canary_is_nobodys_message() -> None:
    canary = stored(origin="canary:nord")
    for event in (PeerResponse(canary, Status.OK, MessageResponse("net-1")), ResponseTimeout(canary)):
        intake = read(event, by=given(NORD))
        assert intake.outcomes == []
        assert intake.sent == [(canary.id, "net-1")] or intake.in_doubt == [canary.id]


@pytest.mark.parametrize("status", FOR_NOW, ids=lambda status: status.name)
def test_a_refusal_for_now_puts_a_message_off(status: Status) -> None:
    assert status == FOR_NOW[status]
    for attempts in range(1, 12):
        message = stored(attempts=attempts)
        intake = read(PeerResponse(message, status, MessageResponse("net-1")), by=given(NORD))
        reason = f"smpp-{FOR_NOW[status]:02x}"
        pause = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0)[min(attempts, 7) - 1]
        assert intake.put_off == [(message.id, Retry(NOW + pause, reason))]
        assert intake.events == [(message.id, Step(NOW, "refused-for-now", reason))]
        assert (intake.sent, intake.ended, intake.in_doubt, intake.outcomes) == ([], [], [], [])
        assert (intake.throttled, intake.taken) == (False, 0)


def test_what_came_too_fast_has_lost_neither_an_attempt_nor_its_place() -> None:
    message = stored(attempts=7, due_at=NOW - 99)
    intake = read(PeerResponse(message, Status.THROTTLED, MessageResponse()), by=given(NORD))
    assert intake.put_off == [(message.id, Retry(NOW - 99, "smpp-58", is_attempt=False))]
    assert intake.events == [(message.id, Step(NOW, "refused-for-now", "smpp-58"))]
    assert (intake.sent, intake.ended, intake.in_doubt, intake.outcomes) == ([], [], [], [])
    assert intake.throttled is True
    receipt = read(*(PeerResponse(RECEIPT, status, MessageResponse()) for status in (Status.THROTTLED, 0x08)))
    assert (receipt.throttled, receipt.receipts_put_off, receipt.receipts_given) == (True, ["id-1"] * 2, [])


def test_a_party_may_mean_something_else_by_a_status() -> None:
    meant = {0x45: RefusalKind.FOR_NOW, 0x400: RefusalKind.THROTTLED, 0x08: RefusalKind.FOR_GOOD}
    by = structs.replace(given(NORD), refusals=meant)
    message = stored(due_at=NOW - 99)
    assert read(PeerResponse(message, 0x45, MessageResponse()), by=by).put_off == [
        (message.id, Retry(NOW + 1.0, "smpp-45"))
    ]
    too_fast = read(PeerResponse(message, 0x400, MessageResponse()), by=by)
    assert too_fast.put_off == [(message.id, Retry(NOW - 99, "smpp-400", is_attempt=False))]
    assert too_fast.throttled is True
    assert read(PeerResponse(message, 0x08, MessageResponse()), by=by).ended == [
        (message.id, DeliveryState.REJECTED, "smpp-08")
    ]
    assert read(PeerResponse(RECEIPT, 0x400, MessageResponse()), by=by).throttled is True
    assert read(PeerResponse(RECEIPT, 0x45, MessageResponse()), by=by).receipts_put_off == ["id-1"]
    assert read(PeerResponse(RECEIPT, 0x08, MessageResponse()), by=by).receipts_given == ["id-1"]


def test_it_is_counted_how_many_a_party_took() -> None:
    answers = [PeerResponse(each, Status.OK, MessageResponse("n")) for each in (stored(), RECEIPT, stored(id="other"))]
    assert read(*answers, by=given(NORD)).taken == 3
    assert read(PeerResponse(stored(), Status.SYSTEM_ERROR, MessageResponse()), by=given(NORD)).taken == 0


def test_one_refusal_among_others_slows_the_whole_link() -> None:
    events = [PeerResponse(stored(), status, MessageResponse()) for status in (0, Status.THROTTLED, Status.QUEUE_FULL)]
    assert read(*events, by=given(NORD)).throttled is True


@pytest.mark.parametrize("status", FOR_GOOD)
def test_a_refusal_for_good_ends_a_message(status: int) -> None:
    message = stored()
    intake = read(PeerResponse(message, status, MessageResponse()), by=given(NORD))
    assert intake.ended == [(message.id, DeliveryState.REJECTED, f"smpp-{status:02x}")]
    assert (intake.sent, intake.put_off, intake.in_doubt, intake.outcomes) == ([], [], [], [])
    assert intake.throttled is False


def test_a_receipt_that_was_taken_is_not_offered_again() -> None:
    intake = read(PeerResponse(RECEIPT, Status.OK, MessageResponse()))
    assert (intake.receipts_given, intake.receipts_put_off, intake.events) == (["id-1"], [], [])


@pytest.mark.parametrize("status", FOR_NOW, ids=lambda status: status.name)
def test_a_receipt_refused_for_now_is_offered_again(status: Status) -> None:
    intake = read(PeerResponse(RECEIPT, status, MessageResponse()))
    assert (intake.receipts_given, intake.receipts_put_off, intake.events) == ([], ["id-1"], [])


@pytest.mark.parametrize("status", FOR_GOOD)
def test_a_receipt_that_the_account_refuses_for_good_is_not_offered_for_ever(status: int) -> None:
    intake = read(PeerResponse(RECEIPT, status, MessageResponse()))
    assert (intake.receipts_given, intake.receipts_put_off) == (["id-1"], [])
    assert intake.events == [("id-1", Step(NOW, "receipt-refused", f"smpp-{status:02x}"))]


def test_what_is_unanswered_is_in_doubt_and_receipts_are_told_again() -> None:
    message = stored()
    intake = read(ResponseTimeout(message), ResponseTimeout(RECEIPT), by=given(NORD))
    assert intake.in_doubt == [message.id]
    assert intake.events == [(message.id, Step(NOW, "in-doubt", "no answer in time"))]
    assert (intake.receipts_put_off, intake.receipts_given) == (["id-1"], [])
    [outcome] = intake.outcomes
    assert (outcome.verdict, outcome.layer, outcome.reason) == ("asked", "link", "in-doubt")
    assert (intake.sent, intake.put_off, intake.ended) == ([], [], [])


def test_of_an_answer_that_cannot_be_read_its_own_message_is_in_doubt_and_no_other() -> None:
    first, second = stored(), stored(id="other")
    events = [
        UnreadableResponse(first),
        PeerResponse(second, Status.OK, MessageResponse("net-2")),
        UnreadableResponse(RECEIPT),
    ]
    intake = read(*events, by=given(NORD))
    assert intake.in_doubt == [first.id]
    assert intake.events == [(first.id, Step(NOW, "in-doubt", "an answer that cannot be read"))]
    assert intake.sent == [("other", "net-2")]
    assert intake.receipts_put_off == ["id-1"]
    assert intake.over is None
    assert [outcome.reason for outcome in intake.outcomes] == ["in-doubt", ""]


def test_what_is_unanswered_at_the_end_is_in_doubt_for_the_reason_of_the_end() -> None:
    first, second = stored(), stored(id="other", target="account:shop")
    over = SessionEnd("connection lost", (first, RECEIPT, second, None))
    intake = read(over, by=given(NORD))
    assert intake.over is over
    assert intake.in_doubt == [first.id, "other"]
    assert intake.events == [(identity, Step(NOW, "in-doubt", "connection lost")) for identity in (first.id, "other")]
    assert intake.receipts_put_off == ["id-1"]
    assert [outcome.promise for outcome in intake.outcomes] == [first.submission]  # an account is no network


def test_the_first_without_an_answer_may_be_why_the_peer_has_ended_the_session_and_twice_is_enough() -> None:
    first, second = stored(), stored(id="other")
    for reason in ("connection lost", "command_length out of bounds"):
        intake = read(SessionEnd(reason, (first, second)), by=given(NORD))
        assert (intake.in_doubt, intake.ended_session, intake.ended) == ([first.id, "other"], [first.id], [])
        again = structs.replace(first, sessions_ended=1)
        intake = read(SessionEnd(reason, (again, second)), by=given(NORD))
        assert intake.ended == [(first.id, DeliveryState.QUARANTINED, "ended-its-session-twice")]
        assert (intake.in_doubt, intake.ended_session) == (["other"], [])
        assert [outcome.promise for outcome in intake.outcomes] == [first.submission, second.submission]
        # It stands behind another, which may be why.
        intake = read(SessionEnd(reason, (second, again)), by=given(NORD))
        assert (intake.in_doubt, intake.ended_session, intake.ended) == (["other", first.id], ["other"], [])
        intake = read(SessionEnd(reason, (RECEIPT, again)), by=given(NORD))
        assert (intake.in_doubt, intake.ended_session, intake.ended) == ([first.id], [], [])
    for reason in ("no answer to enquire_link", "unbound", "the centre stops", "closed"):
        intake = read(SessionEnd(reason, (again, second)), by=given(NORD))
        assert (intake.in_doubt, intake.ended_session, intake.ended) == ([first.id, "other"], [], [])
    assert read(ResponseTimeout(again), by=given(NORD)).in_doubt == [first.id]


def told_by(octets: bytes, source: str = "4790000001", **fields: object) -> Request:
    return Request(
        Command.DELIVER_SM, 7, ShortMessage(**{"source": source, "destination": "Shop", "octets": octets, **fields})
    )


def test_a_receipt_settles_nothing_before_it_is_stored() -> None:
    reference = ((Tag.USER_MESSAGE_REFERENCE, b"\x01\x02"),)
    request = told_by(b"id:net-1 stat:UNDELIV err:042", source="+4790000001", esm_class=0x04, tlvs=reference)
    intake = read(request, by=given(NORD))
    assert intake.told == [
        ReceiptDelivery(request, Receipt("net-1", MessageState.UNDELIVERABLE, "042"), "+4790000001", "Shop", 0x0102)
    ]
    assert (intake.answers, intake.messages, intake.outcomes, intake.ended) == ([], [], [], [])
    for tlvs in ((), ((Tag.USER_MESSAGE_REFERENCE, b""),)):
        [told] = read(told_by(b"id:1 stat:DELIVRD", source="Shop", esm_class=4, tlvs=tlvs), by=given(NORD)).told
        assert (told.reference, told.recipient) == (None, "Shop")


@pytest.mark.parametrize("word", ["ENROUTE", "ACCEPTD"])
def test_a_message_still_on_its_way_is_noted_and_settles_nothing(word: str) -> None:
    request = told_by(f"id:net-1 stat:{word}".encode(), esm_class=0x04)
    intake = read(request, by=given(NORD))
    assert intake.answers == [(request, Status.OK, MessageResponse())]
    assert intake.told == []


def test_a_receipt_is_one_by_data_sm_too_and_whatever_its_type() -> None:
    text = b"id:net-1 sub:001 dlvrd:001 stat:DELIVERED err:000 text:hei"
    for command in (Command.DELIVER_SM, Command.DATA_SM):
        for fields in ({"octets": text}, {"tlvs": ((Tag.MESSAGE_PAYLOAD, text),)}):
            request = Request(command, 7, ShortMessage(source="4790000001", destination="Shop", **fields))
            intake = read(request, by=given(NORD))
            assert [told.receipt for told in intake.told] == [Receipt("net-1", MessageState.DELIVERED)]
            assert (intake.answers, intake.messages) == ([], [])
            # Without the network's mark it may be written by hand: what its writer chose counts for nothing.
            assert [(told.recipient, told.sender) for told in intake.told] == [("4790000001", "")]
    # What an account hands in is a message.
    assert len(read(submitted(octets=text)).messages) == 1


def test_a_word_that_nobody_knows_is_kept_and_settles_nothing() -> None:
    requests = [told_by(b"id:net-1 stat:%b" % word, esm_class=0x04) for word in (b"Foo", b"ENROUTE", b"BAR")]
    intake = read(*requests, by=given(NORD))
    assert [(told.request, told.receipt.state, told.receipt.word) for told in intake.told] == [
        (requests[0], None, "Foo"),
        (requests[2], None, "BAR"),
    ]
    assert [receipt.word for receipt in intake.receipts] == ["Foo", "", "BAR"]
    assert [(request, status) for request, status, _ in intake.answers] == [(requests[1], Status.OK)]
    assert (intake.messages, intake.ended, intake.refused, intake.receipts_unnamed) == ([], [], 0, 0)


def test_a_receipt_that_names_no_message_is_refused_for_good() -> None:
    request = told_by(b"stat:DELIVRD", esm_class=0x04)
    intake = read(request, by=given(NORD))
    assert intake.answers == [(request, Status.PERMANENT_APPLICATION_ERROR, MessageResponse())]
    assert (intake.told, intake.messages, intake.receipts, intake.receipts_unnamed) == ([], [], [], 1)
    assert read(request, request, by=given(NORD)).receipts_unnamed == 2


def test_a_receipt_keeps_the_numbers_as_they_are_written_on_either_side() -> None:
    """A partner abroad writes its own country's numbers without the code: nobody here can say which country that is."""
    by, text = given(NORD, numbering=Numbering("NO")), b"id:net-1 stat:DELIVRD"
    [plain] = read(told_by(text, source="20616789", esm_class=0x04), by=by).told
    [swapped] = read(told_by(text, source="Shop", destination="20616789", esm_class=0x04), by=by).told
    assert [(told.recipient, told.sender) for told in (plain, swapped)] == [("20616789", "Shop"), ("Shop", "20616789")]


def parts_of(octets: bytes) -> ShortMessage:
    return ShortMessage("Shop", "+4790000001", octets, esm_class=0x40, source_ton=5)


def test_parts_of_two_accounts_in_one_name_bear_different_references_to_one_phone() -> None:
    known = PartReferences()

    def reference_of(account: str, octets: bytes, recipient: str = "+4790000001") -> int:
        by = structs.replace(given(Party("account", account)), part_references=known)
        message = structs.replace(parts_of(octets), destination=recipient)
        [taken] = read(Request(Command.SUBMIT_SM, 7, message), by=by).messages
        assert taken.sealed is not None
        found = SEALER.open(taken.sealed, taken.binding).octets
        assert found[:3] + found[4:] == octets[:3] + octets[4:]
        return found[3]

    assert reference_of("shop", b"\5\0\3\7\2\1one") == 7
    assert reference_of("bank", b"\5\0\3\7\2\1two") == 8
    assert reference_of("shop", b"\5\0\3\7\2\2one") == 7
    assert reference_of("bank", b"\5\0\3\7\2\2two") == 8
    assert reference_of("bank", b"\5\0\3\7\2\1two", "+4790000002") == 7
    # What comes from a phone is that phone's to count, and takes nothing from anybody.
    by = structs.replace(given(NORD), part_references=known)
    assert known.of("bank", "Shop", "2010", Part(7, 2, 1), NOW) == 7
    phones = structs.replace(parts_of(b"\5\0\3\7\2\1one"), destination="2010")
    [taken] = read(Request(Command.DELIVER_SM, 7, phones), by=by).messages
    assert taken.sealed is not None and SEALER.open(taken.sealed, taken.binding).octets[3] == 7


def test_a_text_that_we_cut_takes_no_reference_that_another_has() -> None:
    known = PartReferences()
    assert known.of("bank", "Shop", "4790000001", Part(12, 2, 1), NOW) == 12
    drawn = References()
    drawn.recover({References.slot("Shop", "4790000001"): 11})
    by = structs.replace(given(SHOP), part_references=known, references=drawn)
    long = ShortMessage("Shop", "+4790000001", b"x" * 161, source_ton=5)
    messages = read(Request(Command.SUBMIT_SM, 7, long), by=by).messages
    found = {SEALER.open(each.sealed, each.binding).octets[3] for each in messages if each.sealed}
    assert (len(messages), found) == (2, {13})
    assert known.of("bank", "Shop", "4790000001", Part(13, 2, 1), NOW) == 14


def test_while_it_is_not_known_what_is_taken_a_part_is_two_messages_under_a_reference_of_16_bits() -> None:
    """As when nobody knows which references a lost history has used; one submission with one id all the same."""
    known = PartReferences()
    known.set_apart(3, until=NOW + 1.0)
    by = structs.replace(given(SHOP), part_references=known)
    [event] = [Request(Command.SUBMIT_SM, 7, parts_of(b"\5\0\3\7\2\1" + b"x" * 153))]
    intake = read(event, by=by)
    found = [SEALER.open(each.sealed, each.binding) for each in intake.messages if each.sealed]
    assert [each.octets for each in found] == [
        b"\6\x08\4\3\7\4\1" + b"x" * 76, b"\6\x08\4\3\7\4\2" + b"x" * 77
    ]  # fmt: skip
    assert {each.esm_class for each in found} == {0x40}
    assert {(each.submission, each.parts) for each in intake.messages} == {(intake.messages[0].id, 2)}
    assert intake.answers == [(event, Status.OK, MessageResponse(intake.messages[0].id))]
    assert len({bytes(each.sealed[:12]) for each in intake.messages if each.sealed}) == 2
    # What we cut ourselves has as many parts as need be.
    for length, rooms in ((161, [152, 9]), (304, [152, 152])):
        long = ShortMessage("Shop", "+4790000001", b"x" * length, source_ton=5)
        messages = read(Request(Command.SUBMIT_SM, 7, long), by=by).messages
        octets = [SEALER.open(each.sealed, each.binding).octets for each in messages if each.sealed]
        assert [len(each) - 7 for each in octets] == rooms
        assert {each[:4] for each in octets} == {b"\6\x08\4\3"}
    # A part that comes in message_payload, and one that is too long in any case.
    late = structs.replace(parts_of(b""), tlvs=((Tag.MESSAGE_PAYLOAD, b"\5\0\3\7\2\2yy"),))
    [one, two] = read(Request(Command.SUBMIT_SM, 7, late), by=by).messages
    assert one.sealed and two.sealed
    assert SEALER.open(one.sealed, one.binding).octets == b"\6\x08\4\3\7\4\3yy"
    assert SEALER.open(two.sealed, two.binding).octets == b"\6\x08\4\3\7\4\4"
    long = structs.replace(late, tlvs=((Tag.MESSAGE_PAYLOAD, b"\5\0\3\x09\2\2" + b"y" * 249),))
    [(_, status, _)] = read(Request(Command.SUBMIT_SM, 7, long), by=by).answers
    assert status == Status.INVALID_MESSAGE_LENGTH


ESM_CLASSES = [0x00, 0x01, 0x08, 0x10, 0x18, 0x0C, 0x14, 0x24, 0x3C, 0x80]


@pytest.mark.parametrize("esm_class", ESM_CLASSES)
@pytest.mark.parametrize("text", [b"id:net-1 stat:DELIVRD", b"See id:net-1 sub:001 dlvrd:001 stat:DELIVRD err:000",
                                  b"id:net-1 text:sub:001 dlvrd:001 stat:DELIVRD err:000"])  # fmt: skip
def test_a_persons_text_is_not_taken_for_a_receipt(text: bytes, esm_class: int) -> None:
    request = Request(Command.DELIVER_SM, 7, ShortMessage("4790000001", "2010", text, esm_class=esm_class))
    intake = read(request, by=given(NORD))
    assert intake.told == []
    [message] = intake.messages
    assert (message.recipient, message.target, message.origin) == ("2010", "account:shop", "link:nord")
    assert intake.answers == [(request, Status.OK, MessageResponse(message.id))]


@pytest.mark.parametrize("esm_class", ESM_CLASSES)
def test_what_is_all_a_receipt_but_its_mark_goes_to_no_phone_and_tells_of_its_own_number_alone(esm_class: int) -> None:
    """Partners leave the mark out. Who writes such a thing by hand can tell of messages to that very phone, no more."""
    text = b"id:net-1 sub:001 dlvrd:001 stat:DELIVRD err:000"
    request = Request(Command.DELIVER_SM, 7, ShortMessage("4790000001", "2010", text, esm_class=esm_class))
    intake = read(request, by=given(NORD))
    [told] = intake.told
    assert (told.receipt.message_id, told.recipient) == ("net-1", "4790000001")
    assert (intake.messages, intake.answers) == ([], [])


def test_an_account_cannot_write_a_receipt() -> None:
    intake = read(submitted(esm_class=0x04, octets=b"id:net-1 stat:DELIVRD"))
    assert intake.told == []
    [message] = intake.messages
    assert SEALER.open(message.sealed, message.binding).esm_class == 0


def test_a_goodbye_is_kept_for_last_and_a_second_bind_refused() -> None:
    unbind, bind = Request(Command.UNBIND, 5, NOTHING), Request(Command.BIND_TRANSCEIVER, 6, Bind())
    intake = read(unbind, bind, submitted(7))
    assert intake.unbind is unbind
    assert [(request.sequence, status) for request, status, _ in intake.answers] == [
        (6, Status.ALREADY_BOUND),
        (7, Status.OK),
    ]
    assert intake.over is None
    assert read(bind).unbind is None


def test_nothing_comes_of_nothing() -> None:
    assert read() == BatchResult(TokenBucket(100.0, NOW))
