"""Somebody else's Statuspage client reads our status page."""

import asyncio
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from smpp_peers import need_node_modules

from prikkfri.app.serving import listen, serve
from prikkfri.assurance.overview import Breakage, Overview, RoleState
from prikkfri.assurance.publishing import summary
from prikkfri.clock import ManualClock
from prikkfri.protocols.iso8601 import iso
from prikkfri.simulation.installation import free_ports
from prikkfri.web.status_page.server import application

KEY = "a command key"


async def read_by_foreign_client(url: str) -> Any:
    program = Path(__file__).parent / "read_status.mjs"
    process = await asyncio.create_subprocess_exec(
        "node", str(program), url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    told, faults = await process.communicate()
    assert process.returncode == 0, faults.decode()
    return json.loads(told)


@pytest.mark.slow
async def test_a_foreign_client_understands_what_is_published(tmp_path: Path, clock: ManualClock) -> None:
    need_node_modules()
    (port,) = free_ports(1)
    url = f"http://localhost:{port}"
    page = application(
        tmp_path, command_key=KEY, clock=clock, operator="Nordavind", public_url=url, timezone="Europe/Oslo"
    )
    serving = asyncio.create_task(serve(page, listen(port, "loopback")))
    try:
        now = clock.now()
        broken = Breakage("television", "sign-in", now - 90, True, 40, 50, 40, 50)
        seen = Overview(now, "broken", (), (broken,), (), (), now)
        roles = [RoleState(role, True, now) for role in ("signin", "door", "playout", "sms")]
        document = summary(seen, roles, operator="Nordavind", url=url, zone=ZoneInfo("Europe/Oslo"))
        update = {"id": "u1", "status": "identified", "body": "We are on it.", "updated_at": iso(now)}
        document["incidents"] = [
            {"id": "i1", "name": "Sign-in fails", "status": "identified", "impact": "critical", "shortlink": url}
            | {"created_at": iso(now), "updated_at": iso(now), "incident_updates": [update | {"created_at": iso(now)}]}
        ]
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            put = await client.put(f"{url}/publish", json=document, headers={"authorization": f"Bearer {KEY}"})
        assert put.status_code == 204, put.text
        told = await read_by_foreign_client(url)
        assert told["same"] == [True, True, True]
        assert told["status"]["indicator"] == "critical"
        assert told["page"]["updated"] == iso(now)
        assert [(part["id"], part["status"]) for part in told["components"]] == [
            ("sign-in", "major_outage"),
            ("watch", "operational"),
            ("messages", "operational"),
        ]
        (incident,) = told["incidents"]
        assert (incident["name"], incident["updates"][0]["description"]) == ("Sign-in fails", "We are on it.")
        clock.advance(61)
        told = await read_by_foreign_client(url)
        assert {part["status"] for part in told["components"]} == {"major_outage", "degraded_performance"}
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
