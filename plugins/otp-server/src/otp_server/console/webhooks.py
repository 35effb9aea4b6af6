"""Webhooks: what the apps were told and how that ended, the body of each, telling one again, and addresses that want nothing more."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.audits import audit_record
from otp_server.console.asking import FormError, changing, person_of
from otp_server.console.desk import Desk
from otp_server.console.frame import done, show
from otp_server.console.words import clock, plural
from otp_server.problems import ProblemError
from otp_server.settings import WebhookSettings

__all__ = ["routes"]

_AT_ONCE = 50
_LATELY = timedelta(hours=1)
_LOOKED_AT = 200  # attempts of the last hour that the sentence is about
ENDS = {"heard": "Told", "failed": "Failed", "given up": "Gave up"}
"""How an attempt may have ended, by the word of the filter, and its mark."""


@attrs.frozen(kw_only=True)
class Target:
    """Where an app hears what changed.

    Args:
        app: Its name.
        place: Scheme and host of its address; the rest may hold a secret.
        signed: By how many secrets.
        off_since: When it answered 410, and was told nothing more; None: it did not.
    """

    app: str
    place: str
    signed: int
    off_since: datetime | None


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Their addresses."""

    async def listed(request: Request) -> Response:
        await person_of(desk, request)
        return await _list(desk, request, {}, {})

    async def one(request: Request) -> Response:
        await person_of(desk, request)
        return await _attempt(desk, request, {}, {})

    async def replay(request: Request) -> Response:
        return await _replay(desk, request)

    async def switch_on(request: Request) -> Response:
        return await _switch_on(desk, request)

    return [
        Route("/webhooks", listed),
        Route("/webhooks/on", switch_on, methods=["POST"]),
        Route("/webhooks/{attempt}", one),
        Route("/webhooks/{attempt}/replay", replay, methods=["POST"]),
    ]


async def _list(desk: Desk, request: Request, errors: Mapping[str, str], form: Mapping[str, str]) -> Response:
    now, query = datetime.now(UTC), request.query_params
    targets = await _targets(desk)
    wanted = {name: query.get(name, "") for name in ("app", "end", "type")}
    found, cursor = await desk.server.teller.attempts.page(
        _fits(wanted), after=_cursor(query.get("after")), limit=_AT_ONCE
    )
    values = {
        "targets": targets,
        "attempts": [_told(one) for one in found],
        "cursor": cursor,
        "is_first": not query.get("after"),
        "wanted": wanted,
        "is_narrow": any(wanted.values()),
        "ends": ENDS,
        "errors": errors,
        "form": form,
    }
    heading = await _sentence(desk, targets, now)
    status = 422 if errors else 200
    return await show(
        desk, request, "webhooks.html", values, heading=heading, status=status, is_live=request.method == "GET"
    )


async def _attempt(desk: Desk, request: Request, errors: Mapping[str, str], form: Mapping[str, str]) -> Response:
    found = await desk.server.teller.attempts.get(request.path_params["attempt"])
    if found is None:
        raise ProblemError("not_found")
    others, _ = await desk.server.teller.attempts.page(lambda one: one["event"] == found["event"], limit=_AT_ONCE)
    settings = desk.server.settings.app(found["app"])
    values = {
        "one": _told(found),
        "others": [_told(one) for one in others],
        "body": json.dumps(json.loads(found["body"]), indent=2, ensure_ascii=False),
        "has_target": settings is not None and bool(settings.webhook.url),
        "errors": errors,
        "form": form,
    }
    how = "was heard" if found["heard"] else f"was not heard: {_answer(found)}"
    app = found["app"] or "the app"
    heading = f"“{found['type']}” {how}." if not found["heard"] else f"{app} heard “{found['type']}”."
    return await show(desk, request, "webhook.html", values, heading=heading, status=422 if errors else 200)


