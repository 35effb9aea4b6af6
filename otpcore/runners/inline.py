"""For scripts: the caller itself waits until its retries are over."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio

from otpcore.config import Settings
from otpcore.interfaces import RetryHost
from otpcore.models import RetryJob

__all__ = ["InlineRunner", "create_runner"]


def create_runner(settings: Settings) -> InlineRunner:  # noqa: ARG001 - every runner's factory gets the settings
    """The factory behind ``retry.runner = "inline"``."""
    return InlineRunner()


class InlineRunner:
    """``send_sms`` returns when the message was taken or nothing more will be tried. Nobody sweeps or purges."""

    _host: RetryHost

    async def start(self, exit_stack: AsyncExitStack, host: RetryHost) -> None:  # noqa: ARG002 - nothing to close
        """Keep the host."""
        self._host = host

    async def submit(self, job: RetryJob) -> None:
        """Wait and run, retry after retry."""
        due: RetryJob | None = job
        while due is not None:
            await anyio.sleep(max((due.due_at - self._host.now()).total_seconds(), 0))
            due = await self._host.run_retry(due)
