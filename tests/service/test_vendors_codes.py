"""Codes that a vendor makes: who may be asked, with which keys, and what is said where another was faster."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    CancelRequest,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    EventType,
    ProviderInfo,
    SettingsError,
    VerificationStatus,
    hookimpl,
)
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import EventRecorder, Outbox, wrong_code

from .carriers import Carrier

PHONE, OTHER = "+359871234567", "+359881234567"
RIGHT, WRONG = "1234", "4321"


@attrs.define(eq=False)
class Owner:
    """A vendor whose codes are all ``RIGHT``; ``meanwhile`` happens while it is asked."""

    meanwhile: Callable[[], Awaitable[Any]] | None = None
    sent_to: list[str] = attrs.field(factory=list)
    cancelled: list[str] = attrs.field(factory=list)

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Owner", code_owner=CodeOwner.PROVIDER, code_scope="owner:1")

    async def _take(self, request: DeliveryRequest) -> DeliveryReceipt:
        self.sent_to.append(request.recipient.e164)
        return DeliveryReceipt(reference=request.delivery_id)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        return await self._take(request)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        return await self._take(request)

    @hookimpl
    async def check_code(self, request: CheckRequest) -> CheckResult:
        if self.meanwhile is not None:
            await self.meanwhile()
        return CheckResult.APPROVED if request.code == RIGHT else CheckResult.INCORRECT

    @hookimpl
    async def cancel(self, request: CancelRequest) -> None:
        self.cancelled.append(request.reference)


def keys(index: str, name: str) -> dict[str, Any]:
    return {"keys": {"index": index, "code": {name: secrets.token_urlsafe(32)}, "current": name}}


@attrs.define
class Two:
    """Two processes over one store, the second without the code key of the first."""

    first: AsyncOTPService
    second: AsyncOTPService
    owner: Owner


@pytest.fixture
async def two(otp_outbox: Outbox) -> Any:
    index, store, owner = secrets.token_urlsafe(32), MemoryStore(), Owner()
    shared: dict[str, Any] = {"providers": {"owner": owner}, "store": store}
    async with (
        otp_outbox.service(keys(index, "old"), **shared) as first,
        otp_outbox.service(keys(index, "new"), **shared) as second,
    ):
        yield Two(first, second, owner)


async def test_a_vendor_is_asked_though_the_key_is_missing_where_the_number_is_known(two: Two) -> None:
    """Nothing of ours was sent: the number in the clear is all that the vendor needs."""
    challenge = await two.first.send_sms(PHONE)
    with pytest.raises(SettingsError, match="old"):
        await two.second.verify(code=RIGHT, challenge_id=challenge.id)
    assert not await two.second.verify(PHONE, WRONG)
    assert await two.second.verify(PHONE, RIGHT)


async def test_a_challenge_is_cancelled_whatever_becomes_of_it_at_the_vendor(two: Two) -> None:
    challenge = await two.first.send_sms(PHONE)
    assert await two.first.cancel(challenge.id) is True
    assert len(two.owner.cancelled) == 1
    challenge = await two.first.send_sms(OTHER)
    assert await two.second.cancel(challenge.id) is True, "its number cannot be read here, and the vendor not be told"
    assert not await two.first.verify(OTHER, RIGHT)


async def test_a_length_that_no_code_has_uses_no_attempt_by_id_either(two: Two) -> None:
    challenge = await two.first.send_sms(PHONE)
    for _ in range(10):
        answer = await two.first.verify(code="12", challenge_id=challenge.id)
        assert answer.status is VerificationStatus.INCORRECT
    assert (await two.first.verify(OTHER, "12", challenge_id=challenge.id)).status is VerificationStatus.NOT_FOUND
    assert await two.first.verify(code=RIGHT, challenge_id=challenge.id)


async def test_who_comes_after_the_end_hears_whether_it_was_used_or_over(otp_outbox: Outbox) -> None:
    """The vendor's yes comes too late: somebody ended the challenge meanwhile, or its time did."""
    owner = Owner()
    async with otp_outbox.service(providers={"owner": owner}) as otp:
        challenge = await otp.send_sms(PHONE)

        async def cancel() -> None:
            await otp.cancel(challenge.id)

        async def wait() -> None:
            otp_outbox.clock.advance(301)

        owner.meanwhile = cancel
        assert (await otp.verify(PHONE, RIGHT)).status is VerificationStatus.NOT_FOUND
        owner.meanwhile = None
        await otp.send_sms(PHONE)
        owner.meanwhile = wait
        assert (await otp.verify(PHONE, RIGHT)).status is VerificationStatus.EXPIRED


