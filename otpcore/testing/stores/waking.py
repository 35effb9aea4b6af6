"""Contract tests of retries that wait for a breaker: a few come for each probe, and all are due once it closes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from otpcore.events import EventType
from otpcore.models import Outcome
from otpcore.retrying import RetryPolicy
from otpcore.stores import contract
from otpcore.stores.records import ScheduleRecord, Waits
from otpcore.stores.steps import Queued
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import Failover, World

__all__ = ["WakingTests"]


class WakingTests(StoreBase):
    """Who waits for a breaker stands in line, loses no attempt, and is woken when it closes."""

    @pytest.fixture
    def waking(self, world: World) -> World:
        """A world in which one failure opens a breaker."""
        world.breaker_threshold = 1
        return world.with_retries()

    async def test_waking_a_few_come_for_the_next_probe_and_the_others_stand_aside(self, waking: World) -> None:
        waking.retry = RetryPolicy(max_retries=20, first_delay=60.0, max_delay=30.0, jitter=0.0, chance=lambda: 0.5)
        await fail(waking)
        failovers = await wait(waking, 25)
        assert {type(failover.step) for failover in failovers} == {Queued}
        assert Counter(await dues(waking, failovers)) == {1.0: 10, 22.5: 15}
        waking.later(1)
        for claim in (await waking.claim(limit=50)).claims:
            await waking.begin_retry(claim)  # one makes the probe, and nobody knows yet how it ends
        assert Counter(await dues(waking, failovers)) == {10.0: 1, 1.0: 9, 21.5: 15}

    async def test_waking_nobody_stands_aside_beyond_the_useful_life(self, waking: World) -> None:
        waking.retry = RetryPolicy(max_retries=20, first_delay=60.0, max_delay=30.0, jitter=0.0, chance=lambda: 0.5)
        await fail(waking)
        await wait(waking, 40)
        late = waking.new_send(
            waking.challenge("login", "late"), waking.core("mada"), life=waking.at(32.5) - waking.at(0)
        )
        assert await dues(waking, [await waking.send(late)]) == [2.5]

    async def test_waking_all_are_due_when_the_breaker_closes_and_none_has_lost_an_attempt(self, waking: World) -> None:
        await fail(waking)
        failovers = await wait(waking, 25)
        await recover(waking)
        assert await waking.store.wake("mada", waking.breaker_threshold, waking.now) == 26
        assert max(await dues(waking, failovers)) == 0
        claims = (await waking.claim(limit=50)).claims
        assert Counter(claim.attempts for claim in claims) == {1: 26}

    async def test_waking_a_retry_that_the_failing_instance_made_wait_is_woken_too(self, waking: World) -> None:
        failover = await fail(waking)
        for seconds in (1, 2, 4, 8):
            waking.later(seconds)
            (claim,) = (await waking.claim()).claims
            await (await waking.begin_retry(claim)).answer(Outcome.UNAVAILABLE)
        assert await dues(waking, [failover]) == [16.0]
        await recover(waking)
        assert await waking.store.wake("mada", waking.breaker_threshold, waking.now) == 1
        (claim,) = (await waking.claim()).claims
        assert claim.attempts == 5

    async def test_waking_nothing_is_woken_while_the_breaker_is_open(self, waking: World) -> None:
        await fail(waking)
        await wait(waking, 3)
        assert await waking.store.wake(None, waking.breaker_threshold, waking.now) == 0
        assert await waking.store.wake("backup", waking.breaker_threshold, waking.now) == 0

    async def test_waking_whoever_sweeps_wakes_what_a_dead_process_left(self, waking: World) -> None:
        await fail(waking)
        failovers = await wait(waking, 12)
        await recover(waking)  # and says no more
        assert await waking.store.wake(None, waking.breaker_threshold, waking.now) == 13
        assert max(await dues(waking, failovers)) == 0
        assert await waking.store.wake(None, waking.breaker_threshold, waking.now) == 0

    async def test_waking_what_waits_for_several_is_due_when_one_of_them_is_back(self, waking: World) -> None:
        await fail(waking, "mada", "backup")
        (failover,) = await wait(waking, 1, "mada", "backup")
        row = await row_of(failover)
        assert (row.waits, row.waits_for) == (Waits.BREAKERS, "")
        await recover(waking, "backup")
        assert (
            await waking.store.wake(None, waking.breaker_threshold, waking.now) == 0
        )  # nobody knows which of them it was
        assert await waking.store.wake("backup", waking.breaker_threshold, waking.now) == 2
        assert await dues(waking, [failover]) == [0.0]

    async def test_waking_a_crowd_is_let_go_little_by_little(
        self, waking: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(contract, "_WAKE_LIMIT", 10)
        waking.retry = RetryPolicy(max_retries=20, first_delay=30.0, max_delay=30.0, jitter=0.0)
        await fail(waking)
        failovers = await wait(waking, 34)
        await recover(waking)
        assert await waking.store.wake("mada", waking.breaker_threshold, waking.now) == 35
        assert Counter(await dues(waking, failovers)) == {0.0: 10, 0.25: 10, 0.5: 10, 0.75: 4}

    async def test_waking_what_is_under_way_is_left_alone(self, waking: World) -> None:
        await fail(waking)
        (failover,) = await wait(waking, 1)
        waking.later(1)
        claims = (await waking.claim()).claims
        assert len(claims) == 2
        await recover(waking)
        assert await waking.store.wake("mada", waking.breaker_threshold, waking.now) == 0
        assert (await row_of(failover)).lease_until is not None

    async def test_waking_what_a_provider_asked_for_is_still_waited_for(self, waking: World) -> None:
        failover = await waking.begin(waking.core("mada"), phone="throttled")
        await failover.answer(Outcome.THROTTLED, retry_after=60)
        await fail(waking)
        waking.later(1)
        await recover(waking)
        await waking.store.wake("mada", waking.breaker_threshold, waking.now)
        assert await dues(waking, [failover]) == [58.0]


async def fail(world: World, *instances: str, phone: str = "first") -> Failover:
    """A send that every one of these fails, so that their breakers open; its retry."""
    failover = await world.begin(world.core(*(instances or ("mada",))), phone=phone)
    for _ in instances or ("mada",):
        await failover.answer(Outcome.UNAVAILABLE)
    return failover


async def wait(world: World, count: int, *instances: str) -> list[Failover]:
    """Sends that find every breaker open."""
    return [
        await world.begin(world.core(*(instances or ("mada",))), phone=f"waiting-{number}") for number in range(count)
    ]


async def recover(world: World, instance: str = "mada") -> None:
    """The next probe works."""
    world.later(1)
    probe = await world.begin(world.core(instance), phone=f"probe-{instance}")
    assert (await probe.record(Outcome.ACCEPTED)).news == (EventType.BREAKER_CLOSED,)


async def row_of(failover: Failover) -> ScheduleRecord:
    """The row of a waiting send."""
    row: ScheduleRecord
    (row,) = (await failover.view()).schedule
    return row


async def dues(world: World, failovers: Iterable[Failover]) -> list[float]:
    """Seconds until each may be claimed."""
    return [((await row_of(failover)).claimable_at - world.now).total_seconds() for failover in failovers]
