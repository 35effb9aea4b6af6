"""The memory store: one process, nothing survives. The reference for every other store, and for tests."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, TypeVar

from otpcore._logs import fields
from otpcore.figures import KeyUse, OutcomeCount, RouteCount, Waiting
from otpcore.hookspecs import utc_now
from otpcore.lifecycle import OVER
from otpcore.models import ChallengeState, Outcome
from otpcore.records import ChallengeRecord, WorkerRecord
from otpcore.stores._memory_challenges import ChallengeRows
from otpcore.stores._memory_limits import LimitRows
from otpcore.stores._memory_schedule import ScheduleRows
from otpcore.stores.base import RowStore
from otpcore.stores.rows import Rows

__all__ = ["MemoryRows", "MemoryStore", "create_store"]

T = TypeVar("T")
_logger = logging.getLogger("otpcore.stores.memory")


def create_store(settings: Any) -> MemoryStore:  # noqa: ARG001 - every store's factory gets the settings
    """The factory behind ``storage.store = "memory"``."""
    return MemoryStore()


class MemoryStore(RowStore):
    """Keeps everything in dictionaries, under one lock. A service that ends takes it all with it."""

    durable = False

    def __init__(self) -> None:
        self._rows = MemoryRows()
        self._lock = threading.Lock()

    async def start(self, exit_stack: AsyncExitStack) -> None:  # noqa: ARG002 - nothing to close
        """Warn: this store is for tests and trials."""
        _logger.warning(
            "the memory store keeps nothing when this process ends; use storage.store = 'sql' for real users",
            extra=fields("store_opened", reason="memory"),
        )

    async def diagnose(self) -> Mapping[str, str]:
        """Kind and size."""
        return {"store": "memory", "challenges": str(len(self._rows.challenge_rows))}

    async def _write(self, unit: Callable[[Rows], T], *, even_if_cancelled: bool = False) -> T:  # noqa: ARG002
        with self._lock:
            return unit(self._rows)

    async def _read(self, unit: Callable[[Rows], T]) -> T:
        with self._lock:
            return unit(self._rows)


class MemoryRows(ChallengeRows, ScheduleRows, LimitRows):
    """`Rows` in dictionaries; also for a store that keeps them as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self._workers: dict[str, WorkerRecord] = {}
        self._settings: dict[str, str] = {}

    def now(self, now: datetime | None) -> datetime:
        return utc_now() if now is None else now

    def put_worker(self, worker: WorkerRecord) -> None:
        self._workers[worker.name] = worker

    def remove_worker(self, name: str) -> None:
        self._workers.pop(name, None)

    def remove_stale_workers(self, before: datetime) -> Sequence[WorkerRecord]:
        stale = [worker for worker in self.workers() if worker.seen_at < before]
        for worker in stale:
            del self._workers[worker.name]
        return stale

    def workers(self) -> Sequence[WorkerRecord]:
        return [self._workers[name] for name in sorted(self._workers)]

    def count_outcomes(self, since: datetime) -> Sequence[OutcomeCount]:
        found = Counter((d.instance, d.prefix, d.outcome) for d in self._deliveries.values() if d.recorded_at >= since)
        return [
            OutcomeCount(instance=instance, prefix=prefix, outcome=outcome, count=found[instance, prefix, outcome])
            for instance, prefix, outcome in sorted(found)
        ]

    def count_verified(self, since: datetime) -> Sequence[RouteCount]:
        accepted = {
            (d.instance, d.prefix, d.challenge_id)
            for d in self._deliveries.values()
            if d.recorded_at >= since and d.outcome is Outcome.ACCEPTED
        }
        found = Counter(
            (instance, prefix)
            for instance, prefix, challenge_id in accepted
            if (challenge := self.challenge_rows.get(challenge_id)) and challenge.state is ChallengeState.APPROVED
        )
        return [
            RouteCount(instance=instance, prefix=prefix, count=found[instance, prefix])
            for instance, prefix in sorted(found)
        ]

    def count_waiting(self, now: datetime) -> Sequence[Waiting]:
        began: dict[tuple[str, str], list[datetime]] = {}
        for row in self._schedule.values():
            if row.leased and row.due_at > now:
                continue
            tried = [d for d in self.deliveries(row.challenge_id) if d.send_id == row.send_id]
            last = (tried[-1].instance, tried[-1].prefix) if tried else ("", "")
            began.setdefault(last, []).append(self.challenge_rows[row.challenge_id].first_sent_at)
        return [
            Waiting(
                instance=instance,
                prefix=prefix,
                count=len(began[instance, prefix]),
                oldest=min(began[instance, prefix]),
            )
            for instance, prefix in sorted(began)
        ]

    def settings(self) -> dict[str, str]:
        return dict(self._settings)

    def put_setting(self, name: str, value: str | None) -> None:
        if value is None:
            self._settings.pop(name, None)
        else:
            self._settings[name] = value

    def keys_in_use(self) -> Sequence[KeyUse]:
        of_key: dict[str, list[ChallengeRecord]] = {}
        for challenge in self.challenge_rows.values():
            of_key.setdefault(challenge.key_id, []).append(challenge)
        return [
            KeyUse(
                key_id=key_id,
                challenges=len(found),
                begun_at=max(challenge.first_sent_at for challenge in found),
                expires_at=max(challenge.expires_at for challenge in found),
            )
            for key_id, found in sorted(of_key.items())
        ]

    def purge_challenges(self, before: datetime, limit: int) -> int:
        over = (c for c in self.challenge_rows.values() if c.state in OVER and c.expires_at < before)
        return self._remove_challenges(list(itertools.islice(over, limit)))

    def erase(self, phone_key: str) -> tuple[int, int]:
        removed = self._remove_challenges(self.challenges_of(phone_key))
        self._slots = {key: slot for key, slot in self._slots.items() if key[1] != phone_key}
        deliveries = [one for one, owner in self._phone_of.items() if owner == phone_key]
        self._receipts = {key: one for key, one in self._receipts.items() if one.delivery_id not in deliveries}
        return removed, self._remove_deliveries(deliveries)

    def _remove_challenges(self, gone: Sequence[ChallengeRecord]) -> int:
        for challenge in gone:
            self.end_schedules(challenge.id)
            self._drop_challenge(challenge)
        ids = {challenge.id for challenge in gone}
        self._slots = {key: slot for key, slot in self._slots.items() if slot.holder not in ids}
        return len(gone)
