"""A relay of gRPC's bytes, whose connections can be refused, reset and cut off as a network does it."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from threading import Lock, Thread

from tests.qdrant_stub.rest import reset_on_close

_BLOCK = 2**16


class Relay:
    """A loopback port in front of another; keeps its number when it is closed and opened again."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._links: set[_Link] = set()
        self._lock = Lock()
        self.port = 0
        self.open_port()

    def open_port(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._thread = Thread(target=self._accept, args=(self._listener,), name="qdrant-stub-relay")
        self._thread.start()

    def close_port(self) -> None:
        """Refuse new connections, and reset those that are open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.reset_all()

    def reset_all(self) -> None:
        """Reset all connections; when it returns no more byte of an answer goes out."""
        for link in self._open_links():
            link.reset()
            link.join()

    def end_all_after(self, bytes_left: int) -> None:
        """End all connections when that many more bytes have gone out of each."""
        for link in self._open_links():
            link.bytes_left = bytes_left

    def _open_links(self) -> list[_Link]:
        with self._lock:
            return list(self._links)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:  # the server has just ended
                client.close()
                continue
            link = _Link(client, server, self._forget)
            with self._lock:
                self._links.add(link)
            link.start()

    def _forget(self, link: _Link) -> None:
        with self._lock:
            self._links.discard(link)


class _Link:
    """A client's connection, and the one that carries its bytes on."""

    def __init__(self, client: socket.socket, server: socket.socket, forget: object) -> None:
        self._client = client
        self._server = server
        self._forget = forget
        self._lock = Lock()
        self._open = 2
        self.bytes_left: int | None = None
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._threads = (
            Thread(target=self._carry, args=(client, server), name="qdrant-stub-in"),
            Thread(target=self._carry, args=(server, client), name="qdrant-stub-out"),
        )

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def reset(self) -> None:
        with self._lock:
            if not self._open:
                return
            reset_on_close(self._client)
            self._wake()

    def _wake(self) -> None:
        for side in (self._client, self._server):
            with suppress(OSError):  # the other side may have ended it already
                side.shutdown(socket.SHUT_RD)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # a reset from either side ends both
            while block := source.recv(_BLOCK):
                if sink is self._client and self.bytes_left is not None:
                    sink.sendall(block[: self.bytes_left])
                    self.bytes_left -= min(len(block), self.bytes_left)
                    if not self.bytes_left:
                        break
                else:
                    sink.sendall(block)
        with self._lock:
            self._wake()
            self._open -= 1
            if self._open:
                return
            with closing(self._server), closing(self._client):  # both, also if one fails
                pass
        self._forget(self)
