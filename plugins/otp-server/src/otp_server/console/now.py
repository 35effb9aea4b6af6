"""Now: is it working, where not, since when, and what helps."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import person_of
from otp_server.console.desk import Desk
from otp_server.console.figures import WINDOWS, Figures, read
from otp_server.console.frame import show
from otp_server.console.outcomes import REFUSALS
from otp_server.console.sentence import lead_of
from otpcore import ObstacleKind
from otpcore.operator import Finding, RefusalSeen

__all__ = ["routes"]

_LOOKED_AT = 500  # refusals
_MOST_SHOWN = 6
_LOOK_EVERY = 60.0  # seconds
_TOLD = "sending"  # what findings tell of it, the first sentence has said


@attrs.frozen(kw_only=True)
class Waiting:
    """What waits and tried this instance last.

    Args:
        instance: Empty: it has tried no one yet.
        count: Sends.
        oldest: When the first of them began; None: it is not known.
    """

    instance: str
    count: int
    oldest: datetime | None


@attrs.frozen(kw_only=True)
class Refused:
    """What was refused for one reason.

    Args:
        reason: In our words.
        is_enforced: False: it was only recorded, and sent.
        phones: How many different ones; 0: too many to name each.
        count: How often.
    """

    reason: str
    is_enforced: bool
    phones: int
    count: int


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Its address."""
    problems = _Problems(desk)

    async def shown(request: Request) -> Response:
        await person_of(desk, request)
        window = WINDOWS.get(request.query_params.get("window", ""), WINDOWS["hour"])
        figures = await read(desk, window)
        lead = await lead_of(desk, figures)
        refusals = await desk.operator.refusals(limit=_LOOKED_AT)
        values = {
            "lead": lead,
            "figures": figures,
            "windows": WINDOWS.values(),
            "waiting": _waiting(figures),
            "workers": figures.status.workers,
            "refused": _refused(refusals, figures.status.since)[:_MOST_SHOWN],
            "problems": await problems.found(),
            "denied": [one.prefix for one in figures.status.obstacles if one.kind is ObstacleKind.DENIED],
        }
        return await show(desk, request, "now.html", values, heading=lead.title.rstrip("."), is_live=True)

    return [Route("/", shown)]


class _Problems:
    """What ``otp doctor`` finds wrong, looked for once a minute however many look at the page: it loads every provider."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._found: Sequence[Finding] = ()
        self._looked_at = -_LOOK_EVERY

    async def found(self) -> Sequence[Finding]:
        if time.monotonic() - self._looked_at >= _LOOK_EVERY:
            self._looked_at = time.monotonic()
            findings = await self._desk.operator.findings()
            self._found = [one for one in findings if one.level == "problem" and one.about != _TOLD]
        return self._found


def _waiting(figures: Figures) -> list[Waiting]:
    found: defaultdict[str, list[tuple[int, datetime | None]]] = defaultdict(list)
    for one in figures.status.routes:
        if one.queued:
            found[one.instance].append((one.queued, one.oldest))
    return [
        Waiting(
            instance=instance,
            count=sum(count for count, _ in parts),
            oldest=min((oldest for _, oldest in parts if oldest is not None), default=None),
        )
        for instance, parts in sorted(found.items())
    ]


def _refused(refusals: Sequence[RefusalSeen], since: datetime) -> list[Refused]:
    """By reason, the most frequent first."""
    found: defaultdict[tuple[str, bool], list[RefusalSeen]] = defaultdict(list)
    for one in refusals:
        if one.last_at >= since:
            found[one.reason, one.enforced].append(one)
    made = [
        Refused(
            reason=REFUSALS.get(reason, reason.replace("_", " ").capitalize()),
            is_enforced=is_enforced,
            phones=len({one.phone for one in ones}) if all(one.phone for one in ones) else 0,
            count=sum(one.count for one in ones),
        )
        for (reason, is_enforced), ones in found.items()
    ]
    return sorted(made, key=lambda one: -one.count)
