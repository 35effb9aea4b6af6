"""Sending, on every store: what one transaction writes, who wins a race, what an answer changes."""

from __future__ import annotations

from datetime import timedelta

import anyio
import attrs
import pytest

from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.records import Refusal, StepKind


async def test_a_send_is_born_leased_with_its_first_delivery(world):
    walk = await world.begin(world.core("mada"))
    view = await walk.view()
    assert walk.step.kind is StepKind.CALL
    assert view.challenge == walk.step.challenge
    assert view.challenge.state is ChallengeState.SENDING
    assert view.challenge.provider == "mada"
    assert view.challenge.expires_at == world.at(300)
    assert view.challenge.core_recorded
    assert view.challenge.sms_cooldown == world.at(30)
    (delivery,) = view.deliveries
    assert delivery == walk.delivery
    assert (delivery.outcome, delivery.lease_until) == (Outcome.OPEN, world.at(10))
    (row,) = view.schedule
    assert (row.leased, row.due_at, row.attempts, row.token) == (True, world.at(10), 0, walk.ref.token)


async def test_everything_of_a_challenge_comes_back_as_it_was_written(world):
    challenge = world.challenge(
        message_sealed=b"\x00sealed", locale="pt-BR", forced=("mada", "backup"), code_digest="d" * 64
    )
    of_send = {"forced": ("mada", "backup"), "locale": "pt-BR", "message_sealed": b"\x00sealed"}
    walk = await world.send(world.new_send(challenge, world.core("mada"), **of_send))
    kept = (await walk.view()).challenge
    assert kept == attrs.evolve(
        challenge, provider="mada", expires_at=world.at(300), sms_cooldown=world.at(30), core_recorded=True
    )
    assert (await walk.view()).schedule[0].forced == ("mada", "backup")


async def test_latest_finds_the_newest_challenge_of_a_subject_living_or_not(world):
    first = await world.begin()
    await world.store.cancel(first.id, world.now)
    second = await world.begin()
    await world.store.cancel(second.id, world.now)
    assert (await world.store.latest("phone-1/login")).id == second.id
    assert await world.store.latest("phone-1/other") is None


async def test_all_challenges_of_a_phone_are_found_newest_first(world):
    first = await world.begin(subject="login")
    second = await world.begin(subject="payment")
    await world.begin(phone="phone-2")
    assert [view.challenge.id for view in await world.store.view(phone_key="phone-1")] == [second.id, first.id]
    assert await world.store.view(challenge_id="unknown") == ()


async def test_of_many_first_sends_for_one_person_one_begins(world):
    begun = []

    async def begin():
        begun.append(await world.begin())

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(begin)
    assert sum(walk.step is not None for walk in begun) == 1
    assert sum(walk.begun.refusal is Refusal.CONFLICT for walk in begun) == 49
    assert len(await world.store.view(phone_key="phone-1")) == 1


async def test_a_send_that_lost_the_race_gets_its_charge_back(world):
    await world.begin()
    charges = await world.charge()
    late = await world.begin(charges=charges)
    assert late.begun.refusal is Refusal.CONFLICT
    assert await world.used() == 0


async def test_an_expired_challenge_makes_way_for_a_new_one(world):
    old = await world.begin()
    world.later(300)
    new = await world.begin()
    assert new.step.kind is StepKind.CALL
    kept = (await old.view()).challenge
    assert (kept.state, kept.code_sealed) == (ChallengeState.EXPIRED, None)
    assert (await old.view()).schedule == ()


async def test_an_acceptance_ends_sending(world):
    walk = await world.begin(world.core("mada", "backup"))
    step = await walk.answer(Outcome.ACCEPTED, reference="sms-1")
    view = await walk.view()
    assert step.kind is StepKind.ACCEPTED
    assert (view.challenge.state, view.challenge.confirmed) == (ChallengeState.SENT, True)
    assert view.schedule == ()
    assert [(one.outcome, one.reference) for one in view.deliveries] == [(Outcome.ACCEPTED, "sms-1")]


async def test_a_failure_goes_on_to_the_next_instance_under_a_new_lease(world):
    walk = await world.begin(world.core("mada", "backup"))
    world.later(4)
    step = await walk.answer(Outcome.UNAVAILABLE)
    assert (step.kind, step.delivery.instance) == (StepKind.CALL, "backup")
    (row,) = (await walk.view()).schedule
    assert (row.leased, row.due_at) == (True, world.at(14))
    assert step.challenge.provider == "backup"


