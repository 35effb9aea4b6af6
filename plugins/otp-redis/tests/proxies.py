"""A TCP proxy between a store and its server that can lose what passes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from importlib.resources import files

import attrs


def name_of(script: str) -> str:
    """What a script is asked for by, once the server knows it."""
    folder = files("otp_redis").joinpath("lua")
    return hashlib.sha1(b"".join(folder.joinpath(name).read_bytes() for name in ("answers.lua", script))).hexdigest()


@attrs.frozen
class Asked:
    """One script call as it went over the wire.

    Args:
        script: ``look`` or ``commit``.
        argument: What it was asked, read.
    """

    script: str
    argument: list

    @classmethod
    def all_in(cls, data: bytes) -> list[Asked]:
        """Those in what was sent on the connections, one after the other."""
        kinds = {name_of("read.lua"): "look", name_of("commit.lua"): "commit"}
        found = []
        for call in data.split(b"$7\r\nEVALSHA\r\n")[1:]:
            _, sha, _, _, _, _, _, text, *_ = call.decode().split("\r\n")
            found.append(cls(kinds[sha], json.loads(text)))
        return found

    @property
    def guarded(self) -> list[str]:
        """Kinds of the guards of a commit."""
        return sorted({guard[0] for guard in self.argument[3]})

    @property
    def asks_too(self) -> list[str]:
        """Kinds of the questions that a commit asks in case it guessed wrong."""
        return [question[0] for question in self.argument[5]]


@attrs.define(eq=False)
class Proxy:
    """Passes bytes on, both ways, until it is told to lose an answer or to be cut.

    Args:
        target: Port of the server.
        watched: Requests that hold these bytes are counted.
        passed: What was asked, as it was sent.
        lose: So many answers to watched requests are read from the server and lost with their connection.
    """

    target: int
    watched: bytes
    lose: int = 0
    seen: int = 0
    is_cut: bool = False
    passed: list[bytes] = attrs.field(factory=list)
    _listener: socket.socket = attrs.field(factory=socket.socket)
    _open: list[socket.socket] = attrs.field(factory=list)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def cut(self) -> None:
        """Break all connections and let nobody in."""
        self.is_cut = True
        for one in self._open:
            _close(one)

    def mend(self) -> None:
        self.is_cut = False

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.is_cut:
                _close(client)
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            self._open += [client, server]
            lost = threading.Event()
            for one in (
                lambda client=client, server=server, lost=lost: self._ask(client, server, lost),
                lambda client=client, server=server, lost=lost: self._answer(server, client, lost),
            ):
                threading.Thread(target=one, daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                self.passed.append(data)
                if self.watched in data:
                    self.seen += 1
                    if self.lose:
                        self.lose -= 1
                        lost.set()
                server.sendall(data)
        _close(server)

    def _answer(self, server: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):  # so the server has done it
                if lost.is_set():
                    break
                client.sendall(data)
        _close(client)
        _close(server)


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextlib.contextmanager
def proxy_to(target: int, watched: bytes) -> Iterator[Proxy]:
    """A proxy that ends with the block."""
    proxy = Proxy(target, watched)
    proxy._listener.bind(("127.0.0.1", 0))
    proxy._listener.listen()
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        _close(proxy._listener)
        proxy.cut()
        thread.join(5)
