"""Now: is it working, where not, since when, and what helps."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import person_of
from otp_server.console.desk import Desk
from otp_server.console.frame import show

__all__ = ["routes"]


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Its address."""

    async def shown(request: Request) -> Response:
        await person_of(desk, request)
        return await show(desk, request, "now.html", {}, heading="Now", is_live=True)

    return [Route("/", shown)]
