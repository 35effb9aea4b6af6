"""Contract tests of crashes: a process that uses the store is killed, and others go on with what it left."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from otpcore.models import ChallengeState, Outcome
from otpcore.stores.steps import Accepted
from otpcore.testing.stores.base import CrashFactory, StoreBase
from otpcore.testing.stores.scenes import failed
from otpcore.testing.stores.world import World

__all__ = ["CrashTests"]

_PATIENCE = 60.0  # seconds for a process to start and to end
_FIRST_NUMBERS = itertools.count(1_000_000, 1_000_000)  # ids of a process never meet those of another
_BEFORE_THE_KILL = 30  # sends that a process has begun


class CrashTests(StoreBase):
    """SIGKILL between two commands and within one: what was done stays done, what was not is not half done."""

    async def test_a_killed_send_goes_on_after_its_lease(
        self, world: World, crash_factory: CrashFactory, anyio_backend_name: str
    ) -> None:
        with _process(crash_factory, "begin", anyio_backend_name) as process:
            challenge_id = await _hear(process)
        world.with_retries()
        world.later(9)
        assert (await world.claim()).claims == ()
        world.later(1)
        (claim,) = (await world.claim()).claims
        assert claim.challenge.id == challenge_id
        retry = await world.begin_retry(claim)
        assert retry.step.repeat, "the provider must be asked first whether it has the message of the killed process"
        assert isinstance(await retry.answer(Outcome.ACCEPTED), Accepted)
        assert await world.used() == 1
        assert await world.store.approve(await world.reserve(), settled=(), now=world.now)

    async def test_a_killed_retry_is_claimed_again_and_was_counted(
        self, world: World, crash_factory: CrashFactory, anyio_backend_name: str
    ) -> None:
        failover = await failed(world)
        with _process(crash_factory, "claim", anyio_backend_name) as process:
            await _hear(process)
        due_at = await world.store.next_due()
        assert due_at > world.at(1), "the killed process held a lease"
        world.now = due_at
        (claim,) = (await world.claim()).claims
        assert claim.attempts == 2
        retry = await world.begin_retry(claim)
        await retry.answer(Outcome.ACCEPTED)
        view = await failover.view()
        assert view.challenge.state is ChallengeState.SENT
        assert [one.outcome for one in view.deliveries] == [Outcome.THROTTLED, Outcome.OPEN, Outcome.ACCEPTED]

    async def test_what_a_killed_process_was_told_is_there_and_nothing_is_half_there(
        self, world: World, crash_factory: CrashFactory, anyio_backend_name: str
    ) -> None:
        with _process(crash_factory, "send", anyio_backend_name) as process:
            told = [await _hear(process) for _ in range(_BEFORE_THE_KILL)]
            process.kill()
            rest, _ = await anyio.to_thread.run_sync(process.communicate)
        told += rest.split("\n")[:-1]
        for phone in told:
            assert await world.store.view(phone_key=phone), "a send that had begun is lost"
        rows = await world.store.retries(1_000_000)
        for row, challenge in rows:
            (view,) = await world.store.view(challenge_id=challenge.id)
            assert view.schedule == (row,)
            assert [one.outcome for one in view.deliveries] == [Outcome.OPEN]
        assert len(told) <= len(rows) <= await world.used() <= len(told) + 8
        world.later(10)
        claims = (await world.claim(len(rows))).claims
        assert {one.challenge.id for one in claims} == {challenge.id for _, challenge in rows}


@contextmanager
def _process(factory: CrashFactory, work: str, backend: str) -> Iterator[subprocess.Popen[str]]:
    """A process that works on the store; killed at the end."""
    order = {**factory._asdict(), "work": work, "backend": backend, "first_number": next(_FIRST_NUMBERS)}
    command = [sys.executable, "-m", "otpcore.testing.stores.crash_child", json.dumps(order)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
        try:
            yield process
        finally:
            process.kill()


async def _hear(process: subprocess.Popen[str]) -> str:
    """The next word of a process."""
    assert process.stdout is not None
    with anyio.fail_after(_PATIENCE):
        word = await anyio.to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
    if not word:
        pytest.fail("the process of `crash_factory` ended before it did its work; its error is above")
    return word.strip()
