"""A whole installation for the end-to-end tests: seven roles and the handset network, on ports of its own."""

from collections.abc import Iterator

import pytest
from running_house import House, Loop

from prikkfri.config import ROLES
from prikkfri.simulation import demo
from prikkfri.simulation.installation import Installation, free_ports, ports_section


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("home")
    *ports, handset_smpp, handset_http = free_ports(len(ROLES) + 3)
    # Short segments, so that little is in store and whoever watches for some seconds has had many of them.
    text = demo.configuration(handset_smpp_port=handset_smpp).replace(
        "[streaming]", "[streaming]\nsegment_seconds = 1.0"
    )
    text += "\n" + ports_section(ports)
    (home / "prikkfri.toml").write_text(text, encoding="utf-8")
    people = demo.people(demo.PEOPLE)
    installation = Installation(home)
    loop = Loop()
    handsets = ["-m", "prikkfri.simulation.handsets", f"--smpp-port={handset_smpp}", f"--http-port={handset_http}"]
    handsets += [f"{person.msisdn}={person.name}" for person in people[: demo.PHONES]]

    async def start() -> None:
        await demo.seed(installation.configuration(), people)
        await installation.start_program("handsets", handsets)
        await installation.start()

    try:
        loop.run(start)
        yield House(installation.configuration(), installation, loop, f"http://localhost:{handset_http}", people)
    finally:
        loop.run(installation.stop)
        loop.close()
