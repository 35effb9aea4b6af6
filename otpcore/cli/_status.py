"""``otp status``: what each instance did lately, what waits now, and who runs retries."""

from __future__ import annotations

from datetime import datetime, timedelta

from otpcore._service import Setup
from otpcore._status import read_status
from otpcore.cli._exits import ExitCode
from otpcore.cli._host import load_host, open_parts, run
from otpcore.cli._options import Options, table, text, when
from otpcore.status import BreakerStatus, RouteStatus, Status

__all__ = ["status"]


def status(options: Options, window: float) -> ExitCode:
    """Show the last ``window`` seconds."""
    found = run(_status, load_host(options), window)
    options.say(
        found.to_dict(),
        f"since {when(found.since)}",
        table(
            ("instance", "prefix", "accepted", "failed", "no answer yet", "verified", "queued", "oldest", "breaker"),
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


async def _status(host: Setup, window: float) -> Status:
    async with open_parts(host) as parts:
        return await read_status(parts, window)


def _row(route: RouteStatus, now: datetime) -> tuple[object, ...]:
    return (
        route.instance or "none yet",
        route.prefix or "default",
        route.accepted,
        ", ".join(f"{count} {kind}" for kind, count in sorted(route.failed.items())) or 0,
        route.unanswered,
        route.verified,
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
