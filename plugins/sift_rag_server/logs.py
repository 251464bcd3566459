"""JSON lines for the log: facts about requests, never their texts or keys."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """A formatter of records as JSON objects: time, level, logger, event and the record's ``facts``."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record. An exception is logged by type only: its message could hold a text of a request."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage() if record.exc_info is None else "exception",
        }
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        line.update(getattr(record, "facts", {}))
        return json.dumps(line, ensure_ascii=True, default=str)


def log_as_json_lines(level: int = logging.INFO) -> None:
    """Log this server and uvicorn as JSON lines on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name in ("sift_rag_server", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