async def test_a_mobile_is_written_for_sms_as_its_country_wants_it_and_called_as_it_was_given(two: Two) -> None:
    """Argentina: SMS need the 9 behind the country code."""
    await two.first.cancel((await two.first.send_sms("+541123456789")).id)
    await two.first.call("+541123456789")
    assert two.owner.sent_to == ["+5491123456789", "+541123456789"]


class SlowSettle(MemoryStore):
    """A store that takes a moment to settle an attempt, as every database does."""

    async def settle(self, *args: Any, **more: Any) -> Any:
        await anyio.sleep(0.01)
        return await super().settle(*args, **more)


async def test_an_attempt_whose_caller_left_while_the_vendor_was_asked_is_given_back(otp_outbox: Outbox) -> None:
    """Nothing was compared, and nobody was told anything."""
    owner, asked = Owner(), anyio.Event()

    async def hang() -> None:
        asked.set()
        await anyio.sleep_forever()

    events = EventRecorder()
    async with otp_outbox.service(providers={"owner": owner}, store=SlowSettle(), observers=[events]) as otp:
        challenge = await otp.send_sms(PHONE)
        owner.meanwhile = hang
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(otp.verify, PHONE, WRONG)
            await asked.wait()
            tasks.cancel_scope.cancel()
        (view,) = await otp._service.store.view(challenge_id=challenge.id)
        assert (view.challenge.attempts, view.challenge.givebacks) == (0, 1)
    assert [one.challenge_id for one in events.of(EventType.ATTEMPT_GIVEN_BACK)] == [challenge.id]


async def test_a_vendors_code_that_the_hosts_own_has_replaced_meanwhile_is_wrong(otp_outbox: Outbox) -> None:
    owner, carrier = Owner(), Carrier()
    rules = {"otp_sms_provider": "owner;carrier"}
    async with otp_outbox.service(rules, providers={"owner": owner, "carrier": carrier}) as otp:
        await otp.send_sms(PHONE)

        async def replace() -> None:
            otp_outbox.clock.advance(31)
            await otp.send_sms(PHONE, code="246810")

        owner.meanwhile = replace
        refused = await otp.verify(PHONE, RIGHT)
        assert (refused.status, refused.attempts_left) == (VerificationStatus.INCORRECT, 4)
        assert [one.code for one in carrier.messages] == ["246810"]
        assert (await otp.verify(PHONE, "246810")).status is VerificationStatus.APPROVED


async def test_who_locks_a_phone_for_good_is_told_of_as_that(otp_outbox: Outbox) -> None:
    """A hundred wrong codes in all, of as many clients."""
    events = EventRecorder()
    settings = {"limits": {"phone": []}}
    async with otp_outbox.service(settings, observers=[events]) as otp:
        for number in range(100):
            if number % 5 == 0:
                challenge = await otp.send_sms(PHONE, purpose=f"purpose {number}")
            code = wrong_code(otp_outbox.code)
            assert not await otp.verify(
                PHONE,
                code,
                purpose=f"purpose {number - number % 5}",
                client=f"192.0.{number}.1",
                challenge_id=challenge.id,
            )
    assert [one.reason for one in events.of(EventType.PHONE_LOCKED)] == ["until_reset"]
