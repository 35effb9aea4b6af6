"""Listens to what clients of a database server say, and tells it as flights: what they send before they wait for an answer."""

from __future__ import annotations

import struct
from collections.abc import Callable

import attrs

_SSL, _GSS = 80877103, 80877104  # asked before the start-up message, and refused


@attrs.define(eq=False)
class Wiretap:
    """The statements of each flight, in the order in which they were sent.

    Args:
        kind: Whose protocol it is: ``postgresql`` or ``mariadb``.
    """

    kind: str
    flights: list[list[str]] = attrs.field(factory=list)

    def __call__(self) -> Callable[[bytes], None]:
        """For one connection."""
        return _PostgresClient(self.flights).heard if self.kind == "postgresql" else _MariadbClient(self.flights).heard


@attrs.define(eq=False)
class _PostgresClient:
    """https://www.postgresql.org/docs/current/protocol-message-formats.html."""

    flights: list[list[str]]
    _heard: bytes = b""
    _has_started: bool = False
    _statements: dict[bytes, str] = attrs.field(factory=dict)
    _flight: list[str] = attrs.field(factory=list)

    def heard(self, data: bytes) -> None:
        self._heard += data
        while (message := self._next()) is not None:
            self._understand(*message)

    def _next(self) -> tuple[bytes, bytes] | None:
        """Its kind and its body; a start-up message has no kind."""
        skip = int(self._has_started)
        if len(self._heard) < skip + 4:
            return None
        (length,) = struct.unpack_from("!i", self._heard, skip)
        if len(self._heard) < skip + length:
            return None
        kind, body = self._heard[:skip], self._heard[skip + 4 : skip + length]
        self._heard = self._heard[skip + length :]
        return kind, body

    def _understand(self, kind: bytes, body: bytes) -> None:
        if not kind:
            self._has_started = struct.unpack("!i", body[:4])[0] not in (_SSL, _GSS)
        elif kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            self._statements[name] = text.decode()
        elif kind == b"B":
            _, name, _ = body.split(b"\0", 2)
            self._flight.append(self._statements[name])
        elif kind == b"Q":
            self.flights.append([body.rstrip(b"\0").decode()])
        elif kind == b"S":
            self.flights.append(self._flight)
            self._flight = []


@attrs.define(eq=False)
class _MariadbClient:
    """https://mariadb.com/kb/en/0-packet/: a command begins a new count of packets, and waits for its answer."""

    flights: list[list[str]]
    _heard: bytes = b""
    _is_in: bool = False

    def heard(self, data: bytes) -> None:
        self._heard += data
        while len(self._heard) >= 4:
            length = int.from_bytes(self._heard[:3], "little")
            if len(self._heard) < 4 + length:
                return
            number, body = self._heard[3], self._heard[4 : 4 + length]
            self._heard = self._heard[4 + length :]
            if number == 0 and body[:1] == b"\3":  # COM_QUERY
                self.flights.append(body[1:].decode(errors="replace").split("; "))
