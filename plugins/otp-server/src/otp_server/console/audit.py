"""Audit: who did what, and why."""

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
        return await show(desk, request, "audit.html", {}, heading="Audit")

    return [Route("/audit", shown)]
