"""Contract tests of verifying: attempts are counted exactly, a code is accepted once, failures lock the phone."""

from __future__ import annotations

import functools
from collections import Counter
from datetime import timedelta
from typing import Any

import anyio
import attrs
import pytest

from otpcore.models import ChallengeState, Outcome
from otpcore.stores.commands import LockRule, RecordedGuess, ReservationStatus
from otpcore.stores.records import ChallengeRecord, FailureRecord
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import BUDGET, RULE
from otpcore.testing.stores.world import CHANNELS, MADA, World

__all__ = ["FindingTests", "GivingBackTests", "GuessTests", "LockTests", "VerifyingTests"]

_RIGHT = RecordedGuess(fits=lambda _: True)
_WRONG = RecordedGuess(fits=lambda _: False)


def _nobody_looks(challenge: ChallengeRecord) -> bool:
    raise AssertionError(f"{challenge.id} was compared")


_NEVER = RecordedGuess(fits=_nobody_looks)
_KEEP: dict[str, Any] = {"give_back": False, "gone": ()}
_GIVE_BACK: dict[str, Any] = {"give_back": True, "gone": ()}


class VerifyingTests(StoreBase):
    """Attempts are counted exactly, and a code is accepted once."""

    async def test_an_attempt_is_used_up_before_anything_is_compared(self, world: World) -> None:
        failover = await world.begin()
        reservation = await world.reserve()
        assert reservation.status is ReservationStatus.RESERVED
        assert reservation.challenge.attempts == 1
        assert (await failover.view()).challenge == reservation.challenge
        assert [delivery.id for delivery in reservation.deliveries] == [failover.delivery.id]

    async def test_of_200_guesses_at_once_exactly_five_are_compared(self, world: World) -> None:
        failover = await world.begin()
        statuses: Counter[Any] = Counter()

        async def guess() -> None:
            statuses[(await world.reserve(lock_after=10_000, hard_limit=10_000)).status] += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(guess)
        assert statuses == {ReservationStatus.RESERVED: 5, ReservationStatus.MAX_ATTEMPTS: 195}
        assert (await failover.view()).challenge.attempts == 5

    async def test_of_50_right_answers_at_once_exactly_one_is_accepted(self, world: World) -> None:
        failover = await world.begin()
        reservation = await world.reserve()
        accepted: list[Any] = []

        async def approve() -> None:
            accepted.append(await world.store.approve(reservation, settled=(), now=world.now))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(approve)
        assert sum(accepted) == 1
        assert (await failover.view()).challenge.state is ChallengeState.APPROVED

    async def test_success_erases_what_was_sealed_and_ends_all_sending(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin(charges=world.charges(), message_sealed=b"sealed", extras_sealed=b"said")
        await failover.answer(Outcome.UNAVAILABLE)
        reservation = await world.reserve()
        assert await world.store.approve(reservation, settled=(), now=world.now)
        view = await failover.view()
        assert (view.challenge.code_sealed, view.challenge.message_sealed) == (None, None)
        assert view.challenge.extras_sealed is None
        assert view.schedule == ()
        assert await world.store.next_due() is None

    async def test_an_approved_code_is_not_found_again(self, world: World) -> None:
        await world.begin()
        reservation = await world.reserve()
        await world.store.approve(reservation, settled=(), now=world.now)
        assert (await world.reserve()).status is ReservationStatus.NOT_FOUND

    @pytest.mark.parametrize("ending", ["cancelled", "expired"])
    async def test_a_right_answer_that_comes_too_late_is_not_accepted(self, world: World, ending: str) -> None:
        failover = await world.begin()
        reservation = await world.reserve()
        if ending == "cancelled":
            await world.store.cancel(failover.id, world.now)
        else:
            world.later(300)
        assert not await world.store.approve(reservation, settled=(), now=world.now)

    async def test_a_code_verifies_until_its_last_moment(self, world: World) -> None:
        await world.begin()
        world.later(299.999999)
        reservation = await world.reserve()
        assert await world.store.approve(reservation, settled=(), now=world.now)


class GuessTests(StoreBase):
    """A guess that is what the core recorded: compared, counted and accepted in one transaction."""

    async def test_guesses_one_that_fits_is_accepted_at_once(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin(charges=world.charges(), message_sealed=b"sealed", extras_sealed=b"said")
        await failover.answer(Outcome.UNAVAILABLE)
        approved = await world.reserve(guess=_RIGHT)
        assert approved.status is ReservationStatus.APPROVED
        view = await failover.view()
        assert view.challenge == approved.challenge
        assert (view.challenge.state, view.challenge.attempts) == (ChallengeState.APPROVED, 1)
        assert (view.challenge.code_sealed, view.challenge.message_sealed) == (None, None)
        assert view.challenge.extras_sealed is None
        assert view.schedule == ()
        assert await world.used() == 0, "nothing was sent, so its charges are given back"
        assert (await world.reserve(guess=_RIGHT)).status is ReservationStatus.NOT_FOUND

    async def test_guesses_one_that_does_not_fit_is_an_attempt_like_any_other(self, world: World) -> None:
        failover = await world.begin()
        reservation = await world.reserve(guess=_WRONG)
        assert reservation.status is ReservationStatus.RESERVED
        assert (await failover.view()).challenge.attempts == 1
        assert [one.failures for one in await _failures(world)] == [1, 1]
        assert await world.store.approve(reservation, settled=(), now=world.now)

    async def test_guesses_are_compared_with_what_is_recorded(self, world: World) -> None:
        failover = await world.begin()
        seen: list[str] = []

        def fits(challenge: ChallengeRecord) -> bool:
            seen.append(challenge.id)
            return challenge.code_digest == "another"

        await world.reserve(guess=RecordedGuess(fits=fits))
        assert set(seen) == {failover.id}

    async def test_guesses_that_may_not_be_made_are_not_compared(self, world: World) -> None:
        await world.begin()
        for _ in range(5):
            await world.reserve(guess=_WRONG, lock_after=100)
        assert (await world.reserve(guess=_NEVER)).status is ReservationStatus.MAX_ATTEMPTS
        await world.begin(phone="phone-2")
        await world.reserve(phone="phone-2", lock_after=1)
        locked = await world.reserve(phone="phone-2", guess=_NEVER, lock_after=1)
        assert locked.status is ReservationStatus.LOCKED
        world.later(300)
        assert (await world.reserve(guess=_NEVER)).status is ReservationStatus.EXPIRED

    async def test_guesses_a_right_one_clears_failures_and_counts_none(self, world: World) -> None:
        await world.begin()
        await world.reserve(guess=_WRONG, client="c")
        assert (await world.reserve(guess=_RIGHT, client="c", lock_after=2)).status is ReservationStatus.APPROVED
        assert await _failures(world) == []

    async def test_guesses_a_right_one_notes_that_the_phone_verified_and_refills_its_budget(self, world: World) -> None:
        failover = await world.begin(budget=BUDGET, budget_rule=RULE)
        await failover.answer(Outcome.ACCEPTED, budget_rule=RULE)
        assert [one.used for one in await world.store.budgets()] == [1]
        guess = attrs.evolve(_RIGHT, budget=RULE)
        assert (await world.reserve(guess=guess)).status is ReservationStatus.APPROVED
        assert [(one.used, one.verified) for one in await world.store.budgets()] == [(0, 1)]
        assert await world.store.verified("phone-1") == world.now

    async def test_guesses_of_50_right_ones_at_once_exactly_one_is_accepted(self, world: World) -> None:
        failover = await world.begin()
        statuses: Counter[Any] = Counter()

        async def guess() -> None:
            statuses[(await world.reserve(guess=_RIGHT)).status] += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(guess)
        assert statuses == {ReservationStatus.APPROVED: 1, ReservationStatus.NOT_FOUND: 49}
        assert (await failover.view()).challenge.attempts == 1

    async def test_guesses_of_many_wrong_ones_before_a_right_one_no_more_are_compared_than_allowed(
        self, world: World
    ) -> None:
        failover = await world.begin()
        statuses: Counter[Any] = Counter()

        async def guess(number: int) -> None:
            guessed = _RIGHT if number % 10 == 0 else _WRONG
            reservation = await world.reserve(guess=guessed, lock_after=1000, hard_limit=1000)
            statuses[reservation.status] += 1

        async with anyio.create_task_group() as tasks:
            for number in range(1, 60):
                tasks.start_soon(guess, number)
        compared = statuses[ReservationStatus.RESERVED] + statuses[ReservationStatus.APPROVED]
        assert (await failover.view()).challenge.attempts == compared <= 5
        assert statuses[ReservationStatus.APPROVED] <= 1
        assert compared == 5 or statuses[ReservationStatus.APPROVED] == 1


class FindingTests(StoreBase):
    """Which challenge a reservation is made against."""

    async def test_finding_nobody_asked(self, world: World) -> None:
        assert (await world.reserve()).status is ReservationStatus.NOT_FOUND

    async def test_finding_another_purpose_does_not_count(self, world: World) -> None:
        failover = await world.begin(subject="login")
        assert (await world.reserve("payment")).status is ReservationStatus.NOT_FOUND
        by_id = await world.reserve(challenge_id=failover.id, purpose="payment")
        assert by_id.status is ReservationStatus.NOT_FOUND

    async def test_finding_of_two_apps_of_one_phone_and_purpose_each_its_own(self, world: World) -> None:
        challenges = [world.challenge(f"login/{app}", purpose="login", app=app) for app in ("shop", "admin")]
        first, second = [await world.send(world.new_send(challenge, MADA)) for challenge in challenges]
        for failover, app, other in ((first, "shop", "admin"), (second, "admin", "shop")):
            for wrong in (other, ""):
                found = await world.reserve(challenge_id=failover.id, purpose="login", app=wrong)
                assert found.status is ReservationStatus.NOT_FOUND
            assert (await failover.view()).challenge.app == app
            found = await world.reserve(f"login/{app}", purpose="login", app=app)
            assert (found.status, found.challenge.id) == (ReservationStatus.RESERVED, failover.id)

    async def test_finding_by_id(self, world: World) -> None:
        failover = await world.begin()
        assert (await world.reserve(challenge_id=failover.id)).status is ReservationStatus.RESERVED

    async def test_finding_an_id_of_somebody_else_does_not_count(self, world: World) -> None:
        failover = await world.begin(phone="phone-2")
        reservation = await world.store.reserve(
            subject="phone-1/login", challenge_id=failover.id, purpose="login", locks=LockRule(), now=world.now
        )
        assert reservation.status is ReservationStatus.NOT_FOUND

    async def test_finding_expired(self, world: World) -> None:
        failover = await world.begin()
        world.later(300)
        assert (await world.reserve()).status is ReservationStatus.EXPIRED
        await world.store.sweep(unretried=CHANNELS, limit=10, now=world.now)
        reservation = await world.reserve()
        assert (reservation.status, reservation.challenge.id) == (ReservationStatus.EXPIRED, failover.id)

    async def test_finding_cancelled(self, world: World) -> None:
        failover = await world.begin()
        await world.store.cancel(failover.id, world.now)
        assert (await world.reserve()).status is ReservationStatus.NOT_FOUND

    async def test_finding_an_unsendable_challenge_can_still_be_verified(self, world: World) -> None:
        failover = await world.begin()
        await failover.answer(Outcome.REJECTED_NUMBER)
        reservation = await world.reserve()
        assert await world.store.approve(reservation, settled=(), now=world.now)


class GivingBackTests(StoreBase):
    """An attempt that no provider answered does not count, at most three times a challenge."""

    async def test_giving_back_a_wrong_code_stays_counted(self, world: World) -> None:
        await world.begin()
        challenge = (await world.store.settle(await world.reserve(), **_KEEP, now=world.now)).challenge
        assert (challenge.attempts, challenge.givebacks) == (1, 0)
        assert [one.failures for one in await _failures(world)] == [1, 1]

    async def test_giving_back_attempt_and_failure_are_given_back_together(self, world: World) -> None:
        await world.begin()
        challenge = (await world.store.settle(await world.reserve(), **_GIVE_BACK, now=world.now)).challenge
        assert (challenge.attempts, challenge.givebacks) == (0, 1)
        assert [one.failures for one in await _failures(world)] == [0, 0]

    async def test_giving_back_at_most_three_times(self, world: World) -> None:
        await world.begin()
        attempts: list[Any] = []
        for _ in range(5):
            challenge = (await world.store.settle(await world.reserve(), **_GIVE_BACK, now=world.now)).challenge
            attempts.append((challenge.attempts, challenge.givebacks))
        assert attempts == [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)]
        assert [one.failures for one in await _failures(world)] == [2, 2]

    async def test_giving_back_many_at_once_give_back_three(self, world: World) -> None:
        await world.begin()
        reservations = [await world.reserve() for _ in range(5)]
        async with anyio.create_task_group() as tasks:
            for reservation in reservations:
                tasks.start_soon(functools.partial(world.store.settle, reservation, **_GIVE_BACK, now=world.now))
        challenge = (await world.reserve()).challenge
        assert (challenge.attempts, challenge.givebacks) == (3, 3)

    async def test_giving_back_the_lock_that_this_attempt_set_goes_too(self, world: World) -> None:
        await world.begin()
        reservation = await world.reserve(lock_after=1)
        assert (await world.reserve(lock_after=1)).status is ReservationStatus.LOCKED
        await world.store.settle(reservation, **_GIVE_BACK, now=world.now)
        assert (await world.reserve(lock_after=1)).status is ReservationStatus.RESERVED

    async def test_giving_back_nothing_is_given_back_for_a_challenge_that_is_over(self, world: World) -> None:
        failover = await world.begin()
        reservation = await world.reserve()
        await world.store.cancel(failover.id, world.now)
        challenge = (await world.store.settle(reservation, **_GIVE_BACK, now=world.now)).challenge
        assert challenge.attempts == 1
        assert [one.failures for one in await _failures(world)] == [1, 1]

    async def test_gone_settle_marks_deliveries(self, world: World) -> None:
        failover = await world.begin(world.vendor())
        await failover.answer(Outcome.ACCEPTED, reference="VE1")
        reservation = await world.reserve()
        ids = [delivery.id for delivery in reservation.deliveries]
        await world.store.settle(reservation, give_back=False, gone=ids, now=world.now)
        assert [delivery.gone for delivery in (await failover.view()).deliveries] == [True]
        assert [delivery.gone for delivery in (await world.reserve()).deliveries] == [True], "the next attempt knows"

    async def test_gone_deliveries_that_were_purged_meanwhile_are_no_trouble(self, world: World) -> None:
        await world.begin()
        reservation = await world.reserve()
        ids = [delivery.id for delivery in reservation.deliveries]
        await world.store.purge(
            challenges_before=world.now, deliveries_before=world.later(1), phone_key=None, now=world.now
        )
        assert await world.store.settle(reservation, give_back=False, gone=ids, now=world.now) is not None


class LockTests(StoreBase):
    """Failures in a row lock the phone, for longer each time; 100 need an operator."""

    async def test_locks_from_the_tenth_failure_on_waits_double_up_to_an_hour(self, world: World) -> None:
        challenge = world.challenge(max_attempts=100)
        await world.send(world.new_send(challenge, world.core("mada"), life=timedelta(days=1)))
        waits: list[Any] = []
        for _ in range(19):
            reservation = await world.reserve()
            if reservation.status is ReservationStatus.LOCKED:
                waits.append((reservation.locked_until - world.now).total_seconds())
                world.now = reservation.locked_until
                reservation = await world.reserve()
            assert reservation.status is ReservationStatus.RESERVED
        assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]

    async def test_locks_a_locked_attempt_costs_nothing(self, world: World) -> None:
        failover = await world.begin()
        await world.reserve(lock_after=1)
        assert (await world.reserve(lock_after=1)).status is ReservationStatus.LOCKED
        assert (await failover.view()).challenge.attempts == 1

    async def test_locks_they_count_across_challenges_and_purposes(self, world: World) -> None:
        await world.begin(subject="login")
        await world.begin(subject="payment")
        await world.reserve("login", lock_after=2)
        await world.reserve("payment", lock_after=2)
        assert (await world.reserve("login", lock_after=2)).status is ReservationStatus.LOCKED

    async def test_locks_one_client_does_not_lock_out_another(self, world: World) -> None:
        await world.begin()
        await world.reserve(client="attacker", lock_after=1)
        assert (await world.reserve(client="attacker", lock_after=1)).status is ReservationStatus.LOCKED
        assert (await world.reserve(client="owner", lock_after=1)).status is ReservationStatus.RESERVED

    async def test_locks_the_hard_limit_of_a_phone_holds_for_all_clients_until_an_operator_acts(
        self, world: World
    ) -> None:
        await world.begin()
        for client in ("a", "b", "c"):
            await world.reserve(client=client, hard_limit=3)
        world.later(200)
        locked = await world.reserve(client="d", hard_limit=3)
        assert (locked.status, locked.locked_until) == (ReservationStatus.LOCKED, None)
        assert await world.store.reset_counters("phone-1/") == 4
        assert (await world.reserve(client="d", hard_limit=3)).status is ReservationStatus.RESERVED

    async def test_locks_a_success_clears_them(self, world: World) -> None:
        await world.begin()
        await world.reserve()
        reservation = await world.reserve()
        await world.store.approve(reservation, settled=(), now=world.now)
        assert await _failures(world) == []

    async def test_locks_people_see_the_counters_and_their_locks(self, world: World) -> None:
        await world.begin()
        await world.reserve(client="c", lock_after=1)
        assert await _failures(world) == [
            FailureRecord(key="phone-1/*", failures=1),
            FailureRecord(key="phone-1/c", failures=1, locked_until=world.at(30)),
        ]

    async def test_locks_concurrent_failures_are_counted_exactly(self, world: World) -> None:
        for number in range(6):
            await world.begin(subject=f"purpose-{number}")
        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(functools.partial(world.reserve, f"purpose-{number % 6}", lock_after=1000))
        assert [one.failures for one in await _failures(world)] == [30, 30]


async def _failures(world: World, key: str = "phone-1/") -> Any:
    return [one for one in await world.store.counters(key, world.now) if isinstance(one, FailureRecord)]
