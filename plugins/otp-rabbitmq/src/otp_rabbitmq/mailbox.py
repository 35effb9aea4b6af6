"""What another thread puts in, a task of this event loop takes out; asyncio or trio."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import Any, Generic, TypeVar

import anyio
import anyio.lowlevel

__all__ = ["Mailbox"]

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Belongs to the event loop in which it is made; ``put`` may be called from any thread and never waits."""

    def __init__(self) -> None:
        loop: Any = anyio.lowlevel.current_token().native_token
        self._post = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon  # asyncio, trio
        self._letters: deque[T] = deque()
        self._arrived = anyio.Event()

    def put(self, letter: T) -> None:
        """Hand over; what comes after the end of the loop is nobody's."""
        self._letters.append(letter)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._post(self._wake)

    async def take(self) -> T:
        """The next letter, when there is one. For one task only."""
        while not self._letters:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._letters.popleft()

    def _wake(self) -> None:
        self._arrived.set()