@pytest.mark.parametrize("outcome", [Outcome.REJECTED_NUMBER, Outcome.BLOCKED])
async def test_a_number_refused_for_good_is_not_tried_elsewhere(world, outcome):
    walk = await world.with_retries().begin(world.core("mada", "backup"))
    step = await walk.answer(outcome)
    assert step.kind is StepKind.ENDED
    assert (step.challenge.state, step.challenge.reason) == (ChallengeState.UNSENDABLE, UnsendableReason.PERMANENT)
    assert (await walk.view()).challenge == step.challenge
    assert (await walk.view()).schedule == ()


async def test_without_retries_a_failed_walk_ends_as_failed(world):
    walk = await world.begin(world.core("mada", "backup"))
    await walk.answer(Outcome.UNAVAILABLE)
    step = await walk.answer(Outcome.THROTTLED, retry_after=7)
    assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.FAILED)
    assert (await walk.view()).deliveries[1].not_before == world.at(7)


async def test_a_walk_that_ends_in_doubt_counts_as_sent_but_not_confirmed(world):
    walk = await world.begin(world.core("mada", "backup"))
    await walk.answer(Outcome.AMBIGUOUS)
    step = await walk.answer(Outcome.MISCONFIGURED)
    assert step.kind is StepKind.ENDED
    assert (step.challenge.state, step.challenge.confirmed) == (ChallengeState.SENT, False)
    assert step.challenge.reason is None


async def test_when_nothing_left_the_cooldown_does_not_run(world):
    failed = await world.begin()
    step = await failed.answer(Outcome.UNAVAILABLE)
    assert step.challenge.sms_cooldown is None
    assert (await failed.view()).challenge.sms_cooldown is None
    doubtful = await world.begin(phone="phone-2")
    await doubtful.answer(Outcome.AMBIGUOUS)
    assert (await doubtful.view()).challenge.sms_cooldown == world.at(30)


class TestResending:
    """The same code again, over the same or the other channel."""

    async def test_within_the_cooldown_nothing_new_is_sent(self, world):
        walk = await world.begin()
        await walk.answer(Outcome.ACCEPTED)
        world.later(10)
        again = await world.resend(walk.id, charges=await world.charge())
        assert (again.begun.refusal, again.begun.retry_after) == (Refusal.COOLDOWN, 20.0)
        assert again.begun.challenge.id == walk.id
        assert await world.used() == 0

    async def test_the_other_channel_has_a_cooldown_of_its_own(self, world):
        walk = await world.begin()
        call = await world.resend(walk.id, channel=Channel.CALL)
        assert call.step.kind is StepKind.CALL
        view = await walk.view()
        assert {row.channel for row in view.schedule} == {Channel.SMS, Channel.CALL}
        assert view.challenge.call_cooldown == world.at(30)

    async def test_it_takes_over_the_row_and_ends_the_older_send(self, world):
        world.with_retries()
        walk = await world.begin(charges=await world.charge())
        await walk.answer(Outcome.UNAVAILABLE)
        assert await world.used() == 1
        again = await world.resend(walk.id, charges=await world.charge("phone-1/other"))
        assert await world.used() == 0
        (row,) = (await walk.view()).schedule
        assert (row.token, row.send_id, row.attempts) == (again.ref.token, again.ref.send_id, 0)
        assert again.step.challenge.state is ChallengeState.SENDING

    async def test_an_older_walk_stops_before_its_next_call(self, world):
        walk = await world.begin(world.core("mada", "backup"))
        world.later(30)
        again = await world.resend(walk.id)
        step = await walk.answer(Outcome.UNAVAILABLE)
        assert step.kind is StepKind.STOPPED
        view = await walk.view()
        assert [one.outcome for one in view.deliveries] == [Outcome.UNAVAILABLE, Outcome.OPEN]
        assert view.schedule[0].token == again.ref.token

    async def test_an_older_walk_that_is_accepted_late_still_ends_sending(self, world):
        walk = await world.begin()
        world.later(30)
        await world.resend(walk.id, channel=Channel.SMS)
        await world.resend(walk.id, channel=Channel.CALL)
        step = await walk.answer(Outcome.ACCEPTED, reference="late")
        assert step.kind is StepKind.ACCEPTED
        view = await walk.view()
        assert (view.challenge.state, view.schedule) == (ChallengeState.SENT, ())

    async def test_the_latest_message_locale_and_forced_list_count(self, world):
        walk = await world.begin()
        await walk.answer(Outcome.ACCEPTED)
        world.later(30)
        await world.resend(walk.id, message_sealed=b"new", locale="bg", forced=("backup",))
        challenge = (await walk.view()).challenge
        assert (challenge.message_sealed, challenge.locale, challenge.forced) == (b"new", "bg", ("backup",))
        assert not challenge.confirmed

    async def test_it_moves_the_expiry_but_never_past_the_cap(self, world):
        walk = await world.begin()
        for after, expires in ((200, 500), (450, 600)):
            world.later(after - (world.now - world.at(0)).total_seconds())
            again = await world.resend(walk.id)
            assert again.step.challenge.expires_at == world.at(expires)
        world.later(100)
        late = await world.resend(walk.id)
        assert (late.begun.refusal, late.begun.retry_after) == (Refusal.RENEWAL, 50.0)

    async def test_it_never_resets_the_attempts(self, world):
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

    async def test_an_ended_challenge_cannot_be_resent(self, world):
        walk = await world.begin()
        await world.store.cancel(walk.id, world.now)
        world.later(30)
        again = await world.resend(walk.id)
        assert again.begun.refusal is Refusal.CONFLICT

    async def test_of_many_double_clicks_one_sends(self, world):
        walk = await world.begin()
        await walk.answer(Outcome.ACCEPTED)
        world.later(30)
        (view,) = await world.store.view(challenge_id=walk.id)
        begun = []

        async def click():
            begun.append(await world.send(world.new_send(view.challenge, walk.route, is_resend=True)))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(click)
        assert sum(walk.step is not None for walk in begun) == 1
        assert {walk.begun.refusal for walk in begun} == {None, Refusal.COOLDOWN}

    async def test_one_channel_that_fails_leaves_the_other_queued(self, world):
        world.with_retries()
        walk = await world.begin()
        await walk.answer(Outcome.UNAVAILABLE)
        call = await world.resend(walk.id, channel=Channel.CALL)
        step = await call.answer(Outcome.REJECTED_NUMBER)
        assert step.challenge.state is ChallengeState.QUEUED
        assert [row.channel for row in (await walk.view()).schedule] == [Channel.SMS]

    async def test_a_late_acceptance_revives_an_unsendable_challenge(self, world):
        walk = await world.begin()
        delivery = walk.delivery
        await world.store.sweep(retried=(), limit=10, now=world.later(20))
        assert (await walk.view()).challenge.reason is UnsendableReason.INTERRUPTED
        step = await walk.answer(Outcome.ACCEPTED, delivery_id=delivery.id)
        assert step.kind is StepKind.ACCEPTED
        challenge = (await walk.view()).challenge
        assert (challenge.state, challenge.reason) == (ChallengeState.SENT, None)


