"""Contract tests of first sends: what one transaction writes, who wins a race, what an answer changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import attrs
import pytest

from otpcore.models import ChallengeState, Outcome, UnsendableReason
from otpcore.testing._store_base import StoreBase
from otpcore.testing._store_world import World
from otpcore.verbs import Refusal
from otpcore.walks import StepKind

__all__ = ["SendingTests"]


class SendingTests(StoreBase):
    """What one transaction writes, who wins a race, what an answer changes."""

    async def test_a_send_is_born_leased_with_its_first_delivery(self, world: World) -> None:
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

    async def test_everything_of_a_challenge_comes_back_as_it_was_written(self, world: World) -> None:
        challenge = world.challenge(
            message_sealed=b"\x00sealed", locale="pt-BR", forced=("mada", "backup"), code_digest="d" * 64
        )
        of_send: dict[str, Any] = {"forced": ("mada", "backup"), "locale": "pt-BR", "message_sealed": b"\x00sealed"}
        walk = await world.send(world.new_send(challenge, world.core("mada"), **of_send))
        kept = (await walk.view()).challenge
        assert kept == attrs.evolve(
            challenge, provider="mada", expires_at=world.at(300), sms_cooldown=world.at(30), core_recorded=True
        )
        assert (await walk.view()).schedule[0].forced == ("mada", "backup")

    async def test_latest_finds_the_newest_challenge_of_a_subject_living_or_not(self, world: World) -> None:
        first = await world.begin()
        await world.store.cancel(first.id, world.now)
        second = await world.begin()
        await world.store.cancel(second.id, world.now)
        assert (await world.store.latest("phone-1/login")).id == second.id
        assert await world.store.latest("phone-1/other") is None

    async def test_all_challenges_of_a_phone_are_found_newest_first(self, world: World) -> None:
        first = await world.begin(subject="login")
        second = await world.begin(subject="payment")
        await world.begin(phone="phone-2")
        assert [view.challenge.id for view in await world.store.view(phone_key="phone-1")] == [second.id, first.id]
        assert await world.store.view(challenge_id="unknown") == ()

    async def test_of_many_first_sends_for_one_person_one_begins(self, world: World) -> None:
        begun: list[Any] = []

        async def begin() -> None:
            begun.append(await world.begin())

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(begin)
        assert sum(walk.step is not None for walk in begun) == 1
        assert sum(walk.begun.refusal is Refusal.CONFLICT for walk in begun) == 49
        assert len(await world.store.view(phone_key="phone-1")) == 1

    async def test_a_send_that_lost_the_race_gets_its_charge_back(self, world: World) -> None:
        await world.begin()
        charges = world.charges()
        late = await world.begin(charges=charges)
        assert late.begun.refusal is Refusal.CONFLICT
        assert await world.used() == 0

    async def test_an_expired_challenge_makes_way_for_a_new_one(self, world: World) -> None:
        old = await world.begin()
        world.later(300)
        new = await world.begin()
        assert new.step.kind is StepKind.CALL
        kept = (await old.view()).challenge
        assert (kept.state, kept.code_sealed) == (ChallengeState.EXPIRED, None)
        assert (await old.view()).schedule == ()

    async def test_an_acceptance_ends_sending(self, world: World) -> None:
        walk = await world.begin(world.core("mada", "backup"))
        step = await walk.answer(Outcome.ACCEPTED, reference="sms-1")
        view = await walk.view()
        assert step.kind is StepKind.ACCEPTED
        assert (view.challenge.state, view.challenge.confirmed) == (ChallengeState.SENT, True)
        assert view.schedule == ()
        assert [(one.outcome, one.reference) for one in view.deliveries] == [(Outcome.ACCEPTED, "sms-1")]

    async def test_a_failure_goes_on_to_the_next_instance_under_a_new_lease(self, world: World) -> None:
        walk = await world.begin(world.core("mada", "backup"))
        world.later(4)
        step = await walk.answer(Outcome.UNAVAILABLE)
        assert (step.kind, step.delivery.instance) == (StepKind.CALL, "backup")
        (row,) = (await walk.view()).schedule
        assert (row.leased, row.due_at) == (True, world.at(14))
        assert step.challenge.provider == "backup"

    @pytest.mark.parametrize("outcome", [Outcome.REJECTED_NUMBER, Outcome.BLOCKED])
    async def test_a_number_refused_for_good_is_not_tried_elsewhere(self, world: World, outcome: Outcome) -> None:
        walk = await world.with_retries().begin(world.core("mada", "backup"))
        step = await walk.answer(outcome)
        assert step.kind is StepKind.ENDED
        assert (step.challenge.state, step.challenge.reason) == (ChallengeState.UNSENDABLE, UnsendableReason.PERMANENT)
        assert (await walk.view()).challenge == step.challenge
        assert (await walk.view()).schedule == ()

    async def test_without_retries_a_failed_walk_ends_as_failed(self, world: World) -> None:
        walk = await world.begin(world.core("mada", "backup"))
        await walk.answer(Outcome.UNAVAILABLE)
        step = await walk.answer(Outcome.THROTTLED, retry_after=7)
        assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.FAILED)
        assert (await walk.view()).deliveries[1].not_before == world.at(7)

    async def test_a_walk_that_ends_in_doubt_counts_as_sent_but_not_confirmed(self, world: World) -> None:
        walk = await world.begin(world.core("mada", "backup"))
        await walk.answer(Outcome.AMBIGUOUS)
        step = await walk.answer(Outcome.MISCONFIGURED)
        assert step.kind is StepKind.ENDED
        assert (step.challenge.state, step.challenge.confirmed) == (ChallengeState.SENT, False)
        assert step.challenge.reason is None

    async def test_when_nothing_left_the_cooldown_does_not_run(self, world: World) -> None:
        failed = await world.begin()
        step = await failed.answer(Outcome.UNAVAILABLE)
        assert step.challenge.sms_cooldown is None
        assert (await failed.view()).challenge.sms_cooldown is None
        doubtful = await world.begin(phone="phone-2")
        await doubtful.answer(Outcome.AMBIGUOUS)
        assert (await doubtful.view()).challenge.sms_cooldown == world.at(30)

    async def test_an_answer_for_a_challenge_that_is_over_is_written_and_nothing_else(self, world: World) -> None:
        walk = await world.begin(world.core("mada", "backup"))
        await world.store.cancel(walk.id, world.now)
        step = await walk.answer(Outcome.UNAVAILABLE)
        assert step.kind is StepKind.STOPPED
        view = await walk.view()
        assert [one.outcome for one in view.deliveries] == [Outcome.UNAVAILABLE]
        assert view.challenge.state is ChallengeState.CANCELLED

    async def test_a_phone_locked_for_longer_than_the_code_would_live_is_not_sent_to(self, world: World) -> None:
        for subject in ("one", "two"):
            await world.begin(subject=subject)
            for _ in range(5):
                await world.reserve(subject, first_wait=300.0)
        charges = world.charges()
        locked = await world.begin(subject="three", charges=charges)
        assert (locked.begun.refusal, locked.begun.retry_after) == (Refusal.LOCKED, 300.0)
        assert await world.used() == 0
        world.later(1)
        assert (await world.begin(subject="three")).step is not None

    async def test_the_same_instance_may_be_in_doubt_twice_and_is_then_left_out(self, world: World) -> None:
        world.with_retries()
        walk = await world.begin()
        step = await walk.answer(Outcome.AMBIGUOUS)
        assert step.kind is StepKind.QUEUED
        retry = await world.claim_next()
        assert retry.step.repeat == (await walk.view()).deliveries[0].id
        step = await retry.answer(Outcome.AMBIGUOUS)
        assert step.kind is StepKind.ENDED
        assert (step.challenge.state, step.challenge.confirmed) == (ChallengeState.SENT, False)

    async def test_each_delivery_is_recorded_with_its_own_life(self, world: World) -> None:
        walk = await world.begin(
            world.core("mada", "backup"), plan=world.plan(world.core("mada"), call_lease=timedelta(seconds=7))
        )
        assert walk.delivery.lease_until == world.at(7)
