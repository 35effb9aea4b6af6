"""What stands in for a database server that says one thing to whoever connects, and hangs up."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_NEGOTIATIONS = frozenset({80877103, 80877104})  # PostgreSQL's requests for TLS, and for GSSAPI
_NO = b"N"


def postgres_error(state: str, words: str) -> bytes:
    """An ErrorResponse, as in "Message Formats" of PostgreSQL's documentation."""
    fields = (b"SFATAL", b"VFATAL", f"C{state}".encode(), f"M{words}".encode())
    body = b"".join(field + b"\0" for field in fields) + b"\0"
    return b"E" + struct.pack("!I", len(body) + 4) + body


def mysql_error(code: int, words: str) -> bytes:
    """An ERR_Packet in the place of the greeting, as a server sends it that admits nobody."""
    body = b"\xff" + struct.pack("<H", code) + words.encode()
    return struct.pack("<I", len(body))[:3] + b"\0" + body


@contextlib.contextmanager
def refusing(answer: bytes, *, speaks_first: bool = False) -> Iterator[int]:
    """The port of a server whose only word is ``answer``; one of MySQL's kind speaks before it is spoken to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, answer, speaks_first))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # which wakes the thread
            thread.join()


def _serve(listener: socket.socket, answer: bytes, speaks_first: bool) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                client.settimeout(5)
                if not speaks_first:
                    _hear_startup(client)
                client.sendall(answer)
                client.shutdown(socket.SHUT_WR)
                client.recv(1024)  # the client hangs up, or what it still says would reset the connection


def _hear_startup(client: socket.socket) -> None:
    while True:
        (length,) = struct.unpack("!I", _exactly(client, 4))
        (code,) = struct.unpack("!I", _exactly(client, length - 4)[:4])
        if code not in _NEGOTIATIONS:
            return
        client.sendall(_NO)


def _exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = client.recv(count - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data
