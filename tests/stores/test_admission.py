"""Who may send, on every store: barriers, refunds by kind, budgets, neighbours, and the record of what was refused."""

from __future__ import annotations

import itertools
from datetime import timedelta

import anyio
import attrs
import pytest

from otpcore.admission import Asked, Barrier, BudgetRule, BudgetWindow, LimitReason
from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.records import Admitted, BreakerRule, CallResult, ChargeRefused, Refusal, StepKind

PAUSED = Barrier(reason=LimitReason.PAUSED)
DENIED = Barrier(reason=LimitReason.DENIED)
UNLESS_VERIFIED = attrs.evolve(DENIED, unless_verified=True)
BUDGET = "BG/+35987"
TEN_MINUTES = timedelta(minutes=10)
RULE = BudgetRule(windows=(BudgetWindow(least=2, length=TEN_MINUTES),))
ENFORCED = attrs.evolve(RULE, enforce=True)


async def refusals(world, **which):
    return [(one.asked, one.reason, one.enforced, one.count) for one in await world.store.refusals(100, **which)]


async def used(world):
    return [record.used for record in await world.store.budgets()]


async def accepted(world, phone, rule=RULE):
    """A send of this phone that a provider took."""
    walk = await world.begin(phone=phone, budget=BUDGET)
    await walk.answer(Outcome.ACCEPTED, budget_rule=rule)
    return walk


async def verify(world, phone, rule=RULE):
    reservation = await world.reserve(phone=phone)
    assert await world.store.approve(reservation, settled=(), budget=rule, now=world.now)


class TestBarriers:
    """A pause and a denial go before all counters, and charge nothing."""

    @pytest.mark.parametrize("barrier", [PAUSED, DENIED, UNLESS_VERIFIED])
    async def test_nothing_is_charged(self, world, barrier):
        refused = await world.ask(world.limit("a", 5), barrier=barrier)
        assert (refused.reason, refused.retry_after) == (barrier.reason, None)
        assert await world.used("a") == 0

    async def test_one_that_ends_by_itself_says_when(self, world):
        refused = await world.ask(barrier=attrs.evolve(PAUSED, ends_at=world.at(90)))
        assert refused.retry_after == 90

    async def test_a_phone_that_verified_before_passes_the_settings_but_not_an_operator(self, world):
        await accepted(world, "phone-1")
        await verify(world, "phone-1")
        assert isinstance(await world.ask(barrier=UNLESS_VERIFIED, phone_key="phone-1"), Admitted)
        assert isinstance(await world.ask(barrier=DENIED, phone_key="phone-1"), ChargeRefused)
        assert isinstance(await world.ask(barrier=UNLESS_VERIFIED, phone_key="phone-2"), ChargeRefused)

    async def test_nobody_is_exempt_for_ever(self, world):
        await accepted(world, "phone-1")
        await verify(world, "phone-1")
        before = {"challenges_before": world.now, "deliveries_before": world.now, "phone_key": None, "now": world.now}
        assert (await world.store.purge(verified_before=world.now, **before)).verified == 0
        assert (await world.store.purge(verified_before=world.at(1), **before)).verified == 1
        assert await world.store.verified("phone-1") is None

    @pytest.mark.parametrize("barrier", [PAUSED, DENIED])
    async def test_the_same_call_again_is_no_refusal_while_it_cools_down(self, world, barrier):
        walk = await world.begin()
        asked = await world.ask(barrier=barrier, subject="phone-1/login", phone_key="phone-1")
        assert asked.living.id == walk.id
        assert await refusals(world) == []
        other = await world.ask(barrier=barrier, subject="phone-1/login", phone_key="phone-1", channel=Channel.CALL)
        assert other.living is None
        world.later(30)
        assert (await world.ask(barrier=barrier, subject="phone-1/login", phone_key="phone-1")).living is None
        assert len(await refusals(world)) == 2


