"""Requests as bytes, and what comes back; and every address of an application."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


@attrs.frozen
class Address:
    """One method of one route."""

    method: str
    path: str

    def filled(self, values: Mapping[str, str]) -> str:
        """The path with these in place of its parameters; ``0`` where there is none."""
        return _PARAMETER.sub(lambda found: values.get(found[1], "0"), self.path)


@attrs.frozen
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str


def addresses(routes: Iterable[Any], prefix: str = "") -> Iterator[Address]:
    """Every address below these routes, those of routers and mounted applications too."""
    for route in routes:
        inner = getattr(route, "original_router", route)
        if getattr(inner, "routes", None):
            yield from addresses(inner.routes, prefix + getattr(route, "path", ""))
            continue
        for method in sorted(route.methods - {"HEAD"}):
            yield Address(method, prefix + route.path)


@contextlib.contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    """A connection to a server."""
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=60) as made:
        yield made


def exchange(url: str, *parts: bytes, answers: int = 1, hang_up: bool = False) -> list[Answer]:
    """Send these bytes, and read so many answers, or until the connection is closed."""
    found: list[Answer] = []
    with connected(url) as made:
        with contextlib.suppress(OSError):  # it may be closed while it is sent to
            for part in parts:
                made.sendall(part)
            if hang_up:
                made.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while len(found) < answers:
                found.append(read_answer(made))
    return found


def is_closed(made: socket.socket, patience: float = 30.0) -> bool:
    """Whether the server closes a connection on which it says nothing more."""
    made.settimeout(patience)
    try:
        while made.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def read_answer(made: socket.socket) -> Answer:
    """One answer, without a byte of the next one."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _more(made, 1)
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    status = int(lines[0].split(" ")[1])
    if status == 100:
        return read_answer(made)
    body = b""
    if "content-length" in headers:
        while len(body) < int(headers["content-length"]):
            body += _more(made, int(headers["content-length"]) - len(body))
    elif headers.get("connection") == "close":
        with contextlib.suppress(ConnectionError):
            while True:
                body += _more(made, 65_536)
    return Answer(status, headers, body.decode(errors="replace"))


def _more(made: socket.socket, most: int) -> bytes:
    got = made.recv(most)
    if not got:
        raise ConnectionAbortedError
    return got
