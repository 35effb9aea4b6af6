"""What is kept of one page: sealed, found by a digest of its token, changed by compare and set."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from otp_server.keys import Kind
from otp_server.server import Server
from otpcore import StoreError

__all__ = ["Page", "Pages"]

_NAMESPACE = "pages"
_TOKEN_BYTES = 16
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_TOLD_FOR = timedelta(hours=1)  # for so long a page says that its code is over, before there is no such page
_TRIES = 20


@attrs.frozen(kw_only=True)
class Page:
    """One page. All that it shows comes from here, and nothing of it from what became of a message.

    Args:
        verification: The challenge's id.
        is_decoy: Nothing was ever sent, and no code is right.
        kind: Of the key that opened it.
        app: Whose.
        purpose: Of the challenge.
        to: The number, masked.
        locale: Of the person; empty: the browser is asked.
        channels: Over which the code may go, in this order.
        channel: Over which it was asked for last.
        started_at: When it was asked for first; aware UTC.
        expires_at: Until when a code is taken; aware UTC.
        asked_at: By channel, when it was asked for last.
        tries: Codes that did not fit.
        browser: Digest of the cookie of the browser that opened it first; empty: none has.
        said: What is to be told at the next look: a key of what went wrong, or ``asked``; empty: nothing.
        is_done: The right code was typed here.
        bind: The payment that the code confirms: payee, amount, currency; None: it confirms none.
        return_url: Where it leads in the end; empty: nowhere.
        state: Of the application, handed back there.
        about: The look-up of the phone.
    """

    verification: str
    is_decoy: bool = False
    kind: Kind = attrs.field(converter=Kind)
    app: str = ""
    purpose: str
    to: str
    locale: str = ""
    channels: tuple[str, ...]
    channel: str
    started_at: datetime
    expires_at: datetime
    asked_at: dict[str, datetime]
    tries: int = 0
    browser: str = ""
    said: str = ""
    is_done: bool = False
    bind: dict[str, str] | None = attrs.field(default=None, repr=False)
    return_url: str = ""
    state: str = ""
    about: str

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            **attrs.asdict(self, recurse=False),
            "kind": str(self.kind),
            "started_at": self.started_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "asked_at": {channel: at.isoformat() for channel, at in self.asked_at.items()},
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Page:
        """What ``to_dict`` made."""
        times = {name: datetime.fromisoformat(value[name]) for name in ("started_at", "expires_at")}
        asked = {channel: datetime.fromisoformat(at) for channel, at in value["asked_at"].items()}
        return cls(**{**value, **times, "channels": tuple(value["channels"]), "asked_at": asked})

    def resend_at(self, channel: str, cooldown: float) -> datetime:
        """From when on it may be asked for over this channel."""
        asked = self.asked_at.get(channel)
        return self.started_at if asked is None else asked + timedelta(seconds=cooldown)


@attrs.frozen(kw_only=True)
class Pages:
    """The pages of a server, in its store.

    Args:
        server: Whose records and keys they use.
    """

    server: Server

    async def open(self, page: Page) -> str:
        """Keep a new page; its token, 128 bits that are kept nowhere."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        await self.server.records.put(
            _NAMESPACE,
            self._key(token),
            page.to_dict(),
            expires_at=page.expires_at + _TOLD_FOR,
            expect=0,
            about=page.about,
        )
        return token

    async def find(self, token: str) -> Page | None:
        """The page of a token; None: there is none, or it is over for long."""
        kept = await self.server.records.get(_NAMESPACE, self._key(token)) if _TOKEN.fullmatch(token) else None
        if kept is None:
            return None
        page = Page.from_dict(kept.value)
        return page if datetime.now(UTC) < page.expires_at + _TOLD_FOR else None

    async def change(self, token: str, how: Callable[[Page], Page]) -> Page | None:
        """Change a page, whoever else does at the same time; None: there is none.

        Raises:
            StoreError: Others kept changing it.
        """
        for _ in range(_TRIES):
            kept = await self.server.records.get(_NAMESPACE, self._key(token))
            if kept is None:
                return None
            old = Page.from_dict(kept.value)
            new = how(old)
            if new == old:
                return old
            until = new.expires_at + _TOLD_FOR
            if await self.server.records.put(
                _NAMESPACE, self._key(token), new.to_dict(), expires_at=until, expect=kept.version, about=new.about
            ):
                return new
        raise StoreError("other requests kept changing this page; try again")

    def browser(self, token: str, cookie: str) -> str:
        """What is kept of the browser that opened a page."""
        return self.server.vault.digest("page browser", token, cookie)

    def _key(self, token: str) -> str:
        return self.server.vault.digest("page token", token)
