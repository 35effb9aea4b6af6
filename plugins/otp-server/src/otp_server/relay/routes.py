"""The addresses at which auth systems hand their messages over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.problems import ProblemError, problem_of
from otp_server.relay import auth0, authentik, kratos, logto, supabase, zitadel
from otp_server.relay.adapter import Adapter, Call
from otp_server.relay.carrying import Handover, carry
from otp_server.server import Server
from otpcore import OTPConfigurationError, OTPError, parse_phone

__all__ = ["ADAPTERS", "routes"]

_logger = logging.getLogger("otpcore.server")

ADAPTERS: Sequence[Adapter] = tuple(one.ADAPTER for one in (supabase, kratos, auth0, authentik, zitadel, logto))
"""One for each auth system; ``RelaysSettings`` has a field of each name."""


def routes(server: Server) -> Sequence[BaseRoute]:
    """Two addresses for each: one of the app without a name, and one of each other app."""
    return [
        Route(f"/v1/relay/{adapter.name}{rest}", endpoint, methods=["POST"])
        for adapter in ADAPTERS
        for endpoint in [_endpoint(server, adapter)]
        for rest in ("", "/{app}")
    ]


def _endpoint(server: Server, adapter: Adapter) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def relayed(request: Request) -> Response:
        try:
            return await carry(await _handover(server, adapter, request))
        except (ProblemError, OTPError, OTPConfigurationError) as error:
            problem = problem_of(error)
            _logger.info("%s was refused a message: %s", adapter.name, problem.reason)
            return adapter.refuse(problem)

    return relayed


async def _handover(server: Server, adapter: Adapter, request: Request) -> Handover:
    """What is asked for, by whom it may be.

    An app that is not there, and one that has no secret for this auth system, are told as a wrong secret is.
    """
    app, body = request.path_params.get("app", ""), await request.body()
    allowed = server.settings.app(app)
    settings = None if allowed is None else allowed.relay.of(adapter.name)
    secrets = settings.secrets if settings is not None else ()
    adapter.prove(Call(headers=request.headers, body=body, now=datetime.now(UTC)), secrets)
    if allowed is None or settings is None:
        raise ProblemError("unauthorized")
    message = adapter.read(body).worded_by(settings.text)
    if not allowed.takes(message.purpose, over=message.channel):
        raise ProblemError("not_this_app")
    service = server.service_of(settings.kind)
    region = service.settings.otp.default_region
    if allowed.countries and not allowed.reaches(parse_phone(message.to, default_region=region, require_valid=False)):
        raise ProblemError("not_this_country")
    return Handover(
        server=server,
        adapter=adapter,
        service=service,
        app=app,
        message=message,
        asked=server.vault.digest("relayed message", adapter.name, app, body.hex()),
    )
