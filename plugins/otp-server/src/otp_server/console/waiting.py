"""Queue: what waits and until when it helps; send it now or drop it, one, several, or all of a prefix or an instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from otp_server.console.asking import Asked, Role, person_of, read_form
from otp_server.console.desk import Desk
from otp_server.console.frame import done, show
from otp_server.console.steps import steps
from otp_server.console.waiting_view import Meant, meant_by, queue_of
from otp_server.console.words import plural
from otp_server.problems import ProblemError
from otpcore import InvalidArgument
from otpcore.operator import Ended, typed_prefix

__all__ = ["routes"]

_VERBS = {"requeue": "Send now", "drop": "Drop"}
_DONE = {"requeue": "Made due now", "drop": "Dropped"}
_MOST_PICKED = 100
_NO_PREFIX = "Write + and the first digits of the numbers, such as +35987, or a region such as BG. No whole number."


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Its addresses."""
    return steps(desk, "/queue", "do", page=_queue, picked=_picked, confirm=_confirm, change=_change)


async def _queue(desk: Desk, request: Request, errors: Mapping[str, str] | None = None) -> Response:
    """The page, with what is wrong in what was asked for."""
    await person_of(desk, request)
    query = {} if errors else request.query_params
    prefix, instance = query.get("prefix", ""), query.get("instance", "")
    try:
        queue = await queue_of(desk, prefix=prefix, instance=instance, after=query.get("after"))
    except InvalidArgument:
        raise ProblemError("not_found") from None
    return await show(
        desk,
        request,
        "queue.html",
        {
            "queue": queue,
            "prefix": prefix,
            "instance": instance,
            "errors": errors or {},
            "is_first": "after" not in query,
        },
        heading=queue.sentence.rstrip("."),
        status=422 if errors else 200,
        is_live=True,
    )


async def _picked(desk: Desk, request: Request) -> Response:
    """On to the question whether it is really meant: nothing is done here, and no number comes into an address."""
    person = await person_of(desk, request, Role.OPERATOR)
    form = await read_form(desk, request, person.binding)
    do = form.get("do", "")
    if do not in _VERBS:
        raise ProblemError("malformed")
    if "prefix" not in form:
        ids = form.getlist("id")
        if not 0 < len(ids) <= _MOST_PICKED:
            return await _queue(desk, request, {"picked": "Pick a send first."})
        return done(desk, request, f"/queue/{do}?{urlencode([('id', one) for one in ids])}")
    prefix = typed_prefix(form["prefix"])
    try:
        found = await desk.operator.retries.count(prefix)
    except InvalidArgument:
        return await _queue(desk, request, {"prefix": _NO_PREFIX})
    if not found.count:
        return await _queue(desk, request, {"prefix": "Nothing waits to these numbers."})
    return done(desk, request, f"/queue/{do}?{urlencode({'prefix': prefix})}")


async def _confirm(
    desk: Desk, request: Request, errors: Mapping[str, str] | None = None, typed: Mapping[str, str] | None = None
) -> Response:
    """Who is meant, counted now, and why."""
    do = _verb(request)
    meant = await _meant(desk, request)
    verb = _VERBS[do]
    heading = (
        f"{verb} {plural(meant.number, 'waiting send')}"
        if do == "drop"
        else f"Send {plural(meant.number, 'waiting send')} now"
    )
    return await show(
        desk,
        request,
        "queue_change.html",
        {
            "do": do,
            "verb": verb,
            "meant": meant,
            "errors": errors or {},
            "reason": (typed or {}).get("reason", ""),
        },
        heading=heading,
        status=422 if errors else 200,
    )


async def _change(desk: Desk, request: Request, asked: Asked) -> Response:
    """Do it to those that were counted; where there are more by now, ask again."""
    do = _verb(request)
    change = desk.operator.retries.drop if do == "drop" else desk.operator.retries.requeue
    ids = request.query_params.getlist("id")[:_MOST_PICKED]
    if ids:
        ended = [await change(one, by=asked.by, reason=asked.reason) for one in ids]
        return done(desk, request, "/queue", _told(do, len(ids), sum(one.changed for one in ended)))
    counted = asked.form.get("count", "")
    if not counted.isascii() or not counted.isdigit():
        raise ProblemError("malformed")
    query = request.query_params
    try:
        found: Ended = await change(
            prefix=query.get("prefix") or None,
            instance=query.get("instance", ""),
            count=int(counted),
            by=asked.by,
            reason=asked.reason,
        )
    except InvalidArgument:
        more = f"{int(counted):,} were counted, and there are more by now. They are counted anew below."
        return await _confirm(desk, request, {"count": more}, asked.form)
    return done(desk, request, "/queue", _told(do, found.found, found.changed))


def _verb(request: Request) -> str:
    do: str = request.path_params["do"]
    if do not in _VERBS:
        raise ProblemError("not_found")
    return do


async def _meant(desk: Desk, request: Request) -> Meant:
    query = request.query_params
    ids = query.getlist("id")[:_MOST_PICKED]
    try:
        return await meant_by(desk, ids=ids, prefix=query.get("prefix", ""), instance=query.get("instance", ""))
    except InvalidArgument:
        raise ProblemError("not_found") from None


def _told(do: str, meant: int, changed: int) -> str:
    """What was done, in numbers."""
    if changed == meant:
        return f"{_DONE[do]}: {plural(changed, 'send')}."
    others = "the other was" if meant - changed == 1 else "the others were"
    return f"{_DONE[do]}: {changed:,} of {plural(meant, 'send')}; {others} over by then, or under way."
