"""The log of attempts: what was told to whom, how it ended, and the body, so that it can be told again."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from otp_server.vault import Records
from otp_server.webhooks.calling import Called
from otp_server.webhooks.events import WebhookEvent
from otpcore.stores import AuditRecord

__all__ = ["Attempts"]

_NAMESPACE = "attempts"
_DISABLED = "webhooks-off"
_KEPT = timedelta(days=7)
_KEY = re.compile(r"[0-9]{13}-[0-9a-f]{8}")
_AT_ONCE = 200
_LOOKS = 20  # of so many for one page
_FOREVER = 10**13  # milliseconds: the latest comes first in the order of the keys


class Attempts:
    """Attempts of all apps, the latest first; kept for a week.

    Args:
        records: Where they are kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    async def add(
        self, event: WebhookEvent, called: Called, number: int, *, is_last: bool, audit: AuditRecord | None = None
    ) -> str:
        """One attempt was made, by an operator where there is a record of it; its key."""
        now = datetime.now(UTC)
        key = f"{_key_of(now)}-{secrets.token_hex(4)}"
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
        await self._records.put(_NAMESPACE, key, value, expires_at=now + _KEPT, about=event.about, audit=audit)
        return key

    async def page(
        self,
        fits: Callable[[Mapping[str, Any]], bool],
        *,
        since: datetime | None = None,
        after: str | None = None,
        limit: int,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Attempts, the latest first, and the cursor of those that follow; None: there are none.

        A page may be short though more follow: a few thousand are looked at.

        Args:
            fits: Whether an attempt is meant.
            since: Not those before; None: from the first on.
            after: The cursor of the page before; None: the first page.
            limit: How many.
        """
        found: list[dict[str, Any]] = []
        last = "" if since is None else _key_of(since)
        for _ in range(_LOOKS):
            some, after = await self._records.some(_NAMESPACE, after=after, limit=_AT_ONCE)
            for one in some:
                if last and one.key > last:
                    return found, None
                if fits(one.value):
                    found.append({"attempt": one.key, **one.value})
                    if len(found) == limit:
                        is_end = after is None and one is some[-1]
                        return found, None if is_end else one.key
            if after is None:
                break
        return found, after

    async def of_app(self, app: str, limit: int) -> list[dict[str, Any]]:
        """Those of one app, the latest first."""
        return (await self.page(lambda one: one["app"] == app, limit=limit))[0]

    async def get(self, attempt: str) -> dict[str, Any] | None:
        """One attempt; None: there is none."""
        kept = await self._records.get(_NAMESPACE, attempt) if _KEY.fullmatch(attempt) else None
        return None if kept is None else {"attempt": kept.key, **kept.value}

    async def event(self, app: str, attempt: str) -> WebhookEvent | None:
        """What was told in an attempt; None: there is none of this app."""
        kept = await self._records.get(_NAMESPACE, attempt) if _KEY.fullmatch(attempt) else None
        if kept is None or kept.value["app"] != app:
            return None
        found = kept.value
        return WebhookEvent(
            id=found["event"], type=found["type"], app=app, body=found["body"].encode(), about=kept.about
        )

    async def switch_off(self, app: str, url: str) -> None:
        """The app said 410: it is told nothing more at this address."""
        await self._records.put(_DISABLED, self._address(app, url), {"at": datetime.now(UTC).isoformat()})

    async def off_since(self, app: str, url: str) -> datetime | None:
        """When it said so; None: it did not."""
        kept = await self._records.get(_DISABLED, self._address(app, url))
        return None if kept is None else datetime.fromisoformat(kept.value["at"])

    async def switch_on(self, app: str, url: str, *, audit: AuditRecord | None = None) -> bool:
        """It is told again; False: it was not off."""
        return await self._records.delete(_DISABLED, self._address(app, url), audit=audit)

    def _address(self, app: str, url: str) -> str:
        return self._records.vault.digest("webhook address", app, url)[:32]


def _key_of(moment: datetime) -> str:
    """How the keys of its time begin."""
    return f"{_FOREVER - int(moment.timestamp() * 1000):013d}"
