"""What the console says when something is in the way, in fixed words."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from otp_server.console.asking import ForbiddenError, FormError
from otp_server.console.desk import Desk
from otp_server.console.frame import bare
from otp_server.edge import request_id
from otp_server.problems import ProblemError, problem_of
from otpcore import StoreError

__all__ = ["problem_page"]

_FORBIDDEN, _METHOD_NOT_ALLOWED, _INVALID, _BUG, _AWAY = 403, 405, 422, 500, 503


@attrs.frozen
class _Told:
    heading: str
    text: str
    status: int
    link: str = "Load the page again"


_GONE = _Told("There is no such page.", "It may be over, or the address is not whole.", 404, "Go to Now")
_STALE = _Told("This form was too old.", "Nothing was changed. Load the page again and repeat it.", 403)
_MALFORMED = _Told("This form could not be read.", "Nothing was changed. Load the page again and repeat it.", 400)
_METHOD = _Told("Nothing is sent to this address.", "Nothing was changed.", _METHOD_NOT_ALLOWED, "Go to Now")
_STORE = _Told("The store does not answer.", "No page can be shown until it does. Messages are not sent either.", _AWAY)
_TROUBLE = _Told("This cannot be done now.", "The log tells why, under the number below.", _AWAY)
_WRONG = _Told("Something went wrong here.", "It is our mistake. The log tells of it, under the number below.", _BUG)

_BY_REASON: Mapping[str, _Told] = {
    "not_found": _GONE,
    "forbidden": _STALE,
    "method_not_allowed": _METHOD,
    "malformed": _MALFORMED,
    "media_type": _MALFORMED,
    "invalid": _MALFORMED,
    "bug": _WRONG,
}


def problem_page(desk: Desk, request: Request, error: Exception) -> Response:
    """A page about what is in the way; it needs neither the store nor a person."""
    told = _told(error)
    values = {
        "told": told,
        "request_id": request_id(),
        "errors": dict(error.errors) if isinstance(error, FormError) else {},
    }
    return bare(desk, request, "problem.html", values, heading=told.heading, status=told.status)


def _told(error: Exception) -> _Told:
    if isinstance(error, ForbiddenError):
        needed = f"It takes the role {error.needed}." if error.needed else "It takes the right to see whole numbers."
        return _Told("You may not do this.", f"{needed} Ask who runs the server.", _FORBIDDEN, "Go to Now")
    if isinstance(error, FormError):
        return _Told("Nothing was changed.", "Go back with your browser; what you typed is still there.", _INVALID)
    if isinstance(error, StoreError):
        return _STORE
    if isinstance(error, HTTPException):
        return _METHOD if error.status_code == _METHOD_NOT_ALLOWED else _GONE
    known = _BY_REASON.get(problem_of(error).reason)
    return known or (_MALFORMED if isinstance(error, ProblemError) else _TROUBLE)
