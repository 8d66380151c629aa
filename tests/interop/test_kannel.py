"""Kannel, the gateway that most of the field runs: as a client of ours, as a partner's gateway, as a network.

Its bearerbox only binds, as a transceiver or as a transmitter and a receiver. The one program of Kannel's to which
others bind is drive_smpp, with which it tests its own driver.
"""

import re
import signal
import socket
import sqlite3
import struct
import subprocess
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kannel_peers import Kannel, Told, need_kannel, need_kannel_tool, started_kannel, way
from smpp_peers import PASSWORD, PHONES, Centre, Handsets, basic, post, started_centre
from test_foreign_senders import LONG_TEXTS, OWN_TEXTS
from waiting import until

from prikkfri.protocols.smpp.text import DataCoding, encode_text
from prikkfri.simulation.installation import free_ports

pytestmark = pytest.mark.slow

ACCOUNT = """
[[sms.accounts]]
system_id = "{name}"
password = "{password}"
short_codes = ["{short_code}"]
senders = ["*"]
"""
ACCOUNTS = {"kiosk": "2030", "stall": "2040", "fjord": "2050"}
GSM_TEXTS = ("STOPP", "Blåbærsyltetøy €[æ] {x}~^|\\ Ñ £¥§ Δ", "lang € " * 40)
WIDE_TEXTS = ("STOPP 😀 Привет", "é😀" * 60)
OLDER = "interface-version = 33"
ABSENT = "+4790100999"
NOBODYS = "+46701000001"


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory, handsets: Handsets) -> Iterator[Centre]:
    need_kannel()
    more = "".join(
        ACCOUNT.format(name=name, password=PASSWORD, short_code=short_code) for name, short_code in ACCOUNTS.items()
    )
    folder = tmp_path_factory.mktemp("centre")
    with started_centre(
        folder, link_port=handsets.smpp_port, handsets=handsets, in_doubt_seconds=0.2, more=more
    ) as centre:
        yield centre


@pytest.fixture(scope="module")
def kannel(tmp_path_factory: pytest.TempPathFactory, centre: Centre) -> Iterator[Kannel]:
    """Bound as a transceiver; by SMPP 3.3, as a transmitter and a receiver; and with a wrong password."""
    ways = (
        way("shop", centre.smpp_port, "transceiver-mode = true"),
        way("kiosk", centre.smpp_port, OLDER),
        way("kiosk", centre.smpp_port, OLDER, kind="receive-port"),
        way("clinic", centre.smpp_port, "transceiver-mode = true", password="wrong"),
    )
    with started_kannel(tmp_path_factory.mktemp("kannel"), "".join(ways)) as kannel:
        yield kannel


def screen(handsets: Handsets, phone: str, sender: str) -> list[str]:
    return [entry["text"] for entry in handsets.inbox(phone) if entry["from"] == sender]


