"""`python -m prikkfri.simulation.handsets`: until SIGTERM, SIGINT or the end of standard input."""

import argparse
import asyncio
import contextlib
import signal
import sys

from prikkfri.app.serving import listen
from prikkfri.errors import UsageError
from prikkfri.simulation.handsets.server import run


async def _run(arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(
        run(
            [(number, name) for number, _, name in (phone.partition("=") for phone in arguments.phones)],
            smpp_sockets=listen(arguments.smpp_port, "loopback"),
            http_sockets=listen(arguments.http_port, "loopback"),
            password=arguments.password,
            name=arguments.name,
        )
    )
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, serving.cancel)
    ending = asyncio.create_task(_input_ends())
    ending.add_done_callback(lambda _: serving.cancel())
    print("ready", flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    ending.cancel()


async def _input_ends() -> None:
    """Whoever started us is gone when it no longer holds our standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1_024):
        pass


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m prikkfri.simulation.handsets",
        description="Simulated phones behind an SMSC; a page shows them and sends from them.",
    )
    parser.add_argument("phones", nargs="+", metavar="NUMBER=NAME")
    parser.add_argument("--smpp-port", type=int, default=2776)
    parser.add_argument("--http-port", type=int, default=8090)
    parser.add_argument("--password", default="demo1234", help="what a link must say when it binds")
    parser.add_argument("--name", default="", help="what the page calls this network")
    try:
        asyncio.run(_run(parser.parse_args()))
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
