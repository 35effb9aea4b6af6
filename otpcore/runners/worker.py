"""Retries are left to ``otp worker`` processes; this process only writes the rows."""

from __future__ import annotations

from contextlib import AsyncExitStack

from otpcore.errors import SettingsError
from otpcore.models import RetryJob
from otpcore.runners.contract import RetryHost
from otpcore.settings.tree import Settings

__all__ = ["WorkerRunner", "create_runner"]


def create_runner(settings: Settings) -> WorkerRunner:
    """The factory behind ``retry.runner = "worker"``.

    Raises:
        SettingsError: The store is one that no other process can see.
    """
    if settings.store_name == "memory":
        raise SettingsError(
            'retry.runner: "worker" is another process, which cannot see the "memory" store. Fix: in [storage]: store = "sql"'
        )
    return WorkerRunner()


class WorkerRunner:
    """Does nothing here: any number of ``otp worker`` processes find the rows in the store."""

    async def start(self, exit_stack: AsyncExitStack, host: RetryHost) -> None:
        """Nothing to start."""

    async def submit(self, job: RetryJob) -> None:
        """The row is in the store already."""
