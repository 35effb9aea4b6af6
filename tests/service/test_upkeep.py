"""When house is kept: how often what is over ends and what is old goes, and when a worker that is silent counts as lost."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from otpcore import Channel, Event, EventType, hookimpl
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.records import WorkerRecord
from otpcore.testing import Outbox

PHONE = "+359871234567"


@attrs.define(eq=False)
class Told:
    """An observer that keeps what it was told."""

    types: list[EventType] = attrs.field(factory=list)

    @hookimpl
    def otp_event(self, event: Event) -> None:
        self.types.append(event.type)


class Timed(MemoryStore):
    """Keeps when it was told to sweep, to count and to purge, how much a sweep may take, and how often rules were read."""

    def __init__(self) -> None:
        super().__init__()
        self.swept, self.folded, self.purged = list[object](), list[object](), list[object]()
        self.limits = set[int]()
        self.settings_read = 0

    async def settings(self):
        self.settings_read += 1
        return await super().settings()

    async def sweep(self, **asked):
        self.swept.append(asked["now"])
        self.limits.add(asked["limit"])
        return await super().sweep(**asked)

    async def fold(self, now):
        self.folded.append(now)
        return await super().fold(now)

    async def purge(self, **asked):
        self.purged.append(asked["now"])
        return await super().purge(**asked)


async def test_a_sweep_every_five_seconds_a_count_every_ten_and_a_purge_every_ten_minutes(otp_outbox: Outbox) -> None:
    store, began = Timed(), otp_outbox.clock()
    async with otp_outbox.service(store=store) as otp:
        for _ in range(1300):
            await otp._retries.upkeep()
            otp_outbox.clock.advance(1)
    assert sorted(set(store.swept)) == [began + timedelta(seconds=5 * turn) for turn in range(260)]
    assert sorted(set(store.folded)) == [began + timedelta(seconds=10 * turn) for turn in range(130)]
    assert sorted(set(store.purged)) == [began + timedelta(minutes=10 * turn) for turn in range(3)]
    assert min(store.limits) == 200  # what a sandbox has left goes in larger portions


async def test_rules_and_switches_are_read_again_every_five_seconds(otp_outbox: Outbox) -> None:
    store = Timed()
    async with otp_outbox.service(store=store) as otp:
        before = store.settings_read
        for _ in range(50):
            await otp._retries.claim(1)
            otp_outbox.clock.advance(1)
        assert store.settings_read - before == 9  # it had just been opened


async def test_what_has_happened_is_counted_less_than_a_minute_later(otp_outbox: Outbox) -> None:
    store, began = MemoryStore(), otp_outbox.clock()
    async with otp_outbox.service(store=store) as otp:
        otp_outbox.clock.advance(3)
        sent = await otp.send_sms(PHONE)
        assert await otp.verify(sent.phone.e164, otp_outbox.code)
        for _ in range(56):
            otp_outbox.clock.advance(1)
            await otp._retries.upkeep()
        (point,) = await store.series(began, otp_outbox.clock(), timedelta(minutes=1), by=["channel"])
        assert (point.channel, point.accepted, point.verified) == (Channel.SMS, 1, 1)


async def test_a_purge_counts_what_no_runner_has_counted(otp_outbox: Outbox) -> None:
    store, began = MemoryStore(), otp_outbox.clock()
    async with otp_outbox.service(store=store) as otp:
        await otp.send_sms(PHONE)
        otp_outbox.clock.advance(timedelta(days=29).total_seconds())
        await otp.purge()
        assert [one.accepted for one in await store.series(began, otp_outbox.clock(), timedelta(days=1))] == [1]
        otp_outbox.clock.advance(timedelta(days=2).total_seconds())
        await otp.purge()
        assert await store.series(began, otp_outbox.clock(), timedelta(days=1)) == ()


async def test_a_purge_counts_all_that_no_runner_has_counted_before_it_removes_it(otp_outbox: Outbox) -> None:
    """However many portions that takes: each is a day at most."""
    store, began = MemoryStore(), otp_outbox.clock()
    async with otp_outbox.service(store=store) as otp:
        for _ in range(2):
            await otp.send_sms(PHONE)
            otp_outbox.clock.advance(timedelta(days=3).total_seconds())
        otp_outbox.clock.advance(timedelta(days=23, hours=1).total_seconds())  # the older one is to go
        await otp.purge()
        found = await store.series(began, otp_outbox.clock(), timedelta(days=1))
        assert [one.accepted for one in found] == [1, 1]


async def test_a_purge_removes_all_that_is_old_however_much_there_is(
    otp_outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otpcore.service.upkeep._PURGE_LIMIT", 2)
    async with otp_outbox.service() as otp:
        for number in range(5):
            await otp.send_sms(f"+35987123456{number}")
        otp_outbox.clock.advance(timedelta(days=365).total_seconds())
        assert (await otp.purge()).challenges == 5


async def test_a_turn_shows_a_worker_that_runs_nothing_unless_it_says_so(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp._retries.upkeep()
        assert [worker.running for worker in (await otp.status()).workers] == [0]


@pytest.mark.parametrize(("silent", "lost"), [(59.5, False), (60.5, True)])
async def test_a_worker_that_is_silent_for_a_minute_is_lost(otp_outbox: Outbox, silent: float, *, lost: bool) -> None:
    clock, told = otp_outbox.clock, Told()
    async with otp_outbox.service(observers=[told]) as otp:
        other = WorkerRecord(name="other", kind="worker", started_at=clock(), seen_at=clock())
        await otp._service.store.beat(other, timedelta(minutes=1), clock())
        clock.advance(silent)
        await otp._retries.upkeep()
    assert (EventType.WORKER_LOST in told.types) is lost


async def test_who_purges_by_a_slow_clock_ends_nobodys_verification(otp_outbox: Outbox) -> None:
    store, slow = MemoryStore(), Outbox()
    async with otp_outbox.service(store=store) as otp, slow.service(store=store) as other:
        otp_outbox.clock.advance(3600)
        await otp.send_sms(PHONE)
        await other.purge()
        assert await otp.verify(PHONE, otp_outbox.code)
