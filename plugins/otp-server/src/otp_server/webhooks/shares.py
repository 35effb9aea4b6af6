"""How many calls each app may have under way and waiting, so that a slow one holds up no other."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio

__all__ = ["Shares"]

_AT_ONCE = 200  # calls of all apps together
_LEAST, _MOST = 2, 10  # calls of one app
_QUEUED = 2  # times as many may wait for them here: 30 seconds at worst, while a claim lasts 60
_SOONEST, _LATEST = 0.2, 60.0  # seconds that what finds no place is put off
_WEIGHT = 0.2  # of the latest call in the usual length of one


class Shares:
    """The shares of all apps that are told anything.

    Args:
        apps: How many they are.
    """

    def __init__(self, apps: int) -> None:
        self._each = min(_MOST, max(_LEAST, _AT_ONCE // max(apps, 1)))
        self._apps: dict[str, _Share] = {}

    def take(self, app: str) -> bool:
        """A place for one call of this app; False: all are taken."""
        share = self._apps.setdefault(app, _Share(self._each))
        if share.held >= self._each * (1 + _QUEUED):
            return False
        share.held += 1
        return True

    def give_back(self, app: str) -> None:
        """The place, once the call is made."""
        share = self._apps[app]
        share.held -= 1
        share.crowd = max(share.crowd - 1, 0) if share.held else 0

    @asynccontextmanager
    async def call(self, app: str) -> AsyncIterator[None]:
        """Wait for the turn of a call that has a place, and note how long it takes."""
        share = self._apps[app]
        async with share.turns:
            begun = time.monotonic()
            try:
                yield
            finally:
                share.seconds += _WEIGHT * (time.monotonic() - begun - share.seconds)

    def next_turn(self, app: str, count: int) -> datetime:
        """When so many more that found no place are likely to find one, behind those that were told so before."""
        share = self._apps[app]
        share.crowd += count
        seconds = share.seconds * share.crowd / self._each
        return datetime.now(UTC) + timedelta(seconds=min(max(seconds, _SOONEST), _LATEST))


class _Share:
    """Of one app: places that are taken, those that found none, and the seconds that a call usually takes."""

    def __init__(self, calls: int) -> None:
        self.turns = anyio.CapacityLimiter(calls)
        self.held = 0
        self.crowd = 0
        self.seconds = 0.5
