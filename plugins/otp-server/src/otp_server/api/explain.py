"""``/v1/explain``: who would serve a number, and what limits it; nothing is sent."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute

from otp_server.api.auth import caller_of
from otp_server.api.schemas import ExplainBody, Explained, Step
from otp_server.keys import Scope
from otp_server.server import Server

__all__ = ["router"]


def router(server: Server, route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """Its one address."""
    made = APIRouter(prefix="/v1", tags=["explain"], route_class=route_class)

    @made.post("/explain", response_model=Explained, summary="Say who would serve a number")
    async def explain(body: ExplainBody, request: Request) -> Explained:
        caller = await caller_of(server, request, Scope.READ)
        operator = caller.service.operator
        found = await operator.routes.explain(body.to, body.channel, locale=body.locale or "")
        limits = await operator.limits.show(body.to)
        return Explained(
            to=found.phone,
            channel=found.channel,
            route=list(found.route),
            steps=[Step(provider=one.instance, position=one.position, reason=one.reason) for one in found.steps],
            refused=found.refused if caller.reaches(body.to) else "not_this_country",
            barrier=limits.barrier,
            limits=[one.to_dict() for one in limits.sends],
        )

    return made
