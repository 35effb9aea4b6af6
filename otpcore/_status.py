"""What happened lately, by instance and rule prefix; for `status()` and the command line."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

from otpcore._parts import Parts
from otpcore.figures import StoreStatus
from otpcore.models import Outcome
from otpcore.records import BreakerRecord
from otpcore.status import BreakerStatus, RouteStatus, Status, WorkerStatus


async def read_status(parts: Parts, window: float) -> Status:
    """Counts of the last ``window`` seconds, and what waits now."""
    now = parts.clock()
    kept = parts.settings.storage.keep_deliveries  # what is older was purged
    since = now - timedelta(seconds=min(max(window, 0), kept))
    found = await parts.store.status(since, now)
    return Status(
        since=since,
        now=now,
        routes=_routes(parts, found),
        workers=tuple(
            WorkerStatus(
                name=worker.name,
                kind=worker.kind,
                running=worker.running,
                started_at=worker.started_at,
                seen_at=worker.seen_at,
            )
            for worker in found.workers
        ),
    )


def _routes(parts: Parts, found: StoreStatus) -> tuple[RouteStatus, ...]:
    """A row for each instance and prefix with something to tell; one without prefix for each other instance."""
    rows: defaultdict[tuple[str, str], dict[str, Any]] = defaultdict(lambda: {"failed": {}})
    for delivered in found.deliveries:
        row = rows[delivered.instance, delivered.prefix]
        if delivered.outcome is Outcome.ACCEPTED:
            row["accepted"] = delivered.count
        elif delivered.outcome is Outcome.OPEN:
            row["unanswered"] = delivered.count
        else:
            row["failed"][str(delivered.outcome)] = delivered.count
    for verified in found.verified:
        rows[verified.instance, verified.prefix]["verified"] = verified.count
    for waiting in found.waiting:
        rows[waiting.instance, waiting.prefix].update(queued=waiting.count, oldest=waiting.oldest)
    breakers = {breaker.instance: breaker for breaker in found.breakers}
    told = {instance for instance, _ in rows}
    for instance in {*breakers, *parts.providers, *parts.settings.providers} - told:
        rows[instance, ""] = {}
    threshold = parts.settings.retry.breaker_threshold
    return tuple(
        RouteStatus(
            instance=instance,
            prefix=prefix,
            breaker=_breaker(breakers.get(instance), threshold),
            **rows[instance, prefix],
        )
        for instance, prefix in sorted(rows)
    )


def _breaker(breaker: BreakerRecord | None, threshold: int) -> BreakerStatus:
    if breaker is None:
        return BreakerStatus()
    if breaker.failures < threshold:
        return BreakerStatus(failures=breaker.failures)
    return BreakerStatus(
        failures=breaker.failures, is_open=True, open_since=breaker.opened_at, next_probe=breaker.probe_at
    )
