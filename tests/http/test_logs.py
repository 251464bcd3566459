"""The server's log is all of one form, whoever writes a line of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from sift_rag_server.logs import log_as_json_lines, log_for_people

NAMES = ("sift_rag", "sift_rag.embedders", "sift_rag_server", "uvicorn")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    loggers[0].handlers = [logging.StreamHandler()]  # as the command line has it for the library's messages
    yield
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def write_lines() -> None:
    logging.getLogger("sift_rag.embedders.onnx_cache").info("exporting the embedder")
    logging.getLogger("sift_rag.ingestion").warning("Changes wait.")
    logging.getLogger("sift_rag_server").info(
        "request", extra={"facts": {"method": "GET", "route": "/", "status": 200, "milliseconds": 1}}
    )
    logging.getLogger("uvicorn.error").error("refused")


def test_each_line_is_json_once(capsys: pytest.CaptureFixture[str]) -> None:
    log_as_json_lines()
    write_lines()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["exporting the embedder", "Changes wait.", "request", "refused"]


def test_for_people_each_line_has_a_time_once(capsys: pytest.CaptureFixture[str]) -> None:
    log_for_people()
    write_lines()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == [
        "exporting the embedder",
        "warning  Changes wait.",
        "GET /  200  1 ms",
        "error  refused",
    ]
