"""Our own runners keep the contract of runners."""

from __future__ import annotations

import pytest

from otpcore.runners.background import BackgroundRunner
from otpcore.runners.inline import InlineRunner
from otpcore.runners.worker import WorkerRunner
from otpcore.stores.sql.store import SqlStore
from otpcore.testing.runners.contract import RetryRunnerContract

BUSY = 2.0  # seconds: a machine that runs many tests at once may be as late


class TestInline(RetryRunnerContract):
    latest = BUSY
    background = False
    sweeps = False

    @pytest.fixture
    def new_runner(self):
        return InlineRunner()


class TestBackground(RetryRunnerContract):
    latest = BUSY

    @pytest.fixture
    def new_runner(self):
        return BackgroundRunner(poll=0.1)


class WorkerPair:
    """The runner of a process that only writes rows, and the loop that ``otp worker`` runs: nothing is handed over."""

    def __init__(self):
        self.sender = WorkerRunner()
        self.worker = BackgroundRunner(poll=0.1, kind="worker")

    async def start(self, exit_stack, host):
        await self.sender.start(exit_stack, host)
        await self.worker.start(exit_stack, host)

    async def submit(self, job):
        await self.sender.submit(job)


class TestWorker(RetryRunnerContract):
    latest = BUSY
    event_loops = ("asyncio",)

    @pytest.fixture
    def new_runner(self):
        return WorkerPair()

    @pytest.fixture
    def store(self, tmp_path):
        return SqlStore(f"sqlite:///{tmp_path / 'otp.sqlite3'}", synchronous="NORMAL")
