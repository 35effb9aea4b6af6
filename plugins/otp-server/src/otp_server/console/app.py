"""`create_console`: the console as an ASGI application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otp_server import html
from otp_server.console import (
    audit,
    deliveries,
    inbox,
    keys,
    limits,
    now,
    person,
    providers,
    refused,
    rules,
    signing_in,
    switches,
    waiting,
    webhooks,
)
from otp_server.console.asking import ForbiddenError, FormError, SignInError
from otp_server.console.desk import Desk
from otp_server.console.frame import at
from otp_server.console.problems import problem_page
from otp_server.edge import Edge, tell
from otp_server.problems import problem_of
from otp_server.server import Server

__all__ = ["PARTS", "console_at", "create_console"]

PARTS: Sequence[Callable[[Desk], Sequence[BaseRoute]]] = (
    now.routes,
    waiting.routes,
    rules.routes,
    switches.routes,
    providers.routes,
    webhooks.routes,
    keys.routes,
    deliveries.routes,
    person.routes,
    refused.routes,
    limits.routes,
    audit.routes,
    inbox.routes,
    signing_in.routes,
)
"""What has pages."""


def create_console(server: Server) -> Starlette:
    """The console as an application of its own; the server is open while it answers.

    Args:
        server: Whose console it is.
    """
    return _console(server, [Middleware(Edge, measures=server.measures)])


def console_at(server: Server) -> Starlette:
    """The console to be mounted in an application that has the edge already."""
    return _console(server, [])


def _console(server: Server, outermost: Sequence[Middleware]) -> Starlette:
    desk = Desk(server=server)
    found = [route for routes in PARTS for route in routes(desk)]

    async def of_the_framework(request: Request, error: Exception) -> Response:
        return problem_page(desk, request, error)

    return Starlette(
        routes=[*found, *html.routes()],
        middleware=[*outermost, Middleware(_Told, desk=desk)],
        exception_handlers={HTTPException: of_the_framework},
    )


class _Told:
    """ASGI middleware: whatever is in the way is told as a page."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; everything else goes on as it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def answer(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            if has_begun:
                raise
            response = self._response(Request(scope), error)
            await response(scope, receive, send)

    def _response(self, request: Request, error: Exception) -> Response:
        if isinstance(error, SignInError):
            return _sign_in(request)
        if not isinstance(error, ForbiddenError | FormError):
            tell(problem_of(error), error)
        return problem_page(self._desk, request, error)


def _sign_in(request: Request) -> Response:
    """To the page for signing in, and from there on to what was looked for."""
    wanted = request.url.path.removeprefix(request.scope.get("root_path", ""))
    query = f"?{request.url.query}" if request.url.query else ""
    asked = f"?{urlencode({'next': wanted + query})}" if request.method == "GET" and wanted != "/" else ""
    return Response(status_code=303, headers={"Location": at(request, f"/sign-in{asked}"), "Cache-Control": "no-store"})
