"""``otp status``: what stops sending now, what each instance did lately, what waits, and who runs retries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import attrs

from otpcore import BreakerStatus, Obstacle, OTPConfigurationError, OTPError, RouteStatus, Status, Stops
from otpcore.cli.exits import CommandError, ExitCode, explain
from otpcore.cli.host import load_host, operate
from otpcore.cli.layout import prose, table, text
from otpcore.cli.options import Options
from otpcore.clock import when

__all__ = ["check", "status"]

_STYLES = {Stops.EVERYBODY: "red", Stops.SOME: "red", Stops.NOBODY: "yellow"}
_LABELS = {Stops.EVERYBODY: "stops sending", Stops.SOME: "in the way", Stops.NOBODY: "note"}


def status(options: Options, window: float) -> ExitCode:
    """Show what is in the way now, and the last ``window`` seconds."""
    found = _told(operate(load_host(options), lambda operator: operator.status(window=window)), options)
    options.say(
        found.to_dict(),
        *_obstacle_lines(found.obstacles),
        f"since {when(found.since)}",
        table(
            ("instance", "prefix", "accepted", "failed", "open", "verified", "relayed", "queued", "oldest", "breaker"),
            [_row(route, found.now) for route in found.routes],
        )
        if found.routes
        else "nothing was sent, and no instance is configured",
        table(
            ("worker", "kind", "running", "started", "last seen"),
            [
                (one.name, one.kind, one.running, when(one.started_at), _ago(found.now - one.seen_at))
                for one in found.workers
            ],
        )
        if found.workers
        else "nobody runs retries here now",
    )
    return ExitCode.OK


def check(options: Options) -> ExitCode:
    """One line: whether anything stops everybody. What cannot be asked is not ready either."""
    try:
        found = _told(operate(load_host(options), lambda operator: operator.status(window=0)), options)
    except (OTPError, OTPConfigurationError, CommandError) as error:
        told = explain(error)
        options.say(
            {"ready": False, "reasons": [{"kind": told.type, "detail": told.message}]}, f"not ready: {told.message}"
        )
        return ExitCode.REFUSED
    in_the_way = [one for one in found.obstacles if one.stops is Stops.EVERYBODY]
    options.say(
        {
            "ready": found.is_ready,
            "reasons": [{"kind": str(one.kind), "detail": one.told} for one in in_the_way],
        },
        "ready" if found.is_ready else "not ready: " + "; ".join(one.told for one in in_the_way),
    )
    return ExitCode.OK if found.is_ready else ExitCode.REFUSED


def _told(found: Status, options: Options) -> Status:
    """What is in the way, in the words of the host."""
    told = options.spelling.told
    return attrs.evolve(
        found, obstacles=tuple(attrs.evolve(one, detail=told(one.detail), fix=told(one.fix)) for one in found.obstacles)
    )


def _obstacle_lines(found: tuple[Obstacle, ...]) -> Iterator[Any]:
    for one in found:
        yield prose(f"{_LABELS[one.stops]}: {one.told}", _STYLES[one.stops])
        yield prose(f"fix: {one.fix}", indent="  ")


def _row(route: RouteStatus, now: datetime) -> tuple[object, ...]:
    return (
        route.instance or "none yet",
        route.prefix or "default",
        route.accepted,
        ", ".join(f"{count} {kind}" for kind, count in sorted(route.failed.items())) or 0,
        route.unanswered,
        route.verified,
        route.relayed or None,
        route.queued,
        _ago(now - route.oldest) if route.oldest is not None else None,
        _breaker(route.breaker),
    )


def _breaker(breaker: BreakerStatus) -> object:
    if breaker.is_open:
        since = f" since {when(breaker.open_since)}" if breaker.open_since is not None else ""
        return text(f"open{since}, next probe {when(breaker.next_probe)}", "red")
    return f"closed, {breaker.failures} failures in a row" if breaker.failures else "closed"


def _ago(span: timedelta) -> str:
    """Short, for people: no clock of two machines is the same, so a little of the future is now."""
    seconds = max(round(span.total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
