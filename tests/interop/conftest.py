from collections.abc import Iterator
from pathlib import Path

import pytest
from smpp_peers import Centre, Handsets, started_centre, started_handsets


@pytest.fixture(scope="module")
def handsets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handsets]:
    with started_handsets(tmp_path_factory.mktemp("handsets")) as handsets:
        yield handsets


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory, handsets: Handsets) -> Iterator[Centre]:
    """The message centre, linked to the phones."""
    folder: Path = tmp_path_factory.mktemp("centre")
    with started_centre(folder, link_port=handsets.smpp_port, handsets=handsets) as centre:
        yield centre
