"""The outermost layer: an id for each request, bodies of bounded size and time, a problem for each error, one line of log."""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NoReturn

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otp_server.measures import Measures
from otp_server.problems import Problem, ProblemError, problem_of, respond

__all__ = ["Edge", "request_id", "tell"]

_logger = logging.getLogger("otpcore.server")

LARGEST_BODY = 16 * 1024  # bytes
_LARGEST_OF_OTHERS = (
    256 * 1024
)  # of a vendor that reports of many messages at once, an auth system that tells all of a person
_MOST_DISCARDED = 1024 * 1024  # of what is too large: who is cut off while it sends hears no answer
_LONGEST_LENGTH = 18  # digits
_PATIENCE = 10.0  # seconds for a whole body
_GOOD_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_JSON = re.compile(rb"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_WITH_BODY = {"POST", "PUT", "PATCH"}
_RECEIPTS, _RELAY = "/v1/receipts/", "/v1/relay/"

_request_id: ContextVar[str] = ContextVar("otp_server_request_id", default="-")


def request_id() -> str:
    """The id of the request that is being answered."""
    return _request_id.get()


class _UnreadError(ProblemError):
    """More would come than was read: the connection ends with the answer."""


class _GoneError(Exception):
    """Nobody is left to be answered."""


class Edge:
    """ASGI middleware round the whole service.

    Args:
        app: What answers.
        measures: That count each request.
    """

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self._app = app
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; everything else goes on as it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own_id = _id_of(scope)
        token = _request_id.set(own_id)
        begun, status, before = time.perf_counter(), 0, scope.get("root_path", "")

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", own_id.encode())]
            await send(message)

        try:
            await self._app(scope, await _read(scope, receive), answer)
        except _GoneError:
            return
        except Exception as error:
            problem = problem_of(error)
            tell(problem, error)
            if status:
                raise
            response = respond(problem, own_id)
            if isinstance(error, _UnreadError):
                response.headers["Connection"] = "close"
            await response(scope, receive, answer)
        finally:
            route = _route_of(scope, before)
            self._measures.request(scope["method"], route, status, time.perf_counter() - begun)
            _logger.info(
                "%s %s %s %.0f ms %s",
                scope["method"],
                route,
                status,
                (time.perf_counter() - begun) * 1e3,
                own_id,
            )
            _request_id.reset(token)


def tell(problem: Problem, error: Exception) -> None:
    """What nobody foresaw is told with its place, and without its text, which may quote a number or a code."""
    if problem.reason not in ("bug", "misconfigured"):
        return
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
    _logger.error("%s: %s at %s, request %s", problem.reason, type(error).__name__, place, request_id())


def _id_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GOOD_ID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return secrets.token_hex(12)


def _route_of(scope: Scope, before: str) -> str:
    """The route's template: an address may hold what is no affair of a log.

    Args:
        scope: As those who answered have left it.
        before: What was before our paths when the request came; a console that is mounted has added its own.
    """
    route, endpoint, app = scope.get("route"), scope.get("endpoint"), scope.get("app")
    found = route.path if route is not None else None  # some versions of Starlette tell the endpoint alone
    if found is None and endpoint is not None and app is not None:
        found = next((one.path for one in app.routes if getattr(one, "endpoint", None) is endpoint), None)
    return "(none)" if found is None else f"{scope.get('root_path', '').removeprefix(before)}{found}"


async def _read(scope: Scope, receive: Receive) -> Receive:
    """The whole body, within its time and size; what is then read is that.

    Raises:
        ProblemError: It is too large, too slow, or of another kind.
        _GoneError: The caller went before all of it was there.
    """
    most = _LARGEST_OF_OTHERS if scope["path"].startswith((_RECEIPTS, _RELAY)) else LARGEST_BODY
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        raise ProblemError("malformed")
    if len(length) > _LONGEST_LENGTH or int(length) > (most if b"expect" in headers else _MOST_DISCARDED):
        raise _UnreadError("too_large")
    body, size, whole = bytearray(), 0, False
    with anyio.move_on_after(_PATIENCE):
        while not whole:
            message = await receive()
            if message["type"] != "http.request":
                raise _GoneError
            part, whole = message.get("body", b""), not message.get("more_body", False)
            size += len(part)
            if size <= most:
                body += part
            elif size > _MOST_DISCARDED:
                raise _UnreadError("too_large")
    if not whole:
        raise _UnreadError("too_slow")
    if size > most:
        raise ProblemError("too_large")
    if body and _wants_json(scope):
        _check_json(bytes(body), headers.get(b"content-type", b"").strip())
    return _again({"type": "http.request", "body": bytes(body), "more_body": False}, receive)


def _wants_json(scope: Scope) -> bool:
    path = scope["path"]
    return scope["method"] in _WITH_BODY and path.startswith("/v1/") and not path.startswith(_RECEIPTS)


def _check_json(body: bytes, kind: bytes) -> None:
    """That it is JSON by its type, and JSON of one meaning.

    Raises:
        ProblemError: It is not.
    """
    if not _JSON.fullmatch(kind):
        raise ProblemError("media_type")
    try:
        json.loads(body.decode(), object_pairs_hook=_unambiguous, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ProblemError("malformed") from None


def _unambiguous(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Of a name that stands twice one reader takes the first value, and another one the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError("NaN and infinity are no JSON")


def _again(message: Message, then: Receive) -> Receive:
    """What was read already, once; then what comes."""
    left = [message]

    async def receive() -> Message:
        return left.pop() if left else await then()

    return receive
