"""Apps and keys: what each app may ask for, its keys, making one (shown once) and revoking one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import Asked, FormError, Role, changing, person_of
from otp_server.console.desk import Desk
from otp_server.console.frame import done, show
from otp_server.console.words import plural
from otp_server.keys import ApiKey, Kind, NewKey, Scope
from otp_server.problems import ProblemError
from otp_server.settings import AppSettings
from otpcore import InvalidArgument

__all__ = ["routes"]

_ONCE = "console-once"
_ONCE_LASTS = timedelta(days=1)
_ONCE_WRITTEN = re.compile(r"[A-Za-z0-9_-]{22}")
_MOST_DAYS = 3_660
SCOPES: Mapping[Scope, str] = {
    Scope.VERIFY: "start, check, resend and cancel verifications",
    Scope.READ: "see deliveries, routes and measurements",
    Scope.RELAY: "send messages whose codes are made and checked elsewhere",
    Scope.MANAGE: "see webhooks and tell them again",
}
"""What each is for, in words that end a sentence."""


@attrs.frozen(kw_only=True)
class AppSeen:
    """One app.

    Args:
        name: Empty: the one without a name.
        settings: None: the settings know it no more, and its keys are not taken.
        tells: Scheme and host of its webhook, or empty; the rest may hold a secret.
        keys: Those that are taken now, with their state.
        gone: Those that are not taken any more, the latest first.
    """

    name: str
    settings: AppSettings | None
    tells: str
    keys: tuple[tuple[ApiKey, str], ...]
    gone: tuple[tuple[ApiKey, str], ...]


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Their addresses."""

    async def listed(request: Request) -> Response:
        await person_of(desk, request)
        return await _list(desk, request)

    async def asked_for(request: Request) -> Response:
        await person_of(desk, request, Role.ADMIN)
        form = {"app": request.query_params.get("app", ""), "scope": [Scope.VERIFY, Scope.READ], "kind": Kind.TEST}
        return await _form(desk, request, {}, {**form, "once": secrets.token_urlsafe(16)})

    async def new(request: Request) -> Response:
        return await _new(desk, request)

    async def one(request: Request) -> Response:
        await person_of(desk, request)
        return await _key(desk, request, {}, {})

    async def revoke(request: Request) -> Response:
        return await _revoke(desk, request)

    return [
        Route("/keys", listed),
        Route("/keys/new", asked_for),
        Route("/keys/new", new, methods=["POST"]),
        Route("/keys/{key}", one),
        Route("/keys/{key}/revoke", revoke, methods=["POST"]),
    ]


async def _list(desk: Desk, request: Request) -> Response:
    apps, now = await _apps(desk), datetime.now(UTC)
    living = [key for app in apps if app.settings is not None for key, _ in app.keys]
    unused = sum(key.used_at is None for key in living)
    whose = plural(len({key.app for key in living}), "app")
    heading = (
        f"{plural(len(living), 'key')} of {whose} can be used."
        if living
        else "No key can be used, so no app can ask for a code."
    )
    if unused:
        heading = f"{heading} {'One was' if unused == 1 else f'{unused} were'} never used."
    values = {
        "apps": apps,
        "may_make": (await person_of(desk, request)).role.may(Role.ADMIN),
        "soon": now + timedelta(days=7),
    }
    return await show(desk, request, "keys.html", values, heading=heading)


async def _form(
    desk: Desk, request: Request, errors: Mapping[str, str], form: Mapping[str, Any], *, status: int = 200
) -> Response:
    """The form of a new key."""
    known = desk.server.settings.apps
    values = {"known": sorted(known), "scopes": SCOPES, "errors": errors, "form": form}
    return await show(desk, request, "key_new.html", values, heading="Make a key", status=422 if errors else status)


async def _new(desk: Desk, request: Request) -> Response:
    try:
        asked = await changing(desk, request, Role.ADMIN)
        made = await _made(desk, asked)
    except FormError as wrong:
        form = {**wrong.form, "scope": _scopes_of(wrong.form)}
        return await _form(desk, request, wrong.errors, {"once": secrets.token_urlsafe(16), **form})
    heading = "The key was made." if made is not None else "This key was made before."
    values = {"made": made, "scopes": SCOPES}
    return await show(desk, request, "key_made.html", values, heading=heading, status=201 if made is not None else 409)


