"""`python -m prikkfri.simulation.partners`: one partner, until SIGTERM, SIGINT or the end of standard input."""

import argparse
import asyncio
import sys

import msgspec

from prikkfri.app.process import run_until_stopped, say_ready
from prikkfri.app.serving import listen
from prikkfri.errors import UsageError
from prikkfri.simulation.partners.quirks import BY_THE_BOOK, Quirks
from prikkfri.simulation.partners.server import run


async def _run(arguments: argparse.Namespace) -> None:
    smpp_sockets, http_sockets = listen(arguments.smpp_port, "loopback"), listen(arguments.http_port, "loopback")
    say_ready()
    await run(
        [(number, name) for number, _, name in (phone.partition("=") for phone in arguments.phones)],
        smpp_sockets=smpp_sockets,
        http_sockets=http_sockets,
        password=arguments.password,
        name=arguments.name,
        seed=arguments.seed,
        quirks=arguments.quirks,
    )


def _quirks(text: str) -> Quirks:
    return msgspec.json.decode(text, type=Quirks)  # what it raises is a ValueError


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m prikkfri.simulation.partners", description="A partner operator that can be made to go wrong."
    )
    parser.add_argument("phones", nargs="+", metavar="NUMBER=NAME")
    parser.add_argument("--smpp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--password", default="demo1234", help="what a link must say when it binds")
    parser.add_argument("--name", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quirks", type=_quirks, default=BY_THE_BOOK, metavar="JSON", help="where it leaves the book")
    try:
        arguments = parser.parse_args()
        asyncio.run(run_until_stopped(lambda: _run(arguments)))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
