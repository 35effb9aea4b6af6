"""A vendor approved a code, and nobody recorded it: the person's next try succeeds where the vendor can be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import attrs
import pytest
from otp_sinch.simulator import SinchSimulator

from otpcore import AsyncOTPService, ProviderError, VerificationStatus
from otpcore.config import generate_keys
from otpcore.errors import StoreError
from otpcore.hookspecs import utc_now
from otpcore.simulators import Fault
from otpcore.stores.memory import MemoryStore

PHONE = "+14155552671"


class Forgetful(MemoryStore):
    """Loses the next approvals before they are recorded, as a process does that dies."""

    to_lose = 0

    async def approve(self, *arguments: Any, **more: Any) -> bool:
        if self.to_lose:
            self.to_lose -= 1
            raise StoreError("lost")
        return await super().approve(*arguments, **more)


@attrs.frozen
class Scene:
    otp: AsyncOTPService
    sinch: SinchSimulator
    store: Forgetful

    @property
    def code(self) -> str:
        return self.sinch.inbox[-1].code

    @property
    def wrong(self) -> str:
        return f"{(int(self.code) + 1) % 10_000:04d}"

    async def lose_an_approval(self, code: str) -> None:
        self.store.to_lose = 1
        with pytest.raises(StoreError):
            await self.otp.verify(PHONE, code)

    async def lose_an_answer(self, code: str) -> None:
        self.sinch.fail(Fault.RESET_AFTER_WORK)
        with pytest.raises(ProviderError):
            await self.otp.verify(PHONE, code)

    async def asked(self) -> tuple[str, ...]:
        (view,) = await self.store.view(challenge_id=(await self.otp.send_sms(PHONE)).id)
        return view.challenge.asked


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    keys, store = generate_keys(utc_now()), Forgetful()
    with SinchSimulator() as sinch:
        settings = {
            "otp_sms_provider": "sinch",
            "providers": {"sinch": sinch.provider_settings()},
            "keys": {"index": keys.index, "code": dict(keys.code), "current": keys.current},
            "limits": {"phone": []},
        }
        async with AsyncOTPService(settings, store=store) as otp:
            await otp.send_sms(PHONE)
            yield Scene(otp, sinch, store)


async def test_the_same_code_succeeds_once(scene: Scene) -> None:
    await scene.lose_an_approval(scene.code)
    assert await scene.otp.verify(PHONE, scene.code)
    assert (await scene.otp.verify(PHONE, scene.code)).status is VerificationStatus.NOT_FOUND


async def test_so_it_does_when_the_vendors_answer_was_lost(scene: Scene) -> None:
    await scene.lose_an_answer(scene.code)
    assert await scene.otp.verify(PHONE, scene.code)


async def test_nobody_elses_guess_profits_and_the_person_still_succeeds(scene: Scene) -> None:
    await scene.lose_an_approval(scene.code)
    guess = await scene.otp.verify(PHONE, scene.wrong)
    assert guess.status is VerificationStatus.EXPIRED
    assert await scene.otp.verify(PHONE, scene.code)


async def test_two_different_guesses_without_a_verdict_cannot_be_told_apart(scene: Scene) -> None:
    right, wrong = scene.code, scene.wrong
    await scene.lose_an_answer(wrong)
    await scene.lose_an_approval(right)
    for code in (wrong, right):
        assert not await scene.otp.verify(PHONE, code)


async def test_wrong_guesses_with_a_verdict_are_no_hindrance(scene: Scene) -> None:
    assert not await scene.otp.verify(PHONE, scene.wrong)
    await scene.lose_an_approval(scene.code)
    assert await scene.otp.verify(PHONE, scene.code)


async def test_of_many_at_once_exactly_one_succeeds(scene: Scene) -> None:
    await scene.lose_an_approval(scene.code)
    approved = []

    async def verify() -> None:
        approved.append(bool(await scene.otp.verify(PHONE, scene.code)))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(verify)
    assert sorted(approved) == [False, False, False, True]


async def test_what_is_noted_is_no_code_and_goes_with_the_verdict(scene: Scene) -> None:
    await scene.lose_an_answer(scene.wrong)
    (noted,) = await scene.asked()
    assert scene.wrong not in noted.split(":")
    assert not await scene.otp.verify(PHONE, scene.wrong)
    assert await scene.asked() == (noted,)


async def test_every_start_without_an_answer_may_be_the_one_that_arrived(scene: Scene) -> None:
    """Two starts were not answered: the first sent the message, the second never reached the vendor."""
    phone = "+14155552672"
    scene.sinch.fail(Fault.RESET_AFTER_WORK)
    await scene.otp.send_sms(phone)
    code = scene.code
    scene.sinch.fail(Fault.RESET_AFTER_READ)
    await scene.otp.call(phone)
    assert await scene.otp.verify(phone, code)
