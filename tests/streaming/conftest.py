from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from served_playout import Serve, ServedPlayout
from waiting import until

from prikkfri.clock import Clock, SystemClock
from prikkfri.config import Channel
from prikkfri.streaming.demo import channels as demo_channels


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves these channels until the test ends."""
    with ExitStack() as stack:

        def start(*channels: Channel, clock: Clock | None = None) -> ServedPlayout:
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            folder.mkdir()
            return stack.enter_context(ServedPlayout(folder, channels, clock or SystemClock()).running())

        yield start


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPlayout]:
    """Two channels with test pictures, one of them open; for tests that only watch."""
    _, sport, square = demo_channels()
    folder = tmp_path_factory.mktemp("playout")
    with ServedPlayout(folder, (sport, square), SystemClock(), segment_seconds=1.0).running() as playout:
        until(lambda: playout.get("/open/torget/media.m3u8").status_code == 200)
        until(lambda: playout.get(f"/live/{playout.token('sport')}/sport/index.m3u8").status_code == 200)
        playout.outcomes.clear()
        yield playout
