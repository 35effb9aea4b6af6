"""The memory store: one process, nothing survives. The reference for every other store, and for tests."""

from __future__ import annotations

import copy
import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, TypeVar

from otpcore.clock import utc_now
from otpcore.events import fields
from otpcore.models import World
from otpcore.stores.contract import Store
from otpcore.stores.derived_rows import DerivedRows
from otpcore.stores.lifecycle import FOREVER, OVER
from otpcore.stores.lists import Place
from otpcore.stores.memory.challenges import ChallengeRows, ScheduleRows
from otpcore.stores.memory.changes import ChangeRows
from otpcore.stores.memory.limits import LimitRows
from otpcore.stores.memory.sealed import SealedRows
from otpcore.stores.memory.series import SeriesRows
from otpcore.stores.records import (
    AuditRecord,
    ChallengeRecord,
    DeliveryRecord,
    ReceiptRecord,
    ScheduleRecord,
    WorkerRecord,
    changed,
)
from otpcore.stores.rows import Rows

__all__ = ["MemoryRows", "MemoryStore", "create_store"]

T = TypeVar("T")
_logger = logging.getLogger("otpcore.stores.memory")


def create_store(settings: Any) -> MemoryStore:
    """The factory behind ``storage.store = "memory"``."""
    return MemoryStore(keeps_outbox=settings.storage.outbox)


class MemoryStore(Store):
    """Keeps everything in dictionaries, under one lock. A service that ends takes it all with it.

    Args:
        keeps_outbox: As in ``UnitsOfWork``.
        is_of_a_test: It is meant to be thrown away, and warns of nothing.
    """

    durable = False

    def __init__(self, *, keeps_outbox: bool = False, is_of_a_test: bool = False) -> None:
        self.keeps_outbox = keeps_outbox
        self._is_of_a_test = is_of_a_test
        self._worlds = MemoryRows.of_worlds()
        self._rows = self._worlds[World.REAL]
        self._lock = threading.Lock()

    def within(self, world: World) -> MemoryStore:
        """As one world sees it: with rows of its own, but for settings, signs of life and the trail of operators."""
        if self._rows is self._worlds[world]:
            return self
        other = copy.copy(self)
        other._rows = self._worlds[world]  # noqa: SLF001 - of this class
        return other

    async def start(self, exit_stack: AsyncExitStack) -> None:  # noqa: ARG002 - nothing to close
        """Warn: this store is for tests and trials."""
        if self._is_of_a_test:
            return
        _logger.warning(
            "the memory store keeps nothing when this process ends; for real users, in [storage]: store = 'sql'",
            extra=fields("store_opened", reason="memory"),
        )

    async def diagnose(self) -> Mapping[str, str]:
        """Kind and size."""
        return {"store": "memory", "challenges": str(len(self._rows.challenge_rows))}

    async def _write(
        self,
        unit: Callable[[Rows], T],
        *,
        even_if_cancelled: bool = False,  # noqa: ARG002 - nobody can be cancelled in here
        otherwise: Callable[[Rows, T | None], object] | None = None,  # noqa: ARG002 - the same
        last: bool = False,  # noqa: ARG002 - nobody waits
    ) -> T:
        with self._lock:
            self._rows.keeps_outbox = self.keeps_outbox
            return unit(self._rows)

    async def _read(self, unit: Callable[[Rows], T]) -> T:
        with self._lock:
            return unit(self._rows)


class MemoryRows(ChallengeRows, ScheduleRows, LimitRows, SealedRows, SeriesRows, ChangeRows, DerivedRows):
    """`Rows` in dictionaries; also for a store that keeps them as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self._workers: dict[str, WorkerRecord] = {}
        self._settings: dict[str, str] = {}
        self._audits: list[AuditRecord] = []

    @classmethod
    def of_worlds(cls) -> dict[World, MemoryRows]:
        """Rows for each world, for a store that keeps them as a whole."""
        worlds = {world: cls() for world in World}
        for rows in worlds.values():
            rows.share(worlds[World.REAL])
        return worlds

    def share(self, others: MemoryRows) -> None:
        """Settings, signs of life and the trail of operators."""
        self._workers, self._settings = others._workers, others._settings
        self._audits = others._audits

    def now(self, now: datetime | None) -> datetime:
        self._moment = utc_now() if now is None else now
        return self._moment

    def moment(self) -> datetime:
        return self._moment

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

    def settings(self) -> dict[str, str]:
        return dict(self._settings)

    def setting(self, name: str) -> str | None:
        return self._settings.get(name)

    def put_setting(self, name: str, value: str | None) -> None:
        if value is None:
            self._settings.pop(name, None)
        else:
            self._settings[name] = value

    def insert_setting(self, name: str, value: str) -> bool:
        is_new = name not in self._settings
        if is_new:
            self._settings[name] = value
        return is_new

    def add_audit(self, record: AuditRecord) -> None:
        last = self._audits[-1].number if self._audits else 0
        self._audits.append(changed(record, number=last + 1))

    def audits(self, action: str, below: int | None, limit: int) -> Sequence[AuditRecord]:
        found = (
            one
            for one in reversed(self._audits)
            if action in ("", one.action) and (below is None or one.number < below)
        )
        return list(itertools.islice(found, limit))

    def purge_audits(self, before: datetime, limit: int) -> int:
        old = [one for one in self._audits if one.at < before][:limit]
        for one in old:
            self._audits.remove(one)
        return len(old)

    def blank_audits(self, phone_key: str, blank: Mapping[str, str]) -> int:
        found = [place for place, one in enumerate(self._audits) if one.about == phone_key]
        for place in found:
            self._audits[place] = changed(self._audits[place], **blank)
        return len(found)

    def _kept(self) -> Iterable[ChallengeRecord]:
        return self.challenge_rows.values()

    def _recorded(self, since: datetime, until: datetime | None = None) -> Iterable[DeliveryRecord]:
        found = self._recorded_by_time.back(Place(until or FOREVER), Place(since))
        return (self._deliveries[delivery_id] for delivery_id, _ in found)

    def recorded_after(self, since: datetime, skip: int) -> datetime | None:
        return self._recorded_by_time.later(since, skip)

    def _received(self, since: datetime, until: datetime) -> Iterable[ReceiptRecord]:
        return (receipt for receipt in self._receipts.values() if since <= receipt.received_at < until)

    def _verified_since(self, since: datetime) -> Iterable[str]:
        return [phone_key for phone_key, (verified_at, _) in self._verified.items() if verified_at >= since]

    def _scheduled(self) -> Iterable[ScheduleRecord]:
        return self._schedule.values()

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
