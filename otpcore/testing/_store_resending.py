"""Contract tests of resends: when they are refused, what they move and what they leave."""

from __future__ import annotations

from typing import Any

import anyio

from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.testing._store_base import StoreBase
from otpcore.testing._store_world import World
from otpcore.verbs import Refusal
from otpcore.walks import StepKind

__all__ = ["ResendingTests"]


class ResendingTests(StoreBase):
    """The same code goes out again; the schedule row is taken over."""

    async def test_resending_within_the_cooldown_nothing_new_is_sent(self, world: World) -> None:
        walk = await world.begin()
        await walk.answer(Outcome.ACCEPTED)
        world.later(10)
        again = await world.resend(walk.id, charges=world.charges())
        assert (again.begun.refusal, again.begun.retry_after) == (Refusal.COOLDOWN, 20.0)
        assert again.begun.challenge.id == walk.id
        assert await world.used() == 0

    async def test_resending_the_other_channel_has_a_cooldown_of_its_own(self, world: World) -> None:
        walk = await world.begin()
        call = await world.resend(walk.id, channel=Channel.CALL)
        assert call.step.kind is StepKind.CALL
        view = await walk.view()
        assert {row.channel for row in view.schedule} == {Channel.SMS, Channel.CALL}
        assert view.challenge.call_cooldown == world.at(30)

    async def test_resending_it_takes_over_the_row_and_ends_the_older_send(self, world: World) -> None:
        world.with_retries()
        walk = await world.begin(charges=world.charges())
        await walk.answer(Outcome.UNAVAILABLE)
        assert await world.used() == 1
        again = await world.resend(walk.id, charges=world.charges("phone-1/other"))
        assert await world.used() == 0
        (row,) = (await walk.view()).schedule
        assert (row.token, row.send_id, row.attempts) == (again.ref.token, again.ref.send_id, 0)
        assert again.step.challenge.state is ChallengeState.SENDING

    async def test_resending_an_older_walk_stops_before_its_next_call(self, world: World) -> None:
        walk = await world.begin(world.core("mada", "backup"))
        world.later(30)
        again = await world.resend(walk.id)
        step = await walk.answer(Outcome.UNAVAILABLE)
        assert step.kind is StepKind.STOPPED
        view = await walk.view()
        assert [one.outcome for one in view.deliveries] == [Outcome.UNAVAILABLE, Outcome.OPEN]
        assert view.schedule[0].token == again.ref.token

    async def test_resending_an_older_walk_that_is_accepted_late_still_ends_sending(self, world: World) -> None:
        walk = await world.begin()
        world.later(30)
        await world.resend(walk.id, channel=Channel.SMS)
        await world.resend(walk.id, channel=Channel.CALL)
        step = await walk.answer(Outcome.ACCEPTED, reference="late")
        assert step.kind is StepKind.ACCEPTED
        view = await walk.view()
        assert (view.challenge.state, view.schedule) == (ChallengeState.SENT, ())

    async def test_resending_the_latest_message_locale_and_forced_list_count(self, world: World) -> None:
        walk = await world.begin()
        await walk.answer(Outcome.ACCEPTED)
        world.later(30)
        await world.resend(walk.id, message_sealed=b"new", locale="bg", forced=("backup",))
        challenge = (await walk.view()).challenge
        assert (challenge.message_sealed, challenge.locale, challenge.forced) == (b"new", "bg", ("backup",))
        assert not challenge.confirmed

    async def test_resending_it_moves_the_expiry_but_never_past_the_cap(self, world: World) -> None:
        walk = await world.begin()
        for after, expires in ((200, 500), (450, 600)):
            world.later(after - (world.now - world.at(0)).total_seconds())
            again = await world.resend(walk.id)
            assert again.step.challenge.expires_at == world.at(expires)
        world.later(100)
        late = await world.resend(walk.id)
        assert (late.begun.refusal, late.begun.retry_after) == (Refusal.RENEWAL, 50.0)

    async def test_resending_it_never_resets_the_attempts(self, world: World) -> None:
        walk = await world.begin()
        for _ in range(3):
            await world.reserve()
        world.later(30)
        again = await world.resend(walk.id)
        assert again.step.challenge.attempts == 3
        for _ in range(2):
            await world.reserve()
        world.later(30)
        refused = await world.resend(walk.id)
        assert (refused.begun.refusal, refused.begun.retry_after) == (Refusal.MAX_ATTEMPTS, 270.0)

    async def test_resending_an_ended_challenge_cannot_be_resent(self, world: World) -> None:
        walk = await world.begin()
        await world.store.cancel(walk.id, world.now)
        world.later(30)
        again = await world.resend(walk.id)
        assert again.begun.refusal is Refusal.CONFLICT

    async def test_resending_of_many_double_clicks_one_sends(self, world: World) -> None:
        walk = await world.begin()
        await walk.answer(Outcome.ACCEPTED)
        world.later(30)
        (view,) = await world.store.view(challenge_id=walk.id)
        begun: list[Any] = []

        async def click() -> None:
            begun.append(await world.send(world.new_send(view.challenge, walk.route, is_resend=True)))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(click)
        assert sum(walk.step is not None for walk in begun) == 1
        assert {walk.begun.refusal for walk in begun} == {None, Refusal.COOLDOWN}

    async def test_resending_one_channel_that_fails_leaves_the_other_queued(self, world: World) -> None:
        world.with_retries()
        walk = await world.begin()
        await walk.answer(Outcome.UNAVAILABLE)
        call = await world.resend(walk.id, channel=Channel.CALL)
        step = await call.answer(Outcome.REJECTED_NUMBER)
        assert step.challenge.state is ChallengeState.QUEUED
        assert [row.channel for row in (await walk.view()).schedule] == [Channel.SMS]

    async def test_resending_a_late_acceptance_revives_an_unsendable_challenge(self, world: World) -> None:
        walk = await world.begin()
        await world.store.sweep(retried=(), limit=10, now=world.later(20))
        assert (await walk.view()).challenge.reason is UnsendableReason.INTERRUPTED
        step = await walk.answer(Outcome.ACCEPTED)
        assert step.kind is StepKind.ACCEPTED
        challenge = (await walk.view()).challenge
        assert (challenge.state, challenge.reason) == (ChallengeState.SENT, None)
