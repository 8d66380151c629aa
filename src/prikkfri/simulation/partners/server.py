"""A partner's network as one process, with what the world needs beside its phones: its fault, and the truth."""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import islice

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from prikkfri.app.serving import serve
from prikkfri.clock import SystemClock
from prikkfri.simulation.handsets import server as handsets
from prikkfri.simulation.handsets.network import Phones
from prikkfri.simulation.partners.network import Fault, PartnerNetwork
from prikkfri.simulation.partners.quirks import BY_THE_BOOK, Quirks


def application(network: PartnerNetwork) -> Starlette:
    """`PUT /fault`, `PUT /quirks`, `GET /deliveries?from=N&since=TIME`, `GET /sent`; all else as handsets have it."""

    async def put_fault(request: Request) -> Response:
        network.suffer(msgspec.json.decode(await request.body(), type=Fault))
        return JSONResponse(asdict(network.fault))

    async def put_quirks(request: Request) -> Response:
        network.quirks = msgspec.json.decode(await request.body(), type=Quirks)
        return JSONResponse(asdict(network.quirks))

    async def deliveries(request: Request) -> Response:
        first = int(request.query_params.get("from", "0"))
        since = float(request.query_params.get("since", "0"))
        found = islice(network.deliveries, first, None)
        return JSONResponse([asdict(delivery) for delivery in found if delivery.time >= since])

    async def sent(request: Request) -> Response:
        """What was typed on the phones, with the ids that the message centre gave it."""
        phones = network.phones.by_number.values()
        return JSONResponse(
            [
                {"from": phone.msisdn, "to": entry.other, "text": entry.text, "id": entry.centre_id}
                for phone in phones
                for entry in phone.entries
                if entry.direction == "out"
            ]
        )

    return Starlette(
        routes=[
            Route("/sent", sent),
            Route("/fault", put_fault, methods=["PUT"]),
            Route("/quirks", put_quirks, methods=["PUT"]),
            Route("/deliveries", deliveries),
            Mount("/", handsets.application(network)),
        ]
    )


async def run(
    phones: Iterable[tuple[str, str]],
    *,
    smpp_sockets: Sequence[socket.socket],
    http_sockets: list[socket.socket],
    password: str,
    name: str,
    seed: int,
    quirks: Quirks = BY_THE_BOOK,
) -> None:
    """Serves until cancelled. `phones`: number and name of each; the sockets listen already."""
    network = PartnerNetwork(
        Phones(phones), password=password, clock=SystemClock(), name=name, seed=seed, quirks=quirks
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(network.run(smpp_sockets))
        tasks.create_task(serve(application(network), http_sockets))
