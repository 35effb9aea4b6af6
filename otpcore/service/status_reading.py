"""What happened lately, by instance and rule prefix; for `status()` and the command line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from otpcore.models import Outcome
from otpcore.providers.loading import named_by
from otpcore.rate_limits.admission import LimitReason
from otpcore.routing import channel_of
from otpcore.service.charging import EVERY_SEND, counter_key
from otpcore.service.measures import checked_window
from otpcore.service.obstacles import Scene, obstacles
from otpcore.service.service import Service
from otpcore.service.status import BreakerStatus, RouteStatus, Status, WorkerStatus
from otpcore.stores.counts import StoreStatus
from otpcore.stores.records import BreakerRecord, CounterRecord


async def read_status(service: Service, window: float) -> Status:
    """Counts of the last ``window`` seconds, what waits now, and what is in the way."""
    now = service.clock()
    kept = service.settings.storage.keep_deliveries  # what is older was purged
    since = now - checked_window(window, kept)
    found = await service.store.status(since, now)
    world = service.settings.world
    found = attrs.evolve(found, workers=tuple(one for one in found.workers if world.own(one.name) is not None))
    stored = await service.store.settings()
    scene = Scene(
        settings=service.settings,
        stored=stored,
        found=found,
        next_due=await service.store.next_due(),
        full_until=await _full_until(service, now),
        forced=service.forced,
        since=since,
        now=now,
    )
    return Status(
        since=since,
        now=now,
        routes=_routes(service, found, stored),
        workers=tuple(
            WorkerStatus(
                name=world.own(worker.name) or "",
                kind=worker.kind,
                running=worker.running,
                started_at=worker.started_at,
                seen_at=worker.seen_at,
            )
            for worker in found.workers
        ),
        obstacles=obstacles(scene),
    )


async def _full_until(service: Service, now: datetime) -> datetime | None:
    """When the last window of ``limits.global`` that is used up ends."""
    counts = {
        counter_key(LimitReason.GLOBAL, EVERY_SEND, limit.seconds): limit.count
        for limit in service.settings.limits.lists["global_"]
        if limit.count  # a limit of 0 does not end
    }
    if not counts:
        return None
    found = await service.store.counters(f"{EVERY_SEND}/", now)
    full = [one for one in found if isinstance(one, CounterRecord) and one.count >= counts.get(one.key, one.count + 1)]
    return max((one.window_ends_at for one in full), default=None)


def _routes(service: Service, found: StoreStatus, stored: Mapping[str, str]) -> tuple[RouteStatus, ...]:
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
    for relayed in found.relayed:
        rows[relayed.instance, relayed.prefix]["relayed"] = relayed.count
    for waiting in found.waiting:
        rows[waiting.instance, waiting.prefix].update(queued=waiting.count, oldest=waiting.oldest)
    breakers = {breaker.instance: breaker for breaker in found.breakers}
    told = {instance for instance, _ in rows}
    rules = [
        *service.settings.rule_texts.values(),
        *(text for name, text in stored.items() if channel_of(name) is not None),
    ]
    for instance in {*breakers, *service.providers, *service.settings.providers, *named_by(rules)} - told:
        rows[instance, ""] = {}
    threshold = service.settings.retry.breaker_threshold
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
