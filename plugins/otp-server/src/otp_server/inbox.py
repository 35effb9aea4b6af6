"""The inbox: what people would have received from the sandbox, as a page and as JSON. Never what went to anybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from otp_server import html
from otp_server.api.auth import caller_of
from otp_server.console.inbox import at_home
from otp_server.keys import Kind, Scope
from otp_server.networks import is_among
from otp_server.problems import ProblemError
from otp_server.received import received
from otp_server.server import Server
from otpcore import DeliveredMessage

__all__ = ["routes"]

_LOOPBACK = ("127.0.0.1", "::1")
_NAMES = {*_LOOPBACK, "localhost"}


def routes(server: Server) -> Sequence[BaseRoute]:
    """Its page, which only a sandbox on this machine shows, and its JSON, for a test key."""

    async def shown(request: Request) -> Response:
        if not _is_at_home(server, request):
            raise ProblemError("not_found")
        return await at_home(server, request)

    async def listed(request: Request) -> Response:
        caller = await caller_of(server, request, Scope.READ)
        if caller.key.kind is not Kind.TEST:
            raise ProblemError("forbidden")
        own = [_told(one) for one in await received(server, caller.app)]
        return JSONResponse({"messages": own}, headers={"Cache-Control": "no-store"})

    async def first(_: Request) -> Response:
        return Response(status_code=303, headers={"Location": "/inbox"})

    made: list[BaseRoute] = [
        Route("/inbox", shown, methods=["GET", "POST"]),
        Route("/v1/inbox", listed),
        *html.routes(),
    ]
    return [*made, Route("/", first)] if server.is_sandbox else made


def _is_at_home(server: Server, request: Request) -> bool:
    """Who looks is on this machine, by a name of it, and the whole server is a sandbox.

    A stranger's page can have its own name resolve to this machine; then the browser says that name.
    """
    caller = request.client.host if request.client is not None else ""
    return server.is_sandbox and is_among(caller, _LOOPBACK) and request.url.hostname in _NAMES


def _told(message: DeliveredMessage) -> dict[str, Any]:
    return {
        "verification": message.challenge_id,
        "to": message.phone.e164,
        "channel": str(message.channel),
        "provider": message.instance,
        "purpose": message.purpose,
        "locale": message.locale,
        "at": message.at.isoformat(),
        "code": message.code,
        "text": message.text,
    }
