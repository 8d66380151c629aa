"""Field by field: what a foreign client writes a foreign centre reads, or a foreign client is refused by its status."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import smpplib.client
import smpplib.exceptions
import smpplib.smpp
from smpp_peers import PASSWORD, PHONES, Centre, Handsets, get, need_node_modules, started_centre
from waiting import WAIT_SECONDS_MAX, until

from prikkfri.simulation.installation import free_ports
from prikkfri.sms.messages import reference_of

pytestmark = pytest.mark.slow

ABSENT = "4790100999"


class Client:
    """smpplib's client, a PDU at a time."""

    def __init__(self, port: int) -> None:
        self.smpp = smpplib.client.Client("127.0.0.1", port, timeout=WAIT_SECONDS_MAX, allow_unknown_opt_params=True)
        self.smpp.connect()

    def ask(self, command: str, **fields: Any) -> Any:
        self.smpp.send_pdu(smpplib.smpp.make_pdu(command, client=self.smpp, **fields))
        return self.smpp.read_pdu()

    def submit(self, **fields: Any) -> Any:
        whole = {
            "source_addr_ton": 5, "source_addr": "Shop", "dest_addr_ton": 1, "dest_addr_npi": 1,
            "destination_addr": PHONES[0], "short_message": b"hei", **fields,
        }  # fmt: skip
        return self.ask("submit_sm", **whole)

    def receipt(self) -> Any:
        told = self.smpp.read_pdu()
        assert told.command == "deliver_sm"
        self.smpp.send_pdu(smpplib.smpp.make_pdu("deliver_sm_resp", client=self.smpp, sequence=told.sequence))
        return told


@contextmanager
def bound(centre: Centre) -> Iterator[Client]:
    client = Client(centre.smpp_port)
    client.smpp.bind_transceiver(system_id="shop", password=PASSWORD)
    try:
        yield client
    finally:
        client.smpp.unbind()
        client.smpp.disconnect()


@pytest.fixture(scope="module")
def client(centre: Centre) -> Iterator[Client]:
    """One for all tests: an account may not bind more than twice a second."""
    with bound(centre) as client:
        yield client


def test_a_bind_with_a_wrong_password_is_refused(centre: Centre) -> None:
    client = Client(centre.smpp_port)
    with pytest.raises(smpplib.exceptions.PDUError) as refusal:
        client.smpp.bind_transceiver(system_id="shop", password="wrong")
    assert refusal.value.args[1] == 0x0E
    client.smpp.disconnect()


def test_a_bind_is_told_our_version(centre: Centre) -> None:
    client = Client(centre.smpp_port)
    answer = client.smpp.bind_transceiver(system_id="shop", password=PASSWORD, interface_version=0x34)
    assert (answer.system_id, answer.sc_interface_version) == (b"prikkfri", 0x34)
    client.smpp.unbind()
    client.smpp.disconnect()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"destination_addr": "12"}, 0x0B),
        ({"destination_addr": "123456789012345678"}, 0x0B),
        ({"destination_addr": "46701000001"}, 0x0B),  # no network takes it
        ({"dest_addr_ton": 5}, 0x50),
        ({"source_addr_ton": 9}, 0x48),
        ({"source_addr": "longer than letters may be"[:20]}, 0x0A),
        ({"validity_period": "tomorrow"}, 0x62),
        ({"schedule_delivery_time": "tomorrow"}, 0x61),
        ({"esm_class": 0x40, "short_message": b"\x09hei"}, 0x43),
        ({"esm_class": 0x01}, 0x43),  # datagram mode
        ({"esm_class": 0x02}, 0x43),  # transaction mode
        ({"replace_if_present_flag": 1}, 0x54),
        ({"sm_default_msg_id": 1}, 0x63),
        ({"esm_class": 0x40, "short_message": b"", "message_payload": b"\x05\0\x03\1\2\1" + b"x" * 250}, 0x01),
    ],
)
def test_a_foreign_client_is_refused_by_the_status(client: Client, fields: dict[str, Any], status: int) -> None:
    answer = client.submit(**fields)
    assert (answer.command, answer.status) == ("submit_sm_resp", status)
    assert client.submit().status == 0  # and the session stands


