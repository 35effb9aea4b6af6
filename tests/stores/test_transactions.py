"""Transactions over rows where one wrong answer would cost somebody a message, a limit or an account; each shows whom."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from otpcore.models import Channel, CodeOwner, Outcome
from otpcore.rate_limits.admission import Barrier, LimitReason
from otpcore.stores.commands import Refusal
from otpcore.stores.lifecycle import failure_keys, mark_of
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.records import DeliveryRecord
from otpcore.stores.rows import OutrunError, Rows
from otpcore.stores.steps import CallInstance, Ended, Queued
from otpcore.stores.transactions import auditing, choosing
from otpcore.stores.transactions import begin as _beginning
from otpcore.stores.transactions import changes as _changes
from otpcore.stores.transactions import limits as _limits
from otpcore.stores.transactions import retry as _retrying
from otpcore.stores.transactions import series as _series
from otpcore.testing.stores.slots import _ended
from otpcore.testing.stores.world import CHANNELS, MADA, START, World

COUNTER = "phone-1/send/600"
SCOPE = "twilio:VA1"


async def test_what_was_charged_to_a_send_that_did_not_begin_comes_back(world: World) -> None:
    """Where a store charges apart: else the person would be refused for messages that never were."""
    send = world.new_send(world.challenge(), MADA, charges=world.charges())
    admitted = await world.store._write(lambda rows: _limits.charge(rows, send, world.now))
    assert await world.used(COUNTER) == 1
    await world.store._write(lambda rows: _beginning.take_back(rows, send, admitted, world.now))
    assert await world.used(COUNTER) == 0


async def test_what_was_charged_to_a_send_that_is_taken_back_comes_back_once(world: World) -> None:
    """Else a caller who breaks off his sends would never meet his limit."""
    await world.charge(COUNTER)
    send = world.new_send(world.challenge(), MADA, charges=world.charges())
    _, admitted = await world.store._write(lambda rows: _beginning.begin(rows, send, world.now))
    assert await world.used(COUNTER) == 2
    await world.store._write(lambda rows: _beginning.take_back(rows, send, admitted, world.now))
    assert await world.used(COUNTER) == 1


async def test_nobody_clears_the_mark_of_a_slot_that_another_holds_by_now(world: World) -> None:
    """The vendor's verification is the other person's: a second one would end it."""
    await _ended(world)
    first = await world.with_retries().begin(world.vendor(), "payment")
    await first.answer(Outcome.UNAVAILABLE)
    second = await world.begin(world.vendor(), "transfer")
    assert second.step.mark is not None
    assert not await world.store.clear_mark(first.ref, SCOPE, world.now)
    assert await world.store.clear_mark(second.ref, SCOPE, world.now)


@pytest.mark.parametrize(("after", "refusal"), [(540, None), (540.001, Refusal.RENEWAL)])
async def test_a_code_that_would_live_just_long_enough_is_sent_again(
    world: World, after: float, refusal: Refusal | None
) -> None:
    failover = await world.begin()
    world.now = world.at(290)
    await world.resend(failover.id)
    world.now = world.at(after)
    assert (await world.resend(failover.id)).reason is refusal


def test_the_newest_verification_is_cancelled_at_the_vendor() -> None:
    """It is the one that lives there; the older ones it has replaced."""
    old, new = (
        DeliveryRecord(
            id=reference,
            challenge_id="challenge",
            send_id=reference,
            instance="twilio",
            channel=Channel.SMS,
            owner=CodeOwner.PROVIDER,
            scope=SCOPE,
            outcome=Outcome.ACCEPTED,
            reference=reference,
            recorded_at=START,
            lease_until=START + timedelta(seconds=15),
        )
        for reference in ("VE1", "VE2")
    )
    mark = mark_of(SCOPE, [old, new])
    assert mark is not None
    assert mark.reference == "VE2"


async def test_who_is_told_as_the_provider_is_the_one_whose_message_came(world: World) -> None:
    """Another failover has begun elsewhere since."""
    failover = await world.begin()
    world.later(30)
    await world.resend(failover.id, world.core("backup"))
    step = await failover.answer(Outcome.ACCEPTED)
    assert step.challenge.provider == "mada"
    assert (await failover.view()).challenge.provider == "mada"


async def test_what_a_send_was_charged_that_another_channel_made_needless_comes_back(world: World) -> None:
    """Nothing of it left; the message that came is paid for."""
    world.with_retries()
    failover = await world.begin(charges=world.charges())
    call = await world.resend(failover.id, channel=Channel.CALL, charges=world.charges("phone-1/call/600"))
    await call.answer(Outcome.UNAVAILABLE)
    assert await world.used("phone-1/call/600") == 1
    await failover.answer(Outcome.ACCEPTED)
    assert await world.used("phone-1/call/600") == 0
    assert await world.used(COUNTER) == 1


async def test_a_late_answer_gives_back_nothing_of_a_send_that_goes_on(world: World) -> None:
    """A worker found it by its lease; its retry failed too and waits, and may still send."""
    failover = await world.with_retries().begin(charges=world.charges())
    world.later(60)
    retry = await world.claim_next()
    await retry.answer(Outcome.UNAVAILABLE)
    await failover.answer(Outcome.UNAVAILABLE)
    assert await world.used(COUNTER) == 1


async def test_a_late_answer_gives_back_what_a_send_was_charged_that_another_took_the_place_of(world: World) -> None:
    failover = await world.begin(charges=world.charges())
    world.later(30)
    await world.resend(failover.id, charges=world.charges())
    await failover.answer(Outcome.UNAVAILABLE)
    assert await world.used(COUNTER) == 1


@pytest.mark.parametrize(("after", "kind"), [(270, CallInstance), (270.001, Ended)])
async def test_a_retry_goes_on_for_as_long_as_its_code_is_useful(world: World, after: float, kind: type) -> None:
    route = world.core("mada", "backup")
    failover = await world.with_retries().begin(route)
    await failover.answer(Outcome.UNAVAILABLE)
    await failover.answer(Outcome.UNAVAILABLE)
    retry = await world.claim_next(route)
    world.now = world.at(after)
    assert type(await retry.answer(Outcome.UNAVAILABLE)) is kind


async def test_what_is_given_back_twice_never_buys_an_attempt_more(world: World) -> None:
    """Failures that somebody cleared meanwhile cannot be taken back below none: the lock would come later than promised."""
    first = await world.begin()
    await first.answer(Outcome.ACCEPTED)
    late = await world.reserve()
    other = await world.begin(subject="payment")
    assert await world.store.approve(await world.reserve("payment"), settled=(), now=world.now)  # clears failures
    assert other.reason is None
    soon = await world.reserve()
    for reservation in (soon, late):
        await world.store.settle(reservation, give_back=True, gone=(), now=world.now)
    keys = failure_keys("phone-1", "")
    found = await world.store._read(lambda rows: rows.failures(keys))
    assert [failed.failures for failed in found] == [0, 0]


async def test_an_attempt_that_a_vendor_approves_counts_once(world: World) -> None:
    failover = await world.begin(world.vendor())
    await failover.answer(Outcome.ACCEPTED, reference="VE1")
    assert await world.store.approve(await world.reserve(), settled=(), now=world.now)
    assert (await failover.view()).challenge.attempts == 1


async def test_of_two_full_counters_the_one_that_lasts_longer_says_when_to_come_back(world: World) -> None:
    """Whoever comes back earlier would be refused again."""
    day, minute = world.limit("a-day", 1, 86400), world.limit("z-minute", 1, 60)
    await world.ask(day, minute)
    refused = await world.ask(day, minute)
    assert (refused.reason, refused.retry_after) == ("a-day", 86400.0)


@pytest.mark.parametrize(("after", "claims"), [(270, 1), (270.001, 0)])
async def test_a_retry_is_claimed_for_as_long_as_its_code_is_useful(world: World, after: float, claims: int) -> None:
    failover = await world.with_retries().begin()
    await failover.answer(Outcome.UNAVAILABLE)
    world.now = world.at(after)
    assert len((await world.claim()).claims) == claims


@pytest.mark.parametrize("made", [0, 2])
async def test_claims_of_which_nobody_heard_wait_again_and_do_not_count(world: World, made: int) -> None:
    failover = await world.with_retries().begin()
    await failover.answer(Outcome.UNAVAILABLE)
    for _ in range(made):
        await (await world.claim_next()).answer(Outcome.UNAVAILABLE)
    world.later(10)
    batch = await world.claim()
    world.later(1)
    await world.store._write(lambda rows: _retrying.unclaim(rows, batch, world.now))
    (row,) = (await failover.view()).schedule
    assert (row.lease_until, row.attempts, row.due_at) == (None, made, world.now)
    await world.store._write(lambda rows: _retrying.unclaim(rows, None, world.now))  # the claim itself had failed
    assert (await failover.view()).schedule == (row,)


async def test_changes_of_whose_claim_nobody_heard_are_due_at_once_and_were_not_tried() -> None:
    async with AsyncExitStack() as stack:
        store = MemoryStore(keeps_outbox=True)
        await store.start(stack)
        world = World(store=store)
        await (await world.begin()).answer(Outcome.ACCEPTED)
        lease = timedelta(seconds=30)
        for _ in range(2):
            claimed = await store.claim_changes("owner", limit=10, lease=lease, now=world.now)
            assert [one.tries for one in claimed] == [1]
            await store._write(lambda rows, claimed=claimed: _changes.unclaim(rows, "owner", claimed, world.now))


async def test_a_portion_that_somebody_else_has_counted_is_not_counted_again(world: World) -> None:
    """Two processes read it at the same time; the second one adds nothing."""
    await (await world.begin()).answer(Outcome.ACCEPTED)
    now = world.later(3600)
    portion = await world.store._read(lambda rows: _series.gather(rows, now))
    assert portion is not None
    assert [await world.store._write(lambda rows: _series.add(rows, portion)) for _ in range(2)] == [True, False]
    assert [one.accepted for one in await world.store.series(START, now, timedelta(days=1))] == [1]


async def test_a_setting_that_was_not_there_is_not_written_over_what_somebody_else_has_written_since(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two operators who saw nothing there at the same time: the second one looks again."""
    await world.store.write_setting("rules", "Mada")

    def late(rows: Rows) -> bool:
        with monkeypatch.context() as patched:
            patched.setattr(rows, "setting", lambda _: None)  # as it was when it was read
            return auditing.write_setting(rows, "rules", "Twilio", None, None)

    with pytest.raises(OutrunError):
        await world.store._write(late)
    assert await world.store.settings() == {"rules": "Mada"}


