"""The HTTP/1.1 server under ``otpcore.simulators``: threads, keep-alive, and everything that can go wrong on a wire."""

from __future__ import annotations

import contextlib
import http
import http.server
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Connection", "Listener"]

_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what listens everywhere listens there too
_SLOW_SECONDS = 0.02
_MANY_BYTES = 4 * 1024 * 1024
_LENGTH_DIGITS = 8


class Listener:
    """One port of this machine. Bound from the start, so that it is kept; connections are refused until ``open``."""

    def __init__(self, serve: Callable[[Connection], None], port: int = 0, host: str = "127.0.0.1") -> None:
        self.serve = serve
        self.cut = threading.Event()
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._socket = socket.socket(family, kind)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._acceptor: threading.Thread | None = None
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._guard = threading.Lock()

    @property
    def url(self) -> str:
        """Where it is reached on this machine."""
        host = _REACHED_AT.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        with self._guard:
            return len(self._connections)

    def open(self) -> None:
        """Accept connections; does nothing when it does already."""
        if self._acceptor is None:
            self._socket.listen(1024)
            self._acceptor = threading.Thread(target=self._accept, name=f"simulator-{self.port}", daemon=True)
            self._acceptor.start()

    def close(self) -> None:
        """End everything: the listening socket, the open connections, the hanging requests, and all threads."""
        self.cut.set()
        self._wake_writer.send(b"\0")
        if self._acceptor is not None:
            self._acceptor.join()
        for each in (self._socket, self._wake_reader, self._wake_writer):
            each.close()
        with self._guard:
            connections = dict(self._connections)
        for connection in connections.values():
            with contextlib.suppress(OSError):  # its own thread may have closed it
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections:
            thread.join()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while not self.cut.is_set():
                ready = {key.fileobj for key, _ in selector.select()}
                if self._socket in ready and not self.cut.is_set():
                    accepted, _ = self._socket.accept()
                    thread = threading.Thread(
                        target=self._converse, args=(accepted,), name=f"simulator-{self.port}-connection", daemon=True
                    )
                    with self._guard:
                        self._connections[thread] = accepted
                    thread.start()

    def _converse(self, accepted: socket.socket) -> None:
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):  # the client has gone
                Connection(accepted, accepted.getpeername(), self)
        finally:
            accepted.close()
            with self._guard:
                self._connections.pop(threading.current_thread(), None)


class Connection(http.server.BaseHTTPRequestHandler):
    """One client's connection. While ``Listener.serve`` runs, it holds one request that waits for its answer."""

    protocol_version = "HTTP/1.1"
    server: Any
    body: bytes = b""

    def __init__(self, accepted: socket.socket, address: Any, listener: Listener) -> None:
        self._listener = listener
        super().__init__(accepted, address, listener)  # type: ignore[arg-type] # it only keeps the server as an attribute

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Answer as HTTP wants it."""
        self._send_head(status, headers, length=len(body), then=body)

    def hang(self) -> None:
        """Never answer; until the simulator stops."""
        self._listener.cut.wait()
        self.close_connection = True

    def close_in_order(self) -> None:
        """End the connection with a FIN."""
        self.close_connection = True

    def reset(self) -> None:
        """End the connection with an RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def answer_without_status_line(self) -> None:
        """Say something that is not HTTP."""
        self.connection.sendall(b"\x16\x03 what?\r\n\r\n")
        self.close_connection = True

    def answer_with_many_bytes(self) -> None:
        """A body of 4 MiB."""
        self.answer(200, {}, b" " * _MANY_BYTES)

    def answer_slowly(self) -> None:
        """A body that never ends, byte by byte."""
        self._send_head(200, {}, length=_MANY_BYTES)
        while not self._listener.cut.wait(_SLOW_SECONDS):
            self.connection.sendall(b" ")
        self.close_connection = True

    def _send_head(self, status: int, headers: Mapping[str, str], *, length: int, then: bytes = b"") -> None:
        lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        lines.append(f"Content-Length: {length}")
        if self.close_connection:
            lines.append("Connection: close")
        self.connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + then)

    def _one_request(self) -> None:
        if "transfer-encoding" in self.headers:
            self.close_connection = True
            self.answer(http.HTTPStatus.LENGTH_REQUIRED, {}, b"")
            return
        length = self.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) <= _LENGTH_DIGITS):
            self.close_connection = True
            self.answer(http.HTTPStatus.BAD_REQUEST, {}, b"")
            return
        self.body = self.rfile.read(int(length))
        self._listener.serve(self)

    do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = _one_request  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """A simulator says nothing; its user looks at ``requests``."""
