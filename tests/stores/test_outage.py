"""A provider is down for a minute while people keep asking: what waits drains quickly, and nobody's code is sent too late."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack

import attrs
import pytest

from otpcore.events import EventType
from otpcore.models import ChallengeState, Outcome
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.sql.store import SqlStore
from otpcore.stores.steps import Accepted, CallInstance
from otpcore.testing.stores.contract import World


@pytest.fixture
def anyio_backend():
    return "asyncio"  # nothing here waits within a store


@pytest.fixture(params=["memory", "sqlite"])
async def world(request):
    if request.param == "memory":
        store = MemoryStore()
    else:
        store = SqlStore(f"sqlite:///{request.getfixturevalue('database')}", synchronous="NORMAL")
    async with AsyncExitStack() as stack:
        await store.start(stack)
        yield World(store=store).with_retries()


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

    def take_off(self, failover, *, retried: bool) -> None:
        if isinstance(failover.step, CallInstance):
            self.calls.append((self.elapsed, failover.step.is_probe))
            self.flying.append((self.elapsed + self.latency, failover, retried))

    async def land(self) -> None:
        landed = [one for one in self.flying if one[0] <= self.elapsed]
        self.flying = [one for one in self.flying if one[0] > self.elapsed]
        for _, failover, retried in landed:
            recorded = await failover.record(Outcome.UNAVAILABLE if self.is_down else Outcome.ACCEPTED)
            if isinstance(recorded.step, Accepted):
                assert self.world.now < recorded.step.challenge.expires_at
                self.accepted.append((self.elapsed, failover.id, retried))
            if EventType.BREAKER_CLOSED in recorded.news:
                await self.world.store.wake(failover.answered.instance, self.world.breaker_threshold, self.world.now)

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
