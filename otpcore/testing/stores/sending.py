"""Contract tests of first sends: what one transaction writes, who wins a race, what an answer changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import attrs
import pytest

from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.stores.commands import Raced, Refusal
from otpcore.stores.steps import Accepted, CallInstance, Ended, Queued, Stopped
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import World

__all__ = ["SendingTests"]


class SendingTests(StoreBase):
    """What one transaction writes, who wins a race, what an answer changes."""

    async def test_a_send_is_born_leased_with_its_first_delivery(self, world: World) -> None:
        failover = await world.begin(world.core("mada"))
        view = await failover.view()
        assert isinstance(failover.step, CallInstance)
        assert view.challenge == failover.step.challenge
        assert view.challenge.state is ChallengeState.SENDING
        assert view.challenge.provider == "mada"
        assert view.challenge.expires_at == world.at(300)
        assert view.challenge.core_recorded
        assert view.challenge.cooldowns == {Channel.SMS: world.at(30)}
        (delivery,) = view.deliveries
        assert delivery == failover.delivery
        assert (delivery.outcome, delivery.lease_until) == (Outcome.OPEN, world.at(10))
        (row,) = view.schedule
        assert (row.due_at, row.lease_until) == (world.now, world.at(10))
        assert (row.attempts, row.token) == (0, failover.ref.token)

    async def test_everything_of_a_challenge_comes_back_as_it_was_written(self, world: World) -> None:
        challenge = world.challenge(
            message_sealed=b"\x00sealed",
            extras_sealed=b"\xffsaid\x00",
            locale="pt-BR",
            forced=("mada", "backup"),
            code_digest="d" * 64,
        )
        of_send: dict[str, Any] = {
            "forced": ("mada", "backup"),
            "locale": "pt-BR",
            "message_sealed": b"\x00sealed",
            "extras_sealed": b"\xffsaid\x00",
        }
        failover = await world.send(world.new_send(challenge, world.core("mada"), **of_send))
        kept = (await failover.view()).challenge
        assert kept == attrs.evolve(
            challenge,
            provider="mada",
            expires_at=world.at(300),
            cooldowns={Channel.SMS: world.at(30)},
            core_recorded=True,
        )
        assert (await failover.view()).schedule[0].forced == ("mada", "backup")

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
        assert sum(failover.step is not None for failover in begun) == 1
        assert sum(isinstance(failover.begun, Raced) for failover in begun) == 49
        assert len(await world.store.view(phone_key="phone-1")) == 1

    async def test_a_send_that_lost_the_race_gets_its_charge_back(self, world: World) -> None:
        await world.begin()
        charges = world.charges()
        late = await world.begin(charges=charges)
        assert isinstance(late.begun, Raced)
        assert await world.used() == 0

    async def test_an_expired_challenge_makes_way_for_a_new_one(self, world: World) -> None:
        old = await world.begin()
        world.later(300)
        new = await world.begin()
        assert isinstance(new.step, CallInstance)
        kept = (await old.view()).challenge
        assert (kept.state, kept.code_sealed) == (ChallengeState.EXPIRED, None)
        assert (await old.view()).schedule == ()

    async def test_an_acceptance_ends_sending(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        step = await failover.answer(Outcome.ACCEPTED, reference="sms-1")
        view = await failover.view()
        assert isinstance(step, Accepted)
        assert (view.challenge.state, view.challenge.confirmed) == (ChallengeState.SENT, True)
        assert view.schedule == ()
        assert [(one.outcome, one.reference) for one in view.deliveries] == [(Outcome.ACCEPTED, "sms-1")]

    async def test_a_failure_goes_on_to_the_next_instance_under_a_new_lease(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        world.later(4)
        step = await failover.answer(Outcome.UNAVAILABLE)
        assert (type(step), step.delivery.instance) == (CallInstance, "backup")
        (row,) = (await failover.view()).schedule
        assert (row.due_at, row.lease_until) == (world.at(0), world.at(14))
        assert step.challenge.provider == "backup"

    @pytest.mark.parametrize("outcome", [Outcome.REJECTED_NUMBER, Outcome.BLOCKED])
    async def test_a_number_refused_for_good_is_not_tried_elsewhere(self, world: World, outcome: Outcome) -> None:
        failover = await world.with_retries().begin(world.core("mada", "backup"))
        step = await failover.answer(outcome)
        assert isinstance(step, Ended)
        assert (step.challenge.state, step.challenge.reason) == (ChallengeState.UNSENDABLE, UnsendableReason.PERMANENT)
        assert (await failover.view()).challenge == step.challenge
        assert (await failover.view()).schedule == ()

    @pytest.mark.parametrize("retried", [False, True], ids=["not retried", "retried"])
    @pytest.mark.parametrize(
        ("outcomes", "reason"),
        [
            ((Outcome.MISCONFIGURED,), UnsendableReason.MISCONFIGURED),
            ((Outcome.MISCONFIGURED, Outcome.MISCONFIGURED), UnsendableReason.MISCONFIGURED),
            ((Outcome.LIMIT_REACHED,), UnsendableReason.LIMIT_REACHED),
            ((Outcome.LIMIT_REACHED, Outcome.MISCONFIGURED), UnsendableReason.LIMIT_REACHED),
            ((Outcome.MISCONFIGURED, Outcome.LIMIT_REACHED), UnsendableReason.LIMIT_REACHED),
            ((Outcome.MISCONFIGURED, Outcome.REJECTED_NUMBER), UnsendableReason.PERMANENT),
            ((Outcome.LIMIT_REACHED, Outcome.BLOCKED), UnsendableReason.PERMANENT),
        ],
        ids=str,
    )
    async def test_the_number_is_at_fault_only_where_a_provider_said_so(
        self, world: World, outcomes: tuple[Outcome, ...], reason: UnsendableReason, *, retried: bool
    ) -> None:
        if retried:
            world.with_retries()
        failover = await world.begin(world.core("mada", "backup")[: len(outcomes)], charges=world.charges())
        for outcome in outcomes:
            await failover.answer(outcome)
        assert (type(failover.step), failover.step.challenge.reason) == (Ended, reason)
        challenge = (await failover.view()).challenge
        assert (challenge.state, challenge.reason) == (ChallengeState.UNSENDABLE, reason)
        assert await world.used() == 0

    @pytest.mark.parametrize("other", [Outcome.MISCONFIGURED, Outcome.LIMIT_REACHED])
    async def test_who_may_recover_decides_before_who_refused(self, world: World, other: Outcome) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        await failover.answer(other)
        step = await failover.answer(Outcome.UNAVAILABLE)
        assert (type(step), step.challenge.reason) == (Ended, UnsendableReason.FAILED)

    async def test_without_retries_a_failed_failover_ends_as_failed(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        await failover.answer(Outcome.UNAVAILABLE)
        step = await failover.answer(Outcome.THROTTLED, retry_after=7)
        assert (type(step), step.challenge.reason) == (Ended, UnsendableReason.FAILED)
        assert (await failover.view()).deliveries[1].not_before == world.at(7)

    async def test_a_failover_that_ends_in_doubt_counts_as_sent_but_not_confirmed(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        await failover.answer(Outcome.AMBIGUOUS)
        step = await failover.answer(Outcome.MISCONFIGURED)
        assert isinstance(step, Ended)
        assert (step.challenge.state, step.challenge.confirmed) == (ChallengeState.SENT, False)
        assert step.challenge.reason is None

    async def test_when_nothing_left_the_cooldown_does_not_run(self, world: World) -> None:
        failed = await world.begin()
        step = await failed.answer(Outcome.UNAVAILABLE)
        assert step.challenge.cooldowns == {}
        assert (await failed.view()).challenge.cooldowns == {}
        doubtful = await world.begin(phone="phone-2")
        await doubtful.answer(Outcome.AMBIGUOUS)
        assert (await doubtful.view()).challenge.cooldown(Channel.SMS) == world.at(30)

    async def test_an_answer_for_a_challenge_that_is_over_is_written_and_nothing_else(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        await world.store.cancel(failover.id, world.now)
        step = await failover.answer(Outcome.UNAVAILABLE)
        assert isinstance(step, Stopped)
        view = await failover.view()
        assert [one.outcome for one in view.deliveries] == [Outcome.UNAVAILABLE]
        assert view.challenge.state is ChallengeState.CANCELLED

    async def test_a_phone_locked_for_longer_than_the_code_would_live_is_not_sent_to(self, world: World) -> None:
        for subject in ("one", "two"):
            await world.begin(subject=subject)
            for _ in range(5):
                await world.reserve(subject)
        life = timedelta(seconds=30)
        locked = await world.begin(subject="three", charges=world.charges(), life=life)
        assert (locked.reason, locked.begun.retry_after) == (Refusal.LOCKED, 30.0)
        assert await world.used() == 0
        world.later(1)
        assert (await world.begin(subject="three", life=life)).step is not None

    async def test_the_same_instance_may_be_in_doubt_twice_and_is_then_left_out(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin()
        step = await failover.answer(Outcome.AMBIGUOUS)
        assert isinstance(step, Queued)
        retry = await world.claim_next()
        assert retry.step.repeat == (await failover.view()).deliveries[0].id
        step = await retry.answer(Outcome.AMBIGUOUS)
        assert isinstance(step, Ended)
        assert (step.challenge.state, step.challenge.confirmed) == (ChallengeState.SENT, False)

    async def test_a_repeat_is_told_what_else_may_have_gone_out_there(self, world: World) -> None:
        core = world.core("mada", "backup")
        failover = await world.with_retries().begin(core)
        assert failover.step.earlier == (), "it repeats nothing"
        first = failover.delivery.id
        await failover.answer(Outcome.ACCEPTED, reference="M1")
        world.later(40)
        resend = await world.resend(failover.id, core)
        second = resend.delivery.id
        await resend.answer(Outcome.AMBIGUOUS)
        assert (resend.delivery.instance, resend.step.earlier) == ("backup", ())
        await resend.answer(Outcome.UNAVAILABLE)
        world.later(3)
        retry = await world.claim_next(core)
        assert (retry.step.repeat, retry.delivery.instance) == (second, "mada")
        told = [(one.delivery_id, one.reference, one.age.total_seconds()) for one in retry.step.earlier]
        age = (world.now - (await failover.view()).deliveries[1].recorded_at).total_seconds()
        assert told == [(first, "M1", age + 40), (second, "", age)]

    async def test_each_delivery_is_recorded_with_its_own_life(self, world: World) -> None:
        failover = await world.begin(
            world.core("mada", "backup"), plan=world.plan(world.core("mada"), call_lease=timedelta(seconds=7))
        )
        assert failover.delivery.lease_until == world.at(7)
