"""Refused: what did not begin and why, by reason and prefix, so that it shows who is pumping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import person_of
from otp_server.console.desk import Desk
from otp_server.console.filters import Read
from otp_server.console.frame import show
from otp_server.console.outcomes import WHY_REFUSED
from otp_server.console.words import plural
from otpcore.operator import Budget, RefusalSeen

__all__ = ["Group", "grouped", "routes"]

_FIELDS = ("last", "reason", "prefix", "only")
_SPANS = {"1h": ("hour", timedelta(hours=1)), "1d": ("day", timedelta(days=1)), "7d": ("7 days", timedelta(days=7))}
_MOST = 5_000
_ROWS = 50
_GROUPS = 30
_MANY = 5  # different numbers; fewer are people who try again
_UNKNOWN = ""
_NOBODY_IS_SENT_TO = ("denied", "paused")


@attrs.frozen(kw_only=True)
class Group:
    """Refusals of one reason to numbers that begin alike.

    Args:
        prefix: As much of the numbers as is shown; empty: none is.
        reason: As `RateLimited` names it.
        enforced: False: only recorded, what was asked for went on.
        count: How many refusals.
        numbers: How many numbers, as far as masked ones can be told apart.
        first_at: Of the first.
        last_at: Of the last.
    """

    prefix: str
    reason: str
    enforced: bool
    count: int
    numbers: int
    first_at: datetime
    last_at: datetime

    @property
    def is_suspect(self) -> bool:
        """Many numbers, and not one person who tries again."""
        return bool(self.prefix) and self.numbers >= _MANY

    @property
    def may_be_denied(self) -> bool:
        """It names where the numbers are, and something is still sent there."""
        return len(self.prefix) > 1 and self.reason not in _NOBODY_IS_SENT_TO


def grouped(refusals: Iterable[RefusalSeen]) -> tuple[Group, ...]:
    """Refusals by reason and by what is shown of the numbers, the most frequent first."""
    found: dict[tuple[str, str, bool], list[RefusalSeen]] = {}
    for one in refusals:
        found.setdefault((_prefix(one), one.reason, one.enforced), []).append(one)
    groups = [
        Group(
            prefix=prefix,
            reason=reason,
            enforced=enforced,
            count=sum(one.count for one in same),
            numbers=len({one.phone for one in same if one.phone}),
            first_at=min(one.first_at for one in same),
            last_at=max(one.last_at for one in same),
        )
        for (prefix, reason, enforced), same in found.items()
    ]
    return tuple(sorted(groups, key=lambda one: (-one.count, one.prefix, one.reason)))


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Its page."""

    async def shown(request: Request) -> Response:
        await person_of(desk, request)
        asked = Read.of(request.query_params, _FIELDS)
        span = asked.typed["last"] if asked.typed["last"] in _SPANS else "1h"
        name, length = _SPANS[span]
        found = await desk.operator.refusals(limit=_MOST)
        since = datetime.now(UTC) - length
        within = [one for one in found if one.last_at >= since]
        fitting = [one for one in within if _fits(one, asked)]
        groups = grouped(fitting)
        heading, more = _lead(groups, fitting, name, is_narrow=_is_narrow(asked))
        values = {
            "asked": asked,
            "span": span,
            "spans": {word: told for word, (told, _) in _SPANS.items()},
            "groups": groups[:_GROUPS],
            "left_out": len(groups) - len(groups[:_GROUPS]),
            "latest": fitting[:_ROWS],
            "count_of_all": len(fitting),
            "reasons": {one.reason: WHY_REFUSED.get(one.reason, one.reason) for one in within},
            "why": WHY_REFUSED,
            "is_cut": len(found) == _MOST,
            "most": _MOST,
            "budgets": _used(await desk.operator.budgets()),
            "is_enforced": desk.server.otp_settings.limits.unverified_mode == "enforce",
            "is_narrow": _is_narrow(asked),
            "more": more,
            "to_deny": next((one.prefix for one in groups if one.is_suspect and one.may_be_denied), ""),
        }
        return await show(desk, request, "refused.html", values, heading=heading, is_live=True)

    return [Route("/refused", shown, methods=["GET"])]


def _lead(groups: Sequence[Group], found: Sequence[RefusalSeen], span: str, *, is_narrow: bool) -> tuple[str, str]:
    """What the page says first: whether somebody is pumping, else how much was refused."""
    refused = sum(one.count for one in found if one.enforced)
    noted = sum(one.count for one in found if not one.enforced)
    if not found:
        matching = " that fits the filter" if is_narrow else ""
        return f"Nothing{matching} was refused in the last {span}.", ""
    more = f"{plural(noted, 'more was', 'more were')} only recorded, and went on." if noted and refused else ""
    suspect = next((one for one in groups if one.is_suspect), None)
    if suspect is not None:
        what = "refused" if suspect.enforced else "noted"
        heading = (
            f"{plural(suspect.count, 'request')} for {suspect.prefix}… {_was(suspect.count)} {what} in the last {span}."
        )
        why = WHY_REFUSED.get(suspect.reason, suspect.reason)
        told = f"At least {plural(suspect.numbers, 'number')}: {why}. {_advice(suspect)}"
        return heading, f"{told} {more}".strip()
    if not refused:
        return (
            f"Nothing was refused in the last {span}.",
            f"{plural(noted, 'request')} only would have been, and went on.",
        )
    return f"{plural(refused, 'request')} {_was(refused)} refused in the last {span}.", more


def _advice(suspect: Group) -> str:
    if suspect.reason in _NOBODY_IS_SENT_TO:
        return "Nothing is sent there."
    return "This may be somebody who pumps: looks for numbers that pay them for each message."


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _prefix(one: RefusalSeen) -> str:
    return one.phone.partition("*")[0] if one.phone else _UNKNOWN


def _fits(one: RefusalSeen, asked: Read) -> bool:
    reason, prefix, only = asked.given("reason"), asked.prefix(), asked.given("only")
    return (
        reason in (None, one.reason)
        and (prefix is None or _prefix(one).startswith(prefix))
        and (only is None or one.enforced == (only == "refused"))
    )


def _is_narrow(asked: Read) -> bool:
    return any(asked.given(name) for name in ("reason", "prefix", "only"))


def _used(budgets: Sequence[Budget]) -> list[Budget]:
    """Those that are used, the fullest first."""
    used = [one for one in budgets if one.used]
    return sorted(used, key=_fullness, reverse=True)[:_ROWS]


def _fullness(one: Budget) -> Any:
    return one.used / max(one.limit, 1), one.used
