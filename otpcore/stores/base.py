"""The verbs of a store whose rows are reached through `Rows`: each runs one shared transaction."""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from otpcore.admission import UNCOUNTED, BudgetRecord, BudgetRule, RefusalRecord
from otpcore.figures import KeyUse, PurgeCount, StoreStatus
from otpcore.models import Channel, Receipt
from otpcore.records import (
    BreakerRecord,
    ChallengeRecord,
    CounterRecord,
    DeliveryRecord,
    FailureRecord,
    ScheduleRecord,
    WorkerRecord,
    values_of,
)
from otpcore.stores import _beginning, _limits, _receipts, _retrying, _sending, _upkeep, _verifying, _watching
from otpcore.stores.rows import Rows
from otpcore.verbs import (
    Begun,
    ChallengeView,
    ChargeRefused,
    ClaimBatch,
    ClaimRule,
    EndedSend,
    LockRule,
    NewSend,
    ReceiptRule,
    Received,
    RecordedGuess,
    Reservation,
    Settled,
)
from otpcore.walks import BreakerRule, CallResult, Step, WalkPlan, WalkRef

__all__ = ["RowStore"]

T = TypeVar("T")
_PURGE_LIMIT = 500
_WAKE_LIMIT = 500
_WAKE_APART = timedelta(seconds=0.25)


