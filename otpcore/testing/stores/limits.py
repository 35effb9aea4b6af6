"""Contract tests of limits: counters hold under concurrency, refunds are exact, breakers open, probe and close."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from otpcore.events import EventType
from otpcore.models import ChallengeState, Outcome
from otpcore.stores.commands import Begun, Raced, RecordedGuess, Refusal, ReservationStatus
from otpcore.stores.steps import CallResult, Queued
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import World

__all__ = ["BreakerTests", "CounterTests", "RefundTests"]


class CounterTests(StoreBase):
    """Counters hold, whoever comes at once."""

    async def test_counters_are_charged_all_or_none(self, world: World) -> None:
        charges = [world.limit("b", 1), world.limit("a", 5)]
        assert isinstance(await world.ask(*charges), Begun)
        assert [await world.used(key) for key in "ab"] == [1, 1]
        world.later(100)
        refused = await world.ask(*charges)
        assert (refused.reason, refused.retry_after) == ("b", 500.0)
        assert await world.used("a") == 1

    async def test_a_window_begins_with_its_first_send_and_ends_after_its_length(self, world: World) -> None:
        for _ in range(3):
            assert not hasattr(await world.charge(), "reason")
        world.later(599)
        assert (await world.charge()).retry_after == 1.0
        world.later(1)
        assert not hasattr(await world.charge(), "reason")
        assert await world.used() == 1

    async def test_concurrent_charges_never_pass_the_limit(self, world: World) -> None:
        passed: list[Any] = []

        async def charge() -> None:
            passed.append(not hasattr(await world.charge(limit=7), "reason"))

        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(charge)
        assert sum(passed) == 7
        assert await world.used() == 7


class RefundTests(StoreBase):
    """A send is charged once, and refunded once when certainly nothing left."""

    async def test_refunds_certainly_not_sent_is_refunded(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"), charges=world.charges())
        await failover.answer(Outcome.UNAVAILABLE)
        assert await world.used() == 1
        await failover.answer(Outcome.BLOCKED)
        assert await world.used() == 0

    @pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.AMBIGUOUS])
    async def test_refunds_what_may_have_left_is_paid_for(self, world: World, outcome: Outcome) -> None:
        failover = await world.begin(charges=world.charges())
        await failover.answer(outcome)
        assert await world.used() == 1

    async def test_refunds_a_late_answer_refunds_nothing_twice(self, world: World) -> None:
        await world.charge()
        failover = await world.begin(charges=world.charges())
        first_step = failover.step
        await failover.answer(Outcome.UNAVAILABLE)
        plan = world.plan(failover.route, charges=first_step.charges)
        await world.store.record(
            failover.ref, first_step.delivery, CallResult(outcome=Outcome.UNAVAILABLE), plan, world.now
        )
        assert await world.used() == 1

    @pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, Outcome.AMBIGUOUS])
    async def test_refunds_a_send_that_ended_while_its_answer_was_awaited_is_refunded_once(
        self, world: World, outcome: Outcome
    ) -> None:
        """The person was called too, and typed the code of the SMS meanwhile: nobody knew yet whether the call left."""
        await world.charge()
        failover = await world.begin(charges=world.charges())
        step = failover.step
        approved = await world.reserve(guess=RecordedGuess(fits=lambda _: True))
        assert approved.status is ReservationStatus.APPROVED
        assert await world.used() == 2
        plan = world.plan(failover.route, charges=step.charges)
        for _ in range(2):
            await world.store.record(failover.ref, step.delivery, CallResult(outcome=outcome), plan, world.now)
        assert await world.used() == (1 if outcome is Outcome.UNAVAILABLE else 2)

    async def test_refunds_a_withdrawn_retry_whose_send_ended_meanwhile_is_refunded(self, world: World) -> None:
        failover = await world.with_retries().begin(charges=world.charges())
        await failover.answer(Outcome.UNAVAILABLE)
        retry = await world.claim_next()
        assert await world.store.cancel(failover.id, world.now)
        plan = world.plan(retry.route, is_retry=True, delivery_id=retry.delivery.id, charges=retry.step.charges)
        for _ in range(2):
            await world.store.withdraw(retry.ref, plan, world.now)
        assert await world.used() == 0

    async def test_refunds_a_window_that_ended_meanwhile_is_left_alone(self, world: World) -> None:
        charges = world.charges(seconds=10)
        failover = await world.begin(charges=charges)
        world.later(10)
        await world.charge(seconds=10)
        await failover.answer(Outcome.UNAVAILABLE)
        assert await world.used() == 1


class BreakerTests(StoreBase):
    """Five failures in a row open it; one failover a second is let through; one success closes it."""

    async def test_breaker_the_fifth_failure_in_a_row_opens_it(self, world: World) -> None:
        answers = await _fail(world, 3) + await _fail(world, 2, Outcome.AMBIGUOUS)
        assert [one.news for one in answers] == [()] * 4 + [(EventType.BREAKER_OPENED,)]
        (breaker,) = await world.breakers()
        assert (breaker.instance, breaker.failures, breaker.probe_at) == ("mada", 5, world.at(1))

    async def test_breaker_refused_numbers_never_count_and_a_success_starts_anew(self, world: World) -> None:
        await _fail(world, 4)
        await _fail(world, 3, Outcome.REJECTED_NUMBER)
        failover = await world.begin()
        assert (await failover.record(Outcome.ACCEPTED)).news == ()
        assert await world.breakers() == ()

    async def test_breaker_who_was_not_called_is_not_to_blame(self, world: World) -> None:
        for _ in range(6):
            failover = await world.begin(phone=f"unlucky-{next(world.numbers)}")
            recorded = await failover.record(Outcome.UNAVAILABLE, words="no time was left", is_asked=False)
            assert recorded.news == ()
        assert await world.breakers() == ()

    async def test_breaker_what_was_said_last_is_kept_until_a_message_is_taken(self, world: World) -> None:
        await _fail(world, 2, code="20500", words="HTTP 500")
        await _fail(world, 1, code="20503", words="HTTP 503")
        (breaker,) = await world.breakers()
        assert (breaker.failures, breaker.code, breaker.words) == (3, "20503", "HTTP 503")
        await _fail(world, 1, Outcome.ACCEPTED)
        assert await world.breakers() == ()

    async def test_breaker_one_failover_hears_that_an_instance_is_misconfigured_and_one_that_it_is_no_more(
        self, world: World
    ) -> None:
        first, *_ = await _fail(world, 1, Outcome.MISCONFIGURED, code="20003", words="the token is wrong")
        world.later(60)
        again = await _fail(world, 2, Outcome.MISCONFIGURED, code="20003", words="the token is wrong")
        assert [one.news for one in (first, *again)] == [(EventType.INSTANCE_MISCONFIGURED,), (), ()]
        (breaker,) = await world.breakers()
        assert (breaker.failures, breaker.opened_at, breaker.misconfigured_at) == (0, None, world.at(0))
        assert (breaker.code, breaker.words) == ("20003", "the token is wrong")
        await _fail(world, 1, Outcome.MISCONFIGURED, code="30002", words="the account is suspended")
        (breaker,) = await world.breakers()
        assert (breaker.misconfigured_at, breaker.code) == (world.at(0), "30002")
        taken = await _fail(world, 2, Outcome.ACCEPTED)
        assert [one.news for one in taken] == [(EventType.INSTANCE_RESTORED,), ()]
        assert await world.breakers() == ()

    async def test_breaker_a_misconfigured_instance_is_tried_by_every_failover(self, world: World) -> None:
        await _fail(world, 6, Outcome.MISCONFIGURED)
        assert (await world.begin()).delivery.instance == "mada"

    async def test_breaker_failures_and_bad_credentials_are_kept_apart(self, world: World) -> None:
        await _fail(world, 4, code="20500")
        (answer,) = await _fail(world, 1, Outcome.MISCONFIGURED, code="20003")
        assert answer.news == (EventType.INSTANCE_MISCONFIGURED,)
        (answer,) = await _fail(world, 1, code="20500")
        assert answer.news == (EventType.BREAKER_OPENED,)
        world.later(1)
        (answer,) = await _fail(world, 1, Outcome.ACCEPTED)
        assert answer.news == (EventType.BREAKER_CLOSED, EventType.INSTANCE_RESTORED)

    async def test_breaker_of_failovers_at_once_one_hears_that_it_is_misconfigured(self, world: World) -> None:
        failovers = [await world.begin(phone=f"failing-{next(world.numbers)}") for _ in range(8)]
        news: list[Any] = []

        async def answer(failover: Any) -> None:
            told = await failover.record(Outcome.MISCONFIGURED, provider_code="20003", words="the token is wrong")
            news.extend(told.news)

        async with anyio.create_task_group() as tasks:
            for failover in failovers:
                tasks.start_soon(answer, failover)
        assert news == [EventType.INSTANCE_MISCONFIGURED]

    async def test_breaker_an_open_instance_is_skipped(self, world: World) -> None:
        await _fail(world, 5)
        failover = await world.begin(world.core("mada", "backup"))
        assert failover.delivery.instance == "backup"

    async def test_breaker_without_another_instance_and_without_retries_the_send_is_refused(self, world: World) -> None:
        await _fail(world, 5)
        failover = await world.begin(charges=world.charges())
        assert failover.reason is Refusal.BREAKER_OPEN
        assert await world.used() == 0
        assert await world.store.view(phone_key="phone-1") == ()

    async def test_breaker_with_retries_the_send_waits_for_the_probe(self, world: World) -> None:
        await _fail(world.with_retries(), 5)
        failover = await world.begin()
        assert (type(failover.step), failover.step.due_at) == (Queued, world.at(1))
        assert (await failover.view()).challenge.state is ChallengeState.QUEUED

    async def test_breaker_one_failover_a_second_is_the_probe(self, world: World) -> None:
        await _fail(world, 5)
        world.later(1)
        failovers: list[Any] = []

        async def begin(number: int) -> None:
            failovers.append(await world.begin(phone=f"probe-{number}"))

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(begin, number)
        (probe,) = [failover for failover in failovers if failover.step is not None]
        assert {failover.reason for failover in failovers} == {None, Refusal.BREAKER_OPEN}
        assert (await probe.record(Outcome.ACCEPTED)).news == (EventType.BREAKER_CLOSED,)
        assert (await world.begin(phone="phone-9")).step is not None

    async def test_breaker_a_failed_probe_leaves_it_open_for_another_second(self, world: World) -> None:
        await _fail(world, 5)
        world.later(1)
        (answer,) = await _fail(world, 1)
        assert answer.news == ()
        assert (await world.begin(phone="phone-9")).reason is Refusal.BREAKER_OPEN
        world.later(1)
        assert (await world.begin(phone="phone-9")).step is not None

    async def test_breaker_a_send_that_lost_a_race_leaves_the_probe_due_when_it_was(self, world: World) -> None:
        living = await world.begin(world.core("backup"), phone="phone-9")
        await _fail(world, 5)
        (before,) = await world.breakers()
        world.later(30)
        lost = await world.begin(phone="phone-9")
        assert (type(lost.begun), lost.begun.living.id) == (Raced, living.id)
        assert await world.breakers() == (before,)


async def _fail(
    world: World, count: int, outcome: Outcome = Outcome.UNAVAILABLE, *, code: str = "", words: str = ""
) -> Any:
    answers: list[Any] = []
    for _ in range(count):
        failover = await world.begin(phone=f"failing-{next(world.numbers)}")
        answers.append(await failover.record(outcome, provider_code=code, words=words))
    return answers
