"""A foreign SMSC, node-smpp's, on the far side of a link: refusals are tried again, receipts come home."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from smpp_peers import PASSWORD, Centre, basic, get, need_node_modules, post, started_centre
from waiting import until

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


def _submit(centre: Centre, text: str) -> str:
    answer: dict[str, Any] = post(
        f"{centre.url}/messages", {"from": "Shop", "to": "+4790100001", "text": text}, **basic("shop")
    )
    identity: str = answer["id"]
    return identity