async def _replay(desk: Desk, request: Request) -> Response:
    attempt = request.path_params["attempt"]
    try:
        asked = await changing(desk, request)
    except FormError as wrong:
        return await _attempt(desk, request, wrong.errors, wrong.form)
    attempts = desk.server.teller.attempts
    found = await attempts.get(attempt)
    event = None if found is None else await attempts.event(found["app"], attempt)
    if event is None:
        raise ProblemError("not_found")
    audit = audit_record("webhooks.replay", event.id, asked.by, asked.reason, {"type": event.type, "app": event.app})
    called = await desk.server.teller.tell_again(event, audit=audit)
    if called is None:
        raise ProblemError("not_found")
    told = (
        f"It was heard: HTTP {called.status}."
        if called.is_heard
        else f"It was told again and not heard: {_answer(attrs.asdict(called))}."
    )
    return done(desk, request, f"/webhooks/{attempt}", told)


async def _switch_on(desk: Desk, request: Request) -> Response:
    try:
        asked = await changing(desk, request)
    except FormError as wrong:
        return await _list(desk, request, wrong.errors, wrong.form)
    app = asked.form.get("app", "")
    settings = desk.server.settings.app(app)
    if settings is None or not settings.webhook.url:
        raise ProblemError("not_found")
    audit = audit_record("webhooks.on", app, asked.by, asked.reason, {})
    changed = await desk.server.teller.attempts.switch_on(app, settings.webhook.url, audit=audit)
    return done(desk, request, "/webhooks", "It is told what changes from now on." if changed else "It was on already.")


async def _targets(desk: Desk) -> list[Target]:
    apps = desk.server.settings.apps
    return [await _target(desk, app, one.webhook) for app, one in sorted(apps.items()) if one.webhook.url]


async def _target(desk: Desk, app: str, webhook: WebhookSettings) -> Target:
    parts = urlsplit(webhook.url)
    return Target(
        app=app,
        place=f"{parts.scheme}://{parts.netloc}",
        signed=len(webhook.secrets),
        off_since=await desk.server.teller.attempts.off_since(app, webhook.url),
    )


async def _sentence(desk: Desk, targets: Sequence[Target], now: datetime) -> str:
    """In what state the telling is."""
    if not targets:
        return "No app is told what changes."
    off = [one for one in targets if one.off_since is not None]
    if off and off[0].off_since is not None:
        more = f" So are {len(off) - 1} more." if len(off) > 1 else ""
        return f"{off[0].app} has been told nothing since {clock(now, off[0].off_since, seconds=False)}, when it answered 410.{more}"
    lately, _ = await desk.server.teller.attempts.page(lambda _: True, since=now - _LATELY, limit=_LOOKED_AT)
    failed = sum(not one["heard"] for one in lately)
    if not lately:
        return "Nothing was told in the last hour."
    if not failed:
        return "Everything that was told in the last hour was heard."
    return (
        f"{failed:,} of {plural(len(lately), 'attempt')} in the last hour {'was' if failed == 1 else 'were'} not heard."
    )


def _fits(wanted: Mapping[str, str]) -> Callable[[Mapping[str, Any]], bool]:
    def fits(one: Mapping[str, Any]) -> bool:
        is_type = not wanted["type"] or one["type"] == wanted["type"]
        is_app = not wanted["app"] or one["app"] == wanted["app"]
        return is_type and is_app and (not wanted["end"] or _end(one) == wanted["end"])

    return fits


def _end(one: Mapping[str, Any]) -> str:
    return "heard" if one["heard"] else "given up" if one["last"] else "failed"


def _told(one: Mapping[str, Any]) -> dict[str, Any]:
    """An attempt for people."""
    at, end = datetime.fromisoformat(one["at"]), _end(one)
    return {**one, "at": at, "word": ENDS[end], "answer": _answer(one), "number": one["number"] or "by hand"}


def _answer(one: Mapping[str, Any]) -> str:
    return f"HTTP {one['status']}" if one["status"] else str(one["problem"])


def _cursor(text: str | None) -> str | None:
    """What could be a key of the log; anything else is the first page."""
    return text if text and text.isascii() and text.replace("-", "").isalnum() and len(text) < 40 else None  # noqa: PLR2004 - longer than any key