class RowStore(abc.ABC):
    """A ``Store`` over rows. A subclass says how a unit of work runs; the rules are here and shared."""

    durable = True

    _charges_apart = False
    """Units run at the same time and wait for one another's rows. Whoever ends a send holds its challenge when it gives back
    what was charged; so a send is charged in a unit of its own, and nobody waits for a challenge while holding counters. A
    crash between the two loses the charge."""

    @abc.abstractmethod
    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open what is needed and push its closing."""

    @abc.abstractmethod
    def _write(self, unit: Callable[[Rows], T], *, even_if_cancelled: bool = False) -> Coroutine[Any, Any, T]:
        """Run a unit of work in one transaction; return when it is committed.

        ``even_if_cancelled``: once handed over it takes place, whether or not the caller still waits.
        """

    @abc.abstractmethod
    def _read(self, unit: Callable[[Rows], T]) -> Coroutine[Any, Any, T]:
        """Run a unit that changes nothing."""

    @abc.abstractmethod
    async def diagnose(self) -> Mapping[str, str]:
        """Facts for ``otp doctor``."""

    async def latest(self, subject: str) -> ChallengeRecord | None:
        return await self._read(lambda rows: rows.latest(subject))

    async def view(self, *, challenge_id: str = "", phone_key: str = "") -> tuple[ChallengeView, ...]:
        return await self._read(lambda rows: _upkeep.view(rows, challenge_id=challenge_id, phone_key=phone_key))

    async def begin(self, send: NewSend, now: datetime | None) -> Begun:
        if not self._charges_apart:
            return await self._write(partial(_beginning.begin, send=send, now=now))
        admitted = await self._write(lambda rows: _limits.charge(rows, send, rows.now(now)))
        if isinstance(admitted, ChargeRefused):
            return Begun(over_limit=admitted)
        return await self._write(lambda rows: _beginning.begin_charged(rows, send, admitted, now))

    async def record(
        self, walk: WalkRef, delivery: DeliveryRecord, result: CallResult, plan: WalkPlan, now: datetime | None
    ) -> Step:
        unit = partial(_sending.record, walk=walk, delivery=delivery, result=result, plan=plan, now=now)
        return await self._write(unit, even_if_cancelled=True)

    async def clear_mark(self, walk: WalkRef, scope: str, now: datetime | None) -> bool:
        return await self._write(lambda rows: _sending.clear_mark(rows, walk, scope, now))

    async def claim(self, rule: ClaimRule, limit: int, now: datetime | None) -> ClaimBatch:
        return await self._write(lambda rows: _retrying.claim(rows, rule, limit, now))

    async def begin_retry(self, walk: WalkRef, plan: WalkPlan, now: datetime | None) -> Step:
        return await self._write(lambda rows: _retrying.begin_retry(rows, walk, plan, now))

    async def receive(self, instance: str, receipt: Receipt, rule: ReceiptRule, now: datetime | None) -> Received:
        return await self._write(
            lambda rows: _receipts.receive(rows, instance, receipt, rule, now), even_if_cancelled=True
        )

    async def go_on(self, walk: WalkRef, plan: WalkPlan, now: datetime | None) -> Step:
        return await self._write(lambda rows: _receipts.go_on(rows, walk, plan, now))

    async def wake(self, closed: str | None, rule: BreakerRule, now: datetime | None) -> int:
        total, late = 0, timedelta()
        while True:  # in small units, so that sends and verifications go on between them
            unit = partial(_retrying.wake, closed=closed, rule=rule, limit=_WAKE_LIMIT, late=late, now=now)
            woken = await self._write(unit)
            total, late = total + woken, late + _WAKE_APART
            if woken < _WAKE_LIMIT:
                return total

    async def next_due(self) -> datetime | None:
        return await self._read(lambda rows: rows.next_due())

    async def reserve(
        self,
        *,
        subject: str | None,
        challenge_id: str | None,
        purpose: str,
        locks: LockRule,
        guess: RecordedGuess | None = None,
        now: datetime | None,
    ) -> Reservation:
        find = partial(_verifying.reserve, subject=subject, challenge_id=challenge_id, purpose=purpose)
        return await self._write(partial(find, locks=locks, guess=guess, now=now))

    async def settle(
        self, reservation: Reservation, *, give_back: bool, gone: Collection[str], now: datetime | None
    ) -> Settled | None:
        return await self._write(
            lambda rows: _verifying.settle(rows, reservation, give_back=give_back, gone=gone, now=now),
            even_if_cancelled=True,
        )

    async def ask(self, challenge_id: str, digest: str, now: datetime | None) -> None:
        await self._write(lambda rows: _verifying.ask(rows, challenge_id, digest, now))

    async def answered(self, challenge_id: str, digest: str) -> tuple[str, ...]:
        return await self._write(lambda rows: _verifying.answered(rows, challenge_id, digest), even_if_cancelled=True)

    async def approve(
        self,
        reservation: Reservation,
        *,
        settled: Collection[str],
        budget: BudgetRule = UNCOUNTED,
        now: datetime | None,
    ) -> bool:
        unit = partial(_verifying.approve, reservation=reservation, settled=settled, budget=budget, now=now)
        return await self._write(unit, even_if_cancelled=True)

    async def cancel(self, challenge_id: str, now: datetime | None) -> ChallengeView | None:
        return await self._write(lambda rows: _verifying.cancel(rows, challenge_id, now))

    async def sweep(
        self, *, retried: Collection[Channel], limit: int, set_back: bool = False, now: datetime | None
    ) -> tuple[EndedSend, ...]:
        return await self._write(
            lambda rows: _upkeep.sweep(rows, retried=retried, limit=limit, set_back=set_back, now=now)
        )

    async def purge(
        self,
        *,
        challenges_before: datetime,
        deliveries_before: datetime,
        verified_before: datetime | None = None,
        phone_key: str | None,
        now: datetime | None,
    ) -> PurgeCount:
        if phone_key is not None:
            return await self._write(lambda rows: _upkeep.erase(rows, phone_key))
        total = PurgeCount()
        while True:  # in small units, so that sends and verifications go on between them
            count = await self._write(
                lambda rows: _upkeep.purge(
                    rows,
                    challenges_before=challenges_before,
                    deliveries_before=deliveries_before,
                    verified_before=verified_before,
                    limit=_PURGE_LIMIT,
                    now=now,
                )
            )
            counted = values_of(count)
            total = PurgeCount(**{name: getattr(total, name) + more for name, more in counted.items()})
            if max(counted.values()) < _PURGE_LIMIT:
                break
        while await self._write(lambda rows: _upkeep.purge_slots(rows, _PURGE_LIMIT)) >= _PURGE_LIMIT:
            pass
        return total

    async def keys_in_use(self) -> tuple[KeyUse, ...]:
        return await self._read(lambda rows: tuple(rows.keys_in_use()))

    async def due_keys(self, now: datetime | None) -> frozenset[str]:
        return await self._read(lambda rows: rows.due_keys(rows.now(now)))

    async def settings(self) -> Mapping[str, str]:
        return await self._read(lambda rows: rows.settings())

    async def write_setting(self, name: str, value: str | None) -> None:
        await self._write(lambda rows: rows.put_setting(name, value))

    async def breakers(self) -> tuple[BreakerRecord, ...]:
        return await self._read(lambda rows: tuple(rows.breakers(1)))

    async def counters(self, prefix: str, now: datetime | None) -> tuple[CounterRecord | FailureRecord, ...]:
        return await self._read(lambda rows: (*rows.counters(prefix, rows.now(now)), *rows.failure_counters(prefix)))

    async def reset_counters(self, prefix: str) -> int:
        return await self._write(lambda rows: rows.reset_counters(prefix))

    async def budgets(self, prefix: str = "") -> tuple[BudgetRecord, ...]:
        return await self._read(lambda rows: tuple(rows.budgets(prefix)))

    async def verified(self, phone_key: str) -> datetime | None:
        return await self._read(lambda rows: rows.verified(phone_key))

    async def refusals(self, limit: int, *, phone_key: str | None = None) -> tuple[RefusalRecord, ...]:
        return await self._read(lambda rows: tuple(rows.refusals(phone_key, limit)))

    async def retries(
        self, limit: int, *, after: ScheduleRecord | None = None
    ) -> tuple[tuple[ScheduleRecord, ChallengeRecord], ...]:
        return await self._read(lambda rows: _upkeep.retries(rows, limit, after))

    async def requeue(self, challenge_id: str, now: datetime | None) -> int:
        return await self._write(lambda rows: _upkeep.requeue(rows, challenge_id, now))

    async def drop(self, challenge_id: str, now: datetime | None) -> EndedSend | None:
        return await self._write(lambda rows: _upkeep.drop(rows, challenge_id, now))

    async def beat(self, worker: WorkerRecord, stale: timedelta, now: datetime | None) -> tuple[WorkerRecord, ...]:
        return await self._write(lambda rows: _watching.beat(rows, worker, stale, now))

    async def leave(self, name: str) -> None:
        await self._write(lambda rows: rows.remove_worker(name), even_if_cancelled=True)

    async def status(self, since: datetime, now: datetime | None) -> StoreStatus:
        return await self._read(lambda rows: _watching.status(rows, since, now))