def rows(centre: Centre, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{centre.home / 'sms.db'}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def test_kannel_is_bound_in_each_way_and_asks_whether_we_live(kannel: Kannel) -> None:
    until(lambda: kannel.pdus("enquire_link_resp"), what="our answer to its enquire_link")
    [transceiver] = [answer for answer in kannel.pdus("bind_transceiver_resp") if answer["command_status"] == "0"]
    assert (transceiver["system_id"], transceiver["sc_interface_version"]) == ("prikkfri", str(0x34))
    for kind in ("bind_transmitter_resp", "bind_receiver_resp"):
        [answer] = kannel.pdus(kind)
        assert (answer["command_status"], "sc_interface_version" in answer) == ("0", False), kind
    until(
        lambda: (
            sorted(answer.get("command_status", "") for answer in kannel.pdus("bind_transceiver_resp"))
            == ["0", str(0x0E)]
        ),
        what="the one with a wrong password to be refused",
    )


@pytest.mark.parametrize("account", ["shop", "kiosk"])
def test_kannel_is_told_what_became_of_its_messages(
    kannel: Kannel, centre: Centre, handsets: Handsets, account: str
) -> None:
    """Numbers as it writes them unless it is told otherwise: with `+` as TON 1, without as TON 2."""
    delivered = [
        kannel.send(account, f"+{PHONES[0]}", f"hei {account}", **{"from": account}),
        kannel.send(account, PHONES[0], f"hei {account}", **{"from": account}),
        kannel.send(account, PHONES[0].removeprefix("47"), f"hei {account}", **{"from": account}),
        kannel.send(account, f"+{PHONES[0]}", f"hei {account}", **{"from": account, "mclass": 0}),
    ]
    failed = kannel.send(account, ABSENT, "hei")
    refused = kannel.send(account, NOBODYS, "hei")
    for number in delivered:
        until(lambda number=number: len(kannel.told(number)) == 2, what="both to be told")
        (taken, _), (ended, words) = kannel.told(number)
        assert (taken, ended) == (Told.TAKEN, Told.DELIVERED)
        assert b"stat:DELIVRD" in words
    until(lambda: len(kannel.told(failed)) == 2, what="the bad end to be told")
    assert [kind for kind, _ in kannel.told(failed)] == [Told.TAKEN, Told.FAILED]
    assert b"stat:UNDELIV" in kannel.told(failed)[1][1]
    until(lambda: kannel.told(refused), what="the refusal to be told")
    assert kannel.told(refused) == [(Told.REFUSED, b"NACK/0x0000000b/Invalid Destination Address")]
    assert screen(handsets, PHONES[0], account) == [f"hei {account}"] * 4
    asked = [message for message in kannel.pdus("submit_sm") if message["source_addr"] == account]
    assert [message["dest_addr_ton"] for message in asked] == ["1", "2", "2", "1"]
    assert {message["registered_delivery"] for message in asked} == {str(0x11)}  # and word of what is on its way
    assert [message["data_coding"] for message in asked] == ["0", "0", "0", str(0xF0)]
    told = [message for message in kannel.pdus("deliver_sm") if message["destination_addr"] == account]
    assert len(told) == len(delivered)
    for message in told:
        assert (message["source_addr"], message["source_addr_ton"], message["esm_class"]) == (PHONES[0], "1", "4")
        assert message.get("message_state") == ("2" if account == "shop" else None)  # SMPP 3.3 has no parameters


def test_every_text_through_kannel_reaches_the_right_phone_letter_for_letter(
    kannel: Kannel, handsets: Handsets
) -> None:
    """Encoded by its tables and cut by itself, in the middle of a pair too, with one receipt for all parts."""
    messages = [(PHONES[number % len(PHONES)], text) for number, text in enumerate(OWN_TEXTS + LONG_TEXTS)]
    numbers = []
    for phone, text in messages:
        coding = {DataCoding.GSM: 0, DataCoding.UCS_2: 2}[encode_text(text)[0]]
        numbers.append(kannel.send("shop", f"+{phone}", text, coding=coding, **{"from": "Every"}))
    for number in numbers:
        until(lambda number=number: len(kannel.told(number)) == 2, what="both to be told")
        assert [kind for kind, _ in kannel.told(number)] == [Told.TAKEN, Told.DELIVERED]
    shown = Counter((phone, text) for phone in PHONES for text in screen(handsets, phone, "Every"))
    assert shown == Counter(messages)


def test_kannel_writes_absolute_times(kannel: Kannel, centre: Centre) -> None:
    """It is told minutes from now, and writes UTC."""
    before = time.time()
    later = kannel.send("shop", f"+{PHONES[1]}", "siden", deferred=7, validity=20, **{"from": "Siden"})
    until(lambda: kannel.told(later), what="it to be taken")
    after = time.time()
    [wire] = [message for message in kannel.pdus("submit_sm") if message["source_addr"] == "Siden"]
    assert wire["schedule_delivery_time"].endswith("000+")
    assert wire["validity_period"].endswith("000+")
    [(due, expires)] = rows(centre, "SELECT due_at, expires_at FROM sms_message WHERE sender = 'Siden'")
    assert before - 1 <= due - 7 * 60 <= after  # whole seconds on the wire
    assert before - 1 <= expires - 20 * 60 <= after


@pytest.mark.parametrize(("account", "short_code"), [("shop", "2010"), ("kiosk", ACCOUNTS["kiosk"])])
def test_kannel_reads_what_phones_send(kannel: Kannel, handsets: Handsets, account: str, short_code: str) -> None:
    """Long texts in parts, which Kannel puts together."""
    for text in (*GSM_TEXTS, *WIDE_TEXTS):
        handsets.send(PHONES[2], short_code, text)

    def heard() -> list[tuple[bytes, bytes, str]]:
        told = [fields for fields in kannel.application.of("/message") if fields["to"] == short_code.encode()]
        return [(each["smsc"], each["from"], each["text"].decode(each["charset"].decode())) for each in told]

    wanted = [(account.encode(), f"+{PHONES[2]}".encode(), text) for text in (*GSM_TEXTS, *WIDE_TEXTS)]
    until(lambda: len(heard()) >= len(wanted), what="every text to be told")
    assert sorted(heard()) == sorted(wanted)
    read = [message for message in kannel.pdus("deliver_sm") if message["destination_addr"] == short_code]
    assert {"user_message_reference" in message for message in read} == {account == "shop"}


def test_a_kannel_that_was_killed_is_bound_again_and_hears_what_it_missed(
    centre: Centre, handsets: Handsets, tmp_path: Path
) -> None:
    """It has forgotten which messages it asked receipts for, and takes those all the same."""
    phones = handsets.process.running
    assert phones is not None
    with started_kannel(tmp_path, way("stall", centre.smpp_port, "transceiver-mode = true")) as kannel:

        def heard() -> list[str]:
            return [fields["text"].decode() for fields in kannel.application.of("/message")]

        def unsettled() -> int:
            [(count,)] = rows(
                centre,
                "SELECT COUNT(*) FROM sms_message WHERE receipt IN ('waiting', 'sending') AND origin = 'account:stall'"
                " OR state IN ('waiting', 'sending') AND target = 'account:stall'",
            )
            return int(count)

        phones.send_signal(signal.SIGSTOP)
        try:
            forgotten = kannel.send("stall", f"+{PHONES[3]}", "før", **{"from": "Stall"})
            until(lambda: kannel.told(forgotten), what="it to be taken")
            kannel.kill()
        finally:
            phones.send_signal(signal.SIGCONT)
        handsets.send(PHONES[3], ACCOUNTS["stall"], "mens den var borte")
        until(lambda: unsettled() == 2, what="receipt and message to wait for it")
        kannel.start()
        until(heard, what="what it missed")
        until(lambda: unsettled() == 0, what="the receipt to be taken")

        kannel.pause()
        handsets.send(PHONES[3], ACCOUNTS["stall"], "mens den sto stille")
        sending = "SELECT COUNT(*) FROM sms_message WHERE state = 'sending' AND target = 'account:stall'"
        until(lambda: rows(centre, sending) == [(1,)], what="the message to be on the wire")
        kannel.kill()
        kannel.start()
        until(lambda: len(heard()) == 2, what="what it did not answer")
        later = kannel.send("stall", f"+{PHONES[3]}", "etter", **{"from": "Stall"})
        until(lambda: len(kannel.told(later)) == 2, what="both to be told")
        assert [kind for kind, _ in kannel.told(later)] == [Told.TAKEN, Told.DELIVERED]
        assert heard() == ["mens den var borte", "mens den sto stille"]
        assert screen(handsets, PHONES[3], "Stall") == ["før", "etter"]


def test_kannel_hears_our_goodbye_and_comes_back(centre: Centre, handsets: Handsets, tmp_path: Path) -> None:
    with started_kannel(tmp_path, way("stall", centre.smpp_port, "transceiver-mode = true")) as kannel:
        centre.process.stop()
        assert len(kannel.pdus("unbind")) == len(kannel.pdus("unbind_resp")) == 1
        kept = kannel.send("stall", f"+{PHONES[5]}", "imens", **{"from": "Stall"})
        centre.process.start()
        until(lambda: len(kannel.told(kept)) == 2, what="both to be told")
        assert [kind for kind, _ in kannel.told(kept)] == [Told.TAKEN, Told.DELIVERED]
        assert screen(handsets, PHONES[5], "Stall") == ["imens"]


VILLAGE = """
group = smsc
smsc = fake
smsc-id = village
allowed-smsc-id = village
port = {port}
connect-allow-ip = 127.0.0.1
reroute-smsc-id = fjord
"""


def test_a_partner_takes_and_hands_in_its_customers_messages_through_an_account(
    centre: Centre, handsets: Handsets, tmp_path: Path
) -> None:
    """Its bearerbox is between two networks: we are one, and its customers' phones are the other."""
    tool = need_kannel_tool("fakesmsc")
    [port] = free_ports(1)
    to_us = way("fjord", centre.smpp_port, "transceiver-mode = true", "reroute-smsc-id = village")
    text = "blåbær 😀" * 20
    handed_in = f"+4799900001 +{PHONES[4]} ucs2 {urllib.parse.quote_from_bytes(text.encode('utf-16-be'))}"
    with ExitStack() as stack:
        stack.enter_context(started_kannel(tmp_path, to_us + VILLAGE.format(port=port)))
        log = tmp_path / "village.log"
        out = stack.enter_context(log.open("wb"))
        command = [tool, "-H", "127.0.0.1", "-r", str(port), "-m", "1", handed_in]
        village = stack.enter_context(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out))
        stack.callback(village.kill)
        until(lambda: screen(handsets, PHONES[4], "4799900001"), what="what a customer wrote")
        assert screen(handsets, PHONES[4], "4799900001") == [text]
        for back in ("svar æ€", text):
            handsets.send(PHONES[4], ACCOUNTS["fjord"], back)
        until(lambda: "".join(got_in_the_village(log)) == "svar æ€" + text, what="both answers")


