"""The picture itself, judged by Debian's ffmpeg, which shares no code with PyAV's wheel at run time."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from channel_clock import Clock, Timed
from served_playout import Serve, ServedPlayout
from waiting import WAIT_SECONDS_MAX, until

from prikkfri.clock import SystemClock
from prikkfri.config import Channel
from prikkfri.streaming.limits import Limits
from prikkfri.streaming.picture import Design
from prikkfri.streaming.playout import ChannelPlayout, TestFeed
from prikkfri.streaming.ticks import TICKS_PER_SECOND

pytestmark = pytest.mark.slow

RED = (81, 90, 240)


def ffprobe(source: str | Path, *options: str) -> dict[str, list[dict[str, str]]]:
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-of", "json", *options, str(source)], capture_output=True, timeout=180, check=True
    )
    assert not done.stderr, done.stderr
    found: dict[str, list[dict[str, str]]] = json.loads(done.stdout)
    return found


def film(path: Path, seconds: int = 2, size: tuple[int, int] = (320, 180), pixels: str = "1/1") -> None:
    """A file that is red, with a tone, at 30 pictures a second and 44,100 samples: neither is ours."""
    width, height = size
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("libx264", rate=30), container.add_stream("aac", rate=44100)
        video.codec_context.sample_aspect_ratio = Fraction(pixels)
        video.width, video.height, video.pix_fmt, sound.layout = width, height, "yuv420p", "stereo"
        luma, *chroma = RED
        planes = np.concatenate(
            [np.full(width * height, luma), *(np.full(width * height // 4, value) for value in chroma)]
        ).astype(np.uint8)
        for _ in range(30 * seconds):
            frame = av.VideoFrame.from_ndarray(planes.reshape(height * 3 // 2, width), format="yuv420p")
            container.mux(video.encode(frame))
        wave = 0.1 * np.sin(np.arange(44100 * seconds) * 0.06).astype(np.float32)
        for part in np.split(np.stack([wave, wave]), seconds * 100, axis=1):
            heard = av.AudioFrame.from_ndarray(part.copy(), format="fltp", layout="stereo")
            heard.sample_rate = 44100
            container.mux(sound.encode(heard))
        container.mux(video.encode(None) + sound.encode(None))


def newest(playout: ServedPlayout, channel: str) -> bytes:
    """The newest segment with its initialisation section: a file of its own."""
    live = playout.playout.on_air[channel].live
    lines = live.playlist.decode().splitlines()
    initialisation = [line for line in lines if "EXT-X-MAP" in line][-1].split('"')[1]
    return live.files[initialisation] + live.files[lines[-1]]


def last_picture(playout: ServedPlayout, channel: str, tmp_path: Path) -> np.ndarray:
    """Red, green, blue of the newest segment's last picture, decoded by Debian's ffmpeg."""
    path = tmp_path / "newest.mp4"
    path.write_bytes(newest(playout, channel))
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        timeout=180,
        check=True,
    )
    assert not done.stderr, done.stderr
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, 540, 960, 3)[-1]


def is_red(picture: np.ndarray) -> bool:
    red, green, blue = picture[200:340, 400:560].reshape(-1, 3).mean(0)
    return bool(red > 200 and green < 60 and blue < 60)


def on_air(playout: ServedPlayout, channel: str = "film") -> str:
    return playout.playout.on_air[channel].feed.on_air


def test_the_stream_is_what_the_playlist_says(served: ServedPlayout, tmp_path: Path) -> None:
    index = served.get("/open/torget/index.m3u8").text
    codecs, width, height = re.findall(r'CODECS="(.*?)",RESOLUTION=(\d+)x(\d+)', index)[0]
    assert codecs.split(",")[1] == "mp4a.40.2"
    path = tmp_path / "segment.mp4"
    path.write_bytes(newest(served, "torget"))
    video, sound = ffprobe(path, "-show_streams")["streams"]
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", int(width), int(height))
    assert (sound["codec_name"], sound["profile"], sound["sample_rate"]) == ("aac", "LC", "48000")
    profile, level = {"Constrained Baseline": "42c0", "High": "6400"}[str(video["profile"])], int(video["level"])
    assert codecs.split(",")[0] == f"avc1.{profile}{level:02x}"
    assert (video["color_space"], video["color_range"]) == ("bt709", "tv")


def test_ffmpeg_plays_it_live_without_a_complaint(serve: Serve) -> None:
    playout = serve(Channel(id="sport", name="Sport", number=1, package="sport"))
    until(lambda: playout.playout.on_air["sport"].live.playlist.count(b"#EXTINF") >= 3)
    url = f"{playout.url}/live/{playout.token('sport')}/sport/index.m3u8"
    done = subprocess.run(  # ten segments, of which three are there when it begins
        ["ffmpeg", "-v", "error", "-i", url, "-t", "4", "-f", "null", "-"],
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture(scope="module")
def five_seconds() -> ChannelPlayout:
    """A channel after five seconds on air, by a clock that takes no time and on a machine that is never too slow."""
    clock, design = Clock(), Design(320, 180, "Square", 3, (255, 0, 0), UTC)
    feed = Timed(TestFeed(design, lambda _: "Match"), clock, 6 * TICKS_PER_SECOND)
    channel = ChannelPlayout(
        "square", feed, design, clock=clock, segment_seconds=1.0, window_seconds=60.0, limits=Limits()
    )
    channel.start()
    assert feed.enough.wait(120)
    channel.stop()
    channel.join()
    return channel


def test_timestamps_grow_without_gaps(five_seconds: ChannelPlayout, tmp_path: Path) -> None:
    """Each listed segment ends where the next begins, to the tick, and each begins with a key picture."""
    live = five_seconds.live
    lines = live.playlist.decode().splitlines()
    names = [line for line in lines if line.endswith(".m4s")]
    assert len(names) >= 5
    durations = [float(line[8:-1]) for line in lines if line.startswith("#EXTINF")]
    initialisation = live.files[re.findall(r'URI="(.*?)"', live.playlist.decode())[0]]
    path = tmp_path / "all.mp4"
    path.write_bytes(initialisation + b"".join(live.files[name] for name in names))
    for stream in ("v", "a"):
        packets = ffprobe(path, "-select_streams", stream, "-show_packets")["packets"]
        times = [float(packet["dts_time"]) for packet in packets]
        steps = np.diff(times)
        assert (steps > 0).all()
        assert np.allclose(steps, 0.04 if stream == "v" else 1024 / 48000, atol=0.001)
        if stream == "v":
            assert abs(len(times) * 0.04 - sum(durations)) < 0.001
            keys = [time for time, packet in zip(times, packets, strict=True) if "K" in packet["flags"]]
            assert np.allclose(np.diff(keys), durations[:-1], atol=0.001)
    starts = re.findall(r"PROGRAM-DATE-TIME:(.*)Z", live.playlist.decode())
    assert len(set(starts)) == len(names)
    assert all(start.endswith(".000") for start in starts[1:])  # cut at whole seconds of the wall clock


def onsets(channel: ChannelPlayout, path: Path) -> list[float]:
    """When sound sets in after silence, in seconds after a whole second of the wall clock."""
    pieces = channel.window.pieces
    path.write_bytes(b"".join([pieces[0].initialisation, *(piece.content for piece in pieces)]))
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-ac", "1", "-"],
        capture_output=True,
        timeout=180,
        check=True,
    )
    video, sound = (float(stream["start_time"]) for stream in ffprobe(path, "-show_streams")["streams"])
    loud = np.flatnonzero(np.abs(np.frombuffer(done.stdout, np.float32)) > 0.03).tolist()
    after_silence = [at for before, at in pairwise([0, *loud]) if at - before > 20_000]
    return [(pieces[0].segment.start + sound - video + at / 48000 + 0.5) % 1 - 0.5 for at in after_silence]


def test_the_pips_come_with_the_seconds(five_seconds: ChannelPlayout, tmp_path: Path) -> None:
    """Picture and sound share one timeline, and it is the wall clock's."""
    heard = onsets(five_seconds, tmp_path / "run.mp4")
    assert len(heard) >= 4
    assert all(abs(onset) < 0.005 for onset in heard)


