"""The inbox: what people would have received from the sandbox, as a page and as JSON. Never what went to anybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from otp_server import html
from otp_server.api.auth import caller_of
from otp_server.keys import Kind, Scope
from otp_server.problems import ProblemError
from otp_server.server import Server
from otpcore import DeliveredMessage

__all__ = ["routes"]

_LOOPBACK = {"127.0.0.1", "::1"}
_NAMES = {*_LOOPBACK, "localhost"}


def routes(server: Server) -> Sequence[BaseRoute]:
    """Its page, which only a sandbox on this machine shows, and its JSON, for a test key."""

    async def shown(request: Request) -> Response:
        if not _is_at_home(server, request):
            raise ProblemError("not_found")
        messages = [_told(one) for one in await _kept(server)]
        return html.page("inbox/inbox.html", {"messages": messages, "keys_are_kept": not _has_no_keys(server)})

    async def listed(request: Request) -> Response:
        caller = await caller_of(server, request, Scope.READ)
        if caller.key.kind is not Kind.TEST:
            raise ProblemError("forbidden")
        own = [_told(one) for one in await _kept(server, caller.app)]
        return JSONResponse({"messages": own}, headers={"Cache-Control": "no-store"})

    async def first(_: Request) -> Response:
        return Response(status_code=303, headers={"Location": "/inbox"})

    made: list[BaseRoute] = [Route("/inbox", shown), Route("/v1/inbox", listed), *html.routes()]
    return [*made, Route("/", first)] if server.is_sandbox else made


def _is_at_home(server: Server, request: Request) -> bool:
    """Who looks is on this machine, by a name of it, and the whole server is a sandbox.

    A stranger's page can have its own name resolve to this machine; then the browser says that name.
    """
    caller = request.client.host if request.client is not None else ""
    return server.is_sandbox and caller in _LOOPBACK and request.url.hostname in _NAMES


def _has_no_keys(server: Server) -> bool:
    return server.otp_settings.needs_throw_away_keys


async def _kept(server: Server, app: str | None = None) -> list[DeliveredMessage]:
    """The latest first, of one app or of all; who was erased, by whatever process, was sent nothing."""
    found = server.sandbox.sandbox_inbox()
    apps: dict[str, str | None] = {}
    for one in found:
        if one.challenge_id not in apps:
            views = await server.sandbox.store.view(challenge_id=one.challenge_id)
            apps[one.challenge_id] = views[0].challenge.app if views else None
    return [one for one in reversed(found) if (of := apps[one.challenge_id]) is not None and app in (None, of)]


def _told(message: DeliveredMessage) -> dict[str, Any]:
    return {
        "verification": message.challenge_id,
        "to": message.phone.e164,
        "channel": str(message.channel),
        "provider": message.instance,
        "purpose": message.purpose,
        "locale": message.locale,
        "code": message.code,
        "text": message.text,
    }
