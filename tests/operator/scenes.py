"""What the tests of the operator work with: settings of a file, and who looks at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from otpcore import AsyncOTPService
from otpcore.runners.worker import WorkerRunner
from otpcore.testing import EventRecorder, Outbox

PHONE = "+359871234567"
OTHER_PHONE = "+4915112345678"
BY = {"by": "ann", "reason": "mada is down"}

QUEUEING: dict[str, Any] = {
    "sms": {"retry": True},
    "retry": {"first_delay": 60, "max_delay": 60},
    "limits": {"phone": [], "client": ["20/1h"], "prefix": {"+359": ["50/1h"]}},
}


@attrs.frozen
class Scene:
    """A service whose provider is a second outbox too, and what it tells."""

    otp: AsyncOTPService
    outbox: Outbox
    second: Outbox
    events: EventRecorder

    async def changes(self) -> list[tuple[str, str]]:
        """The trail, the oldest first."""
        return [(one.action, one.target) for one in reversed(await self.otp.operator.audit())]

    async def queued(self, phone: str) -> str:
        """The id of a challenge whose retry waits."""
        self.outbox.fail("unavailable")
        self.second.fail("unavailable")
        return (await self.otp.send_sms(phone)).id


@asynccontextmanager
async def open_scene(outbox: Outbox) -> AsyncIterator[Scene]:
    """A service that retries, and whose retries run when a test says so."""
    events, second = EventRecorder(), Outbox(clock=outbox.clock)
    forced = {"outbox": outbox, "second": second}
    async with outbox.service(QUEUEING, providers=forced, observers=[events], runner=WorkerRunner()) as otp:
        yield Scene(otp, outbox, second, events)


def on_file(directory: Path, **sections: Any) -> dict[str, Any]:
    """Settings with keys for tests and an SQLite file that many services see."""
    url = f"sqlite:///{directory / 'otp.sqlite3'}"
    return {**Outbox().settings, "storage": {"url": url}, "routing": {"reload_every": 0.1}, **sections}