@pytest.mark.parametrize(("after", "kind"), [(270, CallInstance), (270.001, Ended)])
async def test_a_claimed_retry_begins_for_as_long_as_its_code_is_useful(world: World, after: float, kind: type) -> None:
    failover = await world.with_retries().begin()
    await failover.answer(Outcome.UNAVAILABLE)
    world.now = world.at(269)
    (claim,) = (await world.claim()).claims
    world.now = world.at(after)
    assert type((await world.begin_retry(claim)).step) is kind


@pytest.mark.parametrize(("hold", "kind"), [(269, Queued), (269.001, Ended)])
async def test_a_retry_that_is_held_waits_for_as_long_as_its_code_is_useful_and_does_not_count(
    world: World, hold: float, kind: type
) -> None:
    failover = await world.with_retries().begin()
    await failover.answer(Outcome.UNAVAILABLE)
    await (await world.claim_next()).answer(Outcome.UNAVAILABLE)
    world.now = START
    world.later(3)
    (claim,) = (await world.claim()).claims
    pause = Barrier(reason=LimitReason.PAUSED)
    plan = world.plan(MADA, is_retry=True, barrier=pause, hold=timedelta(seconds=hold - 2))
    step = await world.store.begin_retry(claim.ref, plan, world.now)
    assert type(step) is kind
    assert [row.attempts for row in (await failover.view()).schedule] == ([1] if kind is Queued else [])


