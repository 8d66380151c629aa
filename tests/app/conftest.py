"""What a role's process changes for itself, given back to the process of the tests."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def own_logs() -> Iterator[None]:
    """The root logger as it was, after a test that lets a role configure it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    quiet = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.access", "httpx", "httpcore")]
    before = [(logger.level, logger.propagate) for logger in quiet]
    for logger in quiet:
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    root.handlers[:] = []  # so that none of them is closed
    try:
        yield
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        for logger, (logger_level, propagate) in zip(quiet, before, strict=True):
            logger.setLevel(logger_level)
            logger.propagate = propagate
