"""The log of attempts: what was told to whom, how it ended, and the body, so that it can be told again."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from otp_server.vault import Records
from otp_server.webhooks.calling import Called
from otp_server.webhooks.events import WebhookEvent

__all__ = ["Attempts"]

_NAMESPACE = "attempts"
_DISABLED = "webhooks-off"
_KEPT = timedelta(days=7)
_FOREVER = 10**13  # milliseconds: the latest comes first in the order of the keys


class Attempts:
    """Attempts of all apps, the latest first; kept for a week.

    Args:
        records: Where they are kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    async def add(self, event: WebhookEvent, called: Called, number: int, *, is_last: bool) -> None:
        """One attempt was made."""
        now = datetime.now(UTC)
        key = f"{_FOREVER - int(now.timestamp() * 1000):013d}-{secrets.token_hex(4)}"
        value = {
            "event": event.id,
            "type": event.type,
            "app": event.app,
            "at": now.isoformat(),
            "number": number,
            "status": called.status,
            "problem": called.problem,
            "heard": called.is_heard,
            "last": is_last,
            "body": event.body.decode(),
        }
        await self._records.put(_NAMESPACE, key, value, expires_at=now + _KEPT, about=event.about)

    async def of_app(self, app: str, limit: int) -> list[dict[str, Any]]:
        """Those of one app, the latest first."""
        found = [one for one in await self._records.every(_NAMESPACE) if one.value["app"] == app]
        return [{"attempt": one.key, **one.value} for one in found[:limit]]

    async def event(self, app: str, attempt: str) -> WebhookEvent | None:
        """What was told in an attempt; None: there is none of this app."""
        kept = await self._records.get(_NAMESPACE, attempt)
        if kept is None or kept.value["app"] != app:
            return None
        value = kept.value
        return WebhookEvent(
            id=value["event"], type=value["type"], app=app, body=value["body"].encode(), about=kept.about
        )

    async def switch_off(self, app: str, url: str) -> None:
        """The app said 410: it is told nothing more at this address."""
        await self._records.put(_DISABLED, self._address(app, url), {"at": datetime.now(UTC).isoformat()})

    async def is_off(self, app: str, url: str) -> bool:
        """It said so."""
        return await self._records.get(_DISABLED, self._address(app, url)) is not None

    async def switch_on(self, app: str, url: str) -> None:
        """It is told again."""
        await self._records.delete(_DISABLED, self._address(app, url))

    def _address(self, app: str, url: str) -> str:
        return self._records.vault.digest("webhook address", app, url)[:32]
