"""The server as a process: listen, serve until told to stop, end what was begun. The module that talks to uvicorn."""

from __future__ import annotations

import logging
import signal
import socket
from contextlib import suppress
from threading import current_thread, main_thread
from typing import TYPE_CHECKING

import uvicorn

from sift_rag.errors import ConfigurationError
from sift_rag_server.app import create_app
from sift_rag_server.logs import log_as_json_lines
from sift_rag_server.service import Service

if TYPE_CHECKING:
    from sift_rag.protocols import Embedder
    from sift_rag_server.settings import ServerSettings

_log = logging.getLogger("sift_rag_server")


class RunningServer:
    """Listens from the moment it is made; answers while ``run`` runs."""

    def __init__(self, settings: ServerSettings, *, embedder: Embedder | None = None) -> None:
        """See the class.

        Raises:
            ConfigurationError: the port cannot be listened on.
        """
        self.service = Service(settings, embedder=embedder)
        self._socket = _listen(settings.host, settings.port)
        host, self.port = self._socket.getsockname()[:2]
        self.url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                create_app(self.service, on_failure=self.stop),
                log_config=None,
                access_log=False,
                ws="none",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=settings.limits.stopping_seconds,
            )
        )

    def run(self) -> None:
        """Serve until ``stop``, SIGINT or SIGTERM.

        Raises:
            SiftRagError: the embedder cannot be loaded.
        """
        _log.info("listening", extra={"facts": {"url": self.url}})
        with self._socket, suppress(KeyboardInterrupt):  # raised again by uvicorn once all has ended well
            self._server.run(sockets=[self._socket])
        _log.info("stopped")
        if self.service.failure is not None:
            raise self.service.failure

    def stop(self) -> None:
        """From any thread."""
        self._server.should_exit = True


def serve(settings: ServerSettings) -> None:
    """Serve in the foreground, with a log on stderr, until SIGINT or SIGTERM.

    Raises:
        ConfigurationError: the port cannot be listened on.
        ModelUnavailable: the embedder cannot be loaded.
    """
    log_as_json_lines()
    server = RunningServer(settings)
    if current_thread() is main_thread():  # so that being told to stop is no failure, whichever way
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    server.run()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host.strip("[]"), port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"{host} cannot be listened on at port {port}: {error.strerror or error}. Choose another with --port."
        ) from error
    # Inherited by its connections; asyncio sets it only on sockets that it makes. Without it the body of a reply waits
    # until the client has acknowledged the head, which it delays: 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
