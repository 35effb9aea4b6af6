"""Instances that start and stop while the service runs, as the rules change."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    Event,
    EventType,
    ProviderContext,
    ProviderError,
    ProviderInfo,
    hookimpl,
)
from otpcore.clock import utc_now
from otpcore.settings.tree import generate_keys
from otpcore.testing import FakeClock, Outbox

PHONES = [f"+35987123456{digit}" for digit in range(10)]


@attrs.define(eq=False)
class Carrier:
    """A provider that tells when it was opened and closed, with a task of its own."""

    context: ProviderContext
    diary: list[str]
    plans: dict[str, str]
    owner: CodeOwner = CodeOwner.CORE

    def note(self, what: str) -> None:
        self.diary.append(f"{what} {self.context.instance}")

    @hookimpl
    def describe(self) -> ProviderInfo:
        if self.owner is CodeOwner.PROVIDER:
            return ProviderInfo(
                display_name="Vendor", code_owner=self.owner, code_scope=f"vendor:{self.context.instance}"
            )
        return ProviderInfo(display_name="Carrier")

    @hookimpl
    async def start(self, exit_stack: AsyncExitStack) -> None:
        plan = self.plans.get(self.context.instance, "")
        if plan == "cannot start":
            raise OSError("no route to the vendor")
        tasks = await exit_stack.enter_async_context(anyio.create_task_group())
        self.note("opened")
        exit_stack.callback(self.note, "closed")
        exit_stack.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(self._listen)

    async def _listen(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.plans.get(self.context.instance) == "breaks down":
            raise RuntimeError("the vendor hung up")
        await anyio.sleep_forever()

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        self.note("sent by")
        return DeliveryReceipt(reference=request.delivery_id)


class Vendor(Carrier):
    """A vendor that makes the code itself: always 1234."""

    @hookimpl
    async def check_code(self, request: CheckRequest) -> CheckResult:
        self.note("checked by")
        return CheckResult.APPROVED if request.code == "1234" else CheckResult.INCORRECT


@attrs.define(eq=False)
class House:
    """A service with in-house providers, and everything that happened to them."""

    clock: FakeClock = attrs.field(factory=FakeClock)
    diary: list[str] = attrs.field(factory=list)
    plans: dict[str, str] = attrs.field(factory=dict)
    events: list[Event] = attrs.field(factory=list)

    @hookimpl
    def otp_event(self, event: Event) -> None:
        self.events.append(event)

    def settings(self, **more: Any) -> dict[str, Any]:
        plugins = {name: {"plugin": "tests_house:carrier"} for name in ("one", "two", "three")}
        providers = {**plugins, "vendor": {"plugin": "tests_house:vendor"}}
        return {**Outbox().settings, "providers": providers, "otp_sms_provider": "one", **more}

    def service(self, **more: Any) -> AsyncOTPService:
        return AsyncOTPService(self.settings(**more), clock=self.clock, observers=[self])

    async def set_rules(self, otp: AsyncOTPService, text: str | None) -> None:
        """As ``otp routes set`` does, and so much later that the service has to look."""
        await otp._service.store.write_setting("otp_sms_provider", text)
        self.clock.advance(5)

    def kinds(self) -> list[EventType]:
        return [event.type for event in self.events]


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    module = types.ModuleType("tests_house")
    module.carrier = lambda context: Carrier(context, house.diary, house.plans)  # type: ignore[attr-defined] # made here
    module.vendor = lambda context: Vendor(  # type: ignore[attr-defined] # made here
        context, house.diary, house.plans, CodeOwner.PROVIDER
    )
    sys.modules["tests_house"] = module
    yield house
    del sys.modules["tests_house"]


async def test_only_what_the_rules_name_is_started_and_all_of_it_is_stopped(house: House) -> None:
    async with house.service(otp_sms_provider="one;two:+35988") as otp:
        assert house.diary == ["opened one", "opened two"]
        await otp.send_sms(PHONES[0])
    assert sorted(house.diary[-2:]) == ["closed one", "closed two"]


async def test_a_new_instance_is_started_before_the_rule_that_names_it_takes_force(house: House) -> None:
    async with house.service() as otp:
        await house.set_rules(otp, "two")
        await otp.send_sms(PHONES[0])
        assert house.diary == ["opened one", "opened two", "sent by two"]
        assert EventType.RULES_CHANGED in house.kinds()


async def test_an_old_instance_is_stopped_when_its_last_code_has_expired(house: House) -> None:
    async with house.service() as otp:
        await otp.send_sms(PHONES[0])
        await house.set_rules(otp, "two")
        await otp.send_sms(PHONES[1])
        house.clock.advance(595)  # a code may have been renewed up to ten minutes
        await otp.send_sms(PHONES[2])
        await anyio.wait_all_tasks_blocked()
        assert "closed one" not in house.diary
        house.clock.advance(10)
        await otp.send_sms(PHONES[3])
        await anyio.wait_all_tasks_blocked()
        assert house.diary.count("closed one") == 1
        await house.set_rules(otp, None)  # the file's rule again
        await otp.send_sms(PHONES[4])
        assert house.diary[-2:] == ["opened one", "sent by one"]


async def test_a_rule_that_comes_back_in_time_stops_nothing(house: House) -> None:
    async with house.service() as otp:
        await house.set_rules(otp, "two")
        await otp.send_sms(PHONES[0])
        house.clock.advance(400)
        await house.set_rules(otp, "one;two")
        await otp.send_sms(PHONES[1])
        house.clock.advance(400)
        await otp.send_sms(PHONES[2])
        await anyio.wait_all_tasks_blocked()
        assert "closed one" not in house.diary


async def test_a_code_is_checked_where_it_was_made_though_no_rule_names_its_vendor_any_more(house: House) -> None:
    async with house.service(otp_sms_provider="vendor") as otp:
        await otp.send_sms(PHONES[0])
        store = otp._service.store
        await house.set_rules(otp, "two")
        await otp.send_sms(PHONES[1])
        assert await otp.verify(PHONES[0], "1234")
        challenge = await otp.send_sms(PHONES[2])
    async with AsyncOTPService(house.settings(otp_sms_provider="two"), clock=house.clock, store=store) as otp:
        assert not await otp.verify(challenge_id=challenge.id, code="111111")  # made by the core: nobody is asked
        assert house.diary.count("opened vendor") == 1


async def test_an_instance_that_was_not_started_is_started_to_check_its_code(house: House) -> None:
    async with house.service(otp_sms_provider="vendor") as otp:
        challenge = await otp.send_sms(PHONES[0])
        store = otp._service.store
    restarted = AsyncOTPService(house.settings(otp_sms_provider="two"), clock=house.clock, store=store)
    async with restarted as otp:
        assert house.diary[-1] == "opened two"
        assert await otp.verify(challenge_id=challenge.id, code="1234")
        assert house.diary[-2:] == ["opened vendor", "checked by vendor"]


async def test_a_rule_whose_instance_cannot_start_is_refused_and_the_last_good_one_stays(house: House) -> None:
    house.plans["three"] = "cannot start"
    async with house.service() as otp:
        await house.set_rules(otp, "three;one")
        await otp.send_sms(PHONES[0])
        assert house.diary == ["opened one", "sent by one"]
        refused = next(event for event in house.events if event.type is EventType.RULES_REFUSED)
        assert refused.reason == "PluginLoadError"
        assert (await otp.diagnose())["rules"]["sms"] == "file"
        house.plans.clear()
        await house.set_rules(otp, "three")
        assert (await otp.send_sms(PHONES[1])).provider == "three"


async def test_an_instance_that_breaks_down_hurts_nobody_and_is_started_again_when_needed(house: House) -> None:
    house.plans["one"] = "breaks down"
    async with house.service(otp_sms_provider="one;two") as otp:
        await anyio.wait_all_tasks_blocked()
        assert "closed one" in house.diary
        house.plans.clear()
        assert (await otp.send_sms(PHONES[0])).provider == "one"
        assert house.diary[-2:] == ["opened one", "sent by one"]


async def test_an_instance_that_cannot_be_started_again_leaves_the_send_to_the_next(house: House) -> None:
    house.plans["one"] = "breaks down"
    async with house.service(otp_sms_provider="one;two") as otp:
        await anyio.wait_all_tasks_blocked()
        house.plans["one"] = "cannot start"
        assert (await otp.send_sms(PHONES[0])).provider == "two"
        failed = next(event for event in house.events if event.type is EventType.DELIVERY_FAILED)
        assert (failed.instance, failed.reason) == ("one", str(ErrorKind.MISCONFIGURED))


async def test_many_who_need_an_instance_at_once_start_it_once(house: House) -> None:
    async with house.service(otp_sms_provider="vendor") as otp:
        sent = [await otp.send_sms(phone) for phone in PHONES]
        store = otp._service.store
    restarted = AsyncOTPService(house.settings(otp_sms_provider="two"), clock=house.clock, store=store)
    async with restarted as otp, anyio.create_task_group() as tasks:
        for challenge in sent:
            tasks.start_soon(lambda one=challenge: otp.verify(challenge_id=one.id, code="1234"))
    assert house.diary.count("opened vendor") == 2
    assert house.diary.count("checked by vendor") == len(PHONES)


async def test_a_section_written_after_the_start_is_read_when_a_rule_names_it(house: House, tmp_path: Path) -> None:
    keys = generate_keys(utc_now())
    ((name, secret),) = keys.code.items()
    file = tmp_path / "otpcore.toml"
    text = f"""