class TestTolls:
    """What is never refunded: given back only where nobody had to send."""

    async def charged(self, world):
        client = attrs.evolve(world.limit("client", 5), refundable=False)
        admitted = await world.ask(world.limit("mine", 5), client)
        return {"charges": admitted.charges, "tolls": admitted.tolls}

    async def counts(self, world):
        return await world.used("mine"), await world.used("client")

    async def test_a_send_that_certainly_failed_keeps_them(self, world):
        walk = await world.begin(**await self.charged(world))
        await walk.answer(Outcome.BLOCKED)
        assert await self.counts(world) == (0, 1)

    async def test_a_faster_caller_gives_everything_back(self, world):
        await world.begin()
        assert (await world.begin(**await self.charged(world))).begun.refusal is Refusal.CONFLICT
        assert await self.counts(world) == (0, 0)

    async def test_a_double_click_gives_everything_back(self, world):
        walk = await world.begin()
        assert (await world.resend(walk.id, **await self.charged(world))).begun.refusal is Refusal.COOLDOWN
        assert await self.counts(world) == (0, 0)

    async def test_any_other_refusal_keeps_them(self, world):
        walk = await world.begin()
        await walk.answer(Outcome.ACCEPTED)
        for _ in range(5):
            await world.reserve()
        world.later(40)
        assert (await world.resend(walk.id, **await self.charged(world))).begun.refusal is Refusal.MAX_ATTEMPTS
        assert await self.counts(world) == (0, 1)

    async def test_the_longest_wait_of_all_full_counters_is_told(self, world):
        await world.ask(world.limit("a", 1, 10), world.limit("b", 1, 100))
        refused = await world.ask(world.limit("a", 1, 10), world.limit("b", 1, 100))
        assert (refused.reason, refused.retry_after) == ("b", 100)


class TestRefusals:
    """Every refusal is recorded; a flood of them fills no disk."""

    async def test_identical_ones_of_a_minute_are_one_row(self, world):
        for _ in range(3):
            await world.ask(barrier=DENIED, phone_key="phone-1", phone_masked="+359•••567", purpose="login")
        (refusal,) = await world.store.refusals(10)
        assert (refusal.phone_key, refusal.phone_masked, refusal.channel) == ("phone-1", "+359•••567", "sms")
        assert (refusal.purpose, refusal.count, refusal.enforced) == ("login", 3, True)
        world.later(60)
        await world.ask(barrier=DENIED, phone_key="phone-1", phone_masked="+359•••567", purpose="login")
        assert [one.count for one in await world.store.refusals(10)] == [1, 3]

    async def test_they_are_listed_by_phone(self, world):
        for phone in ("phone-1", "phone-2", "phone-2"):
            await world.ask(barrier=PAUSED, phone_key=phone)
        assert await refusals(world, phone_key="phone-2") == [(Asked.SEND, "paused", True, 2)]
        assert len(await refusals(world)) == 2

    async def test_a_flood_of_different_numbers_is_told_together(self, world):
        for number in range(150):
            await world.ask(barrier=DENIED, phone_key=f"phone-{number}", phone_masked="+359•••567")
        kept = await world.store.refusals(1000)
        assert len(kept) == 101
        assert {one.phone_masked for one in kept if not one.phone_key} == {""}
        assert sum(one.count for one in kept) == 150

    async def test_a_send_that_may_not_begin(self, world):
        walk = await world.begin()
        await walk.answer(Outcome.ACCEPTED)
        for _ in range(5):
            await world.reserve()
        world.later(40)
        await world.resend(walk.id)
        assert await refusals(world) == [(Asked.SEND, "max_attempts", True, 1)]

    async def test_neither_a_double_click_nor_a_faster_caller_is_one(self, world):
        walk = await world.begin()
        await world.begin()
        await world.resend(walk.id)
        assert await refusals(world) == []

    async def test_a_locked_phone(self, world):
        await accepted(world, "phone-1")
        await world.reserve(lock_after=1)
        await world.reserve(lock_after=1)
        assert await refusals(world) == [(Asked.VERIFY, "locked", True, 1)]

    async def test_a_purge_removes_old_ones_and_an_erasure_those_of_the_person(self, world):
        for phone in ("phone-1", "phone-2"):
            await world.ask(barrier=PAUSED, phone_key=phone)
        await accepted(world, "phone-2")
        await verify(world, "phone-2")
        times = {"challenges_before": world.now, "now": world.now}
        erased = await world.store.purge(deliveries_before=world.now, phone_key="phone-2", **times)
        assert (erased.refusals, erased.verified) == (1, 1)
        assert await world.store.verified("phone-2") is None
        assert (await world.store.purge(deliveries_before=world.now, phone_key=None, **times)).refusals == 0
        assert (await world.store.purge(deliveries_before=world.at(1), phone_key=None, **times)).refusals == 1