def got_in_the_village(log: Path) -> list[str]:
    """The texts of all parts that came; a pair that Kannel cut is one again when they are joined."""
    parts = re.findall(rb"Got message \d+: <\S+ 2050 (?:udh \S+ )?(text|data|ucs-2) (.*)>", log.read_bytes())
    texts: list[str] = []
    wide = b""
    for kind, octets in parts:
        if kind == b"text":
            texts.append(octets.decode())
        else:
            wide += urllib.parse.unquote_to_bytes(octets.replace(b"+", b" "))
    return [*texts, wide.decode("utf-16-be", errors="replace")]


HEADER = struct.Struct(">IIII")
BIND_RECEIVER, BIND_TRANSCEIVER, ANSWER = 0x01, 0x09, 0x8000_0000
SMSBOX_PORT = 13_001
"""drive_smpp connects to this one, whatever its settings say, and ends when nobody is there."""
HANDED_IN = 5


@contextmanager
def in_receivers_words(port: int) -> Iterator[int]:
    """A port before that one for which a transceiver is a receiver: drive_smpp takes messages from those too.

    Nothing else is changed on the way.
    """
    carrying: list[socket.socket] = []

    def carry(source: socket.socket, target: socket.socket, words: dict[int, int]) -> None:
        with suppress(OSError), source.makefile("rb") as octets:  # either end may go first
            while header := octets.read(HEADER.size):
                length, command, status, sequence = HEADER.unpack(header)
                body = octets.read(length - HEADER.size)
                target.sendall(HEADER.pack(length, words.get(command, command), status, sequence) + body)
            target.shutdown(socket.SHUT_WR)

    def reached() -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            return None

    def serve(listening: socket.socket) -> None:
        try:
            ours, _ = listening.accept()
        except OSError:
            return  # nobody came
        theirs = until(reached, what="drive_smpp to listen")
        assert theirs is not None
        with ours, theirs:
            carrying.extend((ours, theirs))
            asked = threading.Thread(target=carry, args=(ours, theirs, {BIND_TRANSCEIVER: BIND_RECEIVER}))
            asked.start()
            carry(theirs, ours, {ANSWER | BIND_RECEIVER: ANSWER | BIND_TRANSCEIVER})
            asked.join()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve, args=(listening,))
        serving.start()
        try:
            yield listening.getsockname()[1]
        finally:
            for each in (listening, *carrying):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            serving.join()


