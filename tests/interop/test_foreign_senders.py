"""Every text through three foreign clients to the right phone, letter for letter, and its receipt back to them.

Each client encodes by its own tables and cuts long texts in its own way: smpplib with user data headers, node-smpp in
message_payload, Net::SMPP with the sar_ parameters (and Perl's own Encode).
"""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from smpp_peers import PASSWORD, PHONES, Centre, Handsets, need_node_modules
from waiting import WAIT_SECONDS_MAX, until

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
DELIVERED = 2
OWN_TEXTS = [
    "Middagskassen kommer mellom 16 og 18.",
    "Basic table: @£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ ¤¡ÄÖÑÜ§¿äöñüà",
    "Extension table: ^{}\\[~]|€",
    "line one\nline two\r\nline three",
    "blåbærsyltetøy på brødskiva ç ã ő",
    "emoji 😀 👩‍👩‍👧‍👦 🇳🇴 🏳️‍🌈",
    "combining e\u0301 a\u030a o\u0308 \u0915\u094d\u0937",
    "سلام 你好 Привет ελληνικά",
    "backtick ` and tab \t",
    " space before and after ",
    "a",
]
# From one part to ten, in each alphabet, with a pair at every place where a part may end.
LONG_TEXTS = [
    *("€" * letters for letters in (80, 81, 153, 154, 400)),
    *("x" * (150 + shift) + "[€]" * 20 for shift in range(6)),
    *("é😀" * letters for letters in (23, 24, 45, 100)),
    *("z" * 66 + "😀" * 3 + "z" * shift for shift in range(4)),
    *(f"{parts} parts " + "0123456789" * (14 * parts) for parts in range(1, 11)),
    *(f"{parts} deler ж" + "абвгд" * (12 * parts) for parts in range(1, 11)),
]


class Sent(NamedTuple):
    accepted: list[list[str]]
    """The ids of each message's parts."""
    receipts: dict[str, int]
    """The state that each id's receipt told."""


@pytest.fixture(params=["ours", "shared"])
def texts(request: pytest.FixtureRequest) -> list[str]:
    """Texts that we wrote for it, and those that people really sent (skipped where they are missing)."""
    if request.param == "ours":
        return OWN_TEXTS + LONG_TEXTS
    folder: Path = request.getfixturevalue("shared_data")
    return [line for line in (folder / "sms-texts.txt").read_text(encoding="utf-8").split("\n") if line]


def by_smpplib(port: int, messages: list[tuple[str, str]]) -> Sent:
    import smpplib.client
    import smpplib.consts
    import smpplib.gsm

    client = smpplib.client.Client("127.0.0.1", port, timeout=WAIT_SECONDS_MAX, allow_unknown_opt_params=True)
    number_of: dict[int, int] = {}
    accepted: list[list[str]] = [[] for _ in messages]
    receipts: dict[str, int] = {}

    def received(pdu: Any) -> int:
        receipts[pdu.receipted_message_id.decode().rstrip("\0")] = pdu.message_state
        return 0

    def sent(pdu: Any) -> None:
        accepted[number_of.pop(pdu.sequence)].append(pdu.message_id.decode())

    client.set_message_received_handler(received)
    client.set_message_sent_handler(sent)
    client.connect()
    client.bind_transceiver(system_id="shop", password=PASSWORD)
    for number, (to, text) in enumerate(messages):
        # smpplib's GSM table has grave accents where it has no letter, and an escape without its table.
        unsound = set("`\x1b§") & set(text)
        coding = smpplib.consts.SMPP_ENCODING_ISO10646 if unsound else smpplib.consts.SMPP_ENCODING_DEFAULT
        parts, coding, esm_class = smpplib.gsm.make_parts(text, coding)
        for part in parts:
            pdu = client.send_message(
                source_addr_ton=5,
                source_addr="Python",
                dest_addr_ton=1,
                dest_addr_npi=1,
                destination_addr=to,
                short_message=part,
                data_coding=coding,
                esm_class=esm_class,
                registered_delivery=1,
            )
            number_of[pdu.sequence] = number
        while len(number_of) > 20:
            client.read_once()
    while number_of or sum(map(len, accepted)) > len(receipts):
        client.read_once()
    client.unbind()
    client.disconnect()
    return Sent(accepted, receipts)


