"""A service may be opened in one task and closed in another, and nothing that it opened outlives it."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from otpcore.testing import Outbox

PHONE = "+359871234567"

FIXTURE = """
import pytest_asyncio
from otpcore.testing import Outbox

@pytest_asyncio.fixture
async def otp():
    outbox = Outbox()
    async with outbox.service({"sms": {"retry": True}}, runner="background") as otp:
        yield otp, outbox

async def test_a_code_verifies(otp):
    service, outbox = otp
    challenge = await service.send_sms("+359871234567")
    assert await service.verify(challenge_id=challenge.id, code=outbox.code)
"""


class Runner:
    """Opens what must be left in the task that entered it, as runners do."""

    def __init__(self, *, fails: bool = False, blocks: bool = False) -> None:
        self.fails, self.blocks = fails, blocks
        self.closed = 0
        self.crash = anyio.Event()

    async def start(self, exit_stack: AsyncExitStack, host: object) -> None:
        tasks = await exit_stack.enter_async_context(anyio.create_task_group())
        exit_stack.callback(self._count)
        exit_stack.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(self._run)
        if self.fails:
            raise OSError("no broker")
        if self.blocks:
            await anyio.sleep_forever()

    async def submit(self, job: object) -> None:
        """Nothing is ever due."""

    async def _run(self) -> None:
        await self.crash.wait()
        raise OSError("the broker is gone")

    def _count(self) -> None:
        self.closed += 1


def test_it_is_opened_and_closed_in_different_tasks_of_asyncio(otp_outbox: Outbox) -> None:
    async def main() -> None:
        for runner in (Runner(), "background"):
            otp = otp_outbox.service({"sms": {"retry": True}}, runner=runner)
            await asyncio.create_task(otp.__aenter__())
            challenge = await otp.send_sms(PHONE)
            assert await otp.verify(challenge_id=challenge.id, code=otp_outbox.code)
            await asyncio.create_task(otp.__aexit__(None, None, None))
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_a_fixture_of_pytest_asyncio_may_hold_it(tmp_path: Path) -> None:
    if not _installed("pytest_asyncio") and os.environ.get("OTPCORE_TEST_HOSTS") != "required":
        pytest.skip("pytest-asyncio is not installed here; `nox -s hosts` has it")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    (tmp_path / "test_host.py").write_text(FIXTURE)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


def _installed(module: str) -> bool:
    return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


async def test_what_keeps_it_from_opening_is_raised_and_nothing_stays_open(otp_outbox: Outbox) -> None:
    runner = Runner(fails=True)
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - the runner's task group wraps its own
        async with otp_outbox.service(runner=runner):
            pass
    assert "no broker" in repr(raised.value)
    assert runner.closed == 1


async def test_whoever_gives_up_while_it_opens_leaves_nothing_open(otp_outbox: Outbox) -> None:
    runner = Runner(blocks=True)
    with anyio.move_on_after(0.05) as limit:
        async with otp_outbox.service(runner=runner):
            pass
    assert limit.cancelled_caught
    assert runner.closed == 1


async def test_the_hosts_own_exception_passes_as_it_is(otp_outbox: Outbox) -> None:
    runner = Runner()
    with pytest.raises(ZeroDivisionError):
        async with otp_outbox.service(runner=runner):
            raise ZeroDivisionError
    assert runner.closed == 1


def test_a_runner_that_breaks_down_closes_the_service_and_not_its_host(
    otp_outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        runner = Runner()
        otp = otp_outbox.service(runner=runner)
        await otp.__aenter__()
        runner.crash.set()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
        with pytest.raises(RuntimeError, match="not open"):
            await otp.send_sms(PHONE)
        async with otp_outbox.service() as another:
            assert (await another.send_sms(PHONE)).confirmed

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    [record] = [record for record in caplog.records if record.name == "otpcore.service"]
    assert "broke down" in record.getMessage()


def test_a_loop_that_ends_takes_down_what_nobody_closed(otp_outbox: Outbox) -> None:
    runner = Runner()

    async def main() -> None:
        await otp_outbox.service(runner=runner).__aenter__()

    asyncio.run(main())
    assert runner.closed == 1
