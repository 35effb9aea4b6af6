"""Where the service lies: below which path of a host or a proxy. Inside, every address is as if there were nothing before it."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Placed", "outside"]

_DESCRIPTION = "/openapi.json"  # which names what is before all paths
_base: ContextVar[str] = ContextVar("otp_server_base", default="")


def outside(path: str) -> str:
    """An address of ours, as the browser reaches it whose request is being answered."""
    return f"{_base.get()}{path}"


class Placed:
    """ASGI middleware before everything of ours: takes off what is before our paths, and puts it into where answers lead.

    Args:
        app: What answers.
        public_url: Under which others reach the service, with its path; empty: as they call it.
        prefix: Before our paths, besides what a host mounts us at.
    """

    def __init__(self, app: ASGIApp, public_url: str = "", prefix: str = "") -> None:
        self._app = app
        self._public = urlsplit(public_url).path.rstrip("/") if public_url else None
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        before = f"{scope.get('root_path', '')}{self._prefix}"
        base = before if self._public is None else self._public
        path = str(scope["path"])
        own = path.removeprefix(before) if path.startswith(f"{before}/") else path

        async def answer(message: Message) -> None:
            if base and message["type"] == "http.response.start":
                message["headers"] = _leading(message.get("headers", ()), base.encode())
            await send(message)

        token = _base.set(base)
        try:
            root = base if own == _DESCRIPTION else ""
            await self._app({**scope, "path": own, "root_path": root}, receive, answer)
        finally:
            _base.reset(token)


def _leading(headers: Iterable[tuple[bytes, bytes]], base: bytes) -> list[tuple[bytes, bytes]]:
    """The same, but that what leads to an address of ours leads to it below the base."""
    return [(name, base + value if _is_ours(name, value, base) else value) for name, value in headers]


def _is_ours(name: bytes, value: bytes, base: bytes) -> bool:
    return name.lower() == b"location" and value.startswith(b"/") and not value.startswith((b"//", base + b"/"))
