"""Who called, whatever a proxy says of whom it called for."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Peered", "peer_of"]

_KEY = "otp_server.peer"


class Peered:
    """ASGI middleware that notes who called, before a proxy's word is taken."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with the note."""
        await self._app({**scope, _KEY: scope.get("client")}, receive, send)


def peer_of(request: Request) -> str:
    """The address of who called; empty: it is not known."""
    peer: Sequence[str] | None = request.scope.get(_KEY) or request.scope.get("client")
    return str(peer[0]) if peer else ""
