"""Sign in and out. Whatever is wrong with a name, a password or digits is told in the same words, after as long."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import person_of, read_form
from otp_server.console.desk import Desk
from otp_server.console.frame import at, bare
from otp_server.console.sessions import COOKIE, LASTS, Sessions
from otp_server.console.throttle import Throttle
from otp_server.forms import cookie_name, form_token, is_secure

__all__ = ["routes"]

_logger = logging.getLogger("otpcore.server")
_BINDING = "console sign-in"  # there is no session yet; that the form comes from here the browser says
_LONGEST_NAME = 64
_REFUSED, _TOO_OFTEN = 422, 429


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Its addresses."""

    async def shown(request: Request) -> Response:
        return _page(desk, request, {})

    async def sign_in(request: Request) -> Response:
        form = await read_form(desk, request, _BINDING)
        name = form.get("name", "").strip().lower()[:_LONGEST_NAME]
        throttle, address = Throttle(desk.records), request.client.host if request.client is not None else ""
        again = await throttle.charge(name, address)
        if again is not None:
            _logger.warning("console: signing in was tried too often")
            return _page(desk, request, {"again": again}, name=name, status=_TOO_OFTEN)
        account = await desk.people.prove(name, form.get("password", ""), form.get("digits", ""))
        if account is None:
            _logger.warning("console: signing in was refused")
            return _page(desk, request, {"is_wrong": True}, name=name, status=_REFUSED)
        await throttle.proven(name, address)
        word = await Sessions(desk).begin(account)
        _logger.info("console: %s signed in", account.name)
        response = Response(
            status_code=303, headers={"Location": at(request, _next(request)), "Cache-Control": "no-store"}
        )
        response.set_cookie(
            _cookie(desk, request),
            word,
            max_age=int(LASTS.total_seconds()),
            path="/",
            httponly=True,
            secure=is_secure(desk.server, request, public_url=desk.public_url),
            samesite="strict",
        )
        return response

    return [
        Route("/sign-in", shown, methods=["GET"]),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/sign-out", partial(_sign_out, desk), methods=["POST"]),
    ]


async def _sign_out(desk: Desk, request: Request) -> Response:
    person = await person_of(desk, request)
    await read_form(desk, request, person.binding)
    name = _cookie(desk, request)
    await Sessions(desk).end(request.cookies.get(name, ""))
    response = Response(status_code=303, headers={"Location": at(request, "/sign-in"), "Cache-Control": "no-store"})
    secure = is_secure(desk.server, request, public_url=desk.public_url)
    response.delete_cookie(name, path="/", httponly=True, secure=secure, samesite="strict")
    return response


def _page(
    desk: Desk,
    request: Request,
    said: dict[str, bool | datetime],
    *,
    name: str = "",
    status: int = 200,
) -> Response:
    values = {
        "form_token": form_token(desk.server, _BINDING),
        "name": name,
        "wanted": _next(request),
        "is_wrong": False,
        "again": None,
        **said,
    }
    heading = "You are not signed in yet" if said else "Sign in"
    return bare(desk, request, "sign_in.html", values, heading=heading, status=status)


def _next(request: Request) -> str:
    """What was looked for before, within the console."""
    wanted = request.query_params.get("next", "/")
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if is_ours else "/"


def _cookie(desk: Desk, request: Request) -> str:
    return cookie_name(desk.server, request, COOKIE, public_url=desk.public_url)
