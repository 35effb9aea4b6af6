"""Retries that wait for a breaker, on every store: a few come for each probe, and all are due once it closes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import attrs
import pytest

from otpcore.interfaces import Store
from otpcore.models import ChallengeState, Outcome
from otpcore.records import BreakerRule, StepKind
from otpcore.retrying import RetryPolicy
from otpcore.stores import base
from otpcore.stores.memory import MemoryStore
from otpcore.stores.sql import SqlStore
from otpcore.testing.store import World

from ..servers import empty  # noqa: TID252 - tests are no package that could be imported by name

MADA_IS_DOWN = BreakerRule(threshold=1, probe_every=1.0)


@pytest.fixture
def anyio_backend():
    return "asyncio"  # nothing here waits within a store


@pytest.fixture(params=["memory", "sqlite", "postgres", "mariadb"])
def new_store(request: pytest.FixtureRequest) -> Store:
    """A store of each kind, empty, not started."""
    match request.param:
        case "memory":
            return MemoryStore()
        case "sqlite":
            return SqlStore(f"sqlite:///{request.getfixturevalue('database')}", synchronous="NORMAL")
        case server:
            url = request.getfixturevalue(f"{server}_url")
            empty(url)
            return SqlStore(url)


@pytest.fixture
async def world(new_store: Store) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        await new_store.start(stack)
        yield World(store=new_store, breaker=MADA_IS_DOWN).with_retries()


async def fail(world, *instances: str, phone: str = "first"):
    """A send that every one of these fails, so that their breakers open; its retry."""
    walk = await world.begin(world.core(*(instances or ("mada",))), phone=phone)
    for _ in instances or ("mada",):
        await walk.answer(Outcome.UNAVAILABLE)
    return walk


async def wait(world, count: int, *instances: str):
    """Sends that find every breaker open."""
    return [
        await world.begin(world.core(*(instances or ("mada",))), phone=f"waiting-{number}") for number in range(count)
    ]


async def recover(world, instance: str = "mada"):
    """The next probe works."""
    world.later(1)
    probe = await world.begin(world.core(instance), phone=f"probe-{instance}")
    assert (await probe.answer(Outcome.ACCEPTED)).closed == instance


async def row_of(walk):
    (row,) = (await walk.view()).schedule
    return row


async def dues(world, walks) -> list[float]:
    return [((await row_of(walk)).due_at - world.now).total_seconds() for walk in walks]


async def test_a_few_come_for_the_next_probe_and_the_others_stand_aside(world):
    world.retry = RetryPolicy(max_delay=30.0, first_delay=60.0, jitter=0.0, chance=lambda: 0.5)
    await fail(world)
    walks = await wait(world, 25)
    assert {walk.step.kind for walk in walks} == {StepKind.QUEUED}
    assert Counter(await dues(world, walks)) == {1.0: 10, 22.5: 15}
    world.later(1)
    for claim in (await world.claim(limit=50)).claims:
        await world.begin_retry(claim)  # one makes the probe, and nobody knows yet how it ends
    assert Counter(await dues(world, walks)) == {10.0: 1, 1.0: 9, 21.5: 15}


async def test_nobody_stands_aside_beyond_the_useful_life(world):
    world.retry = RetryPolicy(max_delay=30.0, first_delay=60.0, jitter=0.0, chance=lambda: 0.5)
    await fail(world)
    await wait(world, 40)
    late = world.new_send(world.challenge("login", "late"), world.core("mada"), life=world.at(32.5) - world.at(0))
    assert await dues(world, [await world.send(late)]) == [2.5]


async def test_all_are_due_when_the_breaker_closes_and_none_has_lost_an_attempt(world):
    await fail(world)
    walks = await wait(world, 25)
    await recover(world)
    assert await world.store.wake("mada", world.breaker, world.now) == 26
    assert max(await dues(world, walks)) == 0
    claims = (await world.claim(limit=50)).claims
    assert Counter(claim.attempts for claim in claims) == {1: 26}


async def test_a_retry_that_the_failing_instance_made_wait_is_woken_too(world):
    walk = await fail(world)
    for seconds in (1, 2, 4, 8):
        world.later(seconds)
        (claim,) = (await world.claim()).claims
        await (await world.begin_retry(claim)).answer(Outcome.UNAVAILABLE)
    assert await dues(world, [walk]) == [16.0]
    await recover(world)
    assert await world.store.wake("mada", world.breaker, world.now) == 1
    (claim,) = (await world.claim()).claims
    assert claim.attempts == 5


async def test_nothing_is_woken_while_the_breaker_is_open(world):
    await fail(world)
    await wait(world, 3)
    assert await world.store.wake(None, world.breaker, world.now) == 0
    assert await world.store.wake("backup", world.breaker, world.now) == 0


async def test_whoever_sweeps_wakes_what_a_dead_process_left(world):
    await fail(world)
    walks = await wait(world, 12)
    await recover(world)  # and says no more
    assert await world.store.wake(None, world.breaker, world.now) == 13
    assert max(await dues(world, walks)) == 0
    assert await world.store.wake(None, world.breaker, world.now) == 0


async def test_what_waits_for_several_is_due_when_one_of_them_is_back(world):
    await fail(world, "mada", "backup")
    (walk,) = await wait(world, 1, "mada", "backup")
    assert (await row_of(walk)).waits_for == ""
    await recover(world, "backup")
    assert await world.store.wake(None, world.breaker, world.now) == 0  # nobody knows which of them it was
    assert await world.store.wake("backup", world.breaker, world.now) == 2
    assert await dues(world, [walk]) == [0.0]


async def test_a_crowd_is_let_go_little_by_little(world, monkeypatch):
    monkeypatch.setattr(base, "_WAKE_LIMIT", 10)
    world.retry = RetryPolicy(max_retries=20, first_delay=30.0, max_delay=30.0, jitter=0.0)
    await fail(world)
    walks = await wait(world, 34)
    await recover(world)
    assert await world.store.wake("mada", world.breaker, world.now) == 35
    assert Counter(await dues(world, walks)) == {0.0: 10, 0.25: 10, 0.5: 10, 0.75: 4}


async def test_what_is_under_way_is_left_alone(world):
    await fail(world)
    (walk,) = await wait(world, 1)
    world.later(1)
    claims = (await world.claim()).claims
    assert len(claims) == 2
    await recover(world)
    assert await world.store.wake("mada", world.breaker, world.now) == 0
    assert (await row_of(walk)).leased


async def test_what_a_provider_asked_for_is_still_waited_for(world):
    walk = await world.begin(world.core("mada"), phone="throttled")
    await walk.answer(Outcome.THROTTLED, retry_after=60)
    await fail(world)
    world.later(1)
    await recover(world)
    await world.store.wake("mada", world.breaker, world.now)
    assert await dues(world, [walk]) == [58.0]


@attrs.define
class Outage:
    """A provider that is down for a while, senders that come all the time, and a worker with some slots; in steps."""

    world: object
    slots: int
    latency: float = 0.3
    step: float = 0.1
    down_for: float = 60.0
    sent: int = 0
    calls: list = attrs.field(factory=list)
    flying: list = attrs.field(factory=list)
    accepted: list = attrs.field(factory=list)

    @property
    def elapsed(self) -> float:
        return (self.world.now - self.world.at(0)).total_seconds()

    @property
    def is_down(self) -> bool:
        return self.elapsed < self.down_for

    def take_off(self, walk, *, retried: bool) -> None:
        if walk.step is not None and walk.step.kind is StepKind.CALL:
            self.calls.append((self.elapsed, walk.step.is_probe))
            self.flying.append((self.elapsed + self.latency, walk, retried))

    async def land(self) -> None:
        landed = [one for one in self.flying if one[0] <= self.elapsed]
        self.flying = [one for one in self.flying if one[0] > self.elapsed]
        for _, walk, retried in landed:
            step = await walk.answer(Outcome.UNAVAILABLE if self.is_down else Outcome.ACCEPTED)
            if step.kind is StepKind.ACCEPTED:
                assert self.world.now < step.challenge.expires_at
                self.accepted.append((self.elapsed, walk.id, retried))
            if step.closed:
                await self.world.store.wake(step.closed, self.world.breaker, self.world.now)

    async def work(self) -> None:
        busy = sum(retried for _, _, retried in self.flying)
        for claim in (await self.world.claim(limit=self.slots - busy)).claims if busy < self.slots else ():
            self.take_off(await self.world.begin_retry(claim), retried=True)

    async def run(self, sends_a_second: int) -> None:
        while self.is_down or self.flying or await self.world.store.next_due() is not None:
            assert self.elapsed < self.down_for + 60
            while self.sent <= self.elapsed * sends_a_second and self.is_down:
                self.take_off(await self.world.begin(phone=f"phone-{self.sent}"), retried=False)
                self.sent += 1
            await self.land()
            await self.work()
            self.world.later(self.step)


async def test_an_outage_drains_quickly(world):
    """At a tenth of the scale: 100 sends a second for a minute and 128 slots would ideally take 14.4 s, and may take 20."""
    seconds = 60 if isinstance(world.store, MemoryStore) else 15
    world.breaker = BreakerRule()
    outage = Outage(world, slots=13, down_for=seconds)
    await outage.run(sends_a_second=10)
    assert len({who for _, who, _ in outage.accepted}) == len(outage.accepted) == outage.sent
    ideal = outage.sent / outage.slots * outage.latency
    assert max(at for at, _, _ in outage.accepted) - outage.down_for <= ideal * 20 / 14.4
    probes = Counter(int(at) for at, is_probe in outage.calls if is_probe)
    assert max(probes.values()) <= 2
    assert all(is_probe for at, is_probe in outage.calls if 1 < at < outage.down_for)
    for _, who, _ in outage.accepted[:20]:
        assert (await world.view(who)).challenge.state is ChallengeState.SENT
