"""What a retry runner must do, and what it works for; each docstring is the contract."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Protocol

from otpcore.models import RetryDue, RetryElsewhere, RetryJob, RetryOver
from otpcore.stores.commands import Claim

__all__ = ["RetryHost", "RetryRunner"]


class RetryHost(Protocol):
    """What the service gives a retry runner."""

    async def claim(self, limit: int) -> Sequence[Claim]:
        """Claim retries that this process can run and that are due."""

    async def run(self, claim: Claim) -> RetryDue | RetryOver:
        """Run one claimed retry to its end; never raises ``Exception``."""

    async def run_retry(self, job: RetryJob) -> RetryDue | RetryElsewhere | RetryOver:
        """Claim and run one retry by name, for runners that keep their own queue. May raise ``StoreError``.

        Do not call it before the job is due: a claim by name believes the job. One that is out of date runs nothing.
        """

    async def next_due(self) -> datetime | None:
        """When anything is due next."""

    async def upkeep(self, *, kind: str = "background", running: int = 0) -> None:
        """Sweep, purge and leave a sign of life; cheap when nothing of it is due. Call it at least every few seconds.

        Sweeping ends all that is over; purging stops when the next sweep is due, and goes on at the next call.

        Args:
            kind: Of the runner, for people.
            running: Retries under way in it.
        """

    async def leave(self) -> None:
        """The runner has ended: take its sign of life back. Never raises ``Exception``."""

    def now(self) -> datetime:
        """The service's clock."""


class RetryRunner(Protocol):
    """Where due retries are executed."""

    async def start(self, exit_stack: AsyncExitStack, host: RetryHost) -> None:
        """Begin to execute due retries; push the end on the stack. Never cancels its host."""

    async def submit(self, job: RetryJob) -> None:
        """A send of this process left a retry due. The row is in the store already; this is only a hint."""
