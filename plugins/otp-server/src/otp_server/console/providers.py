"""Providers: how each instance stands, what it said last, draining it, and a message of the operator's own through it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import Asked, FormError, Role, changing, person_of, read_form
from otp_server.console.desk import Desk
from otp_server.console.frame import done, show
from otp_server.console.instances import OUTCOMES, InstanceSeen, recent, seen, sentence
from otp_server.console.words import clock, lasting
from otp_server.problems import ProblemError
from otpcore import DeliveryError, InvalidArgument, InvalidPhoneNumber, OTPError, RateLimited
from otpcore.operator import ChallengeSeen, InstanceTested

__all__ = ["routes"]

_ORDER = {"problem": 0, "note": 1, "ok": 2}
_LEVELS = {"problem": "Problem", "note": "Nothing yet", "ok": "Working"}
_LONGEST_WORDS = 300
_ID = re.compile(r"[0-9a-f]{40}")  # of a challenge


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Their addresses."""

    async def listed(request: Request) -> Response:
        await person_of(desk, request)
        now = datetime.now(UTC)
        found = await seen(desk.operator, now)
        heading = sentence(found, _since(found, now))
        return await show(desk, request, "providers.html", {"found": found}, heading=heading, is_live=True)

    async def one(request: Request) -> Response:
        await person_of(desk, request)
        return await _page(desk, request, {}, {})

    async def health(request: Request) -> Response:
        await person_of(desk, request)
        return await _health(desk, request, online=False)

    async def ask_vendors(request: Request) -> Response:
        person = await person_of(desk, request, Role.OPERATOR)
        await read_form(desk, request, person.binding)
        return await _health(desk, request, online=True)

    async def drain(request: Request) -> Response:
        return await _change(desk, request, "drained")

    async def take_back(request: Request) -> Response:
        return await _change(desk, request, "taken back")

    async def test(request: Request) -> Response:
        return await _test(desk, request)

    return [
        Route("/providers", listed),
        Route("/providers/health", health),
        Route("/providers/health", ask_vendors, methods=["POST"]),
        Route("/providers/instances/{name}", one),
        Route("/providers/instances/{name}/drain", drain, methods=["POST"]),
        Route("/providers/instances/{name}/take-back", take_back, methods=["POST"]),
        Route("/providers/instances/{name}/test", test, methods=["POST"]),
    ]


async def _page(
    desk: Desk, request: Request, errors: Mapping[str, str], form: Mapping[str, str], *, about: str = ""
) -> Response:
    """One instance; ``about`` is the form that ``errors`` are of."""
    now = datetime.now(UTC)
    found = next((one for one in await seen(desk.operator, now) if one.name == request.path_params["name"]), None)
    if found is None:
        raise ProblemError("not_found")
    tested = await _tested(desk, request, found.name)
    told_at = desk.server.otp_settings.otp.receipts_url or f"{desk.server.settings.public_url.rstrip('/')}/v1/receipts"
    values: dict[str, Any] = {
        "one": found,
        "latest": await recent(desk.operator, found.name, now),
        "outcomes": OUTCOMES,
        "receipts_at": f"{told_at.rstrip('/')}/{found.name}",
        "tested": tested,
        "errors": errors,
        "form": form,
        "about": about,
    }
    heading = sentence([found], _since([found], now))
    heading = heading if found.is_bad else f"{found.name} {_WORDS[found.word]}"
    status = 422 if errors else 200
    return await show(
        desk, request, "provider.html", values, heading=heading, status=status, is_live=request.method == "GET"
    )


_WORDS = {
    "Drained": "is drained: it gets no new messages.",
    "Warning": "works, and has just failed.",
    "Working": "works.",
    "Ready": "is ready. It had nothing to send in the last hour.",
    "Unused": "is named by nothing any more.",
}


