"""Run the server: listen, serve until stopped, finish requests in progress. The only module that imports uvicorn."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
from contextlib import contextmanager, suppress
from math import ceil
from multiprocessing import active_children
from threading import current_thread, main_thread
from typing import TYPE_CHECKING

import uvicorn
from threadpoolctl import ThreadpoolController

from sift_rag.allocator import keep_freed_memory
from sift_rag.errors import ConfigurationError
from sift_rag_server.app import create_app
from sift_rag_server.connections import connection_class
from sift_rag_server.logs import log_as_json_lines, log_for_people
from sift_rag_server.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sift_rag.protocols import Embedder
    from sift_rag_server.settings import ServerSettings

_log = logging.getLogger("sift_rag_server")


class _Server(uvicorn.Server):
    """uvicorn's server, which ends requests that take too long to finish once it stops."""

    def __init__(self, service: Service, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, and wait for requests in progress."""
        service = self._service
        patience = service.settings.limits.stopping_seconds
        asyncio.get_running_loop().call_later(patience, service.lifetimes.stop)
        await super().shutdown(sockets)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let numpy compute each product of matrices on one thread within the block.

    Those of a selection are small: more threads make them no faster, and wait for the next one at full speed, on
    processors that other requests need.
    """
    controller = ThreadpoolController()
    files = [library.filepath for library in controller.lib_controllers if "numpy" in library.filepath]
    with controller.select(filepath=files).limit(limits=1):
        yield


class RunningServer:
    """A server that listens from its construction and answers while ``run`` runs."""

    def __init__(self, settings: ServerSettings, *, embedder: Embedder | None = None) -> None:
        """Start listening.

        Raises:
            ConfigurationError: the address is not available.
        """
        self.service = Service(settings, embedder=embedder)
        self._socket = _listen(settings.host, settings.port)
        host, self.port = self._socket.getsockname()[:2]
        self.url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        limits = settings.limits
        self._server = _Server(
            self.service,
            uvicorn.Config(
                create_app(self.service, on_failure=self.stop),
                http=connection_class(limits.head_seconds),
                log_config=None,
                access_log=False,
                ws="none",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=ceil(limits.stopping_seconds) + 1,
            ),
        )

    def run(self) -> None:
        """Serve until ``stop``, SIGINT or SIGTERM.

        Raises:
            SiftRagError: the embedder cannot be loaded.
        """
        _log.info("listening", extra={"facts": {"url": self.url}})
        keep_freed_memory()
        with self._socket, _one_thread_each(), suppress(KeyboardInterrupt):  # which uvicorn raises again at its end
            self._server.run(sockets=[self._socket])
        self.service.close()
        _log.info("stopped")
        if self.service.failure is not None:
            raise self.service.failure

    def stop(self) -> None:
        """Stop the server. Can be called from any thread."""
        self._server.should_exit = True


def serve(
    settings: ServerSettings,
    *,
    embedder: Embedder | None = None,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve in the foreground, with a log on stderr, until SIGINT or SIGTERM.

    Ends the process with status 0 if a thread is still at work then, such as one that fine-tunes the model.

    Args:
        settings: the server's settings.
        embedder: an open embedder to use instead of the one that the settings name.
        on_listening: called with the server's URL once it accepts connections.

    Raises:
        ConfigurationError: the address is not available.
        ModelUnavailable: the embedder cannot be loaded.
    """
    if settings.json_log:
        log_as_json_lines()
    else:
        log_for_people()
    server = RunningServer(settings, embedder=embedder)
    if on_listening is not None:
        on_listening(server.url)
    if current_thread() is main_thread():  # stopping by either signal is a success
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    server.run()
    if server.service.busy:  # the interpreter would wait for what nobody waits for, such as a fine-tuning
        _end_processes(server.service)
        logging.shutdown()
        os._exit(0)


def _end_processes(service: Service) -> None:
    """End what the interpreter would end at its own exit, so that nothing of the processes is left behind."""
    for child in active_children():
        child.kill()
        child.join(1.0)
    service.close(0.5)  # the threads that served the processes notice
    gc.collect()  # which removes the semaphores


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host.strip("[]"), port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(f"Port {port} is in use. Choose another with --port.") from error
        reason = (error.strerror or str(error)).partition(" (while ")[0]  # without the address, which is named here
        raise ConfigurationError(f"Cannot listen on {host}, port {port}: {reason}.") from error
    # Connections inherit it; asyncio sets it only on sockets of its own. Without it the body of a reply waits for the
    # client's delayed acknowledgement of the head: 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
