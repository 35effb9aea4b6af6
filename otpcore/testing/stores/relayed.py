"""Contract tests of challenges of which nothing is verified: they are found by nobody, and hold up nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

from otpcore.models import ChallengeState, Outcome
from otpcore.stores.commands import RecordedGuess, Refusal, ReservationStatus
from otpcore.stores.counts import RouteCount
from otpcore.stores.steps import CallInstance
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import Failover, World

__all__ = ["RelayedTests"]

_RIGHT = RecordedGuess(fits=lambda _: True)


class RelayedTests(StoreBase):
    """Messages that are only relayed."""

    async def test_relayed_ones_are_kept_as_such_and_never_found(self, world: World) -> None:
        relayed = await _relay(world)
        await relayed.answer(Outcome.ACCEPTED)
        view = await relayed.view()
        assert (view.challenge.verifiable, view.challenge.state) == (False, ChallengeState.SENT)
        for look in ({"challenge_id": relayed.id, "purpose": "relayed"}, {"subject": "relayed"}):
            found = await world.reserve(guess=_RIGHT, **look)
            assert (found.status, found.challenge) == (ReservationStatus.NOT_FOUND, None)
        assert (await relayed.view()).challenge.attempts == 0
        assert await world.store.cancel(relayed.id, world.now) is not None

    async def test_relayed_ones_go_to_a_phone_that_is_locked(self, world: World) -> None:
        await world.begin()
        await world.reserve(hard_limit=1)
        locked = await world.begin(subject="pay")
        assert locked.reason == Refusal.LOCKED
        assert isinstance((await _relay(world)).step, CallInstance)

    async def test_relayed_ones_hold_up_nobody_at_a_vendor(self, world: World) -> None:
        route = world.vendor()
        relayed = await _relay(world, route)
        await relayed.answer(Outcome.ACCEPTED, reference="V1")
        verified = await world.begin(route)
        mark: Any = verified.step.mark
        assert (mark.challenge_id, mark.reference) == (relayed.id, "V1")
        await verified.answer(Outcome.ACCEPTED, reference="V2")
        assert (await _relay(world, route, "again")).reason == Refusal.PROVIDER_BUSY, (
            "but they wait for who is verified"
        )

    async def test_relayed_ones_wait_while_another_may_be_under_way(self, world: World) -> None:
        await _relay(world, world.vendor())
        assert (await world.begin(world.vendor())).reason == Refusal.PROVIDER_BUSY

    async def test_relayed_ones_are_counted_beside_those_that_are_verified(self, world: World) -> None:
        for subject, outcome in (("one", Outcome.ACCEPTED), ("two", Outcome.ACCEPTED), ("three", Outcome.BLOCKED)):
            await (await _relay(world, subject=subject)).answer(outcome)
        await (await world.begin()).answer(Outcome.ACCEPTED)
        found = await world.store.status(world.now - timedelta(hours=1), world.now)
        assert found.relayed == (RouteCount(instance="mada", prefix="", count=2),)
        accepted = [one.count for one in found.deliveries if one.outcome is Outcome.ACCEPTED]
        assert sum(accepted) == 3


async def _relay(world: World, route: Any = None, subject: str = "relayed") -> Failover:
    challenge = attrs.evolve(world.challenge(subject), verifiable=False)
    return await world.send(world.new_send(challenge, route or world.core("mada")))
