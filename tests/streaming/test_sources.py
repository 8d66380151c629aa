"""A source: what is read of it and shown, whatever comes; and what is told of its troubles."""

import functools
import http.server
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from waiting import WAIT_SECONDS_MAX, never, until

from prikkfri.streaming.limits import Limits
from prikkfri.streaming.picture import Design
from prikkfri.streaming.playout import SourceFeed, SourceReader
from prikkfri.streaming.ticks import SAMPLE_RATE, Planes, Tick

WIDTH, HEIGHT = 64, 36
DESIGN = Design(WIDTH, HEIGHT, "Small", 1, (255, 0, 0), UTC)
HERTZ = 1_000


def grey(brightness: int, width: int = WIDTH, height: int = HEIGHT) -> Planes:
    picture = np.full((height * 3 // 2, width), 128, np.uint8)
    picture[:height] = brightness
    return picture


PICTURE = grey(128)


def film(
    path: Path, pictures: Sequence[Planes] = (PICTURE,) * 25, *, sound: bool = False, pixel: Fraction | None = None
) -> None:
    """A second and more of pictures, with a tone when it has sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "qp": "4"})
        video.height, video.width, video.pix_fmt = pictures[0].shape[0] * 2 // 3, pictures[0].shape[1], "yuv420p"
        video.codec_context.sample_aspect_ratio = pixel or Fraction(1)
        audio = container.add_stream("aac", rate=32_000, layout="mono") if sound else None
        for picture in pictures:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        container.mux(video.encode(None))
        if audio is not None:
            at = np.arange(len(pictures) * 32_000 // 25) / 32_000
            tone = (0.5 * np.sin(2 * np.pi * HERTZ * at)).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate = 32_000
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))


def damaged(path: Path, pictures: Sequence[int | None]) -> None:
    """A film of these brightnesses; where there is none, what is in its place is no picture."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("png", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "rgb24"
        for number, brightness in enumerate(pictures):
            pixels = np.full((HEIGHT, WIDTH, 3), brightness or 0, np.uint8)
            [packet] = video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
            if brightness is None:
                packet = av.Packet(b"no picture at all")
                packet.stream, packet.time_base, packet.is_keyframe = video, Fraction(1, 25), True
                packet.pts = packet.dts = number
            container.mux(packet)


QUICK, PATIENT = Limits(retry_seconds=0.01), Limits(retry_seconds=3_600)
Reading = Callable[..., SourceReader]


@pytest.fixture
def reading() -> Iterator[Reading]:
    readers: list[SourceReader] = []

    def start(address: str, limits: Limits = QUICK) -> SourceReader:
        readers.append(SourceReader(address, WIDTH, HEIGHT, limits))
        readers[-1].start()
        return readers[-1]

    yield start
    for reader in readers:
        reader.stop()


def test_a_file_is_read_over_and_over(tmp_path: Path, reading: Reading) -> None:
    film(tmp_path / "film.mp4")
    reader = reading(str(tmp_path / "film.mp4"))
    for _ in range(60):  # of 25 pictures
        assert reader.ticks.get(timeout=60).picture.shape == PICTURE.shape


def some(reader: SourceReader, count: int) -> list[Tick]:
    return [reader.ticks.get(timeout=WAIT_SECONDS_MAX) for _ in range(count)]


def brightness(tick: Tick) -> int:
    return round(float(tick.picture[:HEIGHT].mean()))


def test_all_of_a_film_is_read_and_no_more_than_is_wanted_soon(tmp_path: Path, reading: Reading) -> None:
    film(tmp_path / "film.mp4", [grey(20 + 8 * n) for n in range(25)])
    reader = reading(str(tmp_path / "film.mp4"))
    until(reader.ticks.full)
    assert never(lambda: not reader.ticks.full(), seconds=0.7)
    seen = [brightness(tick) for tick in some(reader, 24)]
    assert seen == pytest.approx([20 + 8 * n for n in range(24)], abs=2), (
        "one after the other, however late they are asked for"
    )


def test_the_sound_is_had_as_it_is(tmp_path: Path, reading: Reading) -> None:
    film(tmp_path / "film.mp4", (PICTURE,) * 50, sound=True)
    sound = np.concatenate([tick.sound for tick in some(reading(str(tmp_path / "film.mp4")), 36)][10:], axis=1)
    assert sound.shape[0] == 2 and sound.max() == pytest.approx(0.5, abs=0.2)
    for channel in sound:
        strengths = np.abs(np.fft.rfft(channel * np.hanning(len(channel))))
        assert np.argmax(strengths) * SAMPLE_RATE / len(channel) == pytest.approx(HERTZ, abs=2)


@pytest.mark.parametrize(
    ("width", "height", "pixel", "inner"),
    [
        (64, 36, None, (64, 36)),
        (48, 36, None, (48, 36)),
        (64, 48, None, (48, 36)),
        (128, 36, None, (64, 18)),
        (32, 36, Fraction(2), (64, 36)),
        (36, 36, Fraction(16, 12), (48, 36)),
        (64, 50, None, (46, 36)),
        (60, 48, None, (44, 36)),  # in whole pairs of columns, as colour has half of them
    ],
)
def test_a_picture_of_another_shape_stands_whole_and_in_proportion_on_black(
    tmp_path: Path, reading: Reading, width: int, height: int, pixel: Fraction | None, inner: tuple[int, int]
) -> None:
    film(tmp_path / "film.mp4", (grey(200, width, height),) * 25, pixel=pixel)
    [tick] = some(reading(str(tmp_path / "film.mp4")), 1)
    bright = tick.picture[:HEIGHT] > 100
    assert tick.picture.shape == PICTURE.shape
    assert (bright.any(axis=0).sum(), bright.any(axis=1).sum()) == inner


def test_what_is_damaged_of_a_film_is_left_out(tmp_path: Path, reading: Reading) -> None:
    """A hundred damaged pictures in a row at the most; more of them one by one."""
    damaged(tmp_path / "film.nut", [*(20 if n % 2 else None for n in range(240)), *[None] * 99, 220, 220, 220])
    assert max(brightness(tick) for tick in some(reading(str(tmp_path / "film.nut")), 341)) > 180


def test_what_is_damaged_for_too_long_is_no_film(
    tmp_path: Path, reading: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    damaged(tmp_path / "film.nut", [*[20] * 5, *[None] * 101, *[220] * 5])
    reader = reading(str(tmp_path / "film.nut"))
    assert max(brightness(tick) for tick in some(reader, 20)) < 50, "from the start again and again"
    until(lambda: "trying again every 0.01 s" in caplog.text)


class Origin(http.server.ThreadingHTTPServer):
    """Serves the folder `afar` over HTTP."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.asked = 0
        super().__init__(("127.0.0.1", 0), functools.partial(Counted, directory=str(folder)))

    def address(self, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.server_address[1]}"


class Counted(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        assert isinstance(self.server, Origin)
        self.server.asked += 1


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    with Origin(tmp_path / "afar") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_trouble_is_told_once_until_it_has_gone_and_no_secret_with_it(
    tmp_path: Path, origin: Origin, reading: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    reader = reading(f"{origin.address('user:secret@')}/film.mp4?key=secret")

    def told() -> int:
        if not reader.ticks.empty():
            reader.ticks.get()
        return caplog.text.count("HTTPNotFoundError: ")

    until(lambda: origin.asked >= 5)
    assert told() == 1
    film(tmp_path / "new.mp4")
    (tmp_path / "new.mp4").rename(tmp_path / "afar" / "film.mp4")
    some(reader, 30)
    (tmp_path / "afar" / "film.mp4").unlink()
    until(lambda: told() == 2)
    assert "secret" not in caplog.text and {record.levelname for record in caplog.records} == {"WARNING"}


@pytest.mark.parametrize(
    "pictures", [None, [None] * 5, [20] * 5 + [None] * 101], ids=["not there", "empty", "broken off"]
)
def test_what_gives_nothing_more_is_asked_again_after_a_while(
    tmp_path: Path, origin: Origin, reading: Reading, pictures: list[int | None] | None
) -> None:
    if pictures is not None:
        damaged(tmp_path / "afar" / "film.nut", pictures)
    reader = reading(f"{origin.address()}/film.nut", PATIENT)
    until(lambda: origin.asked)

    def asked_again() -> bool:
        if not reader.ticks.empty():
            reader.ticks.get()
        return origin.asked > 5

    assert never(asked_again, seconds=0.3)


@pytest.mark.slow  # five seconds are waited for an answer
def test_an_origin_that_never_answers_is_given_up_and_asked_again(reading: Reading) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(WAIT_SECONDS_MAX)
        reading(f"http://127.0.0.1:{silent.getsockname()[1]}/live.m3u8")
        with silent.accept()[0], silent.accept()[0]:
            pass


def test_a_playlist_from_afar_reaches_no_file_of_this_machine(
    tmp_path: Path, origin: Origin, reading: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    film(tmp_path / "secret.mp4")
    film(tmp_path / "afar" / "film.mp4")
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
    for name, address in (("near", f"{origin.address()}/film.mp4"), ("far", f"file://{tmp_path}/secret.mp4")):
        (tmp_path / "afar" / f"{name}.m3u8").write_text(f"{head}{address}\n#EXT-X-ENDLIST\n")
    with caplog.at_level(logging.WARNING):
        reader = reading(f"{origin.address()}/far.m3u8")
        until(lambda: "cannot be read" in caplog.text or "error" in caplog.text.lower() or reader.ticks.qsize())
    assert reader.ticks.empty()
    assert reading(f"{origin.address()}/film.mp4").ticks.get(timeout=60), "from the same place a film is had"


def test_a_source_is_shown_held_and_replaced_by_the_slate_and_taken_up_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A source that ends for good: its last picture for two seconds, then the slate; back when it is."""
    caplog.set_level(logging.INFO)
    film(tmp_path / "film.mp4")
    feed = SourceFeed(str(tmp_path / "film.mp4"), DESIGN, "Straks tilbake", QUICK)
    slate = feed.take(0, hurried=False)
    assert feed.on_air == "slate"
    feed.start()
    tick = iter(range(1, 100_000))
    until(lambda: feed.take(next(tick), hurried=False) and feed.on_air == "source")
    shown = feed.take(next(tick), hurried=False)
    assert (shown.picture != slate.picture).any()
    feed.stop()
    until(lambda: feed.take(next(tick), hurried=False) and feed.on_air != "source")
    held = [feed.take(next(tick), hurried=False)]
    while feed.on_air == "held":
        held.append(feed.take(next(tick), hurried=False))
    assert 40 <= len(held) <= 51
    assert all((each.picture == held[0].picture).all() and not each.sound.any() for each in held[:-1])
    assert (held[-1].picture != held[0].picture).any()
    told = [(record.levelname, record.getMessage().partition(" is ")[2]) for record in caplog.records]
    assert told == [("INFO", "on air"), ("WARNING", "away: the slate is shown")]