class TestBudgets:
    """Accepted sends that never verify use the budget up."""

    async def test_only_accepted_sends_count(self, world):
        for outcome in (Outcome.AMBIGUOUS, Outcome.BLOCKED):
            walk = await world.begin(phone=str(outcome), budget=BUDGET)
            await walk.answer(outcome, budget_rule=RULE)
        assert await used(world) == []
        await accepted(world, "phone-1")
        assert await used(world) == [1]

    async def test_what_is_enforced_refuses_until_the_window_ends(self, world):
        await accepted(world, "phone-1")
        assert isinstance(await world.ask(budget=BUDGET, budget_rule=ENFORCED), Admitted)
        world.later(60)
        await accepted(world, "phone-2")
        refused = await world.ask(world.limit("a", 5), budget=BUDGET, budget_rule=ENFORCED)
        assert (refused.reason, refused.retry_after) == ("unverified", 540)
        assert await world.used("a") == 0
        assert isinstance(await world.ask(budget="BG/", budget_rule=ENFORCED), Admitted)
        world.later(540)
        assert isinstance(await world.ask(budget=BUDGET, budget_rule=ENFORCED), Admitted)

    async def test_what_only_records_lets_the_send_go_on_and_records_it_once_it_begins(self, world):
        await accepted(world, "phone-1")
        await accepted(world, "phone-2")
        admitted = await world.ask(budget=BUDGET, budget_rule=RULE)
        assert admitted.noted == (LimitReason.UNVERIFIED,)
        assert await refusals(world) == []
        await world.begin(phone="phone-3", noted=admitted.noted)
        assert await refusals(world) == [(Asked.SEND, "unverified", False, 1)]

    async def test_a_phone_that_verifies_gives_back_what_it_used(self, world):
        walk = await accepted(world, "phone-1")
        world.later(40)
        again = await world.resend(walk.id, budget=BUDGET)
        await again.answer(Outcome.ACCEPTED, budget_rule=RULE)
        await accepted(world, "phone-2")
        assert await used(world) == [3]
        await verify(world, "phone-1")
        assert await used(world) == [1]

    async def test_a_late_acceptance_of_what_has_verified_is_not_counted(self, world):
        route = world.core("mada", "backup")
        walk = await world.begin(route, budget=BUDGET)
        first = walk.delivery
        await walk.answer(Outcome.AMBIGUOUS)
        await walk.answer(Outcome.ACCEPTED, budget_rule=RULE)
        await verify(world, "phone-1")
        plan = world.plan(route, budget_rule=RULE)
        await world.store.record(walk.ref, first.id, CallResult(outcome=Outcome.ACCEPTED), plan, world.now)
        assert await used(world) == [0]

    async def test_a_phone_raises_the_budget_once_a_day(self, world):
        rule = BudgetRule(windows=(BudgetWindow(least=1, length=timedelta(days=7)),), share=1.0, enforce=True)
        for hours, verified in ((0, 1), (1, 1), (22.9, 1), (0.2, 2)):
            world.later(hours * 3600)
            await accepted(world, "phone-1", rule)
            await verify(world, "phone-1", rule)
            assert [record.verified for record in await world.store.budgets()] == [verified]
        for phone in ("phone-2", "phone-3"):
            assert isinstance(await world.ask(budget=BUDGET, budget_rule=rule), Admitted)
            await accepted(world, phone, rule)
        assert (await world.ask(budget=BUDGET, budget_rule=rule)).reason == "unverified"

    async def test_the_next_window_goes_by_the_phones_of_the_one_before_and_halves_what_is_older(self, world):
        rule = BudgetRule(windows=(BudgetWindow(least=1, length=TEN_MINUTES),), share=1.0)
        bases = []
        for phones in (6, 1, 0, 0):
            for number in range(phones):
                await accepted(world, f"phone-{world.now}-{number}", rule)
                await verify(world, f"phone-{world.now}-{number}", rule)
            if not phones:
                await accepted(world, f"phone-{world.now}", rule)
            bases += [record.base for record in await world.store.budgets()]
            world.later(600)
        assert bases == [0, 6, 3, 1]

    async def test_concurrent_acceptances_and_verifications_are_counted_exactly(self, world):
        walks = [await world.begin(phone=f"phone-{number}", budget=BUDGET) for number in range(30)]

        async def deliver(walk, number):
            await walk.answer(Outcome.ACCEPTED, budget_rule=RULE)
            if number % 3 == 0:
                await verify(world, f"phone-{number}")

        async with anyio.create_task_group() as tasks:
            for number, walk in enumerate(walks):
                tasks.start_soon(deliver, walk, number)
        assert [(one.used, one.verified) for one in await world.store.budgets()] == [(20, 10)]


