"""``/v1/webhooks``: the log of attempts of an app, and telling one again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.routing import APIRoute

from otp_server.api.auth import caller_of
from otp_server.api.schemas import Attempt, AttemptPage, Replayed
from otp_server.keys import Scope
from otp_server.problems import ProblemError
from otp_server.server import Server

__all__ = ["router"]


def router(server: Server, route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """The addresses of webhooks."""
    made = APIRouter(prefix="/v1/webhooks/attempts", tags=["webhooks"], route_class=route_class)

    @made.get("", response_model=AttemptPage, summary="List attempts, the latest first")
    async def listed(request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> AttemptPage:
        caller = await caller_of(server, request, Scope.MANAGE)
        found = await server.teller.attempts.of_app(caller.app, limit)
        return AttemptPage(attempts=[Attempt(**one) for one in found])

    @made.post("/{attempt_id}/replay", response_model=Replayed, summary="Tell it again, now")
    async def replay(attempt_id: str, request: Request) -> Replayed:
        caller = await caller_of(server, request, Scope.MANAGE)
        event = await server.teller.attempts.event(caller.app, attempt_id)
        called = await server.teller.tell_again(event) if event is not None else None
        if called is None:
            raise ProblemError("not_found")
        return Replayed(heard=called.is_heard, status=called.status, problem=called.problem)

    return made
