"""``/v1/decoys``: a page for a number to which nothing is to be sent, so that nobody can tell."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from otp_server.api.auth import Caller, caller_of
from otp_server.api.schemas import Decoy, PageBody, StartBody
from otp_server.idempotency import DESCRIBED, Answered, once
from otp_server.keys import Scope
from otp_server.pages.opening import check_page, open_decoy
from otp_server.server import Server

__all__ = ["router"]


def router(server: Server, route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """Its one address."""
    made = APIRouter(prefix="/v1", tags=["verifications"], route_class=route_class)

    @made.post(
        "/decoys",
        status_code=202,
        response_model=Decoy,
        summary="Open a page and send nothing",
        openapi_extra=DESCRIBED,
    )
    async def decoy(body: StartBody, request: Request) -> Response:
        caller = await caller_of(server, request, Scope.VERIFY)
        return await once(server, caller, request, lambda: _decoy(server, caller, request, body), phone=body.to)

    return made


async def _decoy(server: Server, caller: Caller, request: Request, body: StartBody) -> Answered:
    caller.check(purpose=body.purpose, channels=body.named, to=None)
    check_page(caller, body.page or PageBody())
    page_url, expires_at = await open_decoy(server, caller, request, body)
    return Answered(status=202, body=Decoy(page_url=page_url, expires_at=expires_at))
