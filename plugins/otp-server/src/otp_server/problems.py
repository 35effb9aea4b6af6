"""Problems as RFC 9457 tells them: fixed words for each reason, and nothing of what was asked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from otpcore import ANSWERS, Answer, OTPConfigurationError, OTPError, StoreError, known_as

__all__ = ["OURS", "Problem", "ProblemError", "every_problem", "faults_of", "is_final", "problem_of", "respond"]

MEDIA_TYPE = "application/problem+json"
_FIELD = re.compile(r"[A-Za-z_][A-Za-z_-]{0,39}")
_FIRST_SERVER_ERROR = 500
_TOO_MANY = 429
_STORE_AGAIN = 5.0  # seconds; what a database takes to come back is not known

OURS: Mapping[str, Answer] = {
    "unauthorized": Answer(401, False, "the request has no key that is taken here"),
    "stale": Answer(401, False, "the request is signed, and its time is too far from now"),
    "forbidden": Answer(403, False, "the key may not do this"),
    "not_found": Answer(404, False, "there is no such thing, or it is not this app's"),
    "method_not_allowed": Answer(405, False, "this address takes another method"),
    "too_slow": Answer(408, True, "the request took too long to arrive"),
    "over": Answer(409, False, "this verification is over"),
    "in_progress": Answer(409, True, "a request with this Idempotency-Key is still under way"),
    "too_large": Answer(413, False, "the body is too large"),
    "media_type": Answer(415, False, "the body must be application/json"),
    "malformed": Answer(400, False, "the request cannot be read"),
    "invalid": Answer(422, False, "the body, or a parameter of the address, is not what this address takes"),
    "key_reused": Answer(422, False, "this Idempotency-Key came with another request before"),
    "not_this_app": Answer(422, False, "the app of this key may not use this purpose or this channel"),
    "not_this_country": Answer(422, False, "the app of this key may not send to the country of this number"),
    "no_such_channel": Answer(422, False, "the routing rules offer no such channel; `channels` are those they do"),
    "not_carried": Answer(
        422, False, "no provider of this number and channel carries the language, text, code or payment of the request"
    ),
    "too_early": Answer(429, True, "another message may be sent later"),
    "bug": Answer(500, False, "something went wrong here; the operator finds it by the request's id"),
    "misconfigured": Answer(503, False, "the service cannot do this until an operator acts"),
}
"""The reasons that are the server's own; all others are those of ``otpcore.ANSWERS``."""


@attrs.frozen(kw_only=True)
class Problem:
    """What is answered instead of what was asked for.

    Args:
        type: Of the problem, within the server; a page there tells what it means.
        status: HTTP's.
        reason: One word for programs.
        detail: One line for people.
        retry_after: Seconds; None: waiting does not help, or it is not known for how long.
        try_channel: Another channel that may reach the number; empty: none is known.
        errors: Each with its ``reason``, and the ``pointer`` into a body or the ``parameter`` of an address.
        channels: Over which this app may send; empty: they are not what is wrong.
    """

    type: str
    status: int
    reason: str
    detail: str
    retry_after: float | None = None
    try_channel: str = ""
    errors: Sequence[Mapping[str, str]] = ()
    channels: Sequence[str] = ()


class ProblemError(Exception):
    """Ends a request with one of the server's own problems.

    Args:
        reason: Of ``OURS``.
        retry_after: Seconds.
        errors: As for ``Problem``.
        channels: Likewise.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        errors: Sequence[Mapping[str, str]] = (),
        channels: Sequence[str] = (),
    ) -> None:
        super().__init__(reason)
        self.problem = _ours(reason, retry_after=retry_after, errors=errors, channels=channels)


def problem_of(error: Exception) -> Problem:
    """What an error is told as; one that nobody foresaw is a bug."""
    match error:
        case ProblemError():
            return error.problem
        case OTPError():
            name, reason = known_as(error)
            answer = ANSWERS[name, reason]
            again = error.retry_after if answer.waiting_helps or error.retry_after else None
            if isinstance(error, StoreError):
                again = again or _STORE_AGAIN
            return Problem(
                type=_type(name, reason),
                status=answer.http_status,
                reason=reason or _snake(name),
                detail=answer.meaning,
                retry_after=again,
                try_channel=str(getattr(error, "try_channel", None) or ""),
            )
        case OTPConfigurationError():
            return _ours("misconfigured")
        case _:
            return _ours("bug")


def respond(problem: Problem, request_id: str) -> Response:
    """The answer that tells of a problem."""
    document: dict[str, Any] = {
        "type": problem.type,
        "title": problem.detail,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request_id,
        "reason": problem.reason,
    }
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after is not None:
        document["retry_after"] = math.ceil(problem.retry_after)
        headers["Retry-After"] = str(math.ceil(problem.retry_after))
    if problem.try_channel:
        document["try_channel"] = problem.try_channel
    if problem.errors:
        document["errors"] = [dict(one) for one in problem.errors]
    if problem.channels:
        document["channels"] = list(problem.channels)
    if problem.status == 401:  # noqa: PLR2004 - RFC 9110 wants the scheme with it
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(document, problem.status, headers, media_type=MEDIA_TYPE)


def is_final(problem: Problem) -> bool:
    """The same request will be told the same, as long as nobody changes anything."""
    return problem.status < _FIRST_SERVER_ERROR and problem.status != _TOO_MANY


def faults_of(found: Sequence[Any]) -> list[dict[str, str]]:
    """What pydantic found wrong, by its place, which begins with ``body`` or ``query``; what stood there is not told."""
    return [{**_place(one["loc"]), "reason": str(one["type"])} for one in found]


def every_problem() -> list[dict[str, Any]]:
    """Type, status and meaning of all that may be told."""
    told = {_type(name, reason): answer for (name, reason), answer in ANSWERS.items()}
    told |= {_type("", reason): answer for reason, answer in OURS.items()}
    return [
        {"type": kind, "status": answer.http_status, "waiting_helps": answer.waiting_helps, "meaning": answer.meaning}
        for kind, answer in sorted(told.items())
    ]


async def problems_page(_: Request) -> Response:
    """All problems with their meaning."""
    return JSONResponse(every_problem())


def _place(place: Sequence[Any]) -> dict[str, str]:
    """Of a body a pointer; of an address the parameter, which is always one of ours."""
    return {"parameter": str(place[1])} if place[:1] == ("query",) else {"pointer": _pointer(place)}


def _pointer(place: Sequence[Any]) -> str:
    """RFC 6901; a name that none of ours could be, such as a number, is not told."""
    steps = [step for step in place[place[:1] == ("body",) :] if step != "[key]"]
    shown = [str(one) if isinstance(one, int) or _FIELD.fullmatch(str(one)) else "?" for one in steps]
    return "".join(f"/{one}" for one in shown)


def _ours(reason: str, **more: Any) -> Problem:
    answer = OURS[reason]
    return Problem(type=_type("", reason), status=answer.http_status, reason=reason, detail=answer.meaning, **more)


def _type(name: str, reason: str) -> str:
    return "/problems#" + "-".join(filter(None, [_snake(name), reason]))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("otperror", "otp_error")
