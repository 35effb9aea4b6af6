"""Who is signed in: a random word in a cookie, and what is kept of it in the store."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta

from otp_server.console.desk import Desk
from otp_server.console.people import Account

__all__ = ["COOKIE", "LASTS", "Sessions"]

COOKIE = "otp-console"
LASTS = timedelta(hours=12)

_NAMESPACE = "console-sessions"
_WORD = re.compile(r"[A-Za-z0-9_-]{43}")


class Sessions:
    """The sessions of a console.

    Args:
        desk: The console's.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def begin(self, account: Account) -> str:
        """Sign somebody in; the word for the cookie, 256 bits that are kept nowhere."""
        word = secrets.token_urlsafe(32)
        until = datetime.now(UTC) + LASTS
        value = {"name": account.name, "epoch": account.epoch, "until": until.isoformat()}
        await self._desk.records.put(_NAMESPACE, self._key(word), value, expires_at=until, expect=0)
        return word

    async def find(self, word: str) -> Account | None:
        """Whose session it is; None: there is none, or it is over, as is every one from before a reset or a removal."""
        kept = await self._desk.records.get(_NAMESPACE, self._key(word)) if _WORD.fullmatch(word) else None
        if kept is None or datetime.fromisoformat(kept.value["until"]) <= datetime.now(UTC):
            return None
        account = await self._desk.people.find(kept.value["name"])
        return account if account is not None and account.epoch == kept.value["epoch"] else None

    async def end(self, word: str) -> None:
        """Sign out."""
        await self._desk.records.delete(_NAMESPACE, self._key(word))

    def _key(self, word: str) -> str:
        return self._desk.server.vault.digest("console session", word)
