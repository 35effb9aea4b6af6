"""Audit: who did what, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import person_of
from otp_server.console.desk import Desk
from otp_server.console.frame import show
from otp_server.console.words import moment_of, plural
from otpcore.operator import Change, setting_in_words

__all__ = ["routes"]

_SHOWN = 50
_AT_ONCE = 200
_LOOKED_AT = 2000  # changes, for those of one person
_LONGEST = 200
_HIGHEST = 2**53
_OF_SETTINGS = {"setting", "before", "after"}

_DONE: Mapping[str, str] = {
    "sending.pause": "Paused sending",
    "sending.resume": "Resumed sending",
    "sending.deny": "Denied",
    "sending.allow": "Allowed",
    "sending.clear": "Took back a denial or an allowance",
    "limits.reset": "Gave limits back",
    "routes.set": "Set rules",
    "routes.clear": "Took stored rules away",
    "challenges.cancel": "Canceled a verification",
    "retries.requeue": "Made retries due",
    "retries.drop": "Dropped retries",
    "instances.drain": "Drained",
    "instances.take_back": "Took back into routes",
    "instances.test": "Sent a test through",
    "reveal": "Saw a whole number",
    "purge": "Removed what was old",
    "erase": "Erased a person",
    "keys.api.new": "Made an API key",
    "keys.api.revoke": "Revoked an API key",
    "webhooks.replay": "Told an app once more",
    "webhooks.on": "Tells an app again",
    "console.user.add": "Let into the console",
    "console.user.reset": "Gave another password",
    "console.user.remove": "Let into the console no more",
}
"""By action, in words of ours; of others their own word is shown."""


@attrs.frozen(kw_only=True)
class Found:
    """Some changes.

    Args:
        changes: The latest first.
        below: Where those before them begin; None: there are none.
    """

    changes: Sequence[Change]
    below: int | None


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Its address."""

    async def shown(request: Request) -> Response:
        await person_of(desk, request)
        action, by = (request.query_params.get(name, "").strip()[:_LONGEST] for name in ("action", "by"))
        found = await _find(desk, action, by, _number(request.query_params.get("after", "")))
        seen = await desk.operator.audit(_AT_ONCE)
        values = {
            "found": found,
            "action": action,
            "by": by,
            "is_first": "after" not in request.query_params,
            "actions": sorted({*_DONE, *(one.action for one in seen), *filter(None, [action])}),
            "people": sorted({one.by for one in seen}),
            "done": _DONE,
            "told": _told,
            "kept": desk.server.otp_settings.storage.keep_audit,
        }
        return await show(desk, request, "audit.html", values, heading=_heading(found, action, by))

    return [Route("/audit", shown)]


async def _find(desk: Desk, action: str, by: str, below: int | None) -> Found:
    """A page of changes; those of one person are picked out of the latest, or of those before the last page."""
    found: list[Change] = []
    for _ in range(_LOOKED_AT // _AT_ONCE):
        page = await desk.operator.audit(_AT_ONCE, below=below, action=action)
        for change in page:
            below = change.number
            if by in ("", change.by):
                found.append(change)
            if len(found) == _SHOWN:
                rest = await desk.operator.audit(1, below=below, action=action)
                return Found(changes=found, below=below if rest else None)
        if len(page) < _AT_ONCE:
            return Found(changes=found, below=None)
    return Found(changes=found, below=below)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) < _HIGHEST else None


def _heading(found: Found, action: str, by: str) -> str:
    if not found.changes:
        return "Nothing was changed" if not action and not by else "No change is like this"
    what = plural(len(found.changes), "change")
    more = ", and more before them" if found.below is not None else ""
    return f"{what}{f' by {by}' if by else ''}{more}"


def _told(change: Change) -> Sequence[tuple[str, str]]:
    """What was and is, and what else was found out, ready to be shown; what is empty is left out."""
    told, setting = [], change.detail.get("setting")
    if setting is not None:
        before, after = (setting_in_words(setting, change.detail.get(one), moment_of) for one in ("before", "after"))
        told += [("was", before), ("is", after)]
    for name, value in change.detail.items():
        if (setting is not None and name in _OF_SETTINGS) or value in ("", None) or isinstance(value, dict):
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        text = {"True": "yes", "False": "no"}.get(text, text)
        told.append((name.replace("_", " "), setting_in_words("", text, moment_of)))
    return told
