"""HTTP/1.1 as uvicorn speaks it, with an end to what never ends: a head that does not come, an answer that nobody reads."""

from __future__ import annotations

import asyncio
import enum
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["Connection"]

HEAD_PATIENCE = 10.0  # seconds for a whole head, from its first byte on or from the connection on
_MORE_PATIENCE = 20.0  # seconds beyond what the work may take, for a body to come and an answer to go
_LOOK_EVERY = 1.0  # seconds


class _Phase(enum.Enum):
    """What a connection waits for."""

    HEAD = enum.auto()
    ANSWER = enum.auto()
    REST = enum.auto()
    CLOSE = enum.auto()


class Connection(H11Protocol):
    """One connection, which is cut off where it stands still in a phase for longer than that may take."""

    _watch: asyncio.TimerHandle | None = None
    _standing: tuple[Any, _Phase] | None = None
    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Begin to look at it."""
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Look at it no more."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        now, standing = self.loop.time(), (self.cycle, self._phase())
        if standing != self._standing:
            self._standing, self._since = standing, now
        elif now - self._since > self._patience(standing[1]):
            self.transport.abort()
            return
        self._watch = self.loop.call_later(_LOOK_EVERY, self._look)

    def _phase(self) -> _Phase:
        if self.transport.is_closing():
            return _Phase.CLOSE
        if self.cycle is not None and not self.cycle.response_complete:
            return _Phase.ANSWER
        return _Phase.HEAD if self.cycle is None or self.conn.trailing_data[0] else _Phase.REST

    def _patience(self, phase: _Phase) -> float:
        if phase is _Phase.ANSWER:
            return (self.config.timeout_graceful_shutdown or 0) + _MORE_PATIENCE
        return HEAD_PATIENCE if phase is not _Phase.REST else self.timeout_keep_alive + _MORE_PATIENCE
