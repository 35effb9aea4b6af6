"""Tries to sign in are counted in the store, so that all processes count together, before anything is compared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from otp_server.vault import Records
from otpcore import StoreError
from otpcore.embedding import same_client

__all__ = ["Throttle"]

_NAMESPACE, _KNOWN = "console-tries", "console-known"
_WINDOW = timedelta(minutes=15)
_REMEMBERED = timedelta(days=30)
_MOST = {"address": 30, "name from there": 10, "name": 100}
_TRIES = 20


class Throttle:
    """How often may be tried in a quarter of an hour: thirty times from an address, ten of them under one name.

    Under one name a hundred times from anywhere: so many addresses together guess no better. That keeps no owner out who has
    signed in from the same address within thirty days, since from there the name is not counted so (OWASP's advice against
    locking accounts, with the address for the device).

    Args:
        records: Where it is counted.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    async def charge(self, name: str, address: str) -> datetime | None:
        """Count a try under this name and from this address; from when on one may try again, None: now.

        What is refused is counted no further, so that who goes on trying keeps the owner out no longer.
        """
        there = same_client(address)
        is_known = await self._records.get(_KNOWN, self._key("known", name, there)) is not None
        counters = {"address": (there,), "name from there": (name, there), **({} if is_known else {"name": (name,)})}
        for what, words in counters.items():
            ends = await self._charged(what, *words)
            if ends is not None:
                return ends
        return None

    async def proven(self, name: str, address: str) -> None:
        """Somebody has signed in: what they got wrong before is forgotten, and where they are is known."""
        there = same_client(address)
        await self._records.delete(_NAMESPACE, self._key("name from there", name, there))
        until = datetime.now(UTC) + _REMEMBERED
        await self._records.put(_KNOWN, self._key("known", name, there), {}, expires_at=until)

    async def _charged(self, what: str, *words: str) -> datetime | None:
        key = self._key(what, *words)
        for _ in range(_TRIES):
            now = datetime.now(UTC)
            kept = await self._records.get(_NAMESPACE, key)
            value: dict[str, Any] = kept.value if kept is not None else {}
            until = datetime.fromisoformat(value["until"]) if value else now
            count = value["count"] if until > now else 0
            until = until if until > now else now + _WINDOW
            if count >= _MOST[what]:
                return until
            counted = {"count": count + 1, "until": until.isoformat()}
            expect = kept.version if kept is not None else 0
            if await self._records.put(_NAMESPACE, key, counted, expires_at=until, expect=expect) is not None:
                return None
        raise StoreError("other requests kept counting; try again")

    def _key(self, what: str, *words: str) -> str:
        return self._records.vault.digest("console tries", what, *words)
