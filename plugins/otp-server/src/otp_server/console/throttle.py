"""Tries to sign in are counted in the store, so that all processes count together, before anything is compared."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

from otp_server.vault import Records
from otpcore import StoreError

__all__ = ["Throttle"]

_NAMESPACE = "console-tries"
_WINDOW = timedelta(minutes=15)
_MOST = {"name": 10, "address": 30}
_TRIES = 20
_SIX, _CUSTOMERS = 6, 64


class Throttle:
    """How often may be tried: ten times in a quarter of an hour under a name, thirty times from an address.

    Args:
        records: Where it is counted.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    async def charge(self, name: str, address: str) -> datetime | None:
        """Count a try under this name and from this address; from when on one may try again, None: now.

        What is refused is not counted, so that who goes on trying keeps the owner out no longer.
        """
        ends = [await self._charged("address", _whose(address)), await self._charged("name", name)]
        return max((one for one in ends if one is not None), default=None)

    async def forget(self, name: str) -> None:
        """What was counted under a name, after it was proven."""
        await self._records.delete(_NAMESPACE, self._key("name", name))

    async def _charged(self, what: str, text: str) -> datetime | None:
        key = self._key(what, text)
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

    def _key(self, what: str, text: str) -> str:
        return self._records.vault.digest("console tries", what, text)


def _whose(address: str) -> str:
    """What one customer of a network has: of IPv6 it is a /64 at least."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((known, _CUSTOMERS), strict=False)) if known.version == _SIX else address