def by_script(command: list[str], port: int, messages: list[tuple[str, str]]) -> Sent:
    order = {
        "port": port,
        "system_id": "shop",
        "password": PASSWORD,
        "messages": [{"to": to, "text": text} for to, text in messages],
    }
    done = subprocess.run(command, input=json.dumps(order).encode(), capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode()
    saw = json.loads(done.stdout)
    accepted = [ids if isinstance(ids, list) else [ids] for ids in saw["accepted"]]
    for receipt in saw["receipts"].values():
        assert "stat:DELIVRD" in receipt["text"]
    return Sent(accepted, {identity: receipt["state"] for identity, receipt in saw["receipts"].items()})


def by_node(port: int, messages: list[tuple[str, str]]) -> Sent:
    need_node_modules()
    return by_script(["node", str(HERE / "send.mjs")], port, messages)


def by_perl(port: int, messages: list[tuple[str, str]]) -> Sent:
    if not shutil.which("perl") or subprocess.run(["perl", "-MNet::SMPP", "-e", "1"], capture_output=True).returncode:
        pytest.skip("Perl's Net::SMPP is not here (Debian: libnet-smpp-perl)")
    return by_script(["perl", str(HERE / "send.pl")], port, messages)


Send = Callable[[int, list[tuple[str, str]]], Sent]


@pytest.mark.parametrize(("sender", "send"), [("Python", by_smpplib), ("Node", by_node), ("Perl", by_perl)])
def test_every_text_reaches_the_right_phone_letter_for_letter(
    centre: Centre,
    handsets: Handsets,
    texts: list[str],
    sender: str,
    send: Callable[[int, list[tuple[str, str]]], Sent],
) -> None:
    def shown() -> Counter[tuple[str, str]]:
        screens = {phone: handsets.inbox(phone) for phone in PHONES}
        return Counter((to, entry["text"]) for to in PHONES for entry in screens[to] if entry["from"] == sender)

    messages = [(PHONES[number % len(PHONES)], text) for number, text in enumerate(texts)]
    before = shown()

    sent = send(centre.smpp_port, messages)

    assert all(sent.accepted)
    identities = [identity for ids in sent.accepted for identity in ids]
    assert len(identities) == len(set(identities))
    assert sent.receipts == dict.fromkeys(identities, DELIVERED)
    assert shown() - before == Counter(messages)


def test_a_foreign_client_reads_what_phones_send(centre: Centre, handsets: Handsets) -> None:
    import smpplib.client
    import smpplib.consts

    client = smpplib.client.Client(
        "127.0.0.1", centre.smpp_port, timeout=WAIT_SECONDS_MAX, allow_unknown_opt_params=True
    )
    received: list[tuple[str, str, int, bytes]] = []
    client.set_message_received_handler(
        lambda pdu: received.append(
            (pdu.source_addr.decode(), pdu.destination_addr.decode(), pdu.data_coding, pdu.short_message)
        )
    )
    client.connect()
    client.bind_receiver(system_id="shop", password=PASSWORD)
    handsets.send(PHONES[0], "2010", "STOPP 😀")
    client.read_once()
    assert received == [(PHONES[0], "2010", smpplib.consts.SMPP_ENCODING_ISO10646, "STOPP 😀".encode("utf-16-be"))]
    client.unbind()
    client.disconnect()


def test_a_message_from_phone_to_phone_arrives_once(centre: Centre, handsets: Handsets) -> None:
    text = "Kommer du på kampen? €😀" * 20
    handsets.send(PHONES[1], f"+{PHONES[2]}", text)
    found = until(lambda: [e for e in handsets.inbox(PHONES[2]) if e["from"] == PHONES[1]], what="it to arrive")
    assert [entry["text"] for entry in found] == [text]