async def test_a_purge_that_keeps_who_verified_counts_nobody(world: World) -> None:
    count = await world.store.purge(challenges_before=START, deliveries_before=START, phone_key=None, now=world.now)
    assert count.verified == 0


async def test_a_mark_goes_with_the_challenge_whose_verification_it_means(world: World) -> None:
    """Nothing of a phone is kept for ever."""
    await _ended(world)
    failover = await world.begin(world.vendor(), "payment")
    await failover.answer(Outcome.UNAVAILABLE)
    later = world.later(86400)
    await world.store.sweep(unretried=CHANNELS, limit=10, now=later)
    for before, kept in ((START, True), (later, False)):
        await world.store.purge(challenges_before=before, deliveries_before=before, phone_key=None, now=later)
        slot = await world.store._read(lambda rows: rows.slot(SCOPE, "phone-1"))
        assert (slot is not None) is kept


async def test_nobody_takes_a_slot_that_was_taken_since_it_was_found_free(world: World) -> None:
    """Two verifications of one number at one vendor would end each other."""
    await world.begin(world.vendor())
    late = world.challenge("payment")
    with pytest.raises(OutrunError):
        await world.store._write(lambda rows: choosing.take_slot(rows, late, SCOPE, world.now))


async def test_an_instance_that_is_only_misconfigured_is_told_too(world: World) -> None:
    """Its breaker has counted no failure; an operator must mend it all the same."""
    failover = await world.begin()
    await failover.answer(Outcome.MISCONFIGURED)
    status = await world.store.status(world.now, None)
    assert [(one.instance, one.failures) for one in status.breakers] == [("mada", 0)]


async def test_a_purge_without_a_limit_leaves_nothing_and_one_with_a_limit_ends_with_it(world: World) -> None:
    """More than one unit of work takes at once: what should be gone by law is gone."""
    for number in range(1003):
        await world.undelivered(reference=f"M{number}")
    later = world.later(1)
    times = {"challenges_before": later, "deliveries_before": later, "phone_key": None, "now": later}
    assert (await world.store.purge(**times, limit=1)).receipts == 1
    assert (await world.store.purge(**times)).receipts == 1002


async def test_what_was_never_found_is_approved_for_nobody(world: World) -> None:
    reservation = await world.reserve("nobody's")
    assert reservation.challenge is None
    assert not await world.store.approve(reservation, settled=(), now=world.now)
