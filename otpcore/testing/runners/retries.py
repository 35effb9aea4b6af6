"""Contract tests of what a runner runs: when, how often, side by side, and what nobody submitted."""

from __future__ import annotations

import itertools
import logging
import time
from typing import Any

import anyio
import pytest

from otpcore.models import ChallengeState, UnsendableReason
from otpcore.testing.runners.bench import DELAY, RunnerBase, RunnerBench

__all__ = ["AbandonedTests", "RunningTests"]

_MANY = 12


class RunningTests(RunnerBase):
    """What is due is run, once and in time."""

    async def test_a_due_retry_runs_about_when_it_is_due(self, bench: RunnerBench) -> None:
        phone = bench.phone()
        async with bench.open() as service:
            bench.courier.fail(phone)
            challenge = await service.send_sms(phone)
            await bench.until_delivered(phone)
            await bench.until_state(challenge.id, ChallengeState.SENT)
            assert (await service.verify(phone, bench.courier.codes[phone])).code_valid
        first, second = bench.courier.attempts[phone]
        assert second - first >= DELAY - 0.01, "not before it is due"
        assert second - first <= DELAY + self.latest, "about when it is due"

    async def test_each_failure_puts_it_off_until_one_is_taken(self, bench: RunnerBench) -> None:
        phone = bench.phone()
        async with bench.open() as service:
            bench.courier.fail(phone, times=2)
            await service.send_sms(phone)
            await bench.until_delivered(phone)
        attempts = bench.courier.attempts[phone]
        waits = [later - earlier for earlier, later in itertools.pairwise(attempts)]
        assert [wait >= DELAY * 2**number - 0.01 for number, wait in enumerate(waits)] == [True] * 2
        assert bench.courier.delivered[phone] == 1

    async def test_a_send_whose_retries_are_used_up_ends(self, bench: RunnerBench) -> None:
        phone = bench.phone()
        async with bench.open(sms={"max_retries": 2}) as service:
            bench.courier.fail(phone, times=10)
            challenge = await service.send_sms(phone)
            view = await bench.until_state(challenge.id, ChallengeState.UNSENDABLE)
        assert (view.challenge.reason, view.schedule) == (UnsendableReason.MAX_RETRIES, ())
        assert len(bench.courier.attempts[phone]) == 3

    async def test_a_send_whose_code_lives_too_short_ends(self, bench: RunnerBench) -> None:
        phone = bench.phone()
        delay = 0.6  # the first retry has half as long again to begin; the second never has enough
        useful = {"first_delay": delay, "min_useful_life": 300.0 - 2.5 * delay}
        async with bench.open(retry=useful) as service:
            bench.courier.fail(phone, times=10)
            challenge = await service.send_sms(phone)
            view = await bench.until_state(challenge.id, ChallengeState.UNSENDABLE)
        assert (view.challenge.reason, view.schedule) == (UnsendableReason.EXPIRED, ())
        assert len(bench.courier.attempts[phone]) == 2

    async def test_many_retries_run_at_once(self, bench: RunnerBench) -> None:
        """None of them ends before all have begun."""
        phones = [bench.phone() for _ in range(_MANY)]
        gate = anyio.Event()
        async with bench.open() as service, anyio.create_task_group() as tasks:
            for phone in phones:
                bench.courier.fail(phone)
                bench.courier.gates[phone] = gate
                tasks.start_soon(service.send_sms, phone)
            await bench.until(lambda: all(len(bench.courier.attempts.get(phone, ())) == 2 for phone in phones))
            gate.set()
            await bench.until_delivered(*phones)

    async def test_a_provider_that_does_not_answer_holds_up_nobody_else(self, bench: RunnerBench) -> None:
        stuck, others = bench.phone(), [bench.phone() for _ in range(3)]
        bench.courier.gates[stuck] = anyio.Event()
        async with bench.open() as service, anyio.create_task_group() as tasks:
            bench.courier.fail(stuck)
            tasks.start_soon(service.send_sms, stuck)
            await bench.until(lambda: len(bench.courier.attempts.get(stuck, ())) == 2)
            for phone in others:
                bench.courier.fail(phone)
                tasks.start_soon(service.send_sms, phone)
            await bench.until_delivered(*others)
            assert not bench.courier.delivered[stuck]
            bench.courier.gates[stuck].set()
            await bench.until_delivered(stuck)

    async def test_a_job_that_is_submitted_twice_sends_once(self, bench: RunnerBench) -> None:
        phone = bench.phone()
        job = await bench.leave(phone)
        async with bench.open() as service:
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(bench.runner.submit, job)
            await bench.until_delivered(phone)
            await _another_one(bench, service)
        assert bench.courier.delivered[phone] == 1
        assert len(bench.courier.attempts[phone]) == 2

    async def test_a_job_whose_challenge_is_over_runs_nothing(self, bench: RunnerBench) -> None:
        phone = bench.phone()
        job = await bench.leave(phone, retry={"first_delay": 0.5})
        async with bench.open() as service:
            assert await service.cancel(job.challenge_id)
            await bench.runner.submit(job)
            await _another_one(bench, service)
        assert len(bench.courier.attempts[phone]) == 1

    async def test_a_failure_in_one_retry_never_stops_the_runner(
        self, bench: RunnerBench, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.CRITICAL + 1)
        phone = bench.phone()
        async with bench.open() as service:
            bench.courier.failing[phone] = [RuntimeError("a bug of the provider"), *_throttled(bench, phone)]
            await service.send_sms(phone)
            await _another_one(bench, service)
            await bench.until(lambda: len(bench.courier.attempts[phone]) >= 2)

    async def test_no_log_shows_a_code_or_a_number(self, bench: RunnerBench, caplog: pytest.LogCaptureFixture) -> None:
        for logger in (None, "otpcore"):  # whatever level a host has given them
            caplog.set_level(logging.DEBUG, logger=logger)
        phone = bench.phone()
        async with bench.open() as service:
            bench.courier.fail(phone, times=2)
            await service.send_sms(phone)
            await bench.until_delivered(phone)
        shown = [f"{record.getMessage()} {vars(record)}" for record in caplog.records] + [repr(bench.runner)]
        for value in (phone[1:], bench.courier.codes[phone]):
            assert not [text for text in shown if value in text]


class AbandonedTests(RunnerBase):
    """What a process left behind that told nobody."""

    async def test_a_row_that_nobody_submitted_is_found(self, bench: RunnerBench) -> None:
        self.only_in_background()
        phone = bench.phone()
        await bench.leave(phone)
        async with bench.open():
            await bench.until_delivered(phone)

    async def test_a_claim_whose_process_died_is_found_when_its_lease_has_run_out(self, bench: RunnerBench) -> None:
        self.only_in_background()
        phone = bench.phone()
        await bench.leave(phone)
        await anyio.sleep(DELAY)
        claimed = time.monotonic()
        await bench.claim(lease=0.5)
        async with bench.open():
            await bench.until_delivered(phone)
        assert bench.courier.attempts[phone][-1] - claimed >= 0.49, "not before its lease has run out"


async def _another_one(bench: RunnerBench, service: Any) -> None:
    """A send of somebody else goes through all the runner does, after whatever was submitted before."""
    phone = bench.phone()
    bench.courier.fail(phone, times=2)
    with anyio.fail_after(bench.patience):
        await service.send_sms(phone)
        await bench.until_delivered(phone)


def _throttled(bench: RunnerBench, phone: str) -> list[BaseException]:
    bench.courier.fail(phone)
    return list(bench.courier.failing[phone])
