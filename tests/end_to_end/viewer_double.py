"""Stands in for the roles that the viewer talks to, with real HTTP and real HLS, and fails when it is told to.

Each role is a server of its own on a port of its own. The stream is a short clip, made by PyAV once for each channel
and repeated live for ever.
"""

import asyncio
import itertools
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import av
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from prikkfri.config import Viewer as Look
from prikkfri.web.viewer.server import OUR_LOOK, application

WIDTH, HEIGHT = 320, 180
FRAMES_PER_SECOND = 25
SEGMENT_SECONDS = 1
"""Short, so that little is in store and a viewer soon shows what has changed."""
SEGMENTS = 5
WINDOW_SEGMENTS = 6
SAMPLE_RATE = 48000
LOGIN, PASSWORD = "kari@example.no", "riktig hest batteri stift"
CODE, LINK = "12345678", "k" * 43

CHANNELS = [
    {"id": "en", "name": "Prikkfri En", "number": 1, "colour": "#2f6fed", "package": "basic"},
    {"id": "sport", "name": "Sport", "number": 2, "colour": "#e0432d", "package": "basic"},
    {"id": "nyheter", "name": "Nyheter", "number": 3, "colour": "#f2b21b", "package": "basic"},
    {"id": "natur", "name": "Natur", "number": 4, "colour": "#1f8a5b", "package": "basic"},
    {"id": "kino", "name": "Kino", "number": 5, "colour": "#7c3aed", "package": "film"},
]
TITLES = {
    "en": ["Morgensending", "Fjorden rundt", "Kveldsnytt", "Lørdagsrevyen", "Hagen vår", "Nattradio"],
    "sport": ["Crystal Palace – Liverpool", "Etter kampen", "Håndball: Larvik – Vipers", "Skiskyting", "Målene"],
    "nyheter": ["Dagsrevyen", "Været", "Utenriks", "Debatten", "Siste nytt"],
    "natur": ["Sjøørnens vår", "Under isen", "Villreinens rike: hundre dager på Hardangervidda", "Lofoten"],
    "kino": ["Oslo, 31. august", "Max Manus", "Kon-Tiki", "Elling"],
}
DESCRIPTION = "Direkte fra Selhurst Park. Liverpool har ikke tapt her siden 2014, men Palace kommer med full tropp."


@dataclass
class Double:
    """What the stood-in roles do now, and what they have heard."""

    channels: list[dict[str, object]] = field(default_factory=lambda: [dict(c) for c in CHANNELS])
    open_ids: set[str] = field(default_factory=set)
    sign_in_answers: Iterator[str] = field(default_factory=lambda: itertools.repeat("ok"))
    """What each sign-in meets in turn: `ok`, `busy`, `silent` (hangs up) or `broken` (500)."""
    retry_after_s: int = 2
    tokens: set[str] = field(default_factory=lambda: {"first"})
    """The playback tokens that playout takes."""
    door_answers: str = "ok"
    line: list[int] = field(default_factory=list)
    """The places that the waiting room tells in turn, before it gives a pass."""
    line_stands_since: float | None = None
    ordered: dict[str, object] | None = None
    """What people on duty have ordered of the line."""
    line_told: bool = False
    """Whether `GET /line` tells of it already when somebody comes."""
    turns: list[tuple[float, int, float]] = field(default_factory=list)
    """What `GET /line` tells of positions; each of ours is 7."""
    admitted_seconds: float = 60
    poll_after_s: float = 1.0
    entered: list[str] = field(default_factory=list)
    """Each knock at the waiting room: `enter`, or the ticket shown."""
    stream_answers: str = "ok"
    """`ok` or `broken` (500)."""
    lifetime_seconds: float = 12 * 3600
    sign_ins: list[dict[str, str]] = field(default_factory=list)
    sign_outs: int = 0
    renewals: list[str] = field(default_factory=list)
    reports: list[dict[str, object]] = field(default_factory=list)
    hits: list[dict[str, object]] = field(default_factory=list)
    """The incidents in which the one who is signed in was hit."""
    codes_asked: list[dict[str, str]] = field(default_factory=list)
    passwords_set: list[dict[str, str]] = field(default_factory=list)
    devices: list[dict[str, object]] = field(default_factory=list)
    """Where the one who is signed in is signed in."""
    addresses: list[str] = field(default_factory=list)
    """Every path asked of playout."""


