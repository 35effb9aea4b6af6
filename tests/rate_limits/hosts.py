"""A host whose limits are tried, with an operator at its store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from otpcore import AsyncOTPService, EventType, RateLimited
from otpcore.rate_limits.admission import RefusalRecord
from otpcore.service.switches import PAUSED, Switch, prefix_setting, switch_text
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import EventRecorder, Outbox

PHONE = "+359871234567"
OTHERS = [f"+35988123{number:04d}" for number in range(100, 10_000, 101)]
GERMAN = "+4915112345678"
SATELLITES = ["+88213300000", "+88213300001", "+883510000000094", "+80012345678"]


class Nobody:
    """A runner that leaves retries to the test."""

    async def start(self, *_: object) -> None:
        pass

    async def submit(self, *_: object) -> None:
        pass


def reasons(recorder: EventRecorder, kind: EventType) -> list[str]:
    """Why the events of this type were told."""
    return [event.reason or event.detail for event in recorder.of(kind)]


class Host:
    """A service in a memory store that outlives it, and an operator at the store."""

    def __init__(self, outbox: Outbox, limits: Mapping[str, Any], **settings: Any) -> None:
        self.store, self.recorder = MemoryStore(), EventRecorder()
        self.outbox = outbox
        limits = {"phone": [], "client": [], "neighbours": [], **limits}
        self.settings = {"limits": limits, **settings}
        self.otp = self.service()

    def service(self) -> AsyncOTPService:
        return self.outbox.service(self.settings, store=self.store, observers=[self.recorder], runner=Nobody())

    async def switch(self, prefix: str = "", *, allows: bool = False, off: bool = False) -> None:
        """Deny or allow a prefix, or pause all sending; ``off`` takes that back."""
        text = None if off else switch_text(Switch(prefix=prefix, allows=allows))
        await self.store.write_setting(prefix_setting(prefix) if prefix else PAUSED, text)

    async def refusals(self) -> list[RefusalRecord]:
        return list(await self.store.refusals(100))


async def refused(otp: AsyncOTPService, phone: str, **more: Any) -> RateLimited:
    """The error of a send by SMS, which must not begin."""
    with pytest.raises(RateLimited) as caught:
        await otp.send_sms(phone, **more)
    return caught.value
