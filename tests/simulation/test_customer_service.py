"""The simulated customer service, against the edge that takes its contacts in."""

from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web

from prikkfri.clock import ManualClock
from prikkfri.simulation.customer_service import AGAIN_SECONDS, CustomerService


class Edge:
    def __init__(self) -> None:
        self.answers, self.taken = True, list[str]()

    async def take(self, request: web.Request) -> web.Response:
        assert request.headers["authorization"] == "Bearer key"
        if not self.answers:
            return web.Response(status=503)
        self.taken.append(await request.text())
        return web.json_response({})


@pytest.fixture
async def edge() -> AsyncIterator[tuple[Edge, str]]:
    edge = Edge()
    app = web.Application()
    app.router.add_post("/contacts/taken", edge.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield edge, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_who_calls_is_handed_in_once_when_it_is_taken(edge: tuple[Edge, str], clock: ManualClock) -> None:
    from prikkfri.assurance.response.tables import contacts_of

    taking, url = edge
    async with aiohttp.ClientSession() as http:
        service = CustomerService(http, url, "key", clock)
        service.call("television", "cannot sign in", "s-1")
        service.call("television", "cannot sign in", "s-1")
        service.call("television", "bill")
        taking.answers = False
        await service.hand_in()
        taking.answers = True
        await service.hand_in()
        await service.hand_in()
        clock.advance(AGAIN_SECONDS)
        service.call("television", "cannot sign in", "s-1")
        await service.hand_in()
    first, second = (contacts_of(text, now=clock.now(), zone=ZoneInfo("UTC")) for text in taking.taken)
    assert [each.kind for each in first.found] == ["cannot sign in", "bill"] and not first.refused
    assert len(second.found) == 1 and service.handed_in == 3
    assert len({each.id for each in (*first.found, *second.found)}) == 3
