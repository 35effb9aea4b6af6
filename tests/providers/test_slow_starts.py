"""Instances that take their time to start: whom they keep waiting, and for how long."""

from __future__ import annotations

import logging
import sys
import types
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    Event,
    EventType,
    ProviderContext,
    ProviderError,
    ProviderInfo,
    Receipt,
    ReceiptRequest,
    hookimpl,
)
from otpcore.operator.loading import load_instances
from otpcore.service.setup import Setup
from otpcore.settings.tree import Settings
from otpcore.testing import FakeClock, Outbox

PHONES = [f"+35987123456{digit}" for digit in range(10)]
SECONDS = 0.4  # for a whole call


@attrs.define(eq=False)
class House:
    """A quick carrier and a slow one, which starts when a test lets it."""

    clock: FakeClock = attrs.field(factory=FakeClock)
    let: anyio.Event = attrs.field(factory=anyio.Event)
    refuses: bool = False
    starts: int = 0
    events: list[Event] = attrs.field(factory=list)

    @hookimpl
    def otp_event(self, event: Event) -> None:
        self.events.append(event)

    def settings(self, **more: Any) -> dict[str, Any]:
        providers = {name: {"plugin": "tests_slow:carrier"} for name in ("quick", "slow")}
        times = {"send_timeout": SECONDS, "provider_timeout": SECONDS / 2}
        return {**Outbox().settings, "providers": providers, "otp_sms_provider": "quick", "otp": times, **more}

    def service(self, **more: Any) -> AsyncOTPService:
        return AsyncOTPService(self.settings(**more), clock=self.clock, observers=[self])

    async def set_rules(self, otp: AsyncOTPService, text: str) -> None:
        """As ``otp routes set`` does, and so much later that the service has to look."""
        await otp._service.store.write_setting("otp_sms_provider", text)
        self.clock.advance(5)

    def told(self, kind: EventType) -> list[str | None]:
        return [event.detail for event in self.events if event.type is kind]


@attrs.define(eq=False)
class Carrier:
    context: ProviderContext
    house: House

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Carrier")

    @hookimpl
    async def start(self, exit_stack: AsyncExitStack) -> None:
        if self.context.instance == "slow":
            self.house.starts += 1
            if self.house.refuses:
                raise OSError("no route to the vendor")
            await self.house.let.wait()

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        return DeliveryReceipt()

    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> Receipt:
        return Receipt(answer="read")


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    module = types.ModuleType("tests_slow")
    module.carrier = lambda context: Carrier(context, house)  # type: ignore[attr-defined] # made here
    sys.modules["tests_slow"] = module
    yield house
    del sys.modules["tests_slow"]


async def test_a_call_waits_no_longer_than_its_time_and_the_start_goes_on(house: House) -> None:
    async with house.service() as otp:
        request = ReceiptRequest(url="https://example.com/receipts/slow")
        with anyio.fail_after(SECONDS * 10):
            with pytest.raises(ProviderError, match="it is still starting") as caught:
                await otp.handle_receipt("slow", request)
            assert caught.value.kind is ErrorKind.UNAVAILABLE
            house.let.set()
            assert (await otp.handle_receipt("slow", request)).text == "read"
        assert house.starts == 1


async def test_new_rules_take_force_when_their_instance_has_started_and_no_send_fails_until_then(house: House) -> None:
    async with house.service() as otp:
        await house.set_rules(otp, "slow")
        assert (await otp.send_sms(PHONES[0])).provider == "quick"
        assert (house.told(EventType.RULES_CHANGED), house.told(EventType.RULES_REFUSED)) == ([], [])
        house.let.set()
        house.clock.advance(5)
        assert (await otp.send_sms(PHONES[1])).provider == "slow"
        assert house.told(EventType.RULES_CHANGED) == ["otp_sms_provider"]
        assert house.starts == 1


async def test_a_caller_that_goes_away_while_new_rules_are_taken_up_does_not_lose_them(house: House) -> None:
    async with house.service() as otp:
        await house.set_rules(otp, "slow")
        with anyio.move_on_after(SECONDS / 20):
            await otp.send_sms(PHONES[0])
        house.let.set()
        house.clock.advance(5)
        assert (await otp.send_sms(PHONES[1])).provider == "slow"


async def test_rules_that_were_changed_again_meanwhile_are_not_overtaken_by_the_older_ones(house: House) -> None:
    async with house.service() as otp, anyio.create_task_group() as callers:
        await house.set_rules(otp, "slow")
        callers.start_soon(otp.send_sms, PHONES[0])
        while not house.starts:
            await anyio.lowlevel.checkpoint()
        await house.set_rules(otp, "quick;slow:+35988")
        callers.start_soon(otp.send_sms, PHONES[1])
        await anyio.wait_all_tasks_blocked()
        house.let.set()
        await anyio.wait_all_tasks_blocked()
        assert (await otp.send_sms(PHONES[2])).provider == "quick"


async def test_a_service_closes_at_once_while_an_instance_starts(house: House) -> None:
    with anyio.fail_after(10):
        async with house.service() as otp:
            with pytest.raises(ProviderError):
                await otp.handle_receipt("slow", ReceiptRequest(url="https://example.com/receipts/slow"))


async def test_an_instance_that_cannot_be_started_is_logged_once_and_not_for_each_call(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.refuses = True
    async with house.service() as otp:
        for _ in range(3):
            with pytest.raises(ProviderError, match="cannot be started"):
                await otp.handle_receipt("slow", ReceiptRequest(url="https://example.com/receipts/slow"))
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([one for one in loud if one.otp_event == "provider_not_started"]) == 1
    assert house.starts == 3


async def test_a_command_waits_for_an_instance_that_hangs_no_longer_than_a_service_does(house: House) -> None:
    host = Setup(given=Settings.from_mapping(house.settings()))
    with anyio.fail_after(10):
        async with load_instances(host, patience=SECONDS) as loaded:
            assert list(loaded.providers) == ["quick"]
            assert "did not start within 0.4 s" in str(loaded.broken["slow"])