async def test_an_answer_for_a_challenge_that_is_over_is_written_and_nothing_else(world):
    walk = await world.begin(world.core("mada", "backup"))
    await world.store.cancel(walk.id, world.now)
    step = await walk.answer(Outcome.UNAVAILABLE)
    assert step.kind is StepKind.STOPPED
    view = await walk.view()
    assert [one.outcome for one in view.deliveries] == [Outcome.UNAVAILABLE]
    assert view.challenge.state is ChallengeState.CANCELLED


async def test_a_phone_locked_for_longer_than_the_code_would_live_is_not_sent_to(world):
    for subject in ("one", "two"):
        await world.begin(subject=subject)
        for _ in range(5):
            await world.reserve(subject, first_wait=300.0)
    charges = await world.charge()
    locked = await world.begin(subject="three", charges=charges)
    assert (locked.begun.refusal, locked.begun.retry_after) == (Refusal.LOCKED, 300.0)
    assert await world.used() == 0
    world.later(1)
    assert (await world.begin(subject="three")).step is not None


async def test_the_same_instance_may_be_in_doubt_twice_and_is_then_left_out(world):
    world.with_retries()
    walk = await world.begin()
    step = await walk.answer(Outcome.AMBIGUOUS)
    assert step.kind is StepKind.QUEUED
    retry = await world.claim_next()
    assert retry.step.repeat == (await walk.view()).deliveries[0].id
    step = await retry.answer(Outcome.AMBIGUOUS)
    assert step.kind is StepKind.ENDED
    assert (step.challenge.state, step.challenge.confirmed) == (ChallengeState.SENT, False)


async def test_each_delivery_is_recorded_with_its_own_life(world):
    walk = await world.begin(
        world.core("mada", "backup"), plan=world.plan(world.core("mada"), call_lease=timedelta(seconds=7))
    )
    assert walk.delivery.lease_until == world.at(7)