def make_clip(folder: Path, hue: float) -> None:
    """Writes `SEGMENTS` fMP4 segments of a moving picture with a tone to `folder`."""
    folder.mkdir(parents=True)
    with av.open(
        str(folder / "clip.m3u8"),
        "w",
        format="hls",
        options={
            "hls_segment_type": "fmp4",
            "hls_time": str(SEGMENT_SECONDS),
            "hls_playlist_type": "vod",
            "hls_segment_filename": str(folder / "%d.m4s"),
        },
    ) as output:
        picture = output.add_stream("libx264", rate=FRAMES_PER_SECOND)
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        picture.options = {"preset": "ultrafast", "g": str(FRAMES_PER_SECOND * SEGMENT_SECONDS), "sc_threshold": "0"}
        sound = output.add_stream("aac", rate=SAMPLE_RATE)
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / HEIGHT
        samples = np.arange(SAMPLE_RATE // FRAMES_PER_SECOND)
        for number in range(SEGMENTS * SEGMENT_SECONDS * FRAMES_PER_SECOND):
            at = number / FRAMES_PER_SECOND
            ball = np.hypot(x - 0.9 - 0.5 * np.sin(at), y - 0.5 - 0.2 * np.cos(2.1 * at)) < 0.07
            stripes = 0.5 + 0.5 * np.sin(9 * x + at)
            parts = [np.clip(c * (0.55 + 0.2 * stripes - 0.25 * y) + 0.7 * ball, 0, 1) for c in colour(hue)]
            image = (np.stack(parts, axis=-1) * 255).astype(np.uint8)
            output.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            start = number * len(samples)
            tone = 0.05 * np.sin(2 * np.pi * (220 + 110 * hue) * (start + samples) / SAMPLE_RATE)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None, :], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            output.mux(sound.encode(frame))
        for stream in (picture, sound):
            output.mux(stream.encode(None))


def colour(hue: float) -> tuple[float, float, float]:
    red, green, blue = (0.5 + 0.5 * np.cos(2 * np.pi * (hue + shift)) for shift in (0, 1 / 3, 2 / 3))
    return red, green, blue


def live_playlist(now: float) -> str:
    """The window of the endless repetition of the clip."""
    newest = int(now // SEGMENT_SECONDS)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}",
        f"#EXT-X-MEDIA-SEQUENCE:{newest - WINDOW_SEGMENTS}",
        '#EXT-X-MAP:URI="init.mp4"',
    ]
    for number in range(newest - WINDOW_SEGMENTS, newest):
        lines += [f"#EXTINF:{SEGMENT_SECONDS:.3f},", f"{number}.m4s"]
    return "\n".join([*lines, ""])


def live_segment(folder: Path, number: int) -> bytes:
    """Segment `number` of the endless repetition: one of the clip's, its decode times moved to where it stands."""
    segment = bytearray((folder / f"{number % SEGMENTS}.m4s").read_bytes())
    seconds = number // SEGMENTS * SEGMENTS * SEGMENT_SECONDS
    units = timescales(folder)
    for fragment in re.finditer(b"tfhd....(....).{0,64}?tfdt\x01...", bytes(segment), re.DOTALL):
        (track,) = struct.unpack(">I", fragment[1])
        (time,) = struct.unpack_from(">Q", segment, fragment.end())
        struct.pack_into(">Q", segment, fragment.end(), time + seconds * units[track - 1])
    return bytes(segment)


def timescales(folder: Path) -> list[int]:
    """The units per second of each track (ISO 14496-12, media header box)."""
    init = (folder / "init.mp4").read_bytes()
    return [struct.unpack_from(">I", init, box.end() + 8)[0] for box in re.finditer(b"mdhd\x00...", init, re.DOTALL)]


def programmes(channel: str, now: float) -> list[dict[str, object]]:
    start = now - now % 1800 - 3600 - 600 * len(channel)
    found = []
    for title in itertools.islice(itertools.cycle(TITLES[channel]), 16):
        stop = start + 1800 + 600 * (len(title) % 4)
        found.append({"title": title, "description": DESCRIPTION, "start": start, "stop": stop})
        start = stop
    return found


def now_and_next(channel: dict[str, object], now: float) -> dict[str, object]:
    coming = [p for p in programmes(str(channel["id"]), now) if p["stop"] > now]
    return {**channel, "now": coming[0], "next": coming[1]}


