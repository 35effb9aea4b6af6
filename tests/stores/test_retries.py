"""Retrying, on every store: when the next try is due, who may run it, when it ends."""

from __future__ import annotations

import anyio
import attrs
import pytest

from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.records import BreakerRule, StepKind


async def failed(world, route=None, outcome=Outcome.THROTTLED, **more):
    """A first send that failed, with a retry due; the breaker does not count this failure."""
    walk = await world.with_retries().begin(route or world.core("mada"), **more)
    await walk.answer(outcome)
    return walk


async def test_the_first_retry_is_due_after_the_first_delay(world):
    walk = await failed(world)
    assert (walk.step.kind, walk.step.due_at) == (StepKind.QUEUED, world.at(1))
    view = await walk.view()
    assert (view.challenge.state, view.schedule[0].leased) == (ChallengeState.QUEUED, False)
    assert await world.store.next_due() == world.at(1)
    assert (await world.claim()).claims == ()


async def test_each_delay_doubles_up_to_the_longest(world):
    walk = await failed(world)
    delays = []
    while walk.step.kind is StepKind.QUEUED:
        delays.append((walk.step.due_at - world.now).total_seconds())
        walk = await world.claim_next()
        await walk.answer(Outcome.UNAVAILABLE)
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30]
    assert walk.step.challenge.reason is UnsendableReason.EXPIRED


async def test_a_retry_sends_the_same_code_and_an_acceptance_ends_it(world):
    first = await failed(world)
    retry = await world.claim_next()
    assert retry.delivery.is_retry
    assert retry.delivery.send_id == first.ref.send_id
    assert retry.step.challenge.code_sealed == b"sealed code"
    assert (await retry.answer(Outcome.ACCEPTED)).kind is StepKind.ACCEPTED
    assert await world.store.next_due() is None


async def test_a_provider_that_asked_to_wait_is_not_tried_before(world):
    walk = await world.with_retries().begin()
    step = await walk.answer(Outcome.THROTTLED, retry_after=45)
    assert step.due_at == world.at(45)


async def test_the_provider_that_asked_for_least_decides_when_and_the_other_still_waits(world):
    walk = await world.with_retries().begin(world.core("mada", "backup"))
    await walk.answer(Outcome.THROTTLED, retry_after=45)
    step = await walk.answer(Outcome.THROTTLED, retry_after=20)
    assert step.due_at == world.at(20)
    retry = await world.claim_next(world.core("mada", "backup"))
    assert retry.delivery.instance == "backup"
    step = await retry.answer(Outcome.UNAVAILABLE)
    assert (step.kind, step.due_at) == (StepKind.QUEUED, world.at(22))


async def test_a_provider_that_asks_to_wait_beyond_the_useful_life_ends_sending_at_once(world):
    walk = await world.with_retries().begin()
    step = await walk.answer(Outcome.THROTTLED, retry_after=270.000001)
    assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.EXPIRED)
    on_time = await world.begin(phone="phone-2")
    assert (await on_time.answer(Outcome.THROTTLED, retry_after=270)).kind is StepKind.QUEUED


async def test_an_instance_that_refused_for_good_is_left_out_of_retries(world):
    walk = await world.with_retries().begin(world.core("mada", "backup"))
    await walk.answer(Outcome.MISCONFIGURED)
    await walk.answer(Outcome.UNAVAILABLE)
    retry = await world.claim_next(world.core("mada", "backup"))
    assert retry.delivery.instance == "backup"
    step = await retry.answer(Outcome.LIMIT_REACHED)
    assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.PERMANENT)


@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_max_retries_means_exactly_so_many_attempts_after_the_first(world, max_retries):
    walk = await failed(world)
    rule = {"max_retries": {Channel.SMS: max_retries}}
    for number in range(max_retries):
        world.now = walk.step.due_at
        (claim,) = (await world.claim(**rule)).claims
        assert claim.attempts == number + 1
        walk = await world.begin_retry(claim)
        await walk.answer(Outcome.UNAVAILABLE)
    world.now = walk.step.due_at
    batch = await world.claim(**rule)
    assert batch.claims == ()
    (ended,) = batch.ended
    assert (ended.channel, ended.challenge.reason) == (Channel.SMS, UnsendableReason.MAX_RETRIES)
    view = await walk.view()
    assert len(view.deliveries) == 1 + max_retries
    assert (view.challenge.state, view.schedule) == (ChallengeState.UNSENDABLE, ())