async def _made(desk: Desk, asked: Asked) -> NewKey | None:
    """The key; None: this very form has made one already, whose token was shown then.

    Raises:
        FormError: It cannot be made.
    """
    form, errors = asked.form, dict[str, str]()
    app, scopes, days = form.get("app", ""), _scopes_of(form), form.get("days", "").strip()
    if desk.server.settings.app(app) is None:
        errors["app"] = "There is no such app in the settings."
    if form.get("kind") not in tuple(Kind):
        errors["kind"] = "Say whether it is a test key or a live one."
    if not scopes:
        errors["scope"] = "Say what it may do."
    if days and not (days.isascii() and days.isdigit() and 0 < int(days) <= _MOST_DAYS):
        errors["days"] = f"Write 1 to {_MOST_DAYS:,} days, or leave it empty."
    if not _ONCE_WRITTEN.fullmatch(form.get("once", "")):
        raise ProblemError("malformed")
    if errors:
        raise FormError(errors, form)
    once = desk.server.vault.digest("console once", form["once"])[:32]
    until = datetime.now(UTC) + _ONCE_LASTS
    if await desk.records.put(_ONCE, once, {}, expires_at=until, expect=0) is None:
        return None
    try:
        return await desk.server.keys.new(
            Kind(form["kind"]),
            app=app,
            scopes=scopes,
            note=form.get("note", "").strip(),
            by=asked.by,
            reason=asked.reason,
            lasts=timedelta(days=int(days)) if days else None,
            networks=form.get("networks", "").replace(",", " ").split(),
        )
    except InvalidArgument as wrong:
        await desk.records.delete(_ONCE, once)
        raise FormError(_field_of(str(wrong)), form) from None


def _field_of(text: str) -> dict[str, str]:
    """What is wrong, at its field."""
    if text.startswith("note"):
        return {"note": "Use at most 100 letters, and no line breaks."}
    if "network" in text:
        return {"networks": "Write addresses or ranges of them, such as 10.0.0.0/8, with spaces between."}
    return {"kind": "Two of this kind are in use. Revoke the one that is used no more, then make another."}


async def _key(desk: Desk, request: Request, errors: Mapping[str, str], form: Mapping[str, str]) -> Response:
    found = next((one for one in await desk.server.keys.list() if one.id == request.path_params["key"]), None)
    if found is None:
        raise ProblemError("not_found")
    word = _word(found, datetime.now(UTC))
    heading = {
        "In use": "This key is in use.",
        "Unused": "This key was never used.",
        "Expired": "This key has expired.",
        "Revoked": "This key was revoked.",
    }[word]
    values = {"key": found, "word": word, "scopes": SCOPES, "errors": errors, "form": form}
    return await show(desk, request, "key.html", values, heading=heading, status=422 if errors else 200)


async def _revoke(desk: Desk, request: Request) -> Response:
    try:
        asked = await changing(desk, request)
    except FormError as wrong:
        return await _key(desk, request, wrong.errors, wrong.form)
    key = await desk.server.keys.revoke(request.path_params["key"], by=asked.by, reason=asked.reason)
    if key is None:
        raise ProblemError("not_found")
    return done(desk, request, "/keys", f"The key {key.id} is taken no more, from now on.")


async def _apps(desk: Desk) -> list[AppSeen]:
    """Every app of the settings, and those that only keys remember."""
    settings, now = desk.server.settings, datetime.now(UTC)
    of_app: dict[str, list[tuple[ApiKey, str]]] = {name: [] for name in settings.apps or ("",)}
    for key in await desk.server.keys.list():
        of_app.setdefault(key.app, []).append((key, _word(key, now)))
    found = []
    for name, keys in of_app.items():
        allowed = settings.app(name)
        url = urlsplit(allowed.webhook.url) if allowed is not None else None
        found.append(
            AppSeen(
                name=name,
                settings=allowed,
                tells=f"{url.scheme}://{url.netloc}" if url is not None and url.netloc else "",
                keys=tuple(one for one in keys if one[0].is_living(now)),
                gone=tuple(reversed([one for one in keys if not one[0].is_living(now)])),
            )
        )
    return sorted(found, key=lambda one: (one.settings is None, one.name))


def _word(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "Revoked"
    if not key.is_living(now):
        return "Expired"
    return "Unused" if key.used_at is None else "In use"


def _scopes_of(form: Any) -> list[Scope]:
    """Those that were ticked, of those that there are."""
    ticked = form.getlist("scope") if hasattr(form, "getlist") else form.get("scope", ())
    return [one for one in Scope if one in ticked]