def signin(double: Double) -> list[Route]:
    async def sign_in(request: Request) -> Response:
        body = await request.json()
        double.sign_ins.append(body)
        answer = next(double.sign_in_answers)
        if answer == "busy":
            wait = double.retry_after_s
            refusal = {"error": "overloaded", "message": "Many are on their way in.", "retry_after_s": wait}
            return JSONResponse(refusal, 503, {"Retry-After": str(wait)})
        if answer == "silent":
            await asyncio.sleep(3600)
        if answer == "broken":
            return PlainTextResponse("no", 500)
        if body["password"] != PASSWORD:
            return JSONResponse({"error": "wrong-credentials", "message": "Wrong."}, 401)
        return JSONResponse({"device_token": "a-device-token", "name": "Kari", **playback(double, "first")})

    async def sign_out(_: Request) -> Response:
        double.sign_outs += 1
        return Response(status_code=204)

    async def ask_for_code(request: Request) -> Response:
        double.codes_asked.append(await request.json())
        return JSONResponse({"sent": "perhaps"}, 202)

    async def set_password(request: Request) -> Response:
        body = await request.json()
        if body.get("link") != LINK and body.get("code") != CODE:
            return JSONResponse({"error": "bad-link" if "link" in body else "wrong-code", "message": "No."}, 401)
        double.passwords_set.append(body)
        return Response(status_code=204)

    async def devices(_: Request) -> Response:
        return JSONResponse({"devices": double.devices})

    async def end_devices(request: Request) -> Response:
        body = await request.json()
        left = [each for each in double.devices if each["here"] or each["device"] != body.get("device", each["device"])]
        ended, double.devices = len(double.devices) - len(left), left
        return JSONResponse({"ended": ended})

    return [
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
        Route("/password/code", ask_for_code, methods=["POST"]),
        Route("/password", set_password, methods=["POST"]),
        Route("/devices", devices),
        Route("/devices/end", end_devices, methods=["POST"]),
    ]


def playback(double: Double, token: str) -> dict[str, object]:
    now, life = time.time(), double.lifetime_seconds
    return {"playback_token": token, "expires_at": now + life, "renew_after": now + life / 2}


def door(double: Double) -> list[Route]:
    async def playback_token(request: Request) -> Response:
        double.renewals.append(request.headers["Authorization"])
        if double.door_answers == "refused":
            return JSONResponse({"error": "bad-token", "message": "No."}, 401)
        if double.door_answers == "broken":
            return PlainTextResponse("no", 500)
        token = f"renewed-{len(double.renewals)}"
        double.tokens.add(token)
        return JSONResponse(playback(double, token))

    def in_line() -> Response:
        if double.line_stands_since is None and not double.ordered and not double.line:
            return JSONResponse({"admitted": "a-pass", "expires_at": time.time() + double.admitted_seconds})
        place = double.line.pop(0) if double.line else 1
        wait_s = None if double.line_stands_since else float(place)
        told = {"ticket": "a-ticket", "place": place, "wait_s": wait_s, "poll_after_s": double.poll_after_s}
        if double.ordered is not None and double.ordered["state"] == "scheduled":
            told["place"] = None
        told |= {"since": double.line_stands_since, "open": "playout", "ordered": double.ordered}
        return JSONResponse(told | ({"position": 7.0} if double.turns else {}))

    async def line(_: Request) -> Response:
        stands = double.line_stands_since
        wait_s = 0.0 if not double.line_told else None if stands else float((double.line or [0])[0])
        turns = [] if stands or double.ordered else double.turns
        return JSONResponse({"wait_s": wait_s, "since": stands, "turns": turns, "ordered": double.ordered})

    async def enter(_: Request) -> Response:
        double.entered.append("enter")
        return in_line()

    async def waiting(request: Request) -> Response:
        double.entered.append(request.query_params["ticket"])
        if request.query_params["ticket"] != "a-ticket":
            return JSONResponse({"error": "bad-ticket", "message": "No."}, 400)
        return in_line()

    return [
        Route("/playback-token", playback_token, methods=["POST"]),
        Route("/enter", enter, methods=["POST"]),
        Route("/waiting", waiting),
        Route("/line", line),
    ]


