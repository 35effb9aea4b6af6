"""The loop that claims due retries and runs them; no task waits for a retry that is not due."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TypeVar

import anyio
import anyio.abc

from otpcore.events import fields
from otpcore.runners.contract import RetryHost
from otpcore.stores.commands import Claim

T = TypeVar("T")

_logger = logging.getLogger("otpcore.runners")

_LEAVE_WITHIN = 2.0  # seconds for the last word to the store
_PAUSE_AFTER_ERROR = 1.0  # seconds; the store may be back by then
_SHORTEST_PAUSE = 0.01  # seconds, after something was due and could not be claimed


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
        self._waits_for = ""
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

    async def _guarded(self, work: Awaitable[T]) -> T | None:
        """The result, or None and a warning, once until it is well again: a store that is away must not end the loop."""
        try:
            done = await work
        except Exception as error:  # noqa: BLE001 - whatever happened
            name = type(error).__name__
            if name != self._waits_for:
                _logger.warning("retries wait: %s: %s", name, error, extra=fields("retries_wait", reason=name))
            self._waits_for = name
            return None
        if self._waits_for:
            _logger.warning("retries go on", extra=fields("retries_wait_no_more", reason=self._waits_for))
            self._waits_for = ""
        return done

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
        due_at = await host.next_due()
        wait = self._poll if due_at is None else (due_at - host.now()).total_seconds()
        if wait > 0:
            return min(wait, self._poll)
        claims = await host.claim(free)
        for claim in claims:
            self._running += 1
            tasks.start_soon(self._one, host, claim)
        if claims:
            return 0
        # The store's clock may be behind, or it is for another process: the longer it has been due, the less hurry there is.
        return min(max(-wait, _SHORTEST_PAUSE), self._poll)

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
