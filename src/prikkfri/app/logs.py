"""Structured logs: one JSON object a line in `HOME/logs/ROLE.log`, rotated so that no disk is filled."""

import json
import logging
import logging.handlers
import time
from pathlib import Path

from prikkfri.app.limits import LIMITS, AppLimits
from prikkfri.app.locks import file_name


def log_file(home: Path, role: str) -> Path:
    return home / "logs" / f"{file_name(role)}.log"


class _Lines(logging.Formatter):
    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        moment = time.gmtime(record.created)
        entry = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "role": self._role,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure_logs(home: Path, role: str, *, limits: AppLimits = LIMITS) -> None:
    path = log_file(home, role)
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=limits.log_bytes_max, backupCount=limits.log_files_max, encoding="utf-8"
    )
    handler.setFormatter(_Lines(role))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    # Request lines of the libraries hold addresses with tokens in them.
    for noisy in ("uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