def test_a_command_that_we_do_not_speak_is_nacked_and_the_session_stands(client: Client) -> None:
    for command, fields in (
        ("query_sm", {"message_id": "1", "source_addr": "Shop"}),
        ("alert_notification", {"source_addr": "1", "esme_addr": "2"}),
    ):
        answer = client.ask(command, **fields)
        assert (answer.command, answer.status) == ("generic_nack", 0x03), command
    assert client.ask("enquire_link").command == "enquire_link_resp"


def test_receipts_come_of_what_was_asked(client: Client) -> None:
    """2: of a bad end only; and a number that is no phone has one."""
    assert client.submit(registered_delivery=2).status == 0
    bad = client.submit(registered_delivery=2, destination_addr=ABSENT).message_id
    told = client.receipt()
    assert (told.receipted_message_id.rstrip(b"\0"), told.message_state) == (bad, 5)
    assert b"stat:UNDELIV" in told.short_message
    assert (told.source_addr, told.source_addr_ton, told.destination_addr) == (ABSENT.encode(), 1, b"Shop")
    good = client.submit(registered_delivery=1, user_message_reference=4711).message_id
    told = client.receipt()
    assert (told.receipted_message_id.rstrip(b"\0"), told.message_state, told.esm_class) == (good, 2, 0x04)
    assert told.user_message_reference == 4711


def test_parts_with_a_reference_of_16_bits_are_one_text_on_the_phone(client: Client, handsets: Handsets) -> None:
    for number, text in ((2, b"to"), (1, b"en ")):
        header = b"\x06\x08\x04\x12\x34\x02" + bytes((number,))
        answer = client.submit(source_addr="Wide", esm_class=0x40, short_message=header + text)
        assert answer.status == 0
    until(lambda: "en to" in [each["text"] for each in handsets.inbox(PHONES[0])], what="the whole text to be shown")


def test_what_is_scheduled_is_kept_until_then(client: Client, handsets: Handsets) -> None:
    before = time.monotonic()
    assert client.submit(schedule_delivery_time="000000000001000R", short_message=b"i morgen").status == 0
    assert client.submit(short_message=b"i dag", validity_period="000000010000000R").status == 0
    texts = lambda: [each["text"] for each in handsets.inbox(PHONES[0])]  # noqa: E731
    until(lambda: "i morgen" in texts(), what="what is scheduled to arrive")
    assert time.monotonic() - before >= 1.0
    until(lambda: "i dag" in texts(), what="what is not scheduled to arrive")


@pytest.fixture
def smsc() -> Iterator[tuple[int, str]]:
    need_node_modules()
    smpp, http = free_ports(2)
    command = ["node", str(Path(__file__).parent / "smsc.mjs"), str(smpp), str(http), PASSWORD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield smpp, f"http://127.0.0.1:{http}"
        process.kill()


def test_a_foreign_centre_reads_the_fields_that_a_foreign_client_wrote(tmp_path: Path, smsc: tuple[int, str]) -> None:
    port, url = smsc
    with started_centre(tmp_path, link_port=port) as centre, bound(centre) as client:
        assert client.submit().status == 0
        answer = client.submit(
            service_type="CMT",
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr="4790100001",
            protocol_id=0x41,
            priority_flag=2,
            data_coding=0xF0,
            validity_period="000001000000000R",
            user_message_reference=7,
            source_port=1234,
            short_message=b"klasse 0",
        )
        assert answer.status == 0
        saw = until(lambda: get(url)["messages"][1:], what="both to arrive")
        plain, written = (each["fields"] for each in get(url)["messages"])
    assert len(saw) == 1
    assert (plain["source_addr_ton"], plain["source_addr"]) == (5, "Shop")
    assert (plain["dest_addr_ton"], plain["dest_addr_npi"], plain["destination_addr"]) == (1, 1, PHONES[0])
    assert (plain["registered_delivery"], plain["data_coding"], plain["esm_class"]) == (1, 0, 0)
    wanted = {
        "service_type": "CMT", "source_addr_ton": 1, "source_addr_npi": 1, "source_addr": "4790100001",
        "protocol_id": 0x41, "priority_flag": 2, "data_coding": 0xF0, "replace_if_present_flag": 0,
        "sm_default_msg_id": 0, "schedule_delivery_time": "", "source_port": 1234,
    }  # fmt: skip
    assert {name: written[name] for name in wanted} == wanted
    assert written["validity_period"], "what is left of it"
    assert written["user_message_reference"] == reference_of(answer.message_id.decode()), "ours, not its sender's"
