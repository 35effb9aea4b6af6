"""Contract tests of codes that take the place of a living challenge's: from then on nothing of the old one counts."""

from __future__ import annotations

from typing import Any

from otpcore.errors import ErrorKind
from otpcore.models import ChallengeState, Channel, Outcome, ReceiptOutcome
from otpcore.stores.commands import CoolingDown, NewCode, Raced, RecordedGuess, ReservationStatus
from otpcore.stores.steps import Accepted, CallInstance, Stopped
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import accepted, failed
from otpcore.testing.stores.world import World

__all__ = ["NEW", "OLD", "ReplacedCodeTests", "ReplacedVendorCodeTests"]

NEW = NewCode(digest="new digest", sealed=b"new code")
OLD = RecordedGuess(fits=lambda challenge: challenge.code_digest == "digest")
_FITS = RecordedGuess(fits=lambda challenge: challenge.code_digest == NEW.digest)


class ReplacedCodeTests(StoreBase):
    """A resend with another code: written in one transaction, and what carries the first one changes nothing any more."""

    async def test_replacing_the_new_code_is_in_force_and_the_attempts_stay_used_up(self, world: World) -> None:
        failover = await accepted(world)
        await world.reserve()
        world.later(30)
        again = await world.resend(failover.id, code=NEW)
        challenge = again.step.challenge
        assert challenge == (await failover.view()).challenge
        assert (challenge.code_digest, challenge.code_sealed, challenge.code_number) == (NEW.digest, NEW.sealed, 1)
        assert (challenge.attempts, challenge.core_recorded, challenge.confirmed) == (1, True, False)
        assert [one.code_number for one in (await failover.view()).deliveries] == [0, 1]
        assert (await world.reserve(guess=OLD)).status is ReservationStatus.RESERVED
        assert (await world.reserve(guess=_FITS)).status is ReservationStatus.APPROVED

    async def test_replacing_within_the_cooldown_the_first_code_stays(self, world: World) -> None:
        failover = await accepted(world)
        world.later(29)
        again = await world.resend(failover.id, code=NEW)
        assert isinstance(again.begun, CoolingDown)
        challenge = (await failover.view()).challenge
        assert (challenge.code_digest, challenge.code_sealed, challenge.code_number) == ("digest", b"sealed code", 0)

    async def test_replacing_what_a_limit_refuses_replaces_nothing(self, world: World) -> None:
        failover = await accepted(world, charges=world.charges(limit=1))
        world.later(30)
        again = await world.resend(failover.id, code=NEW, charges=world.charges(limit=1))
        assert again.reason
        assert (await failover.view()).challenge.code_digest == "digest"

    async def test_replacing_whoever_read_the_first_code_does_not_send_it_any_more(self, world: World) -> None:
        failover = await accepted(world)
        seen = (await failover.view()).challenge
        world.later(30)
        await world.resend(failover.id, code=NEW)
        late = await world.send(world.new_send(seen, failover.route, is_resend=True, channel=Channel.CALL))
        assert isinstance(late.begun, Raced)
        view = await failover.view()
        assert late.begun.living == view.challenge
        assert (view.challenge.code_digest, len(view.deliveries)) == (NEW.digest, 2)

    async def test_replacing_a_late_acceptance_of_the_first_is_none_of_the_new_code(self, world: World) -> None:
        first = await world.begin()
        called = await world.resend(first.id, channel=Channel.CALL, code=NEW)
        assert isinstance(await first.answer(Outcome.ACCEPTED, reference="late"), Stopped)
        view = await first.view()
        assert (view.challenge.state, view.challenge.confirmed) == (ChallengeState.SENDING, False)
        assert [row.channel for row in view.schedule] == [Channel.CALL], "the new code is still to be sent"
        assert view.deliveries[0].outcome is Outcome.ACCEPTED
        assert isinstance(await called.answer(Outcome.ACCEPTED), Accepted)

    async def test_replacing_what_was_under_way_is_over_and_its_charge_goes_back_when_nothing_left(
        self, world: World
    ) -> None:
        first = await world.with_retries().begin(world.core("mada", "backup"), charges=world.charges())
        await world.resend(first.id, channel=Channel.CALL, code=NEW)
        assert await world.used() == 1, "its call may still go through"
        assert isinstance(await first.answer(Outcome.UNAVAILABLE), Stopped)
        view = await first.view()
        assert [row.channel for row in view.schedule] == [Channel.CALL]
        assert await world.used() == 0

    async def test_replacing_a_retry_that_waits_carries_the_new_code(self, world: World) -> None:
        first = await failed(world)
        called = await world.resend(first.id, channel=Channel.CALL, code=NEW)
        await called.answer(Outcome.REJECTED_NUMBER)
        assert (await first.view()).challenge.state is ChallengeState.QUEUED
        retry = await world.claim_next()
        assert isinstance(retry.step, CallInstance)
        assert retry.step.challenge.code_sealed == NEW.sealed
        assert (retry.delivery.channel, retry.delivery.code_number) == (Channel.SMS, 1)
        assert isinstance(await retry.answer(Outcome.ACCEPTED), Accepted)

    async def test_replacing_a_try_whose_end_is_not_known_is_not_repeated_for_another_code(self, world: World) -> None:
        first = await failed(world, outcome=Outcome.AMBIGUOUS)
        called = await world.resend(first.id, channel=Channel.CALL, code=NEW)
        await called.answer(Outcome.REJECTED_NUMBER)
        assert (await world.claim_next()).step.repeat == ""

    async def test_replacing_a_retry_that_was_claimed_before_sends_nothing(self, world: World) -> None:
        first = await failed(world)
        world.later(40)
        (claim,) = (await world.claim()).claims
        again = await world.resend(first.id, code=NEW)
        assert isinstance((await world.begin_retry(claim)).step, Stopped)
        assert [one.code_number for one in (await first.view()).deliveries] == [0, 1]
        assert isinstance(await again.answer(Outcome.ACCEPTED), Accepted)

    async def test_replacing_a_receipt_of_the_first_neither_ends_sending_nor_lets_it_go_on(self, world: World) -> None:
        first = await accepted(world, world.core("mada"))
        world.with_retries().later(30)
        again = await world.resend(first.id, code=NEW)
        assert (await world.delivered(reference="M1")).outcome is ReceiptOutcome.APPLIED
        view = await first.view()
        assert (view.challenge.state, view.challenge.confirmed, len(view.schedule)) == (
            ChallengeState.SENDING,
            False,
            1,
        )
        await again.answer(Outcome.ACCEPTED, reference="M2")
        world.later(30)
        last = await world.resend(first.id, code=NewCode(digest="third digest", sealed=b"third code"))
        await last.answer(Outcome.REJECTED_NUMBER)
        received = await world.undelivered(reference="M2", kind=ErrorKind.UNAVAILABLE, retried=[Channel.SMS])
        assert received.follows is None
        assert (await first.view()).schedule == ()

    async def test_replacing_a_send_that_ends_tells_of_the_new_code_alone(self, world: World) -> None:
        """The first code was accepted. What says that the second was not sent is the answer to the second."""
        first = await accepted(world)
        world.later(30)
        again = await world.resend(first.id, code=NEW)
        step = await again.answer(Outcome.MISCONFIGURED)
        assert step.challenge.state is ChallengeState.UNSENDABLE


