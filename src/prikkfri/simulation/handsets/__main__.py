"""`python -m prikkfri.simulation.handsets`: until SIGTERM, SIGINT or the end of standard input."""

import argparse
import asyncio
import sys

from prikkfri.app.process import run_until_stopped, say_ready
from prikkfri.app.serving import listen
from prikkfri.errors import UsageError
from prikkfri.simulation.handsets.server import run


async def _run(arguments: argparse.Namespace) -> None:
    smpp_sockets, http_sockets = listen(arguments.smpp_port, "loopback"), listen(arguments.http_port, "loopback")
    say_ready()
    await run(
        [(number, name) for number, _, name in (phone.partition("=") for phone in arguments.phones)],
        smpp_sockets=smpp_sockets,
        http_sockets=http_sockets,
        password=arguments.password,
        name=arguments.name,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m prikkfri.simulation.handsets",
        description="Simulated phones behind an SMSC; a page shows them and sends from them.",
    )
    parser.add_argument("phones", nargs="+", metavar="NUMBER=NAME", help="without a name it is not on the page")
    parser.add_argument("--smpp-port", type=int, default=2776)
    parser.add_argument("--http-port", type=int, default=8090)
    parser.add_argument("--password", default="demo1234", help="what a link must say when it binds")
    parser.add_argument("--name", default="", help="what the page calls this network")
    try:
        arguments = parser.parse_args()
        asyncio.run(run_until_stopped(lambda: _run(arguments)))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
