"""Switches: pause and resume, deny and allow prefixes and regions for a time, drain an instance and take it back."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from urllib.parse import urlencode

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from otp_server.console.asking import Asked, Role, person_of, read_form
from otp_server.console.desk import Desk
from otp_server.console.frame import done, show
from otp_server.console.steps import steps
from otp_server.console.switches_view import Concerned, concerned_by, switches_of
from otp_server.console.words import lasting
from otp_server.problems import ProblemError
from otpcore import InvalidArgument
from otpcore.operator import typed_prefix

__all__ = ["LASTS", "routes"]

LASTS = (1800, 3600, 7200, 28800, 86400, 604800)
"""Seconds for which something may be switched; else it is until somebody switches it again."""

_NO_TARGET = "Write + and the first digits of the numbers, such as +35987, or a region such as BG. No whole number."


@attrs.frozen
class _Action:
    """What can be switched.

    Args:
        verb: On its button.
        done: What is said then.
        of: What it takes: nothing, a ``prefix``, or an ``instance``.
        ends: It may end by itself.
        stops: It keeps messages from people.
    """

    verb: str
    done: str
    of: str = ""
    ends: bool = False
    stops: bool = False


_ACTIONS: Mapping[str, _Action] = {
    "pause": _Action("Pause sending", "Sending is paused.", ends=True, stops=True),
    "resume": _Action("Resume sending", "Sending goes on."),
    "deny": _Action("Deny", "It is denied.", "prefix", ends=True, stops=True),
    "allow": _Action("Allow", "It is allowed.", "prefix", ends=True),
    "clear": _Action("Leave to the settings", "It is left to the settings again.", "prefix"),
    "drain": _Action("Drain", "The instance is drained.", "instance", stops=True),
    "take-back": _Action("Take back", "The instance is taken back.", "instance"),
}


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Its addresses."""
    return steps(desk, "/switches", "action", page=_switches, picked=_picked, confirm=_confirm, change=_change)


async def _switches(desk: Desk, request: Request, errors: Mapping[str, str] | None = None) -> Response:
    switches = await switches_of(desk)
    return await show(
        desk,
        request,
        "switches.html",
        {"switches": switches, "lasts": _choices(), "errors": errors or {}},
        heading=switches.sentence.rstrip("."),
        status=422 if errors else 200,
        is_live=True,
    )


async def _picked(desk: Desk, request: Request) -> Response:
    """On to the question whether it is really meant; what is no prefix does not come into an address."""
    person = await person_of(desk, request, Role.OPERATOR)
    form = await read_form(desk, request, person.binding)
    action, target, lasts = form.get("do", ""), typed_prefix(form.get("prefix", "")), form.get("lasts", "")
    if action not in ("deny", "allow"):
        raise ProblemError("malformed")
    try:
        await desk.operator.retries.count(target)
    except InvalidArgument:
        return await _switches(desk, request, {"prefix": _NO_TARGET})
    query = {"prefix": target, **({"lasts": lasts} if _seconds(lasts) else {})}
    return done(desk, request, f"/switches/{action}?{urlencode(query)}")


async def _confirm(
    desk: Desk, request: Request, errors: Mapping[str, str] | None = None, typed: Mapping[str, str] | None = None
) -> Response:
    """What it does, whom it concerns, for how long, and why."""
    word, action = _action(request)
    target, concerned = await _concerned(desk, request, word, action)
    lasts = (typed or request.query_params).get("lasts", "")
    return await show(
        desk,
        request,
        "switch.html",
        {
            "word": word,
            "action": action,
            "target": target,
            "concerned": concerned,
            "lasts": _choices(),
            "chosen": lasts,
            "errors": errors or {},
            "reason": (typed or {}).get("reason", ""),
            "within": desk.server.otp_settings.routing.reload_every,
        },
        heading=" ".join(filter(None, [action.verb, target])),
        status=422 if errors else 200,
    )


async def _change(desk: Desk, request: Request, asked: Asked) -> Response:
    """Switch it."""
    word, action = _action(request)
    target, _ = await _concerned(desk, request, word, action)
    sending, instances = desk.operator.sending, desk.operator.instances
    who = {"by": asked.by, "reason": asked.reason}
    lasts = _seconds(asked.form.get("lasts", ""))
    work: Awaitable[object]
    match word:
        case "pause":
            work = sending.pause(for_=lasts, **who)
        case "resume":
            work = sending.resume(**who)
        case "deny":
            work = sending.deny(target, for_=lasts, **who)
        case "allow":
            work = sending.allow(target, for_=lasts, **who)
        case "clear":
            work = sending.clear(target, **who)
        case "drain":
            work = instances.drain(target, **who)
        case _:
            work = instances.take_back(target, **who)
    await work
    within = desk.server.otp_settings.routing.reload_every
    return done(desk, request, "/switches", f"{action.done} Every process follows within {within:g} s.")


def _action(request: Request) -> tuple[str, _Action]:
    word: str = request.path_params["action"]
    if word not in _ACTIONS:
        raise ProblemError("not_found")
    return word, _ACTIONS[word]


async def _concerned(desk: Desk, request: Request, word: str, action: _Action) -> tuple[str, Concerned]:
    """To what, and whom that concerns; an address that names nothing is none."""
    target = request.query_params.get(action.of, "").strip() if action.of else ""
    if action.of and not target:
        raise ProblemError("not_found")
    try:
        found = await concerned_by(desk, word, target)
    except InvalidArgument:
        raise ProblemError("not_found") from None
    if found is None:
        raise ProblemError("not_found")
    return target.upper() if action.of == "prefix" else target.casefold(), found


def _choices() -> Sequence[tuple[str, str]]:
    return [*((str(one), lasting(one)) for one in LASTS), ("", "until it is switched again")]


def _seconds(lasts: str) -> float | None:
    return float(lasts) if lasts in {str(one) for one in LASTS} else None