class TestNeighbours:
    """Many numbers of one block are noticed; the same number again is none."""

    def asked(self, world, phone):
        return world.ask(
            neighbours=((world.limit(f"{phone}/near/60", 1, 60), world.limit("block/near/60", 2, 60)),),
            phone_key=phone,
        )

    async def test_the_third_of_a_block_is_noticed_and_not_refused(self, world):
        noted = [(await self.asked(world, phone)).noted for phone in ("a", "a", "b", "a", "b", "c", "d")]
        assert noted == [(), (), (), (), (), (LimitReason.NEIGHBOURS,), (LimitReason.NEIGHBOURS,)]

    async def test_a_window_ends(self, world):
        for phone in "abc":
            noted = (await self.asked(world, phone)).noted
        assert noted
        world.later(60)
        assert (await self.asked(world, "a")).noted == ()


class TestRetries:
    """What waits obeys the switches too."""

    async def queued(self, world, **more):
        walk = await world.with_retries().begin(**more)
        await walk.answer(Outcome.UNAVAILABLE)
        return walk

    async def begin_retry(self, world, **plan):
        world.now = max(world.now, await world.store.next_due())
        (claim,) = (await world.claim()).claims
        return await world.store.begin_retry(
            claim.walk, world.plan(world.core("mada"), is_retry=True, **plan), world.now
        )

    async def test_a_pause_puts_them_off_uncounted_and_calls_nobody(self, world):
        walk = await self.queued(world)
        for _ in range(3):
            step = await self.begin_retry(world, barrier=PAUSED, hold=timedelta(seconds=5))
            assert (step.kind, step.due_at) == (StepKind.QUEUED, world.now + timedelta(seconds=5))
        view = await walk.view()
        assert (view.challenge.state, len(view.deliveries)) == (ChallengeState.QUEUED, 1)
        assert [row.attempts for row in view.schedule] == [0]
        assert (await self.begin_retry(world)).kind is StepKind.CALL

    async def test_a_pause_longer_than_the_code_lives_ends_them(self, world):
        await self.queued(world)
        step = await self.begin_retry(world, barrier=PAUSED, hold=timedelta(seconds=290))
        assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.EXPIRED)

    async def test_a_denied_number_ends_them_with_its_refund(self, world):
        await self.queued(world, charges=await world.charge())
        step = await self.begin_retry(world, barrier=DENIED)
        assert (step.kind, step.challenge.state) == (StepKind.ENDED, ChallengeState.UNSENDABLE)
        assert step.challenge.reason is UnsendableReason.PERMANENT
        assert await world.used() == 0
        assert await world.store.next_due() is None
        assert await refusals(world) == [(Asked.RETRY, "denied", True, 1)]
        assert (await world.reserve()).status == "reserved"

    async def test_a_denied_number_that_may_have_got_a_message_is_not_refunded(self, world):
        walk = await world.with_retries().begin(charges=await world.charge())
        await walk.answer(Outcome.AMBIGUOUS)
        step = await self.begin_retry(world, barrier=DENIED)
        assert (step.kind, step.challenge.state, step.challenge.confirmed) == (
            StepKind.ENDED,
            ChallengeState.SENT,
            False,
        )
        assert await world.used() == 1

    async def test_whom_the_settings_deny_goes_on_once_verified(self, world):
        await accepted(world, "phone-1")
        await verify(world, "phone-1")
        await self.queued(world, subject="payment")
        assert (await self.begin_retry(world, barrier=UNLESS_VERIFIED)).kind is StepKind.CALL

    async def test_a_used_up_budget_puts_them_off_where_it_is_enforced(self, world):
        await self.queued(world, phone="phone-3", budget=BUDGET)
        for phone in ("phone-1", "phone-2"):
            await accepted(world, phone)
        assert (await self.begin_retry(world, budget_rule=ENFORCED)).kind is StepKind.QUEUED
        assert (await self.begin_retry(world, budget_rule=RULE)).kind is StepKind.CALL


