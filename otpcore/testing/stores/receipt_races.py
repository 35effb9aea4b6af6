"""Contract tests of receipts that race with another command."""

from __future__ import annotations

import functools
from typing import Any

import anyio

from otpcore.models import ChallengeState, Outcome, ReceiptOutcome
from otpcore.stores.steps import CallInstance, Ended
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import accepted
from otpcore.testing.stores.world import Failover, World

__all__ = ["ReceiptRaceTests"]


class ReceiptRaceTests(StoreBase):
    """A receipt against its own copy, the answer, a right code and a resend."""

    async def test_races_of_many_equal_receipts_at_once_one_counts(self, world: World) -> None:
        await accepted(world)
        found: list[Any] = []

        async def receive() -> None:
            found.append(await world.undelivered(reference="M1"))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(receive)
        assert sum(received.follows is not None for received in found) == 1
        assert {received.outcome for received in found} == {ReceiptOutcome.APPLIED, ReceiptOutcome.REPLAYED}

    async def test_races_against_the_answer_the_failure_is_never_lost(self, world: World) -> None:
        for number in range(10):
            failover = await world.begin(world.core("mada", "backup"), phone=f"phone-{number}")
            delivery = failover.delivery.id
            found: list[Any] = []

            async def receive(delivery: Any = delivery, found: Any = found, reference: str = f"M{number}") -> None:
                found.append(await world.undelivered(delivery_id=delivery, reference=reference))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                tasks.start_soon(functools.partial(failover.answer, Outcome.ACCEPTED, reference=f"M{number}"))
            if found[0].follows is not None:
                failover = await world.go_on(found[0], world.core("mada", "backup"))
            assert failover.delivery.instance == "backup", found
            assert (await failover.view()).challenge.state is ChallengeState.UNDELIVERED

    async def test_races_against_a_right_code_nothing_goes_on(self, world: World) -> None:
        for number in range(10):
            failover = await accepted(world, reference=f"M{number}", phone=f"phone-{number}")
            reservation = await world.reserve(phone=f"phone-{number}")
            found: list[Any] = []
            approved: list[bool] = []

            async def receive(found: Any = found, reference: str = f"M{number}") -> None:
                received = await world.undelivered(reference=reference)
                found.append(await world.go_on(received, world.core("backup")) if received.follows else None)

            async def approve(approved: Any = approved, reservation: Any = reservation) -> None:
                approved.append(await world.store.approve(reservation, settled=(), now=world.now))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                tasks.start_soon(approve)
            view = await failover.view()
            assert approved == [True]
            assert (view.challenge.state, view.schedule) == (ChallengeState.APPROVED, ())

    async def test_races_against_a_resend_one_failover_remains(self, world: World) -> None:
        for number in range(10):
            failover = await accepted(world, reference=f"M{number}", phone=f"phone-{number}")
            world.later(31)
            found: list[Any] = []

            async def receive(found: Any = found, reference: str = f"M{number}") -> None:
                received = await world.undelivered(reference=reference)
                if received.follows is not None:
                    found.append(await world.go_on(received, world.core("backup")))

            async def resend(found: Any = found, failover: Failover = failover) -> None:
                found.append(await world.resend(failover.id, world.core("backup")))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                tasks.start_soon(resend)
            (row,) = (await failover.view()).schedule
            assert row.token in [one.ref.token for one in found]
            calling = [one for one in found if isinstance(one.step, CallInstance)]  # or it is cooling
            steps = [await one.answer(Outcome.UNAVAILABLE) for one in calling]
            assert sum(isinstance(step, Ended) for step in steps) == 1
