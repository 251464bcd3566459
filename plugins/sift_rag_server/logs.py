"""JSON lines for the log: facts about requests, never their texts or keys."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

_LOGGED = ("sift_rag_server", "uvicorn", "sift_rag")
"""Loggers that the server gives a handler."""


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


class Lines(logging.Formatter):
    """A formatter of records as short lines for people: time, event and facts."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; see ``JsonLines.format`` for exceptions."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        grade = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}  "
        facts = dict(getattr(record, "facts", {}))
        if record.exc_info is not None and record.exc_info[0] is not None:
            shown = record.exc_info[0].__name__
        elif record.getMessage() == "request":
            shown = f"{facts.get('method')} {facts.get('route')}  {facts.get('status')}  {facts.get('milliseconds')} ms"
        else:
            shown = "  ".join([record.getMessage(), *(f"{name} {value}" for name, value in facts.items())])
        return f"{time}  {grade}{shown}"


def log_for_people() -> None:
    """Log this server and the library as short lines on stderr, and of uvicorn only warnings."""
    log_as_json_lines()
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    for name in _LOGGED:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(Lines())


def log_as_json_lines(level: int = logging.INFO) -> None:
    """Log this server, uvicorn and the library as JSON lines on stderr, and nothing else of them."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name in _LOGGED:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
    for name in ("sift_rag_server", "uvicorn", "sift_rag.embedders"):  # which tells what it does once for good
        logging.getLogger(name).setLevel(level)
