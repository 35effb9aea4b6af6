"""An operator needs store and keys only: whatever is wrong with a provider cannot stop a pause."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from otpcore import (
    AsyncOperator,
    AsyncOTPService,
    Operator,
    OTPConfigurationError,
    ProviderInfo,
    RateLimited,
    SettingsError,
    hookimpl,
)
from otpcore.testing import Outbox

from .scenes import BY, PHONE, on_file

PLUGIN = """
from otpcore import SettingsError
from otpcore.providers import ProviderInfo, hookimpl


class Broken:
    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Broken")

    @hookimpl
    async def send_sms(self, request):
        raise AssertionError("never called")

    @hookimpl
    async def start(self, exit_stack):
        raise SettingsError("the vendor's certificate is missing")


def make(context):
    return Broken()


def fail_to_load(context):
    raise SettingsError("the account is not named")
"""


@pytest.mark.parametrize("factory", ["make", "fail_to_load", "not_there"])
async def test_a_provider_that_is_broken_cannot_stop_a_pause(importable: Path, factory: str) -> None:
    (importable / "broken_vendor.py").write_text(PLUGIN, encoding="utf-8")
    plugin = {"acme": {"plugin": f"broken_vendor:{factory}"}}
    settings = on_file(importable, otp_sms_provider="acme", providers=plugin)
    with pytest.raises(OTPConfigurationError):
        async with AsyncOTPService(settings):
            pass
    async with AsyncOperator(settings) as operator:
        assert (await operator.sending.pause(**BY)).state == "paused"
        (broken,) = await operator.instances.list()
        assert broken.error
        assert [one.detail for one in await operator.findings() if one.about == "providers" and one.level == "problem"]


def test_the_blocking_one_opens_as_it_does(tmp_path: Path) -> None:
    settings = on_file(tmp_path)
    with Operator(settings) as operator:
        operator.sending.pause(**BY)
        assert operator.sending.show().paused is not None
        assert [one.action for one in operator.audit()] == ["sending.pause"]
    with Operator(settings) as again:
        again.sending.resume(by="bob")
        assert [(one.by, one.action) for one in again.audit()] == [("bob", "sending.resume"), ("ann", "sending.pause")]
    with pytest.raises(RuntimeError, match="not open"):
        operator.sending.show()


async def test_what_it_changes_holds_in_a_service_that_runs(tmp_path: Path, otp_outbox: Outbox) -> None:
    settings = on_file(tmp_path, limits={"phone": []})
    async with otp_outbox.service(settings) as otp, AsyncOperator(settings) as operator:
        await otp.send_sms(PHONE)
        await operator.sending.pause(**BY)
        otp_outbox.clock.advance(1)
        with pytest.raises(RateLimited, match="paused"):
            await otp.send_sms("+359881234567")
        await operator.sending.resume(by="ann")
        otp_outbox.clock.advance(1)
        await otp.send_sms("+359881234567")


async def test_the_operator_of_a_service_is_obeyed_by_it_at_once(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.operator.sending.pause(**BY)
        with pytest.raises(RateLimited, match="paused"):
            await otp.send_sms(PHONE)
        await otp.operator.sending.resume(by="ann")
        await otp.send_sms(PHONE)
    with pytest.raises(RuntimeError, match="not open"):
        otp.operator  # noqa: B018 - it is what is tried


def test_the_blocking_services_operator_opens_it(otp_outbox: Outbox) -> None:
    with otp_outbox.blocking_service() as otp:
        otp.send_sms(PHONE)
        (challenge,) = otp.operator.challenges.show(PHONE)
        assert challenge.state == "sent"
        with pytest.raises(RuntimeError, match="open already"), otp.operator:
            pass


async def test_a_store_that_another_process_cannot_see_is_refused() -> None:
    with pytest.raises(SettingsError, match='"memory" store is seen by its own process only'):
        async with AsyncOperator(Outbox().settings):
            pass


async def test_it_is_opened_once_at_a_time(tmp_path: Path) -> None:
    operator = AsyncOperator(on_file(tmp_path))
    with pytest.raises(RuntimeError, match="not open"):
        await operator.audit()
    async with operator:
        with pytest.raises(RuntimeError, match="open already"):
            await operator.__aenter__()
    async with operator:
        assert await operator.audit() == ()


async def test_rules_may_name_an_instance_that_no_running_service_has(importable: Path, otp_outbox: Outbox) -> None:
    """The running service's own instances are looked at as they are; what only new rules name is started, as for new rules."""
    started: list[str] = []

    class Counting:
        @hookimpl
        def describe(self) -> ProviderInfo:
            return ProviderInfo(display_name="Counting")

        @hookimpl
        async def send_sms(self, request: Any) -> Any:
            raise AssertionError

        @hookimpl
        async def start(self, exit_stack: AsyncExitStack) -> None:
            started.append("once more")

    (importable / "broken_vendor.py").write_text(PLUGIN, encoding="utf-8")
    providers = {"acme": {"plugin": "broken_vendor:make"}}
    forced = {"outbox": otp_outbox, "counting": Counting()}
    async with otp_outbox.service({"providers": providers}, providers=forced) as otp:
        assert (await otp.operator.routes.validate("outbox;counting")).instances == ("outbox", "counting")
        with pytest.raises(SettingsError, match="certificate"):
            await otp.operator.routes.validate("outbox;acme")
        assert len(started) == 1
