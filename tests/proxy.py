"""A TCP proxy between a client and a server, as a network that breaks off or falls silent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import attrs

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


@attrs.define(eq=False)
class Proxy:
    """Passes bytes on, both ways, until it is cut or halted.

    Args:
        target: The server.
        listening: Makes, for each connection, what is told of all that its client says.
    """

    target: Address
    listening: Callable[[], Callable[[bytes], object]] | None = None
    _listener: socket.socket = attrs.field(factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: set[socket.socket] = attrs.field(factory=set)
    _is_cut: bool = False
    _flows: threading.Event = attrs.field(factory=threading.Event)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def cut(self) -> None:
        """Break all connections; new ones are closed at once."""
        self._is_cut = True
        for one in list(self._open):
            _end(one)

    def halt(self) -> None:
        """Nothing arrives any more, and no connection breaks."""
        self._flows.clear()

    def mend(self) -> None:
        """What was held back arrives, and new connections are let through."""
        self._is_cut = False
        self._flows.set()

    def run(self) -> None:
        """Until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            self._flows.wait()
            if self._is_cut:
                return
            with _connect(self.target) as server:
                self._open |= {client, server}
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server, self.listening() if self.listening else None)
                back.join()
                self._open -= {client, server}

    def _pump(self, source: socket.socket, sink: socket.socket, heard: Callable[[bytes], object] | None = None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                if heard is not None:
                    heard(data)
                sink.sendall(data)
        _end(source)
        _end(sink)


@contextlib.contextmanager
def proxy_to(target: Address, listening: Callable[[], Callable[[bytes], object]] | None = None) -> Iterator[Proxy]:
    """A proxy that ends with the block."""
    proxy = Proxy(target, listening)
    proxy.mend()
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.mend()
        proxy.cut()
        _end(proxy._listener)
        proxy._listener.close()
        thread.join(5)


def _connect(target: Address) -> socket.socket:
    if not isinstance(target, str):
        return socket.create_connection(target)
    one = socket.socket(socket.AF_UNIX)
    try:
        one.connect(target)
    except OSError:
        one.close()
        raise
    return one


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
