"""One JSON object a line: facts of a request, never its texts or its key."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """Time, level, logger and event, with the record's ``facts`` beside them."""

    def format(self, record: logging.LogRecord) -> str:
        """One line. Of an exception its type is told, and not its message: a text of a request could stand there."""
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
    """Have this server and what it runs on write such lines to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name in ("sift_rag_server", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