def test_a_file_that_disappears_becomes_a_slate_and_returns(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "film.mp4"
    film(source)
    playout = serve(Channel(id="film", name="Film", number=1, source=str(source), open=True))
    until(lambda: on_air(playout) == "source")
    until(lambda: playout.get("/open/film/media.m3u8").status_code == 200)
    until(lambda: is_red(last_picture(playout, "film", tmp_path)))

    source.rename(tmp_path / "away.mp4")
    until(lambda: on_air(playout) == "slate")
    until(lambda: not is_red(last_picture(playout, "film", tmp_path)))
    assert any("slate" in trouble for trouble in playout.playout.troubles())

    (tmp_path / "away.mp4").rename(source)
    until(lambda: on_air(playout) == "source")
    until(lambda: is_red(last_picture(playout, "film", tmp_path)))
    until(lambda: playout.pictures[-1:] == [("kept", "")])
    assert ("broken", "slate") in playout.pictures
    # The slate came and went without a seam: only a machine that cannot keep up begins a new run.
    assert playout.playout.on_air["film"].runs == 1 + caplog.text.count("channel film:")


@pytest.mark.parametrize(
    ("size", "pixels", "black"),
    [
        ((240, 180), "1/1", "sides"),
        ((320, 120), "1/1", "top"),
        ((180, 180), "16/9", "nothing"),
        ((320, 180), "3/4", "sides"),
    ],
)
def test_a_picture_of_another_shape_stands_on_black(
    serve: Serve, tmp_path: Path, size: tuple[int, int], pixels: str, black: str
) -> None:
    film(tmp_path / "film.mp4", size=size, pixels=pixels)
    playout = serve(Channel(id="film", name="Film", number=1, source=str(tmp_path / "film.mp4")))
    until(lambda: on_air(playout) == "source" and playout.playout.on_air["film"].live.end)
    until(lambda: is_red(last_picture(playout, "film", tmp_path)))
    picture = last_picture(playout, "film", tmp_path)
    assert (picture[:, :100].max() < 30, picture[:80].max() < 30) == (black == "sides", black == "top")


@pytest.mark.parametrize("content", [b"", b"no film at all" * 1000, None])
def test_what_is_no_film_shows_the_slate(serve: Serve, tmp_path: Path, content: bytes | None) -> None:
    source = tmp_path / "film.mp4"
    if content is None:
        film(source, seconds=1)
        content = source.read_bytes()[:-9000]  # its index is gone
    source.write_bytes(content)
    playout = serve(Channel(id="film", name="Film", number=1, source=str(source), open=True))
    until(lambda: playout.get("/open/film/media.m3u8").status_code == 200)
    assert on_air(playout) == "slate"
    until(lambda: playout.pictures == [("broken", "slate")])


def test_a_source_that_never_answers_blocks_nobody(serve: Serve) -> None:
    """The connection is accepted and nothing is ever sent; the other channel and the edge do not notice."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        playout = serve(
            Channel(id="film", name="Film", number=1, source=f"http://127.0.0.1:{port}/live.m3u8", open=True),
            Channel(id="picture", name="Picture", number=2, open=True),
        )
        for channel in ("film", "picture"):
            until(lambda channel=channel: playout.get(f"/open/{channel}/media.m3u8").status_code == 200)  # type: ignore[misc]
        film_channel = playout.playout.on_air["film"]
        before = film_channel.live.end
        until(lambda: film_channel.live.end >= before + 2)
        assert on_air(playout) == "slate"


ORIGIN = """
import sys
from channel_clock import Clock, Timed
from served_playout import ServedPlayout
from waiting import until
from pathlib import Path
from prikkfri.clock import SystemClock
from prikkfri.config import Channel
channel = Channel(id="origin", name="Origin", number=1, colour="#ff2020", open=True)
with ServedPlayout(Path(sys.argv[1]), (channel,), SystemClock()).running() as playout:
    until(lambda: playout.get("/open/origin/media.m3u8").text.count("EXTINF") >= 2)
    print(playout.url, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_an_hls_origin_that_freezes_becomes_a_slate_and_is_taken_up_again(serve: Serve, tmp_path: Path) -> None:
    """The origin is another playout, in a process of its own, so that SIGSTOP hits all of it."""
    folder = tmp_path / "origin"
    folder.mkdir()
    origin = subprocess.Popen(
        [sys.executable, "-c", ORIGIN, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert origin.stdout is not None
        url = origin.stdout.readline().strip()
        playout = serve(
            Channel(id="film", name="Film", number=1, source=f"{url}/open/origin/index.m3u8", open=True),
            Channel(id="picture", name="Picture", number=2, open=True),
        )
        until(lambda: on_air(playout) == "source")
        until(lambda: playout.get("/open/film/media.m3u8").status_code == 200)
        os.kill(origin.pid, signal.SIGSTOP)
        until(lambda: on_air(playout) == "slate")
        ends = [playout.playout.on_air[channel].live.end for channel in ("film", "picture")]
        until(
            lambda: all(
                playout.playout.on_air[c].live.end > end + 2 for c, end in zip(("film", "picture"), ends, strict=True)
            )
        )
        os.kill(origin.pid, signal.SIGCONT)
        until(lambda: on_air(playout) == "source")
    finally:
        os.kill(origin.pid, signal.SIGCONT)
        origin.communicate(timeout=WAIT_SECONDS_MAX)


class JumpingClock(SystemClock):
    """The system's clock, and a hand that moves it."""

    wall = 0.0
    steady = 0.0

    def now(self) -> float:
        return super().now() + self.wall

    def monotonic(self) -> float:
        return super().monotonic() + self.steady


def sleep_of_the_machine(clock: JumpingClock) -> None:
    clock.wall += 30
    clock.steady += 30


def step_forward(clock: JumpingClock) -> None:
    clock.wall += 5


def step_back(clock: JumpingClock) -> None:
    clock.wall -= 3


@pytest.mark.parametrize("event", [sleep_of_the_machine, step_forward, step_back])
def test_a_break_of_time_is_a_discontinuity_and_the_numbers_go_on(
    serve: Serve, event: Callable[[JumpingClock], None], tmp_path: Path
) -> None:
    clock = JumpingClock()
    playout = serve(Channel(id="picture", name="Picture", number=1, open=True), clock=clock)
    channel = playout.playout.on_air["picture"]
    until(lambda: channel.live.playlist.count(b"EXTINF") >= 2)
    event(clock)
    until(lambda: channel.live.playlist.count(b"#EXT-X-DISCONTINUITY\n") >= 2)
    until(lambda: abs(clock.now() - channel.live.end) < 3)  # the wall-clock times are right again
    names = re.findall(r"(\d+)\.m4s", channel.live.playlist.decode())
    assert [int(name) for name in names] == list(range(int(names[0]), int(names[0]) + len(names)))
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", f"{playout.url}/open/picture/index.m3u8", "-t", "2", "-f", "null", "-"],
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0


def test_a_new_start_goes_on_with_higher_numbers(serve: Serve) -> None:
    def first_number(playout: ServedPlayout) -> int:
        channel = playout.playout.on_air["picture"]
        until(lambda: channel.live.playlist)
        return int(re.findall(rb"MEDIA-SEQUENCE:(\d+)", channel.live.playlist)[0])

    channel, clock = Channel(id="picture", name="Picture", number=1), JumpingClock()
    first = first_number(serve(channel, clock=clock))
    clock.wall += 0.5
    assert first_number(serve(channel, clock=clock)) > first


def test_it_stops_cleanly_even_while_a_source_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "film.mp4")  # to open it for reading waits for a writer that never comes
    channels = (
        Channel(id="hung", name="Film", number=1, source=str(tmp_path / "film.mp4")),
        Channel(id="moving", name="Picture", number=2),
    )
    (tmp_path / "home").mkdir()
    with ServedPlayout(tmp_path / "home", channels, SystemClock()).running() as playout:
        until(lambda: playout.playout.on_air["hung"].live.end)
    assert not {"channel-hung", "channel-moving"} & {thread.name for thread in threading.enumerate()}
    os.close(os.open(tmp_path / "film.mp4", os.O_WRONLY))  # lets the thread of the source go
    until(lambda: not [thread.name for thread in threading.enumerate() if thread.name == "source"])
