"""The loop that claims due retries and runs them; no task waits for a retry that is not due, but for the last 25 ms."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from datetime import datetime
from typing import TypeVar

import anyio
import anyio.abc

from otpcore._logs import fields
from otpcore.interfaces import RetryHost
from otpcore.retrying import CLAIM_AHEAD
from otpcore.verbs import Claim

T = TypeVar("T")

_logger = logging.getLogger("otpcore.runners")

_LEAVE_WITHIN = 2.0  # seconds for the last word to the store
_AHEAD = CLAIM_AHEAD.total_seconds()
_PAUSE_AFTER_ERROR = 1.0  # seconds; the store may be back by then


def _until(due_at: datetime, host: RetryHost) -> float:
    """Seconds."""
    return (due_at - host.now()).total_seconds()


class RetryLoop:
    """Claims only as many retries as can start now, and runs each in a task of its own.

    Args:
        concurrency: How many run at once.
        poll: Seconds after which the store is asked again though nothing was due.
        kind: Of the runner, for people.
    """

    def __init__(self, *, concurrency: int, poll: float, kind: str) -> None:
        self._kind = kind
        self._concurrency = concurrency
        self._poll = poll
        self._running = 0
        self._keeping_house = False
        self._due_at: datetime | None = None
        self._stopping = False
        self._wake: anyio.Event | None = None

    async def run(self, host: RetryHost) -> None:
        """Until ``stop``; then finish what is under way."""
        try:
            async with anyio.create_task_group() as tasks:
                while not self._stopping:
                    self._wake = anyio.Event()
                    pause = await self._guarded_round(host, tasks)
                    if not self._stopping:
                        with anyio.move_on_after(pause):
                            await self._wake.wait()
        finally:
            with anyio.move_on_after(_LEAVE_WITHIN, shield=True):
                await host.leave()

    def stop(self) -> None:
        """Claim no more."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Something may be due, or a place is free: look again."""
        if self._wake is not None:
            self._wake.set()

    @staticmethod
    async def _guarded(work: Awaitable[T]) -> T | None:
        """The result, or None and a warning: a store that is away must not end the loop."""
        try:
            return await work
        except Exception as error:  # noqa: BLE001 - whatever happened
            name = type(error).__name__
            _logger.warning("retries wait: %s: %s", name, error, extra=fields("retries_wait", reason=name))
            return None

    async def _guarded_round(self, host: RetryHost, tasks: anyio.abc.TaskGroup) -> float:
        """One round, and how long to sleep after it, whatever happened."""
        pause = await self._guarded(self._round(host, tasks))
        return _PAUSE_AFTER_ERROR if pause is None else pause

    async def _round(self, host: RetryHost, tasks: anyio.abc.TaskGroup) -> float:
        """Claim what is due; how long to sleep."""
        if not self._keeping_house:
            self._keeping_house = True
            tasks.start_soon(self._keep_house, host, self._running)
        free = self._concurrency - self._running
        if free <= 0:
            return self._poll
        due_at, self._due_at = self._due_at, None
        known = due_at is not None and _until(due_at, host) <= _AHEAD
        if not known:
            due_at = await host.next_due()
            wait = self._poll if due_at is None else _until(due_at, host) - _AHEAD
            if wait > 0:
                self._due_at = due_at
                return min(wait, self._poll)
        claims = await host.claim(free)
        for claim in claims:
            self._running += 1
            tasks.start_soon(self._one, host, claim)
        if claims:
            return 0
        left = _until(due_at, host) if due_at is not None else 0.0
        if left > 0:  # a lease, which is never cut short
            return left
        return 0 if known else self._poll

    async def _keep_house(self, host: RetryHost, running: int) -> None:
        """Beside the retries, which would be late by as much as it takes."""
        try:
            await self._guarded(host.upkeep(kind=self._kind, running=running))
        finally:
            self._keeping_house = False

    async def _one(self, host: RetryHost, claim: Claim) -> None:
        try:
            await host.run(claim)
        finally:
            self._running -= 1
            self.wake()