async def test_a_retry_is_not_started_with_less_than_the_useful_life(world):
    walk = await failed(world)
    world.later(270.000001)
    (ended,) = (await world.claim()).ended
    assert ended.challenge.reason is UnsendableReason.EXPIRED
    assert (await walk.view()).schedule == ()


async def test_nor_does_a_retry_go_on_to_another_instance_then(world):
    walk = await failed(world, world.core("mada", "backup"))
    await walk.answer(Outcome.UNAVAILABLE)
    world.later(269)
    retry = await world.claim_next(world.core("mada", "backup"))
    world.later(2)
    step = await retry.answer(Outcome.UNAVAILABLE)
    assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.EXPIRED)


async def test_a_retry_of_somebody_who_has_no_attempts_left_ends(world):
    await failed(world)
    for _ in range(5):
        await world.reserve()
    world.later(1)
    (ended,) = (await world.claim()).ended
    assert ended.challenge.reason is UnsendableReason.MAX_ATTEMPTS


async def test_a_retry_of_an_expired_challenge_closes_it(world):
    walk = await failed(world, charges=await world.charge(seconds=3600))
    world.later(300)
    (ended,) = (await world.claim()).ended
    assert ended.challenge.state is ChallengeState.EXPIRED
    challenge = (await walk.view()).challenge
    assert (challenge.state, challenge.code_sealed) == (ChallengeState.EXPIRED, None)
    assert await world.used() == 0


class TestClaiming:
    """One statement, nobody twice, only what the process can handle."""

    async def test_a_claim_is_leased_with_a_token_of_its_own(self, world):
        walk = await failed(world)
        world.later(1)
        (claim,) = (await world.claim()).claims
        assert claim.challenge.id == walk.id
        assert [delivery.outcome for delivery in claim.deliveries] == [Outcome.THROTTLED]
        (row,) = (await walk.view()).schedule
        assert (row.leased, row.due_at, row.attempts) == (True, world.at(16), 1)
        assert row.token == claim.walk.token != walk.ref.token
        assert (await world.claim()).claims == ()

    async def test_of_many_claimers_each_row_goes_to_one(self, world):
        for number in range(12):
            await failed(world, phone=f"phone-{number}")
        world.later(1)
        claimed = []

        async def claim():
            claimed.extend((await world.claim(3)).claims)

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(claim)
        assert len({claim.challenge.id for claim in claimed}) == len(claimed) == 12
        assert len({claim.walk.token for claim in claimed}) == 12

    async def test_the_earliest_come_first_and_no_more_than_asked(self, world):
        walks = []
        for number in range(3):
            walks.append(await failed(world, phone=f"phone-{number}"))
            world.later(0.1)
        world.later(5)
        batch = await world.claim(2)
        assert [claim.challenge.id for claim in batch.claims] == [walk.id for walk in walks[:2]]

    async def test_only_channels_that_are_retried(self, world):
        await failed(world)
        world.later(1)
        assert (await world.claim(max_retries={Channel.CALL: 2})).claims == ()
        assert len((await world.claim(max_retries={Channel.SMS: 2})).claims) == 1

    async def test_only_with_the_key_that_sealed_the_code(self, world):
        await failed(world, key_id="key-2")
        world.later(1)
        assert (await world.claim()).claims == ()
        assert len((await world.claim(key_ids=frozenset({"key-1", "key-2"}))).claims) == 1

    async def test_only_when_the_forced_instances_are_there(self, world):
        await failed(world, forced=("mada", "in_house"))
        world.later(1)
        assert (await world.claim()).claims == ()
        batch = await world.claim(instances=frozenset({"mada", "in_house", "twilio"}))
        assert len(batch.claims) == 1

    async def test_rows_that_nobody_here_can_run_do_not_starve_the_others(self, world):
        for number in range(10):
            await failed(world, phone=f"foreign-{number}", forced=("in_house",))
        world.later(0.1)
        ours = await failed(world, forced=("backup", "mada"))
        anyones = await failed(world, phone="phone-2")
        world.later(5)
        batch = await world.claim(2)
        assert [claim.challenge.id for claim in batch.claims] == [ours.id, anyones.id]

    async def test_one_retry_by_name(self, world):
        walk = await failed(world)
        await failed(world, phone="phone-2")
        world.later(0.9)
        job = await world.job(walk.id)
        (claim,) = (await world.claim(job=job)).claims
        assert claim.challenge.id == walk.id
        assert (await world.claim(job=job)).claims == ()

    async def test_a_name_that_is_out_of_date_claims_nothing(self, world):
        walk = await failed(world)
        job = attrs.evolve(await world.job(walk.id), due_at=world.at(0.5))
        assert (await world.claim(job=job)).claims == ()
        await world.store.cancel(walk.id, world.now)
        assert (await world.claim(job=attrs.evolve(job, due_at=world.at(9)))).claims == ()


