"""The embedded default: one task in the host's own process runs what is due in the store."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio

from otpcore.models import RetryJob
from otpcore.runners.contract import RetryHost
from otpcore.runners.loop import RetryLoop
from otpcore.settings.tree import Settings

__all__ = ["BackgroundRunner", "create_runner"]


def create_runner(settings: Settings) -> BackgroundRunner:
    """The factory behind ``retry.runner = "background"``."""
    return BackgroundRunner(concurrency=settings.retry.concurrency, poll=settings.retry.poll)


class BackgroundRunner:
    """Runs due retries, sweeps and purges for as long as the service is open.

    The rows in the store are the queue, so what one process leaves another takes up.
    """

    def __init__(self, *, concurrency: int = 64, poll: float = 0.25, kind: str = "background") -> None:
        self._loop = RetryLoop(concurrency=concurrency, poll=poll, kind=kind)

    async def start(self, exit_stack: AsyncExitStack, host: RetryHost) -> None:
        """Start the task; closing the stack lets it finish what is under way."""
        tasks = anyio.create_task_group()
        await tasks.__aenter__()

        async def finish() -> None:
            self._loop.stop()
            await tasks.__aexit__(None, None, None)

        exit_stack.push_async_callback(finish)
        tasks.start_soon(self._loop.run, host, name="otpcore retries")

    async def submit(self, job: RetryJob) -> None:  # noqa: ARG002 - the row is in the store; look there
        """Look at the store now instead of at the next poll."""
        self._loop.wake()