async def _health(desk: Desk, request: Request, *, online: bool) -> Response:
    found = sorted(await desk.operator.findings(online=online), key=lambda one: _ORDER[one.level])
    problems = sum(one.level == "problem" for one in found)
    heading = {0: "Nothing is wrong.", 1: "One thing is wrong."}.get(problems, f"{problems} things are wrong.")
    values = {"found": found, "levels": _LEVELS, "online": online}
    return await show(desk, request, "health.html", values, heading=heading)


async def _change(desk: Desk, request: Request, what: str) -> Response:
    name = request.path_params["name"]
    try:
        asked = await changing(desk, request)
    except FormError as wrong:
        return await _page(desk, request, wrong.errors, wrong.form, about="drain")
    instances = desk.operator.instances
    try:
        if what == "drained":
            await instances.drain(name, by=asked.by, reason=asked.reason)
        else:
            await instances.take_back(name, by=asked.by, reason=asked.reason)
    except InvalidArgument:
        raise ProblemError("not_found") from None
    within = lasting(desk.server.otp_settings.routing.reload_every)
    return done(
        desk, request, f"/providers/instances/{name}", f"{name} is {what}. Every process obeys within {within}."
    )


async def _test(desk: Desk, request: Request) -> Response:
    name = request.path_params["name"]
    try:
        asked = await changing(desk, request)
        told = await _send(desk, name, asked)
    except FormError as wrong:
        return await _page(desk, request, wrong.errors, wrong.form, about="test")
    return done(desk, request, f"/providers/instances/{name}?test={told.challenge_id}#test", _sentence(told))


async def _send(desk: Desk, name: str, asked: Asked) -> InstanceTested:
    """The message; what is in its way is an error of a field.

    Raises:
        FormError: Nothing was sent.
    """
    phone, channel = asked.form.get("to", ""), asked.form.get("channel", "sms")
    try:
        return await desk.operator.instances.test(name, phone, channel, by=asked.by, reason=asked.reason)
    except InvalidPhoneNumber:
        error = {"to": "This is not one number. Write it with a plus sign and the country code."}
    except InvalidArgument as wrong:
        error = {"channel" if str(wrong).startswith("channel") else "to": f"{wrong}."}
    except RateLimited as refused:
        error = {"to": f"Nothing was sent: {refused.reason.replace('_', ' ')}{_again(refused.retry_after)}."}
    except DeliveryError as refused:
        error = {"to": f"{name} was not called: {refused.reason.replace('_', ' ')}{_again(refused.retry_after)}."}
    except OTPError as trouble:
        error = {"to": f"Nothing was sent: {trouble}."}
    raise FormError(error, asked.form)


def _again(seconds: float | None) -> str:
    return f"; try again in {lasting(seconds)}" if seconds else ""


def _sentence(told: InstanceTested) -> str:
    """What became of the message, for once."""
    if not told.is_new:
        return f"Nothing was sent: a test through {told.instance} to this number has just been made. It is shown below."
    said = ", ".join(filter(None, (told.provider_code, told.words)))[:_LONGEST_WORDS]
    what = OUTCOMES[told.outcome][1].lower()
    took = f"after {told.seconds:.1f} s"
    if told.outcome == "accepted":
        return f"{told.instance} accepted the test {took}. Whether it arrives is shown below."
    return f"The test through {told.instance} ended {took}: {what}" + (f", {said}." if said else ".")


async def _tested(desk: Desk, request: Request, name: str) -> ChallengeSeen | None:
    """The test that the address names, if it was one of this instance."""
    wanted = request.query_params.get("test", "")
    try:
        views = await desk.operator.challenges.show(wanted) if _ID.fullmatch(wanted) else ()
    except (InvalidArgument, InvalidPhoneNumber):
        return None
    return next((one for one in views if one.purpose == f"test of {name}"[:100]), None)


def _since(found: Sequence[InstanceSeen], now: datetime) -> str:
    bad = [one for one in found if one.is_bad]
    return clock(now, bad[0].since, seconds=False) if len(bad) == 1 and bad[0].since is not None else ""
