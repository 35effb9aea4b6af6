"""A vendor that asks, while it is being called, whether it may send: it meets what a send would meet."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    DeliveryError,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    EventType,
    ProviderError,
    hookimpl,
)
from otpcore.clock import utc_now
from otpcore.settings.tree import generate_keys
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import FakeClock

from .carriers import PHONE, Carrier, Scene, said


@attrs.define(eq=False)
class Asking(Carrier):
    """A vendor that asks, while it is being called, whether it may send: through the service, as its callback would."""

    otp: AsyncOTPService | None = None
    clock: FakeClock = attrs.field(factory=FakeClock)
    meanwhile: dict[str, str] = attrs.field(factory=dict)
    """Switched by an operator after the send has begun."""
    heard: list[str] = attrs.field(factory=list)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        assert self.otp is not None
        for name, text in self.meanwhile.items():
            await self.otp._service.store.write_setting(name, text)
        self.clock.advance(5)  # routing.reload_every
        await self.ask(request.delivery_id)
        if self.heard[-1] == "no":
            raise ProviderError(ErrorKind.BLOCKED)
        self.messages.append(request)
        return DeliveryReceipt(reference=f"M{len(self.messages)}")

    async def ask(self, delivery_id: str) -> None:
        assert self.otp is not None
        self.heard.append((await self.otp.handle_receipt("first", said(f"may  of {delivery_id}"))).text)


@pytest.mark.parametrize(
    ("meanwhile", "answer", "reason"),
    [
        ({}, "yes", ""),
        ({"paused": "on"}, "no", "paused"),
        ({"limits.prefix.+35987": "deny"}, "no", "denied"),
        ({"limits.prefix.+49": "deny"}, "yes", ""),
        ({"limits.prefix.+359": "deny", "limits.prefix.+35987": "allow"}, "yes", ""),
    ],
)
async def test_a_vendor_that_asks_meets_the_barriers_of_a_send(
    scene: Scene, meanwhile: dict[str, str], answer: str, reason: str
) -> None:
    asking = scene.first = Asking(meanwhile=meanwhile)
    async with scene.service(clock=asking.clock) as otp:
        asking.otp = otp
        if answer == "yes":
            await otp.send_sms(PHONE)
        else:
            with pytest.raises(DeliveryError):
                await otp.send_sms(PHONE)
    assert asking.heard == [answer]
    refused = [event for event in scene.seen.events if event.type is EventType.SEND_REFUSED]
    assert [(event.reason, event.instance) for event in refused] == ([(reason, "first")] if reason else [])


async def test_a_vendor_that_asks_about_what_is_over_or_unknown_hears_no(scene: Scene) -> None:
    asking = scene.first = Asking()
    async with scene.service() as otp:
        asking.otp = otp
        challenge = await otp.send_sms(PHONE)
        (request,) = asking.messages
        await otp.cancel(challenge.id)
        await asking.ask(request.delivery_id)
        await asking.ask("delivery-of-nobody")
    assert asking.heard == ["yes", "no", "no"]
    assert [event.reason for event in scene.seen.events if event.type is EventType.SEND_REFUSED] == ["over", "over"]


async def test_a_vendor_that_asks_hears_no_where_a_limit_lets_nothing_through_any_more(scene: Scene) -> None:
    asking, store = Asking(), MemoryStore()
    scene.first = asking
    for limits in ({"phone": []}, {"phone": [], "countries": {"BG": ["0/1d"]}}):
        async with scene.service({"limits": limits}, store=store) as otp:
            asking.otp = otp
            if not asking.messages:
                await otp.send_sms(PHONE)
            await asking.ask(asking.messages[0].delivery_id)
    assert asking.heard == ["yes", "yes", "no"]


async def test_a_process_without_the_key_of_a_challenge_lets_nothing_pass(scene: Scene) -> None:
    asking, store = Asking(), MemoryStore()
    scene.first = asking
    older, newer = (generate_keys(utc_now() + timedelta(days=days)) for days in (0, 1))
    for number, ring in enumerate((older, newer)):
        keys = {"index": older.index, "code": dict(ring.code), "current": ring.current}
        async with scene.service({"keys": keys}, store=store) as otp:
            asking.otp = otp
            if number == 0:
                await otp.send_sms(PHONE)
            else:
                await asking.ask(asking.messages[0].delivery_id)
    assert asking.heard == ["yes", "no"]
    assert [event.reason for event in scene.seen.events if event.type is EventType.SEND_REFUSED] == ["no_key"]


async def test_the_settings_deny_whom_they_would_deny_a_send_and_the_verified_pass(scene: Scene) -> None:
    asking = scene.first = Asking()
    store = MemoryStore()
    async with scene.service(store=store) as otp:
        asking.otp = otp
        await otp.send_sms(PHONE)
    (request,) = asking.messages
    async with scene.service({"limits": {"deny": ["+359"]}}, store=store) as otp:
        asking.otp = otp
        await asking.ask(request.delivery_id)
        assert await otp.verify(PHONE, request.code or "")
        with contextlib.suppress(DeliveryError):
            await otp.send_sms(PHONE)
    assert asking.heard == ["yes", "no", "yes"]
