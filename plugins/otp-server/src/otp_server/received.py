"""What the sandbox kept from people, by whatever process; but for those who were erased since."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from otpcore import Channel, DeliveredMessage, OTPError, parse_phone

if TYPE_CHECKING:
    from otp_server.server import Server

__all__ = ["Shared", "received"]

_NAMESPACE = "inbox"
_KEPT = timedelta(days=1)
_MOST = 500  # messages of one process; a newer one takes the place of the oldest
_EVERY = 1.0  # seconds; what was sent for a request is shared before its answer, so this is for retries


@attrs.define(eq=False)
class Shared:
    """Puts what this process's sandbox kept into the store, sealed, so that every process shows it.

    A server that is a sandbox as a whole is one process, and needs none of it.
    """

    server: Server
    _process: str = attrs.field(factory=lambda: secrets.token_hex(8))
    _count: int = 0
    _last: DeliveredMessage | None = None
    _turn: anyio.Lock = attrs.field(factory=anyio.Lock)

    async def run(self) -> None:
        """Share until it is cancelled; a store that is away is waited for."""
        while True:
            await anyio.sleep(_EVERY)
            try:
                await self.share()
            except OTPError:
                continue  # what is not shared yet is shared the next time

    async def share(self) -> None:
        """Share what is new."""
        if self.server.is_sandbox:
            return
        async with self._turn:
            for one in self._fresh():
                await self._put(one)
                self._last = one

    def _fresh(self) -> Sequence[DeliveredMessage]:
        """What came after the last one that was shared, the oldest first."""
        found: list[DeliveredMessage] = []
        for one in reversed(self.server.sandbox.sandbox_inbox()):
            if one is self._last or len(found) == _MOST:
                break
            found.append(one)
        return found[::-1]

    async def _put(self, one: DeliveredMessage) -> None:
        about = await self.server.sandbox.operator.look_up(one.phone.e164)
        value = {
            **attrs.asdict(one, filter=attrs.filters.exclude("phone")),
            "phone": one.phone.e164,
            "channel": str(one.channel),
            "at": one.at.isoformat(),
        }
        key = f"{self._process}-{self._count % _MOST:03}"
        await self.server.records.put(_NAMESPACE, key, value, expires_at=datetime.now(UTC) + _KEPT, about=about)
        self._count += 1
        if not await self.server.sandbox.store.challenges({one.challenge_id}):  # erased meanwhile: nothing is noted
            await self.server.records.delete(_NAMESPACE, key)


async def received(server: Server, app: str | None = None) -> list[DeliveredMessage]:
    """The latest first, of one app; None: of all."""
    if server.is_sandbox:
        found = list(server.sandbox.sandbox_inbox())
    else:
        await server.inbox.share()
        found = [_message(one.value) for one in await server.records.every(_NAMESPACE)]
    kept = await server.sandbox.store.challenges({one.challenge_id for one in found})
    apps = {one.id: one.app for one in kept}
    own = [one for one in reversed(found) if one.challenge_id in apps and app in (None, apps[one.challenge_id])]
    return sorted(own, key=lambda one: one.at, reverse=True)


def _message(value: dict[str, Any]) -> DeliveredMessage:
    return DeliveredMessage(
        **{
            **value,
            "phone": parse_phone(value["phone"], require_valid=False),
            "channel": Channel(value["channel"]),
            "at": datetime.fromisoformat(value["at"]),
        }
    )