class TestLeases:
    """A process died or stalled: somebody else goes on, and the one who comes back stops."""

    async def test_a_first_send_that_died_is_picked_up_after_its_lease(self, world):
        walk = await world.with_retries().begin()
        world.later(9.999)
        assert (await world.claim()).claims == ()
        world.later(0.001)
        (claim,) = (await world.claim()).claims
        assert claim.attempts == 1
        retry = await world.begin_retry(claim)
        assert retry.step.repeat == walk.delivery.id

    async def test_a_claim_that_died_is_picked_up_after_its_lease(self, world):
        await failed(world)
        world.later(1)
        await world.claim()
        world.later(15)
        (claim,) = (await world.claim()).claims
        assert claim.attempts == 2

    async def test_a_claimer_that_lost_its_lease_may_not_start(self, world):
        await failed(world)
        world.later(1)
        (stale,) = (await world.claim()).claims
        world.later(15)
        (current,) = (await world.claim()).claims
        assert (await world.begin_retry(stale)).step.kind is StepKind.STOPPED
        assert (await world.begin_retry(current)).step.kind is StepKind.CALL

    async def test_an_answer_after_a_lost_lease_is_written_but_decides_nothing(self, world):
        first = await world.with_retries().begin()
        world.later(10)
        retry = await world.begin_retry((await world.claim()).claims[0])
        step = await first.answer(Outcome.BLOCKED)
        assert step.kind is StepKind.STOPPED
        view = await first.view()
        assert [delivery.outcome for delivery in view.deliveries] == [Outcome.BLOCKED, Outcome.OPEN]
        assert view.schedule[0].token == retry.ref.token

    async def test_an_acceptance_after_a_lost_lease_ends_the_retry(self, world):
        first = await world.with_retries().begin()
        world.later(10)
        retry = await world.begin_retry((await world.claim()).claims[0])
        assert (await first.answer(Outcome.ACCEPTED)).kind is StepKind.ACCEPTED
        assert (await retry.answer(Outcome.UNAVAILABLE)).kind is StepKind.STOPPED
        assert (await retry.view()).challenge.state is ChallengeState.SENT

    @pytest.mark.parametrize("ending", ["approved", "cancelled"])
    async def test_a_retry_stops_once_the_challenge_is_over(self, world, ending):
        walk = await failed(world, world.core("mada", "backup"), Outcome.UNAVAILABLE)
        await walk.answer(Outcome.UNAVAILABLE)
        world.now = walk.step.due_at
        (claim,) = (await world.claim()).claims
        if ending == "approved":
            await world.store.approve(await world.reserve(), settled=(), now=world.now)
        else:
            await world.store.cancel(walk.id, world.now)
        assert (await world.begin_retry(claim)).step.kind is StepKind.STOPPED
        assert len((await walk.view()).deliveries) == 2


class TestBreakerOpen:
    """A retry whose whole route is open is put off, uncounted."""

    async def test_it_waits_for_the_next_probe(self, world):
        world.breaker = BreakerRule(threshold=1, probe_every=5.0)
        walk = await failed(world, outcome=Outcome.UNAVAILABLE)
        world.later(1)
        (claim,) = (await world.claim()).claims
        assert claim.attempts == 1
        retry = await world.begin_retry(claim)
        assert (retry.step.kind, retry.step.due_at) == (StepKind.QUEUED, world.at(6))
        assert (await walk.view()).schedule[0].attempts == 0
        assert len((await walk.view()).deliveries) == 1

    async def test_it_makes_the_probe_when_it_is_due(self, world):
        world.breaker = BreakerRule(threshold=1, probe_every=1.0)
        await failed(world, outcome=Outcome.UNAVAILABLE)
        retry = await world.claim_next()
        assert (await retry.answer(Outcome.ACCEPTED)).closed == "mada"

    async def test_another_instance_is_used_meanwhile(self, world):
        world.breaker = BreakerRule(threshold=1, probe_every=60.0)
        await failed(world, outcome=Outcome.UNAVAILABLE)
        retry = await world.claim_next(world.core("mada", "backup"))
        assert retry.delivery.instance == "backup"