async def test_what_waits_is_read_page_by_page(world):
    world.breaker = BreakerRule(threshold=100)
    for number in range(7):
        await TestRetries().queued(world, phone=f"phone-{number}")
        world.later(number % 2)
    pages, last = [], None
    while page := await world.store.retries(3, after=last):
        pages.append([challenge.phone_key for _, challenge in page])
        last = page[-1][0]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert sorted(itertools.chain(*pages)) == [f"phone-{number}" for number in range(7)]


class TestReceipts:
    """What vendors report later goes by the same limits."""

    async def undelivered(self, world):
        walk = await world.begin(world.core("mada", "backup"))
        await walk.answer(Outcome.ACCEPTED, reference="M1")
        return await world.undelivered(reference="M1", retried=(Channel.SMS,))

    async def go_on(self, world, received, barrier):
        plan = world.plan(world.core("mada", "backup"), is_retry=True, barrier=barrier)
        return await world.store.go_on(received.walk, plan, world.now)

    async def test_a_message_that_was_not_delivered_goes_nowhere_else_once_denied(self, world):
        step = await self.go_on(world, await self.undelivered(world), DENIED)
        assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.PERMANENT)
        assert await refusals(world) == [(Asked.RETRY, "denied", True, 1)]

    async def test_it_waits_while_paused(self, world):
        world.with_retries()
        step = await self.go_on(world, await self.undelivered(world), PAUSED)
        assert step.kind is StepKind.QUEUED

    async def test_a_message_in_doubt_that_was_delivered_counts(self, world):
        walk = await world.begin(budget=BUDGET)
        first = walk.delivery
        await walk.answer(Outcome.AMBIGUOUS, budget_rule=RULE)
        for _ in range(2):
            await world.delivered(delivery_id=first.id, reference="M1", budget_rule=RULE)
        assert await used(world) == [1]

    async def test_a_receipt_faster_than_the_answer_counts_once(self, world):
        walk = await world.begin(budget=BUDGET)
        await world.delivered(delivery_id=walk.delivery.id, reference="M1", budget_rule=RULE)
        await walk.answer(Outcome.ACCEPTED, reference="M1", budget_rule=RULE)
        assert await used(world) == [1]
