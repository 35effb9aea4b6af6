"""Contract tests of withdrawing: a failover that ends before anything of it was handed over leaves nothing used up."""

from __future__ import annotations

from otpcore.models import ChallengeState, Outcome, UnsendableReason
from otpcore.stores.steps import Accepted, CallInstance, FailoverPlan
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import Failover, World

__all__ = ["WithdrawingTests"]


class WithdrawingTests(StoreBase):
    """What a cancelled caller leaves behind."""

    async def test_withdrawing_a_first_send_gives_back_and_the_next_call_sends_at_once(self, world: World) -> None:
        failover = await world.begin(charges=world.charges())
        await _withdraw(failover)
        view = await failover.view()
        assert (view.challenge.state, view.challenge.reason) == (
            ChallengeState.UNSENDABLE,
            UnsendableReason.FAILED,
        )
        assert (view.schedule, await world.used()) == ((), 0)
        again = await world.resend(failover.id)
        assert isinstance(again.step, CallInstance)

    async def test_withdrawing_a_vendors_slot_is_free_again(self, world: World) -> None:
        failover = await world.begin(world.vendor())
        await _withdraw(failover)
        other = await world.begin(world.vendor(), subject="other")
        assert (type(other.step), other.step.mark) == (CallInstance, None)

    async def test_withdrawing_a_retry_is_due_again_and_not_counted(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin()
        await failover.answer(Outcome.UNAVAILABLE)
        retry = await world.claim_next()
        await _withdraw(retry)
        await _withdraw(retry)  # a second time changes nothing
        (row,) = (await failover.view()).schedule
        assert (row.due_at, row.lease_until, row.attempts) == (world.now, None, 0)
        assert len((await world.claim()).claims) == 1

    async def test_withdrawing_after_another_send_took_over_answers_the_delivery_only(self, world: World) -> None:
        failover = await world.begin()
        world.later(31)
        newer = await world.resend(failover.id)
        await _withdraw(failover)
        view = await failover.view()
        assert view.challenge.state is ChallengeState.SENDING
        assert [one.outcome for one in view.deliveries] == [Outcome.UNAVAILABLE, Outcome.OPEN]
        assert isinstance(await newer.answer(Outcome.ACCEPTED), Accepted)

    async def test_withdrawing_what_a_provider_has_answered_stays_as_it_was_answered(self, world: World) -> None:
        failover = await world.begin(charges=world.charges())
        plan = _plan(failover)
        await failover.answer(Outcome.ACCEPTED)
        await world.store.withdraw(failover.ref, plan, world.now)
        view = await failover.view()
        assert (view.challenge.state, view.deliveries[0].outcome) == (ChallengeState.SENT, Outcome.ACCEPTED)
        assert await world.used() == 1


async def _withdraw(failover: Failover) -> None:
    await failover.world.store.withdraw(failover.ref, _plan(failover), failover.world.now)


def _plan(failover: Failover) -> FailoverPlan:
    return failover.world.plan(failover.route, is_retry=failover.is_retry, delivery_id=failover.delivery.id)
