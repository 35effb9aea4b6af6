"""Contract tests of races between several store objects on the same data, each on an event loop in a thread of its own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import anyio
import attrs
import pytest

from otpcore.models import ChallengeState, Outcome
from otpcore.stores.commands import Begun, Raced, RecordedGuess, Refusal, ReservationStatus
from otpcore.stores.contract import Store
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.replacing import NEW, OLD
from otpcore.testing.stores.scenes import accepted, failed
from otpcore.testing.stores.world import World

__all__ = ["RaceTests"]

_THREADS = 4
_TASKS = 10  # in each thread
_PATIENCE = 60.0  # seconds that a thread waits for the others to be ready

Reopen = Callable[[], Store]


class RaceTests(StoreBase):
    """Whoever comes at once, from wherever: one wins, and the counts are exact."""

    async def test_of_many_right_answers_everywhere_one_is_accepted(
        self, world: World, reopen: Reopen, anyio_backend_name: str
    ) -> None:
        failover = await accepted(world)
        reservation = await world.reserve()

        async def approve(there: World) -> bool:
            approved: bool = await there.store.approve(reservation, settled=(), now=there.now)
            return approved

        assert Counter(await _everywhere(world, reopen, anyio_backend_name, approve))[True] == 1
        assert (await failover.view()).challenge.state is ChallengeState.APPROVED

    async def test_of_many_right_guesses_everywhere_one_is_accepted(
        self, world: World, reopen: Reopen, anyio_backend_name: str
    ) -> None:
        failover = await accepted(world)

        async def guess(there: World) -> Any:
            return (await there.reserve(guess=RecordedGuess(fits=lambda _: True))).status

        said = Counter(await _everywhere(world, reopen, anyio_backend_name, guess))
        assert said == {ReservationStatus.APPROVED: 1, ReservationStatus.NOT_FOUND: _THREADS * _TASKS - 1}
        view = await failover.view()
        assert (view.challenge.state, view.challenge.attempts) == (ChallengeState.APPROVED, 1)

    async def test_a_code_is_accepted_or_replaced_everywhere_and_never_both(
        self, world: World, reopen: Reopen, anyio_backend_name: str
    ) -> None:
        failover = await accepted(world)
        world.later(30)

        async def work(there: World) -> str:
            if next(there.numbers) % 2:
                guessed = await there.reserve(guess=OLD, lock_after=10_000, hard_limit=10_000)
                return "accepted" if guessed.status is ReservationStatus.APPROVED else ""
            return "replaced" if (await there.resend(failover.id, code=NEW)).step is not None else ""

        said = Counter(await _everywhere(world, reopen, anyio_backend_name, work))
        assert said["accepted"] + said["replaced"] == 1
        challenge = (await failover.view()).challenge
        assert (challenge.state is ChallengeState.APPROVED, challenge.code_number) == (
            bool(said["accepted"]),
            said["replaced"],
        )

    async def test_attempts_are_counted_exactly_everywhere(
        self, world: World, reopen: Reopen, anyio_backend_name: str
    ) -> None:
        failover = await accepted(world)

        async def guess(there: World) -> Any:
            return (await there.reserve(lock_after=10_000, hard_limit=10_000)).status

        said = Counter(await _everywhere(world, reopen, anyio_backend_name, guess))
        assert said == {ReservationStatus.RESERVED: 5, ReservationStatus.MAX_ATTEMPTS: _THREADS * _TASKS - 5}
        assert (await failover.view()).challenge.attempts == 5

    async def test_a_retry_is_claimed_by_one_of_all(
        self, world: World, reopen: Reopen, anyio_backend_name: str
    ) -> None:
        for number in range(15):
            await failed(world, phone=f"phone-{number}")
        world.later(1)

        async def claim(there: World) -> list[str]:
            return [one.challenge.id for one in (await there.claim(2)).claims]

        claimed = [one for some in await _everywhere(world, reopen, anyio_backend_name, claim) for one in some]
        assert len(claimed) == len(set(claimed)) == 15

    async def test_one_of_all_purposes_gets_the_slot(
        self, world: World, reopen: Reopen, anyio_backend_name: str
    ) -> None:
        async def begin(there: World) -> Any:
            failover = await there.begin(there.vendor(), f"purpose-{next(there.numbers)}")
            return failover.reason

        said = Counter(await _everywhere(world, reopen, anyio_backend_name, begin))
        assert said == {None: 1, Refusal.PROVIDER_BUSY: _THREADS * _TASKS - 1}

    async def test_no_more_is_charged_than_the_limit(
        self, world: World, reopen: Reopen, anyio_backend_name: str
    ) -> None:
        async def charge(there: World) -> bool:
            return not hasattr(await there.charge(limit=7), "reason")

        assert Counter(await _everywhere(world, reopen, anyio_backend_name, charge))[True] == 7
        assert await world.used() == 7

    async def test_first_sends_to_one_person_make_one_challenge(
        self, world: World, reopen: Reopen, anyio_backend_name: str
    ) -> None:
        async def begin(there: World) -> Any:
            return type((await there.begin(charges=there.charges(limit=1000))).begun)

        said = Counter(await _everywhere(world, reopen, anyio_backend_name, begin))
        assert said == {Begun: 1, Raced: _THREADS * _TASKS - 1}
        (view,) = await world.store.view(phone_key="phone-1")
        assert (len(view.deliveries), len(view.schedule)) == (1, 1)
        assert await world.used() == 1

    async def test_a_settled_end_is_the_only_one(self, world: World, reopen: Reopen, anyio_backend_name: str) -> None:
        """Approving, cancelling and dropping what is queued: one end, and nothing is left to be sent."""
        failover = await failed(world, outcome=Outcome.UNAVAILABLE)
        reservation = await world.reserve()

        async def end(there: World) -> str:
            match next(there.numbers) % 3:
                case 0:
                    approved = await there.store.approve(reservation, settled=(), now=there.now)
                    return "approved" if approved else ""
                case 1:
                    return "cancelled" if await there.store.cancel(failover.id, there.now) is not None else ""
                case _:
                    await there.store.drop(failover.id, there.now)
                    return ""

        said = Counter(await _everywhere(world, reopen, anyio_backend_name, end))
        view = await failover.view()
        assert said["approved"] + said["cancelled"] == 1
        assert view.challenge.state == ("approved" if said["approved"] else "cancelled")
        assert (view.schedule, await world.store.next_due()) == ((), None)

    @pytest.mark.parametrize("former", [None, "Twilio"])
    async def test_of_many_who_expect_the_same_setting_everywhere_one_writes_it(
        self, world: World, reopen: Reopen, anyio_backend_name: str, former: str | None
    ) -> None:
        names = [f"otp_channel{number}_provider" for number in range(10)]
        for name in names:
            await world.store.write_setting(name, former)

        async def write(there: World) -> list[str]:
            value = f"Mada{next(there.numbers)}"
            return [name for name in names if await there.store.write_setting(name, value, expect=former)]

        written = await _everywhere(world, reopen, anyio_backend_name, write)
        assert Counter(name for one in written for name in one) == dict.fromkeys(names, 1)


async def _everywhere(world: World, reopen: Reopen, backend: str, work: Callable[[World], Awaitable[Any]]) -> list[Any]:
    """The work at once in many tasks of several threads, each thread with a store object and an event loop of its own."""
    together = threading.Barrier(_THREADS)

    async def many() -> list[Any]:
        found: list[Any] = []
        async with AsyncExitStack() as stack:
            store = reopen()
            await store.start(stack)
            there = attrs.evolve(world, store=store)

            async def one() -> None:
                found.append(await work(there))

            await anyio.to_thread.run_sync(together.wait, _PATIENCE)
            async with anyio.create_task_group() as tasks:
                for _ in range(_TASKS):
                    tasks.start_soon(one)
        return found

    def threads() -> list[Any]:
        with ThreadPoolExecutor(_THREADS) as pool:
            running = [pool.submit(lambda: anyio.run(many, backend=backend)) for _ in range(_THREADS)]
            return [answer for one in running for answer in one.result()]

    return await anyio.to_thread.run_sync(threads)
