"""Contract tests of resends: when they are refused, what they move and what they leave."""

from __future__ import annotations

from typing import Any

import anyio

from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.stores.commands import Begun, CoolingDown, Raced, Refusal
from otpcore.stores.steps import Accepted, CallInstance, Stopped
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import CHANNELS, World

__all__ = ["ResendingTests"]


class ResendingTests(StoreBase):
    """The same code goes out again; the schedule row is taken over."""

    async def test_resending_within_the_cooldown_nothing_new_is_sent(self, world: World) -> None:
        failover = await world.begin()
        await failover.answer(Outcome.ACCEPTED)
        world.later(10)
        again = await world.resend(failover.id, charges=world.charges())
        assert (type(again.begun), again.begun.challenge.id) == (CoolingDown, failover.id)
        assert await world.used() == 0

    async def test_resending_the_other_channel_has_a_cooldown_of_its_own(self, world: World) -> None:
        failover = await world.begin()
        call = await world.resend(failover.id, channel=Channel.CALL)
        assert isinstance(call.step, CallInstance)
        view = await failover.view()
        assert {row.channel for row in view.schedule} == {Channel.SMS, Channel.CALL}
        assert view.challenge.cooldown(Channel.CALL) == world.at(30)

    async def test_resending_each_of_three_channels_has_its_own_cooldown_and_row(self, world: World) -> None:
        failover = await world.begin()
        for channel in CHANNELS[1:]:
            world.later(10)
            assert isinstance((await world.resend(failover.id, channel=channel)).step, CallInstance)
        view = await failover.view()
        assert view.challenge.cooldowns == dict(zip(CHANNELS, map(world.at, (30, 40, 50)), strict=True))
        assert {row.channel for row in view.schedule} == set(CHANNELS)
        world.later(15)
        begun = [(await world.resend(failover.id, channel=channel)).begun for channel in CHANNELS]
        assert [type(one) for one in begun] == [Begun, CoolingDown, CoolingDown]

    async def test_resending_what_did_not_leave_cools_down_on_no_channel_but_the_others(self, world: World) -> None:
        sms, call, whatsapp = CHANNELS
        failover = await world.begin()
        called = await world.resend(failover.id, channel=call)
        messaged = await world.resend(failover.id, channel=whatsapp)
        await messaged.answer(Outcome.UNAVAILABLE)
        assert (await failover.view()).challenge.cooldowns == {sms: world.at(30), call: world.at(30)}
        await called.answer(Outcome.ACCEPTED)
        view = await failover.view()
        assert (view.challenge.state, view.schedule) == (ChallengeState.SENT, ())
        assert {one.channel: one.outcome for one in view.deliveries} == {
            sms: Outcome.OPEN,
            call: Outcome.ACCEPTED,
            whatsapp: Outcome.UNAVAILABLE,
        }

    async def test_resending_it_takes_over_the_row_and_ends_the_older_send(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin(charges=world.charges())
        await failover.answer(Outcome.UNAVAILABLE)
        assert await world.used() == 1
        again = await world.resend(failover.id, charges=world.charges("phone-1/other"))
        assert await world.used() == 0
        (row,) = (await failover.view()).schedule
        assert (row.token, row.send_id, row.attempts) == (again.ref.token, again.ref.send_id, 0)
        assert again.step.challenge.state is ChallengeState.SENDING

    async def test_resending_an_older_failover_stops_before_its_next_call(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        world.later(30)
        again = await world.resend(failover.id)
        step = await failover.answer(Outcome.UNAVAILABLE)
        assert isinstance(step, Stopped)
        view = await failover.view()
        assert [one.outcome for one in view.deliveries] == [Outcome.UNAVAILABLE, Outcome.OPEN]
        assert view.schedule[0].token == again.ref.token

    async def test_resending_an_older_failover_that_is_accepted_late_still_ends_sending(self, world: World) -> None:
        failover = await world.begin()
        world.later(30)
        await world.resend(failover.id, channel=Channel.SMS)
        await world.resend(failover.id, channel=Channel.CALL)
        step = await failover.answer(Outcome.ACCEPTED, reference="late")
        assert isinstance(step, Accepted)
        view = await failover.view()
        assert (view.challenge.state, view.schedule) == (ChallengeState.SENT, ())

    async def test_resending_the_latest_message_locale_and_forced_list_count(self, world: World) -> None:
        failover = await world.begin()
        await failover.answer(Outcome.ACCEPTED)
        world.later(30)
        await world.resend(failover.id, message_sealed=b"new", locale="bg", forced=("backup",))
        challenge = (await failover.view()).challenge
        assert (challenge.message_sealed, challenge.locale, challenge.forced) == (b"new", "bg", ("backup",))
        assert not challenge.confirmed

    async def test_resending_a_retry_hears_what_was_said_of_the_latest_send(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin(extras_sealed=b"first")
        await failover.answer(Outcome.THROTTLED)
        assert (await world.claim_next()).step.challenge.extras_sealed == b"first"
        for said in (b"second", None):
            world.later(31)
            again = await world.resend(failover.id, extras_sealed=said)
            await again.answer(Outcome.THROTTLED)
            assert (await world.claim_next()).step.challenge.extras_sealed == said

    async def test_resending_it_moves_the_expiry_but_never_past_the_cap(self, world: World) -> None:
        failover = await world.begin()
        for after, expires in ((200, 500), (450, 600)):
            world.later(after - (world.now - world.at(0)).total_seconds())
            again = await world.resend(failover.id)
            assert again.step.challenge.expires_at == world.at(expires)
        world.later(100)
        late = await world.resend(failover.id)
        assert (late.reason, late.begun.retry_after) == (Refusal.RENEWAL, 50.0)

    async def test_resending_it_never_resets_the_attempts(self, world: World) -> None:
        failover = await world.begin()
        for _ in range(3):
            await world.reserve()
        world.later(30)
        again = await world.resend(failover.id)
        assert again.step.challenge.attempts == 3
        for _ in range(2):
            await world.reserve()
        world.later(30)
        refused = await world.resend(failover.id)
        assert (refused.reason, refused.begun.retry_after) == (Refusal.MAX_ATTEMPTS, 270.0)

    async def test_resending_an_ended_challenge_cannot_be_resent(self, world: World) -> None:
        failover = await world.begin()
        await world.store.cancel(failover.id, world.now)
        world.later(30)
        again = await world.resend(failover.id)
        assert isinstance(again.begun, Raced)

    async def test_resending_of_many_double_clicks_one_sends(self, world: World) -> None:
        failover = await world.begin()
        await failover.answer(Outcome.ACCEPTED)
        world.later(30)
        (view,) = await world.store.view(challenge_id=failover.id)
        begun: list[Any] = []

        async def click() -> None:
            begun.append(await world.send(world.new_send(view.challenge, failover.route, is_resend=True)))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(click)
        assert sum(failover.step is not None for failover in begun) == 1
        assert {type(failover.begun) for failover in begun} == {Begun, CoolingDown}

    async def test_resending_one_channel_that_fails_leaves_the_other_queued(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin()
        await failover.answer(Outcome.UNAVAILABLE)
        call = await world.resend(failover.id, channel=Channel.CALL)
        step = await call.answer(Outcome.REJECTED_NUMBER)
        assert step.challenge.state is ChallengeState.QUEUED
        assert [row.channel for row in (await failover.view()).schedule] == [Channel.SMS]

    async def test_resending_a_late_acceptance_revives_an_unsendable_challenge(self, world: World) -> None:
        failover = await world.begin()
        await world.store.sweep(unretried=CHANNELS, limit=10, now=world.later(20))
        assert (await failover.view()).challenge.reason is UnsendableReason.INTERRUPTED
        step = await failover.answer(Outcome.ACCEPTED)
        assert isinstance(step, Accepted)
        challenge = (await failover.view()).challenge
        assert (challenge.state, challenge.reason) == (ChallengeState.SENT, None)
