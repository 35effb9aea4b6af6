"""`router`: the service within a FastAPI application of somebody else, whose service it uses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otp_server import widget
from otp_server.api.described import PROBLEMS
from otp_server.app import API, BESIDE, KEY, answer_to
from otp_server.edge import Edge
from otp_server.places import Placed
from otp_server.problems import ProblemError
from otp_server.server import Server
from otpcore import AsyncOTPService, OTPConfigurationError, OTPError

__all__ = ["STATE", "router"]

STATE = "otp_server"
"""Under which the host's ``app.state`` has the open server."""
_TOLD = (RequestValidationError, ProblemError, OTPError, OTPConfigurationError)
Handler = Callable[[Request], Awaitable[Response]]


def router(service: AsyncOTPService, *, prefix: str = "") -> APIRouter:
    """The service's addresses, to be included in a host's application: ``app.include_router(router(otp, prefix="/otp"))``.

    The host opens the service in its own lifespan. What the server needs besides (the sandbox of test keys, webhooks) is opened
    and closed with the router, after the host's own lifespan has begun. The host's dependencies hold for ``/v1`` but for
    receipts; pages, receipts and the console are no affair of theirs, and the last of them is not here.

    Args:
        service: The host's own.
        prefix: Before all addresses; to be given here, and not to ``include_router``, as pages lead to one another.

    Raises:
        OTPConfigurationError: A setting is wrong.
    """
    server = Server(service, opens=False)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with server:
            setattr(app.state, STATE, server)
            yield

    made = APIRouter(prefix=prefix, lifespan=lifespan, route_class=_route_class(server, prefix), responses=PROBLEMS)
    for part in API:
        made.include_router(part.router(server, _route_class(server, prefix)), dependencies=[Depends(KEY)])
    for one in (*(one for more in BESIDE for one in more.routes(server)), *widget.routes()):
        if isinstance(one, Route):
            app = _round(server, prefix, request_response(one.endpoint))
            made.routes.append(Route(f"{prefix}{one.path}", _Asgi(app), methods=[*(one.methods or ())]))
    return made


class _Asgi:
    """An endpoint that speaks ASGI; Starlette asks a function for more."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _round(server: Server, prefix: str, app: ASGIApp) -> ASGIApp:
    return Placed(Edge(app, server.measures), server.settings.public_url, prefix)


def _route_class(server: Server, prefix: str) -> type[APIRoute]:
    """Routes that have the edge of the service round them, in an application that has none."""

    class Edged(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Any]:
            inner = super().get_route_handler()

            async def handle(request: Request) -> Response:
                return await _Within(server, inner).answer(prefix, request)

            return handle

    return Edged


class _Within:
    """One request on its way through the edge to a handler of FastAPI's, whose answer is the host's to send."""

    def __init__(self, server: Server, inner: Handler) -> None:
        self._server = server
        self._inner = inner
        self._foreign: Exception | None = None
        self._begun: Message = {}
        self._body = b""

    async def answer(self, prefix: str, request: Request) -> Response:
        """What is answered.

        Raises:
            Exception: What the host's own dependencies raised.
        """
        await _round(self._server, prefix, self._work)(request.scope, request.receive, self._keep)
        if self._foreign is not None:
            raise self._foreign
        answer = Response(self._body, self._begun["status"])
        answer.raw_headers = list(self._begun["headers"])
        return answer

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._inner(request)
        except _TOLD as error:
            answer = await answer_to(self._server, request, error)
        except Exception as error:  # noqa: BLE001 - whoever raised it, the host tells of it
            self._foreign, answer = error, Response(status_code=500)
        await answer(scope, receive, send)

    async def _keep(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = message
        else:
            self._body += message.get("body", b"")