def test_kannels_own_centre_takes_our_messages_and_asks_whether_we_live(tmp_path: Path) -> None:
    """Its answers name no id, and all that it hands in has a receipt's parameter and fits nothing: the link stands."""
    tool, [port] = need_kannel_tool("drive_smpp"), free_ports(1)
    try:
        smsbox = socket.create_server(("127.0.0.1", SMSBOX_PORT))
    except OSError as error:
        pytest.skip(f"drive_smpp wants port {SMSBOX_PORT} for itself: {error}")
    log = tmp_path / "drive_smpp.log"
    texts = ["hei", "en gang til"]
    with ExitStack() as stack:
        stack.enter_context(smsbox)
        out = stack.enter_context(log.open("wb"))
        command = [tool, "-v", "0", "-p", str(port), "-m", str(HANDED_IN)]
        drive = stack.enter_context(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out))
        stack.callback(drive.kill)
        link_port = stack.enter_context(in_receivers_words(port))
        centre = stack.enter_context(started_centre(tmp_path, link_port=link_port))
        for text in texts:
            post(f"{centre.url}/messages", {"from": "Shop", "to": f"+{PHONES[0]}", "text": text}, **basic("shop"))

        def handled(kind: str) -> int:
            return log.read_text().count(f"Handling SMPP PDU of type {kind}\n")

        until(lambda: handled("deliver_sm_resp") == handled("enquire_link_resp") == HANDED_IN, what="our answers")
        until(lambda: handled("submit_sm") == len(texts), what="our messages")
        assert re.findall(r"short_message = <(.*)>", log.read_text()) == texts
        # A yes without an id is one: it was taken, and is not sent again.
        until(lambda: rows(centre, "SELECT DISTINCT state, attempts FROM sms_message") == [("sent", 1)], what="its yes")
        [(fit_nothing,)] = rows(centre, "SELECT COUNT(*) FROM sms_network_receipt WHERE reason = 'fits-no-message'")
        assert (fit_nothing, centre.metric("links_bound"), handled("bind_receiver")) == (HANDED_IN, 1, 1)
        centre.process.stop()
        until(lambda: handled("unbind") == 1, what="our goodbye")
