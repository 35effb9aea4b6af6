"""Providers whose start or closing misbehaves, and what they leave running."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from contextlib import AsyncExitStack
from typing import Any

import anyio
import attrs
import pytest

from otpcore import DeliveryReceipt, PluginLoadError, hookimpl
from otpcore.clock import utc_now
from otpcore.providers.instances import Instances
from otpcore.providers.loading import Loaded
from otpcore.providers.provider import provider_from_object
from otpcore.testing import Outbox

from .foreign import PHONE, Broken, Foreign, service


@attrs.define(eq=False)
class Opening(Foreign):
    """Its start and its closing run what the test gives them."""

    body: Any = lambda _: DeliveryReceipt(reference="x")
    opened: Any = None
    closed: Any = None

    @hookimpl
    async def start(self, exit_stack: AsyncExitStack) -> None:
        if self.closed:
            exit_stack.push_async_callback(self.closed)
        if self.opened:
            await self.opened()


async def fail():
    raise Broken(PHONE)


async def test_a_start_that_raises_anything_names_the_provider_and_quotes_nothing(otp_outbox: Outbox) -> None:
    with pytest.raises(PluginLoadError, match=r"provider 'foreign'.*start raised Broken") as caught:
        async with service(otp_outbox, Opening(opened=fail)):
            pass
    assert PHONE not in str(caught.value)


async def test_a_start_that_fails_leaves_the_others_to_send_where_that_is_allowed(otp_outbox: Outbox) -> None:
    async with service(otp_outbox, Opening(opened=fail), plugins={"on_error": "skip"}) as otp:
        assert (await otp.send_sms(PHONE)).provider == "outbox"


async def test_a_closing_that_raises_hurts_neither_the_host_nor_the_others(otp_outbox: Outbox, caplog) -> None:
    async with service(otp_outbox, Opening(closed=fail)) as otp:
        assert (await otp.send_sms(PHONE)).provider == "foreign"
    assert "provider foreign broke down: Broken" in caplog.text


async def held(obj, patience):
    """A set of instances with one provider."""
    loaded = Loaded(needed=("foreign",), providers={"foreign": provider_from_object("foreign", obj)}, strict=True)
    return Instances(
        loaded, load=lambda name: loaded.providers[name], longest_life=None, clock=utc_now, patience=patience
    )


async def test_a_start_that_hangs_ends_with_an_error_that_names_the_provider() -> None:
    instances = await held(Opening(opened=anyio.sleep_forever), 0.2)
    with anyio.fail_after(10):
        async with AsyncExitStack() as stack:
            with pytest.raises(PluginLoadError, match=r"provider 'foreign': it did not start within 0\.2 s"):
                await instances.open(stack, ["foreign"])


async def test_a_closing_that_hangs_is_cancelled_and_logged(caplog) -> None:
    instances = await held(Opening(closed=anyio.sleep_forever), 0.2)
    with anyio.fail_after(10):
        async with AsyncExitStack() as stack:
            await instances.open(stack, ["foreign"])
    assert "did not close within 0.2 s" in caplog.text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_a_plugin_leaves_running_does_not_keep_the_process(backend) -> None:
    program = f"""
        import threading, time, anyio
        from otpcore import DeliveryReceipt, ProviderInfo, hookimpl
        from otpcore.testing import Outbox

        class Leaky:
            @hookimpl
            def describe(self):
                return ProviderInfo(display_name="Leaky")
            @hookimpl
            async def start(self, exit_stack):
                tasks = await exit_stack.enter_async_context(anyio.create_task_group())
                exit_stack.callback(tasks.cancel_scope.cancel)
                tasks.start_soon(anyio.sleep_forever)
            @hookimpl
            def send_sms(self, request):
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
                time.sleep(60)

        async def main():
            outbox = Outbox()
            settings = {{"otp": {{"provider_timeout": 0.2}}}}
            async with outbox.service(settings, providers={{"leaky": Leaky(), "outbox": outbox}}) as otp:
                print((await otp.send_sms("{PHONE}")).provider)

        anyio.run(main, backend="{backend}")
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("outbox", 0), done.stderr
