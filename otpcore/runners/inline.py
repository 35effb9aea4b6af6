"""For scripts: the caller itself waits until its retries are over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import anyio

from otpcore.models import RetryDue, RetryJob
from otpcore.runners.contract import RetryHost
from otpcore.settings.tree import Settings

__all__ = ["InlineRunner", "create_runner"]


def create_runner(settings: Settings) -> InlineRunner:
    """The factory behind ``retry.runner = "inline"``."""
    return InlineRunner(longest_wait=settings.otp.life)


class InlineRunner:
    """``send_sms`` returns when the message was taken or nothing more will be tried. Nobody sweeps or purges.

    Args:
        longest_wait: Seconds; a code lives no longer, so only a clock that was set back could ask for more.
        sleep: Lets so many seconds pass.
    """

    _host: RetryHost

    def __init__(
        self, *, longest_wait: float = 600.0, sleep: Callable[[float], Awaitable[object]] = anyio.sleep
    ) -> None:
        self._longest_wait = longest_wait
        self._sleep = sleep

    async def start(self, exit_stack: AsyncExitStack, host: RetryHost) -> None:  # noqa: ARG002 - nothing to close
        """Keep the host."""
        self._host = host

    async def submit(self, job: RetryJob) -> None:
        """Wait and run, retry after retry."""
        due: RetryJob | None = job
        while due is not None:
            wait = (due.due_at - self._host.now()).total_seconds()
            await self._sleep(min(max(wait, 0), self._longest_wait))
            left = await self._host.run_retry(due)
            due = left.job if isinstance(left, RetryDue) else None
