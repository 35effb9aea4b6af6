"""Receipts of every plugin: what a vendor reports comes here, and is answered as the vendor wants it."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.places import outside
from otp_server.problems import ProblemError
from otp_server.server import Server
from otpcore import ReceiptRequest, UnknownProviderError

__all__ = ["routes"]

_METHODS = ["GET", "POST", "PUT"]


def routes(server: Server) -> Sequence[BaseRoute]:
    """One address for each instance, and one for each message of a vendor that signs nothing."""

    async def receipt(request: Request) -> Response:
        told = ReceiptRequest(
            method=request.method,
            url=_public_url(server, request),
            headers=request.headers,
            body=await request.body(),
        )
        try:
            result = await server.service.handle_receipt(request.path_params["instance"], told)
        except UnknownProviderError:
            raise ProblemError("not_found") from None
        return Response(result.text, result.status, result.headers)

    return [
        Route("/v1/receipts/{instance}", receipt, methods=_METHODS),
        Route("/v1/receipts/{instance}/{delivery}/{proof}", receipt, methods=_METHODS),
    ]


def _public_url(server: Server, request: Request) -> str:
    """As the vendor called it, which is what it signs."""
    if not server.settings.public_url:
        return str(request.url.replace(path=outside(request.url.path)))
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{server.settings.public_url.rstrip('/')}{request.url.path}{query}"
