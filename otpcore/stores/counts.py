"""What a store counts for people: frozen values, no I/O."""

from __future__ import annotations

from datetime import datetime

import attrs

from otpcore.models import Outcome
from otpcore.stores.records import BreakerRecord, WorkerRecord

__all__ = [
    "KeyUse",
    "OutcomeCount",
    "PurgeCount",
    "RouteCount",
    "StoreStatus",
    "Waiting",
]


@attrs.frozen(kw_only=True)
class KeyUse:
    """What the kept challenges need one code key for.

    Args:
        challenges: How many were written under it.
        begun_at: When the newest of them began.
        expires_at: When the last of them expires, or expired.
    """

    key_id: str
    challenges: int
    begun_at: datetime
    expires_at: datetime


@attrs.frozen(kw_only=True)
class PurgeCount:
    """How much a purge removed; of the trail, where a person was erased, how many records were blanked."""

    challenges: int = 0
    deliveries: int = 0
    counters: int = 0
    receipts: int = 0
    refusals: int = 0
    verified: int = 0
    audits: int = 0
    records: int = 0
    series: int = 0
    changes: int = 0

    def plus(self, more: PurgeCount) -> PurgeCount:
        """Both together."""
        return PurgeCount(**{name: number + getattr(more, name) for name, number in attrs.asdict(self).items()})

    def most(self) -> int:
        """Of the kind of which most was removed."""
        return max(int(number) for number in attrs.astuple(self))


@attrs.frozen(kw_only=True)
class OutcomeCount:
    """How many deliveries of one instance and rule prefix came to one outcome."""

    instance: str
    prefix: str
    outcome: Outcome
    count: int


@attrs.frozen(kw_only=True)
class RouteCount:
    """How many challenges or deliveries belong to one instance and rule prefix."""

    instance: str
    prefix: str
    count: int


@attrs.frozen(kw_only=True)
class Waiting:
    """Sends that wait for their next try, by the instance that they tried last (empty: none yet).

    Args:
        oldest: When the first send of the one that waits longest began.
    """

    instance: str
    prefix: str
    count: int
    oldest: datetime


@attrs.frozen(kw_only=True)
class StoreStatus:
    """What happened since a given time, and what is waiting now.

    Args:
        deliveries: Recorded since then.
        verified: Approved challenges by the deliveries that were accepted since then.
        relayed: Deliveries accepted since then that were only relayed, as long as their challenges are kept.
        waiting: Now, whatever the time.
        breakers: What is wrong with any instance: failures in a row, and answers that it is misconfigured.
        workers: All signs of life.
    """

    deliveries: tuple[OutcomeCount, ...] = ()
    verified: tuple[RouteCount, ...] = ()
    relayed: tuple[RouteCount, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    breakers: tuple[BreakerRecord, ...] = ()
    workers: tuple[WorkerRecord, ...] = ()
