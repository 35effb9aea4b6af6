"""Plugins to load and to call, and what is asked of them."""

from __future__ import annotations

import textwrap
import traceback
from datetime import UTC, datetime

import pytest

from otpcore.errors import ProviderError
from otpcore.models import Channel
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.hooks import ProviderContext, hookimpl
from otpcore.providers.provider import PROVIDERS, load_provider
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ProviderInfo

NUMBER = "+359871234567"
CODE = "48205173"
SECRET = "hunter2hunter2"

GOOD = """
    from otpcore.providers import hookimpl
    from otpcore.providers import DeliveryReceipt, ProviderInfo

    class Good:
        def __init__(self, context):
            self.context = context

        @hookimpl
        def describe(self):
            return ProviderInfo(display_name=self.context.settings.get("title", "Good"))

        @hookimpl
        async def send_sms(self, request):
            return DeliveryReceipt(reference="sent by " + self.context.instance)

    def create_provider(context):
        return Good(context)
"""


def install(site, distribution, source=GOOD, *, version="1.2.3", group=PROVIDERS, name=None, module=None, points=None):
    """A distribution as pip leaves it behind: a module, METADATA and entry_points.txt."""
    module = module or distribution.replace("-", "_")
    (site / f"{module}.py").write_text(textwrap.dedent(source))
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    line = f"{name or distribution.removeprefix('otp-')} = {module}:create_provider"
    (info / "entry_points.txt").write_text(points if points is not None else f"[{group}]\n{line}\n")


def load(instance, plugin=None, **settings):
    return load_provider(instance, plugin, ProviderContext(instance=instance, settings=settings))


def delivery(channel=Channel.SMS):
    return DeliveryRequest(
        delivery_id="d1",
        challenge_id="c1",
        recipient=PhoneNumber(NUMBER),
        channel=channel,
        code=CODE,
        text=f"Your code is {CODE}",
        deadline=datetime(2026, 11, 22, tzinfo=UTC),
        idempotency_key="k1",
    )


def everything_in(error):
    """All that a log, a debugger or an error tracker could show of an exception."""
    chain = [error]
    while chain[-1].__cause__ or chain[-1].__context__:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    return "".join(traceback.format_exception(error)) + "".join(f"{each} {each!r} {each.args}" for each in chain)


class Sms:
    """A correct provider; ``answer`` says what its hook does."""

    def __init__(self, answer=None):
        self.answer = answer or DeliveryReceipt

    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Sms")

    @hookimpl
    async def send_sms(self, request):
        return self.answer()


class BlockingSms:
    """The same with a hook that blocks."""

    def __init__(self, answer=None):
        self.answer = answer or DeliveryReceipt

    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Blocking")

    @hookimpl
    def send_sms(self, request):
        return self.answer()


async def failure_of(provider, timeout=5.0):
    with pytest.raises(ProviderError) as caught:
        await provider.send(delivery(), timeout)
    assert caught.value.provider == provider.instance
    return caught.value
