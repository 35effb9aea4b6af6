"""Contract tests of worlds: a real service and a sandbox share a store and never touch what is the other's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

from otpcore import models
from otpcore.models import Outcome, ReceiptOutcome
from otpcore.rate_limits.admission import BudgetRule, BudgetWindow
from otpcore.stores.commands import Refused, ReservationStatus
from otpcore.stores.lifecycle import OVER
from otpcore.stores.records import WorkerRecord
from otpcore.stores.steps import CallInstance, Queued
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import PAUSED
from otpcore.testing.stores.world import Failover, World

__all__ = ["WorldsTests"]

_BUDGET = BudgetRule(windows=(BudgetWindow(least=1, length=timedelta(hours=1)),), enforce=True)


class WorldsTests(StoreBase):
    """Look-ups of phones differ from world to world; the test takes other ones in the sandbox, as the keys make them."""

    @pytest.fixture(params=[models.World.REAL, models.World.SANDBOX])
    def worlds(self, request: pytest.FixtureRequest, world: World) -> tuple[World, World]:
        """One of the two in which something is, and the other, over the same store and clock."""
        (other,) = set(models.World) - {request.param}
        return (
            attrs.evolve(world.with_retries(), store=world.store.within(request.param)),
            attrs.evolve(world, store=world.store.within(other)),
        )

    async def test_worlds_a_challenge_is_found_in_its_own_only(self, worlds: tuple[World, World]) -> None:
        here, there = worlds
        failover = await here.begin()
        await failover.answer(Outcome.ACCEPTED, reference="SM1")
        assert await there.store.view(challenge_id=failover.id) == ()
        assert (await there.reserve(challenge_id=failover.id, purpose="login")).status is ReservationStatus.NOT_FOUND
        assert await there.store.cancel(failover.id, there.now) is None
        assert await there.store.keys_in_use() == ()
        (view,) = await here.store.view(challenge_id=failover.id)
        assert (view.challenge.attempts, view.challenge.state) == (0, "sent")

    async def test_worlds_retries_are_claimed_in_their_own_only(self, worlds: tuple[World, World]) -> None:
        here, there = worlds
        failover = await here.begin()
        await failover.answer(Outcome.UNAVAILABLE)
        here.later(60)
        there.now = here.now
        job = await here.job(failover.id)
        assert await there.store.next_due() is None
        assert await there.store.retries(10) == ()
        assert await there.store.due_keys(there.now) == frozenset()
        assert (await there.claim()).claims == (await there.claim(job=job)).claims == ()
        assert await there.store.requeue(failover.id, there.now) is None
        assert await there.store.drop(failover.id, there.now) is None
        assert len((await here.claim()).claims) == 1

    async def test_worlds_what_is_over_is_ended_in_its_own_only(self, worlds: tuple[World, World]) -> None:
        here, there = worlds
        failover = await here.begin()
        here.later(300)
        everything = {"unretried": (), "limit": 10, "now": here.now}
        assert await there.store.sweep(set_back=True, **everything) == ()
        (ended,) = await here.store.sweep(**everything)
        assert ended.challenge.id == failover.id

    async def test_worlds_old_rows_are_purged_in_their_own_only(self, worlds: tuple[World, World]) -> None:
        here, there = worlds
        failover = await here.begin()
        await failover.answer(Outcome.ACCEPTED, reference="SM1")
        await here.undelivered(reference="SM1")
        await here.ask(barrier=PAUSED)
        await _verify(here, await here.begin(phone="phone-2"))
        here.later(3600)
        await here.store.sweep(unretried=(), limit=10, now=here.now)
        before = {
            "challenges_before": here.now,
            "deliveries_before": here.now,
            "verified_before": here.now,
            "phone_key": None,
            "now": here.now,
        }
        count = await there.store.purge(**before)
        assert attrs.evolve(count, counters=0) == type(count)()
        count = await here.store.purge(**before)
        assert (count.challenges, count.deliveries, count.receipts, count.refusals, count.verified) == (2, 2, 1, 1, 1)

    async def test_worlds_limits_and_budgets_count_in_their_own_only(self, worlds: tuple[World, World]) -> None:
        here, there = worlds
        limit = here.limit("all/global/60", 1)
        budget: dict[str, Any] = {"budget": "BG/", "budget_rule": _BUDGET}
        failover = await here.begin(charges=(limit,), **budget)
        await failover.answer(Outcome.ACCEPTED, budget_rule=_BUDGET)
        refused = await here.ask(limit)
        assert isinstance(refused, Refused)
        assert isinstance(await here.ask(**budget), Refused)
        assert [len(await one.store.refusals(10)) for one in (here, there)] == [2, 0]
        assert [await one.used("all/global/60") for one in (here, there)] == [1, 0]
        assert [len(await one.store.budgets()) for one in (here, there)] == [1, 0]
        begun = await there.ask(limit, **budget)
        assert isinstance(begun.step, CallInstance)
        assert await there.store.reset_counters("all/") == 1
        assert await here.used("all/global/60") == 1

    async def test_worlds_a_charge_is_given_back_where_it_was_made(self, worlds: tuple[World, World]) -> None:
        here, there = worlds
        here.retry = None
        for one in worlds:
            await one.charge("all/global/60", 5)
        failover = await here.begin(charges=here.charges("all/global/60", 5))
        await failover.answer(Outcome.BLOCKED)
        assert [await one.used("all/global/60") for one in (here, there)] == [1, 1]

    async def test_worlds_wrong_codes_lock_in_their_own_only(self, worlds: tuple[World, World]) -> None:
        here, there = worlds
        await here.begin()
        await here.reserve(lock_after=1)
        assert (await here.reserve(lock_after=1)).status is ReservationStatus.LOCKED
        assert len(await here.store.counters("phone-1/", here.now)) == 2
        assert await there.store.counters("phone-1/", there.now) == ()

    async def test_worlds_a_breaker_opens_in_its_own_only(self, worlds: tuple[World, World]) -> None:
        here, there = worlds
        here.breaker_threshold = there.breaker_threshold = 1
        await (await here.begin()).answer(Outcome.UNAVAILABLE)
        waiting = await here.begin(phone="phone-2")
        assert isinstance(waiting.step, Queued)
        assert [[one.instance for one in await side.breakers()] for side in worlds] == [["mada"], []]
        assert await there.store.wake(None, there.breaker_threshold, there.now) == 0
        open_there = await there.begin(phone="phone-3")
        assert isinstance(open_there.step, CallInstance)
        assert (await open_there.record(Outcome.ACCEPTED)).news == ()
        assert len(await here.breakers()) == 1

    async def test_worlds_a_receipt_is_about_its_own_only(self, worlds: tuple[World, World]) -> None:
        here, there = worlds
        failover = await here.begin()
        delivery = failover.delivery.id
        await failover.answer(Outcome.ACCEPTED, reference="SM1")
        for named in ({"reference": "SM1"}, {"delivery_id": delivery}):
            assert (await there.undelivered(**named)).outcome is ReceiptOutcome.UNKNOWN
        assert (await failover.view()).challenge.state == "sent"

    async def test_worlds_status_counts_its_own_and_all_signs_of_life(self, worlds: tuple[World, World]) -> None:
        here, there = worlds
        await (await here.begin()).answer(Outcome.UNAVAILABLE)
        worker = WorkerRecord(name="worker-1", kind="worker", started_at=here.now, seen_at=here.now)
        await here.store.beat(worker, timedelta(minutes=1), here.now)
        found = [await one.store.status(one.at(-60), one.now) for one in worlds]
        assert [len(one.deliveries) for one in found] == [1, 0]
        assert [len(one.waiting) for one in found] == [1, 0]
        assert [len(one.breakers) for one in found] == [1, 0]
        assert [len(one.workers) for one in found] == [1, 1]
        await there.store.leave("worker-1")
        assert (await here.store.status(here.now, here.now)).workers == ()

    async def test_worlds_settings_are_shared(self, worlds: tuple[World, World]) -> None:
        here, there = worlds
        await here.store.write_setting("otp_sms_provider", "mada")
        assert await there.store.settings() == {"otp_sms_provider": "mada"}

    async def test_worlds_a_slot_that_one_left_marked_is_not_removed_by_the_other(
        self, worlds: tuple[World, World]
    ) -> None:
        here, there = worlds
        failover = await here.begin(here.vendor())
        await failover.answer(Outcome.ACCEPTED, reference="VE1")
        here.later(301)
        again = await here.begin(here.vendor())  # it takes the slot over, marked with the verification before
        await again.answer(Outcome.UNAVAILABLE)
        before = here.at(0)
        await there.store.purge(challenges_before=before, deliveries_before=before, phone_key=None, now=here.now)
        third = await here.begin(here.vendor(), subject="other")
        assert third.step.mark.reference == "VE1"


async def _verify(world: World, failover: Failover) -> None:
    await failover.answer(Outcome.ACCEPTED)
    reservation = await world.reserve(challenge_id=failover.id, purpose="login")
    assert await world.store.approve(reservation, settled=(), now=world.now)
    assert (await failover.view()).challenge.state in OVER
