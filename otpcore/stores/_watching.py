"""Transactions of watching: signs of life, and what happened lately, written once over the rows of any store."""

from __future__ import annotations

from datetime import datetime, timedelta

from otpcore.figures import StoreStatus
from otpcore.records import WorkerRecord, changed
from otpcore.stores.rows import Rows


def beat(rows: Rows, worker: WorkerRecord, stale: timedelta, now: datetime | None) -> tuple[WorkerRecord, ...]:
    """Write one sign of life; remove those that stopped coming, each for one caller."""
    moment = rows.now(now)
    rows.put_worker(changed(worker, seen_at=moment))
    return tuple(rows.remove_stale_workers(moment - stale))


def status(rows: Rows, since: datetime, now: datetime | None) -> StoreStatus:
    """Counts since then, and what is waiting now."""
    return StoreStatus(
        deliveries=tuple(rows.count_outcomes(since)),
        verified=tuple(rows.count_verified(since)),
        waiting=tuple(rows.count_waiting(rows.now(now))),
        breakers=tuple(rows.breakers(1)),
        workers=tuple(rows.workers()),
    )