otp_sms_provider = "one"
[keys]
index = "{keys.index}"
current = "{name}"
[keys.code]
{name} = "{secret}"
[retry]
runner = "inline"
[providers.one]
plugin = "tests_house:carrier"
"""
    file.write_text(text)
    async with AsyncOTPService.from_settings(file, clock=house.clock, observers=[house]) as otp:
        await house.set_rules(otp, "late")
        assert (await otp.send_sms(PHONES[0])).provider == "one"
        assert EventType.RULES_REFUSED in house.kinds()
        file.write_text(text + '[providers.late]\nplugin = "tests_house:carrier"\n')
        await house.set_rules(otp, "late;one")
        assert (await otp.send_sms(PHONES[1])).provider == "late"


async def test_forced_instances_are_never_stopped_and_stored_rules_start_nothing(house: House) -> None:
    service = AsyncOTPService(house.settings(), providers=["three"], clock=house.clock)
    async with service as otp:
        await house.set_rules(otp, "two")
        await otp.send_sms(PHONES[0])
        house.clock.advance(700)
        await otp.send_sms(PHONES[1])
        await anyio.wait_all_tasks_blocked()
        assert house.diary == ["opened three", "sent by three", "sent by three"]


async def test_a_vendor_that_cannot_be_started_to_check_a_code_is_no_wrong_code(house: House) -> None:
    async with house.service(otp_sms_provider="vendor") as otp:
        challenge = await otp.send_sms(PHONES[0])
        store = otp._service.store
    house.plans["vendor"] = "cannot start"
    restarted = AsyncOTPService(house.settings(otp_sms_provider="two"), clock=house.clock, store=store)
    async with restarted as otp:
        with pytest.raises(ProviderError) as caught:
            await otp.verify(challenge_id=challenge.id, code="1234")
        assert caught.value.kind is ErrorKind.MISCONFIGURED
        house.plans.clear()
        assert await otp.verify(challenge_id=challenge.id, code="1234")
