"""`create_app`: everything that the service answers, as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Route

from otp_server import health, inbox, pages, receipts, relay, widget
from otp_server.api import decoys, explain, messages, verifications, webhooks
from otp_server.api.auth import is_known
from otp_server.api.described import PROBLEMS, Described, name_of
from otp_server.console.app import console_at
from otp_server.edge import Edge, request_id
from otp_server.places import Placed
from otp_server.problems import ProblemError, faults_of, problem_of, respond
from otp_server.server import Server
from otpcore import AsyncOTPService, OTPConfigurationError, OTPError

__all__ = ["API", "BESIDE", "KEY", "answer_to", "app_of", "create_app"]

KEY = HTTPBearer(
    auto_error=False, description="A key of `otp keys api new`."
)  # for the description; api/auth.py reads it
API = (verifications, decoys, messages, explain, webhooks)
"""Parts whose addresses are described."""
BESIDE = (health, receipts, relay, inbox, pages)
"""Parts whose addresses are not."""
_BY_STATUS = {404: "not_found", 405: "method_not_allowed"}


def create_app(service: AsyncOTPService) -> FastAPI:
    """The service as an ASGI application, which opens and closes what it is given with its lifespan.

    A host that mounts it runs that itself: ``async with app.router.lifespan_context(app)`` in the lifespan of its own.

    Args:
        service: Not open. Its settings say everything, below ``server`` too.

    Raises:
        OTPConfigurationError: A setting is wrong.
    """
    return app_of(Server(service))


def app_of(server: Server) -> FastAPI:
    """The application of a server that is not open yet."""

    @asynccontextmanager
    async def lifespan(opened: FastAPI) -> AsyncIterator[None]:
        async with server:
            opened.state.otp_server = server
            yield

    app = Described(
        title="otpcore",
        summary="Send one-time passcodes and check them.",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # an address is one address, and a body is sent once
        lifespan=lifespan,
        middleware=[
            Middleware(Placed, public_url=server.settings.public_url),
            Middleware(Edge, measures=server.measures),
        ],
        responses=PROBLEMS,
        generate_unique_id_function=name_of,
    )
    for part in API:
        app.include_router(part.router(server), dependencies=[Depends(KEY)])
    for more in BESIDE:
        app.router.routes.extend(more.routes(server))
    app.router.routes.extend(widget.routes())
    console = server.settings.console
    if console.on and console.path:
        app.router.routes.append(Route(console.path, _below))
        app.mount(console.path, console_at(server))
    for kind in (ProblemError, OTPError, OTPConfigurationError, RequestValidationError):
        app.add_exception_handler(kind, partial(answer_to, server))
    app.add_exception_handler(HTTPException, _of_the_framework)
    return app


async def _below(request: Request) -> Response:
    return RedirectResponse(f"{request.url.path}/", 303)


async def answer_to(server: Server, request: Request, error: Exception) -> Response:
    """What is answered to an error; of a body, what is wrong with it by its place, and not what stood there.

    Only those with a key hear what is wrong with a body.
    """
    if not isinstance(error, RequestValidationError):
        return respond(problem_of(error), request_id())
    if not await is_known(server, request):
        return respond(ProblemError("unauthorized").problem, request_id())
    found: Sequence[Any] = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return respond(ProblemError("malformed").problem, request_id())
    return respond(ProblemError("invalid", errors=faults_of(found)).problem, request_id())


async def _of_the_framework(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 0
    response = respond(ProblemError(_BY_STATUS.get(status, "malformed")).problem, request_id())
    allowed = (error.headers or {}).get("Allow") if isinstance(error, HTTPException) else None
    if allowed is not None:
        response.headers["Allow"] = _methods(request, allowed)
    return response


def _methods(request: Request, found: str) -> str:
    """All that an address takes: it may stand in several routes, of which the framework names the first."""
    routes = [
        one for one in request.app.routes if isinstance(one, Route) and one.matches(request.scope)[0] is not Match.NONE
    ]
    return ", ".join(sorted({*found.split(", "), *(method for one in routes for method in one.methods or ())}))
