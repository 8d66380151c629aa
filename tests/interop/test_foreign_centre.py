"""A foreign SMSC, node-smpp's, on the far side of a link: refusals are tried again, receipts come home."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from smpp_peers import PASSWORD, Centre, basic, get, need_node_modules, post, started_centre
from waiting import WAIT_SECONDS_MAX, until

from prikkfri.simulation.installation import free_ports

pytestmark = pytest.mark.slow


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


def test_messages_through_a_foreign_centre_end_delivered(tmp_path: Path, smsc: tuple[int, str]) -> None:
    port, url = smsc
    with started_centre(tmp_path, link_port=port) as centre:
        wanted = [f"melding nummer {number} €" for number in range(20)]
        ids = [_submit(centre, text) for text in wanted]

        def states() -> list[str]:
            return [get(f"{centre.url}/messages/{identity}", **basic("shop"))["state"] for identity in ids]

        until(lambda: set(states()) == {"delivered"}, what="every message to be delivered")
        saw = get(url)
        assert saw["binds"] == [True]
        assert sorted(message["text"] for message in saw["messages"]) == sorted(wanted)
        retried = [get(f"{centre.url}/messages/{identity}", **basic("shop")) for identity in ids]
        events = [step["event"] for trail in retried for step in trail["steps"]]
        assert "refused-for-now" in events


def test_what_a_foreign_network_hands_in_reaches_a_foreign_client(tmp_path: Path, smsc: tuple[int, str]) -> None:
    import smpplib.client

    port, url = smsc
    with started_centre(tmp_path, link_port=port) as centre:
        client = smpplib.client.Client(
            "127.0.0.1", centre.smpp_port, timeout=WAIT_SECONDS_MAX, allow_unknown_opt_params=True
        )
        received: list[tuple[str, str, int, bytes]] = []
        client.set_message_received_handler(
            lambda pdu: received.append(
                (pdu.source_addr.decode(), pdu.destination_addr.decode(), pdu.source_addr_ton, pdu.short_message)
            )
        )
        client.connect()
        client.bind_receiver(system_id="shop", password=PASSWORD)
        get(f"{url}/send?from=4790100001&to=2010&text=STOPP")
        client.read_once()
        client.unbind()
        client.disconnect()
        assert received == [("4790100001", "2010", 1, b"STOPP")]
        get(f"{url}/send?from=4790100001&to=46701000001&text=hei")
        until(lambda: len(get(url)["answers"]) == 2, what="both answers")
        get(f"{url}/enquire")
        until(lambda: len(get(url)["answers"]) == 3, what="every answer")
        assert [(each["command"], each["status"]) for each in get(url)["answers"]] == [
            ("deliver_sm_resp", 0),
            ("deliver_sm_resp", 0x0B),  # no network takes it
            ("enquire_link_resp", 0),
        ]
        centre.process.stop()
        until(lambda: get(url)["unbound"] == 1, what="the centre to say goodbye")


def _submit(centre: Centre, text: str) -> str:
    answer: dict[str, Any] = post(
        f"{centre.url}/messages", {"from": "Shop", "to": "+4790100001", "text": text}, **basic("shop")
    )
    identity: str = answer["id"]
    return identity