def playout(double: Double, clips: Path) -> list[Route]:
    async def channels(_: Request) -> Response:
        return JSONResponse([now_and_next(channel, time.time()) for channel in double.channels])

    async def guide(_: Request) -> Response:
        now = time.time()
        return JSONResponse([{"id": c["id"], "programmes": programmes(c["id"], now)} for c in double.channels])

    async def open_channels(_: Request) -> Response:
        now = time.time()
        return JSONResponse([now_and_next(c, now) for c in double.channels if c["id"] in double.open_ids])

    async def stream(request: Request) -> Response:
        double.addresses.append(request.url.path)
        where = request.path_params
        if "token" in where:
            if where["token"] not in double.tokens:
                return JSONResponse({"error": "expired"}, 403)
            if where["channel"] == "kino":
                return JSONResponse({"error": "not-entitled"}, 403)
        elif where["channel"] not in double.open_ids:
            return JSONResponse({"error": "not-open"}, 403)
        if double.stream_answers == "broken":
            return PlainTextResponse("no", 500)
        if where["file"] == "index.m3u8":
            return Response(live_playlist(time.time()), media_type="application/vnd.apple.mpegurl")
        clip = clips / where["channel"]
        name = Path(where["file"])
        body = (clip / name.name).read_bytes() if name.stem == "init" else live_segment(clip, int(name.stem))
        return Response(body, media_type="video/mp4")

    async def report(request: Request) -> Response:
        double.reports.append(await request.json())
        return Response(status_code=204)

    return [
        Route("/channels", channels),
        Route("/guide", guide),
        Route("/open", open_channels),
        Route("/live/{token}/{channel}/{file}", stream),
        Route("/open/{channel}/{file}", stream),
        Route("/report", report, methods=["POST"]),
    ]


def assurance(double: Double) -> list[Route]:
    async def was_i_hit(request: Request) -> Response:
        if request.headers["Authorization"] != "Bearer a-device-token":
            return JSONResponse({"error": "bad-token", "message": "No."}, 401)
        return JSONResponse({"incidents": double.hits})

    return [Route("/was-i-hit", was_i_hit)]


class Served:
    """A role in its own thread, which can be stopped."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self.url = f"http://localhost:{listener.getsockname()[1]}"
        self._listener = listener
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=0)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        stop_all([self])

    def ask_to_stop(self) -> None:
        self._server.should_exit = True

    def join(self) -> None:
        self._thread.join(10)
        self._listener.close()


def stop_all(roles: Collection[Served]) -> None:
    """All at once: each takes its time to notice."""
    for role in roles:
        role.ask_to_stop()
    for role in roles:
        role.join()


@contextmanager
def television(
    clips: Path, real_door: Callable[[str], ASGIApp] | None = None, *, look: Look = OUR_LOOK
) -> Iterator[tuple[Double, dict[str, Served]]]:
    """The viewer role, and doubles of the roles that it talks to, for as long as the context lasts.

    `real_door`: one in place of the double, for this viewer.
    """
    double = Double()
    names = ("signin", "door", "playout", "status", "assurance", "viewer")
    listeners = {role: socket.create_server(("127.0.0.1", 0)) for role in names}
    urls = {role: f"http://localhost:{listener.getsockname()[1]}" for role, listener in listeners.items()}
    routes = {
        "signin": signin(double),
        "door": door(double),
        "playout": playout(double, clips),
        "status": [Route("/", lambda _: PlainTextResponse("All is told here."))],
        "assurance": assurance(double),
    }
    cors = Middleware(
        CORSMiddleware,
        allow_origins=[urls["viewer"]],
        allow_credentials=True,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
    )
    apps: dict[str, ASGIApp] = {role: Starlette(routes=r, middleware=[cors]) for role, r in routes.items()}
    settings: dict[str, object] = {
        role: urls[role] for role in ("signin", "door", "playout", "status", "assurance")
    } | {
        "demo": True,
        "operator": "Fjordnett",
    }
    settings |= {"texts": {"headline": asdict(look.headline), "waiting": asdict(look.waiting)}}
    apps["viewer"] = application(settings, look)
    if real_door is not None:
        apps["door"] = real_door(urls["viewer"])
    served = {role: Served(app, listeners[role]) for role, app in apps.items()}
    try:
        yield double, served
    finally:
        stop_all(served.values())
