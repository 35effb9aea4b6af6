"""Providers that run whatever a test gives them, beside one that is well."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs

from otpcore import ProviderInfo, hookimpl

PHONE = "+359871234567"
QUICK = {"otp": {"provider_timeout": 1, "send_timeout": 5}}


class Broken(BaseException):
    """Not even an Exception."""


@attrs.define(eq=False)
class Foreign:
    """A provider whose hook runs whatever the test gives it."""

    body: Any
    calls: int = 0

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Foreign")

    @hookimpl
    async def send_sms(self, request):
        self.calls += 1
        answer = self.body(request)
        return await answer if asyncio.iscoroutine(answer) else answer


@attrs.define(eq=False)
class Blocking(Foreign):
    """The same with a blocking hook."""

    @hookimpl
    def send_sms(self, request):
        self.calls += 1
        return self.body(request)


def service(outbox, foreign, **more):
    """Routed to the provider first and then to the outbox; ``more`` are settings, and ``observers``."""
    observers = more.pop("observers", ())
    settings = {**QUICK, **more}
    return outbox.service(settings, providers={"foreign": foreign, "outbox": outbox}, observers=observers)