class ReplacedVendorCodeTests(StoreBase):
    """A vendor made the first code: its verification no longer counts, and is cancelled before another starts."""

    async def test_replacing_a_vendors_verification_is_not_asked_about_nor_approved(self, world: World) -> None:
        first = await accepted(world, world.vendor(), reference="V1")
        before = await world.reserve()
        assert [one.reference for one in before.deliveries] == ["V1"]
        world.later(30)
        await world.resend(first.id, code=NEW)
        assert not await world.store.approve(before, settled=(), now=world.now), "it was the first code"
        assert [one.instance for one in (await world.reserve()).deliveries] == ["mada"]
        assert (await first.view()).challenge.state is ChallengeState.SENDING

    async def test_replacing_by_a_vendors_code_nothing_that_we_made_is_right_any_more(self, world: World) -> None:
        first = await accepted(world)
        world.later(30)
        again = await world.resend(first.id, world.vendor(), code=NEW)
        await again.answer(Outcome.ACCEPTED, reference="V1")
        assert not (await first.view()).challenge.core_recorded, "the new one waits for an instance that carries it"

    async def test_replacing_a_vendors_verification_is_cancelled_before_the_next_start(self, world: World) -> None:
        first = await accepted(world, world.vendor(), reference="V1")
        world.later(30)
        again = await world.resend(first.id, world.vendor(), code=NEW)
        mark: Any = again.step.mark
        assert (mark.scope, mark.reference) == ("twilio:VA1", "V1")
        assert await world.store.clear_mark(again.ref, mark.scope, world.now)
        await again.answer(Outcome.ACCEPTED, reference="V2")
        world.later(30)
        assert (await world.resend(first.id, world.vendor())).step.mark is None, "the same code goes out again"

    async def test_replacing_what_may_have_started_without_an_answer_is_cancelled_by_its_number(
        self, world: World
    ) -> None:
        first = await world.begin(world.vendor())
        world.later(10)  # its call is given up
        again = await world.resend(first.id, world.vendor(), channel=Channel.CALL, code=NEW)
        mark: Any = again.step.mark
        assert (mark.delivery_id, mark.reference) == (first.delivery.id, "")

    async def test_replacing_leaves_a_vendors_slot_to_a_call_that_may_be_under_way(self, world: World) -> None:
        first = await world.begin(world.vendor())
        world.later(9.999999)
        again = await world.resend(first.id, world.vendor(), channel=Channel.CALL, code=NEW)
        assert isinstance(again.step, CallInstance)
        assert again.step.mark is None
