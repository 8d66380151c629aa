"""`python -m prikkfri.simulation.bench.baseline`: signing in as most would write it with FastAPI and uvicorn.

One server for all: it hashes in FastAPI's own threads, as many at once as it has, for whoever asks; and it gives those
who are inside their playlist.
"""

import argparse
import contextlib
import importlib.util
import os
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

from prikkfri.app.process import say_ready
from prikkfri.signin.credentials import SALT_BYTES, hash_password, matches
from prikkfri.simulation.demo import PASSWORD

NEEDED = ("fastapi", "uvicorn")
PLAYLIST = "#EXTM3U\n#EXT-X-VERSION:7\n#EXTINF:2.0,\nsegment.m4s\n"


def missing() -> str:
    """What it lacks; empty: it can run."""
    return ", ".join(name for name in NEEDED if importlib.util.find_spec(name) is None)


def application() -> Any:
    from fastapi import Body, FastAPI, HTTPException
    from fastapi.responses import PlainTextResponse

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        say_ready()
        yield

    hashed = hash_password(PASSWORD, bytes(SALT_BYTES))
    done: list[None] = []

    def sign_in(login: str = Body(), password: str = Body()) -> dict[str, str]:
        right = matches(password, hashed)
        done.append(None)
        if not right:
            raise HTTPException(401)
        return {"token": login}

    def playlist() -> PlainTextResponse:
        return PlainTextResponse(PLAYLIST)

    async def hashes() -> int:
        return len(done)

    app = FastAPI(lifespan=lifespan)
    app.add_api_route("/sign-in", sign_in, methods=["POST"])
    app.add_api_route("/live/index.m3u8", playlist)
    app.add_api_route("/hashes", hashes)
    return app


def _end_with_whoever_began_it() -> None:
    """Their end of our input is closed when they end, however."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> int:
    import uvicorn

    parser = argparse.ArgumentParser(prog="python -m prikkfri.simulation.bench.baseline", description="FastAPI.")
    parser.add_argument("--port", type=int, required=True)
    threading.Thread(target=_end_with_whoever_began_it, daemon=True).start()
    uvicorn.run(application(), host="127.0.0.1", port=parser.parse_args().port, log_level="error", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
