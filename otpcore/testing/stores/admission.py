"""Contract tests of who may send: barriers, tolls, neighbours, and the record of what was refused."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from otpcore.models import Channel, Outcome
from otpcore.rate_limits.admission import Asked, Barrier, LimitReason
from otpcore.stores.commands import Begun, CoolingDown, Raced, Refusal, Refused
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import DENIED, PAUSED, UNLESS_VERIFIED, counted, refusals, verify
from otpcore.testing.stores.world import World

__all__ = ["BarrierTests", "NeighbourTests", "RefusalTests", "TollTests"]


class BarrierTests(StoreBase):
    """A pause and a denial go before all counters, and charge nothing."""

    @pytest.mark.parametrize("barrier", [PAUSED, DENIED, UNLESS_VERIFIED])
    async def test_barriers_nothing_is_charged(self, world: World, barrier: Barrier) -> None:
        refused = await world.ask(world.limit("a", 5), barrier=barrier)
        assert (refused.reason, refused.retry_after) == (barrier.reason, None)
        assert await world.used("a") == 0

    async def test_barriers_one_that_ends_by_itself_says_when(self, world: World) -> None:
        refused = await world.ask(barrier=attrs.evolve(PAUSED, ends_at=world.at(90)))
        assert refused.retry_after == 90

    async def test_barriers_a_phone_that_verified_before_passes_the_settings_but_not_an_operator(
        self, world: World
    ) -> None:
        await counted(world, "phone-1")
        await verify(world, "phone-1")
        assert isinstance(await world.ask(barrier=UNLESS_VERIFIED, phone="phone-1"), Begun)
        assert isinstance(await world.ask(barrier=DENIED, phone="phone-1"), Refused)
        assert isinstance(await world.ask(barrier=UNLESS_VERIFIED, phone="phone-2"), Refused)

    async def test_barriers_nobody_is_exempt_for_ever(self, world: World) -> None:
        await counted(world, "phone-1")
        await verify(world, "phone-1")
        before = {"challenges_before": world.now, "deliveries_before": world.now, "phone_key": None, "now": world.now}
        assert (await world.store.purge(verified_before=world.now, **before)).verified == 0
        assert (await world.store.purge(verified_before=world.at(1), **before)).verified == 1
        assert await world.store.verified("phone-1") is None

    @pytest.mark.parametrize("barrier", [PAUSED, DENIED])
    async def test_barriers_the_same_call_again_is_no_refusal_while_it_cools_down(
        self, world: World, barrier: Barrier
    ) -> None:
        failover = await world.begin()
        asked = await world.ask(barrier=barrier, subject="login", phone="phone-1")
        assert (type(asked), asked.challenge.id) == (CoolingDown, failover.id)
        assert await refusals(world) == []
        other = await world.ask(barrier=barrier, subject="login", phone="phone-1", channel=Channel.CALL)
        assert isinstance(other, Refused)
        world.later(30)
        assert isinstance(await world.ask(barrier=barrier, subject="login", phone="phone-1"), Refused)
        assert len(await refusals(world)) == 2


class TollTests(StoreBase):
    """What is never refunded: given back only where nobody had to send."""

    async def test_tolls_a_send_that_certainly_failed_keeps_them(self, world: World) -> None:
        failover = await world.begin(**_charged(world))
        await failover.answer(Outcome.BLOCKED)
        assert await _counts(world) == (0, 1)

    async def test_tolls_a_faster_caller_gives_everything_back(self, world: World) -> None:
        await world.begin()
        assert isinstance((await world.begin(**_charged(world))).begun, Raced)
        assert await _counts(world) == (0, 0)

    async def test_tolls_a_double_click_gives_everything_back(self, world: World) -> None:
        failover = await world.begin()
        assert isinstance((await world.resend(failover.id, **_charged(world))).begun, CoolingDown)
        assert await _counts(world) == (0, 0)

    async def test_tolls_any_other_refusal_keeps_them(self, world: World) -> None:
        failover = await world.begin()
        await failover.answer(Outcome.ACCEPTED)
        for _ in range(5):
            await world.reserve()
        world.later(40)
        assert (await world.resend(failover.id, **_charged(world))).reason is Refusal.MAX_ATTEMPTS
        assert await _counts(world) == (0, 1)

    async def test_tolls_the_longest_wait_of_all_full_counters_is_told(self, world: World) -> None:
        await world.ask(world.limit("a", 1, 10), world.limit("b", 1, 100))
        refused = await world.ask(world.limit("a", 1, 10), world.limit("b", 1, 100))
        assert (refused.reason, refused.retry_after) == ("b", 100)


class RefusalTests(StoreBase):
    """Every refusal is recorded; a flood of them fills no disk."""

    async def test_refusals_identical_ones_of_a_minute_are_one_row(self, world: World) -> None:
        for _ in range(3):
            await world.ask(barrier=DENIED, phone="phone-1")
        (refusal,) = await world.store.refusals(10)
        assert (refusal.phone_key, refusal.phone_masked, refusal.channel) == ("phone-1", "+359•••567", "sms")
        assert (refusal.purpose, refusal.count, refusal.enforced) == ("login", 3, True)
        world.later(60)
        await world.ask(barrier=DENIED, phone="phone-1")
        assert [one.count for one in await world.store.refusals(10)] == [1, 3]

    async def test_refusals_they_are_listed_by_phone(self, world: World) -> None:
        for phone in ("phone-1", "phone-2", "phone-2"):
            await world.ask(barrier=PAUSED, phone=phone)
        assert await refusals(world, phone_key="phone-2") == [(Asked.SEND, "paused", True, 2)]
        assert len(await refusals(world)) == 2

    async def test_refusals_a_flood_of_different_numbers_is_told_together(self, world: World) -> None:
        for number in range(150):
            await world.ask(barrier=DENIED, phone=f"phone-{number}")
        kept = await world.store.refusals(1000)
        assert len(kept) == 101
        assert {one.phone_masked for one in kept if not one.phone_key} == {""}
        assert sum(one.count for one in kept) == 150
        world.later(60)
        await world.ask(barrier=DENIED, phone="phone-1000")
        assert await refusals(world, phone_key="phone-1000"), "the next minute names its phones again"

    async def test_refusals_a_send_that_may_not_begin(self, world: World) -> None:
        failover = await world.begin()
        await failover.answer(Outcome.ACCEPTED)
        for _ in range(5):
            await world.reserve()
        world.later(40)
        await world.resend(failover.id)
        assert await refusals(world) == [(Asked.SEND, "max_attempts", True, 1)]

    async def test_refusals_neither_a_double_click_nor_a_faster_caller_is_one(self, world: World) -> None:
        failover = await world.begin()
        await world.begin()
        await world.resend(failover.id)
        assert await refusals(world) == []

    async def test_refusals_a_locked_phone(self, world: World) -> None:
        await counted(world, "phone-1")
        await world.reserve(lock_after=1)
        await world.reserve(lock_after=1)
        assert await refusals(world) == [(Asked.VERIFY, "locked", True, 1)]

    async def test_refusals_a_purge_removes_old_ones_and_an_erasure_those_of_the_person(self, world: World) -> None:
        for phone in ("phone-1", "phone-2"):
            await world.ask(barrier=PAUSED, phone=phone)
        await counted(world, "phone-2")
        await verify(world, "phone-2")
        times = {"challenges_before": world.now, "now": world.now}
        erased = await world.store.purge(deliveries_before=world.now, phone_key="phone-2", **times)
        assert (erased.refusals, erased.verified) == (1, 1)
        assert await world.store.verified("phone-2") is None
        assert (await world.store.purge(deliveries_before=world.now, phone_key=None, **times)).refusals == 0
        assert (await world.store.purge(deliveries_before=world.at(1), phone_key=None, **times)).refusals == 1


class NeighbourTests(StoreBase):
    """Many numbers of one block are noticed; the same number again is none."""

    async def test_neighbours_the_third_of_a_block_is_noticed_and_not_refused(self, world: World) -> None:
        noted = [(await _asked(world, phone)).noted for phone in ("a", "a", "b", "a", "b", "c", "d")]
        assert noted == [(), (), (), (), (), (LimitReason.NEIGHBOURS,), (LimitReason.NEIGHBOURS,)]

    async def test_neighbours_a_window_ends(self, world: World) -> None:
        for phone in "abc":
            noted = (await _asked(world, phone)).noted
        assert noted
        world.later(60)
        assert (await _asked(world, "a")).noted == ()

    async def test_neighbours_a_send_that_did_not_begin_is_none(self, world: World) -> None:
        await world.begin()
        again = await world.begin(neighbours=_near(world, "phone-1"))
        assert isinstance(again.begun, Raced)
        full = world.limit("full", 1)
        await world.ask(full)
        refused = await world.ask(full, neighbours=_near(world, "phone-2"), phone="phone-2")
        assert refused.reason == "full"
        for key in ("block/near/60", "phone-1/near/60", "phone-2/near/60"):
            assert await world.used(key) == 0, key


def _charged(world: World) -> Any:
    client = attrs.evolve(world.limit("client", 5), refundable=False)
    return {"charges": (world.limit("mine", 5), client)}


async def _counts(world: World) -> Any:
    return await world.used("mine"), await world.used("client")


def _asked(world: World, phone: str) -> Any:
    return world.ask(neighbours=_near(world, phone), phone=phone)


def _near(world: World, phone: str) -> Any:
    return ((world.limit(f"{phone}/near/60", 1, 60), world.limit("block/near/60", 2, 60)),)
