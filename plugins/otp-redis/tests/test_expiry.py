"""Every key expires by itself, once no purge can need it any more; but for a few that are named here."""

from __future__ import annotations

import contextlib
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from otp_redis import RedisStore

from otpcore.rate_limits.admission import BudgetWindow
from otpcore.stores import AuditRecord, BudgetRule, Outcome, WorkerRecord
from otpcore.testing.stores.contract import World
from otpcore.testing.stores.world import CHANNELS

pytestmark = pytest.mark.anyio

LASTING = ("ix:", "due", "wf:", "fl:", "bd:", "breakers", "settings", "seq", "format", "folded", "changes")
"""Indexes, which a purge thins out; failures in a row, which only a success or an operator clears; and a few single keys."""


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def fill(world):
    """Something in every place."""
    world.store.keeps_outbox = True
    windows = BudgetRule(windows=(BudgetWindow(least=1, length=timedelta(seconds=60)),), share=0.5)
    await world.ask(world.limit("phone-1/send/600", 1), budget="BG/+35987", budget_rule=windows, phone="phone-1")
    await world.ask(world.limit("phone-1/send/600", 1), phone="phone-1")
    failover = await world.begin(world.vendor("twilio"), budget="BG/+35987")
    await failover.answer(Outcome.ACCEPTED, reference="VE1", budget_rule=windows)
    await world.delivered(reference="VE1", instance="twilio")
    await world.delivered(reference="VE2", instance="twilio")
    waiting = await world.with_retries().begin(phone="phone-2")
    await waiting.answer(Outcome.UNAVAILABLE)
    for number in range(5):
        failing = await world.begin(phone=f"phone-{number + 3}")
        if type(failing.step).__name__ == "CallInstance":
            await failing.answer(Outcome.UNAVAILABLE)
    reservation = await world.reserve(phone="phone-2")
    await world.store.settle(reservation, give_back=False, gone=(), now=world.now)
    await world.store.approve(await world.reserve(), settled=(), budget=windows, now=world.now)
    await world.store.fold(world.now + timedelta(minutes=1))
    soon = world.now + timedelta(minutes=10)
    await world.store.put_record("hooks", "one", b"sealed", expires_at=soon, about="phone-1", now=world.now)
    audit = AuditRecord(at=world.now, by="ann", action="routes.set", target="sms", about="phone-1")
    await world.store.write_setting("rules", "Mada", audit=audit)
    await world.store.beat(
        WorkerRecord(name="worker-1", kind="worker", started_at=world.now, seen_at=world.now),
        timedelta(minutes=1),
        world.now,
    )


KINDS = frozenset(
    {
        "au",
        "ap",
        "wf",
        "ch",
        "sj",
        "pc",
        "rf",
        "rd",
        "dl",
        "rx",
        "xp",
        "vf",
        "ct",
        "sl",
        "fl",
        "bd",
        "workers",
        "due",
        "ix",
        "sr",
        "rc",
        "rp",
        "changes",
    }
)
"""How the keys of everything that is kept begin."""


async def test_every_key_expires_but_for_those_that_are_named(server):
    day = 86_400
    async with AsyncExitStack() as stack:
        store = RedisStore(server.url)
        await store.start(stack)
        await fill(World(store=store, now=datetime.now(UTC)))
    kinds = set()
    with contextlib.closing(server.client()) as client:
        for key in server.all_keys():
            name, lives = key.removeprefix("otp:{otp}:"), client.ttl(key)
            kinds.add(name.partition(":")[0])
            if name.startswith(LASTING):
                assert lives == -1, key
            elif name.startswith("done:"):
                assert 0 < lives <= 60
            elif name.startswith(("ch:", "sj:", "pc:", "rf:", "rd:", "dl:", "rx:", "xp:", "sr:")):
                assert 30 * day < lives < 32 * day, key  # storage.keep_deliveries, storage.keep_series
            elif name.startswith(("au:", "ap:")):
                assert 365 * day < lives < 367 * day, key  # storage.keep_audit
            elif name.startswith("vf:"):
                assert 90 * day < lives < 92 * day, key  # storage.keep_verified
            elif name.startswith("ct:"):
                assert day < lives < day + 700, key
            else:
                assert day <= lives < 4 * day, key
    assert kinds >= KINDS


async def test_what_a_purge_removes_is_gone_and_what_remains_is_named(server):
    async with AsyncExitStack() as stack:
        store = RedisStore(server.url)
        await store.start(stack)
        world = World(store=store, now=datetime.now(UTC))
        await fill(world)
        await store.sweep(unretried=CHANNELS, limit=100, now=world.later(1000))
        count = await store.purge(
            challenges_before=world.later(1),
            deliveries_before=world.now,
            verified_before=world.now,
            audit_before=world.now,
            series_before=world.now,
            phone_key=None,
            now=world.now,
        )
        assert (count.challenges, count.deliveries, count.receipts, count.verified, count.audits) == (8, 7, 2, 1, 1)
        left = [key.removeprefix("otp:{otp}:") for key in server.all_keys()]
    assert [name for name in left if not name.startswith((*LASTING, "done:", "workers"))] == []
    assert [name for name in left if name.startswith(("ix:", "due"))] == ["ix:budgets", "ix:fl"]


async def test_an_erased_person_is_nowhere(server):
    async with AsyncExitStack() as stack:
        store = RedisStore(server.url)
        await store.start(stack)
        world = World(store=store, now=datetime.now(UTC))
        await fill(world)
        for phone in ("phone-1", "phone-2"):
            await store.purge(challenges_before=world.now, deliveries_before=world.now, phone_key=phone, now=world.now)
            assert phone.encode() not in server.dump()
        assert [one.detail for one in await store.audits(10)] == ['{"erased": true}']
    with contextlib.closing(server.client()) as client:  # and the record of the trail still expires
        assert 365 * 86_400 < client.ttl("otp:{otp}:au:1") < 367 * 86_400


async def test_indexes_that_outlived_their_rows_hurt_nobody(server):
    async with AsyncExitStack() as stack:
        store = RedisStore(server.url)
        await store.start(stack)
        world = World(store=store, now=datetime.now(UTC))
        await fill(world)
        with contextlib.closing(server.client()) as client:
            for key in server.all_keys():  # as if nobody had purged for months
                if client.ttl(key) > 0:
                    client.delete(key)
        world.later(1000)
        assert (await world.claim()).claims == ()
        assert await store.sweep(unretried=CHANNELS, limit=100, now=world.now) == ()
        assert await store.refusals(10) == ()
        assert await store.retries(10) == ()
        assert await store.audits(10) == ()
        assert await store.counters("", world.now) == await store.counters("phone", world.now) != ()
        for _ in range(2):
            await store.purge(
                challenges_before=world.now,
                deliveries_before=world.now,
                verified_before=world.now,
                audit_before=world.now,
                series_before=world.now,
                phone_key=None,
                now=world.now,
            )
        left = [key.removeprefix("otp:{otp}:") for key in server.all_keys()]
        assert [name for name in left if name.startswith(("ix:", "due"))] == [
            "ix:budgets",
            "ix:fl",
            "ix:waits",
        ]
        failover = await world.begin(phone="phone-1")  # the probe of the open breaker
        await failover.answer(Outcome.ACCEPTED)
        assert await store.wake("mada", world.breaker_threshold, world.now) == 0
        assert not [key for key in server.all_keys() if "wf:" in key or key.endswith("ix:waits")]
