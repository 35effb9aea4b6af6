"""Whether the server lives, and whether it can do its work; what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from otp_server.api.auth import caller_of
from otp_server.keys import Scope
from otp_server.problems import problems_page
from otp_server.server import Server
from otpcore import OTPConfigurationError, OTPError

__all__ = ["routes"]

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def routes(server: Server) -> Sequence[BaseRoute]:
    """Addresses for those who watch over the server."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        problems = await _problems(server)
        status = "not ready" if problems else "ready"
        return JSONResponse({"status": status, "problems": problems}, 503 if problems else 200)

    async def metrics(request: Request) -> Response:
        await caller_of(server, request, Scope.READ)
        return Response(server.measures.text(await server.service.status()), media_type=_TEXT)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/problems", problems_page),
    ]


async def _problems(server: Server) -> list[str]:
    """What keeps the server from its work, in fixed words: store, rules, providers, and whatever stops everybody."""
    try:
        facts = await server.service.diagnose()
        status = await server.service.status(window=60.0)
    except (OTPError, OTPConfigurationError) as error:
        return [f"the store does not answer ({type(error).__name__})"]
    found = [] if facts["providers"] else ["no provider is started"]
    return found + [str(one.kind) for one in status.obstacles if one.stops == "everybody"]
