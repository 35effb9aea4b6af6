"""`Rows` over one connection to an SQL database: prebuilt Core statements, plain values in and out."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

import attrs
from sqlalchemy import Connection, Executable, Select

from otpcore.admission import BudgetRecord, RefusalRecord
from otpcore.figures import KeyUse, OutcomeCount, RouteCount, Waiting
from otpcore.hookspecs import utc_now
from otpcore.lifecycle import CLOCK_SLACK, OVER
from otpcore.models import Channel
from otpcore.records import (
    BreakerRecord,
    ChallengeRecord,
    Charged,
    CounterRecord,
    DeliveryRecord,
    FailureRecord,
    ReceiptRecord,
    ScheduleRecord,
    SlotRecord,
    WorkerRecord,
    changed,
    made,
)
from otpcore.stores import _sql_statements as sql
from otpcore.stores._prepared import run, write
from otpcore.stores._tables import read_charges
from otpcore.stores.rows import EndedRow
from otpcore.verbs import Charge

R = TypeVar("R")


@attrs.frozen(kw_only=True)
class Ended:
    """A schedule row that was removed; hardly anybody asks for its charges."""

    challenge_id: str
    send_id: str
    kept: str

    @property
    def charges(self) -> tuple[Charged, ...]:
        return read_charges(self.kept)


class SqlRows:
    """The rows of one unit of work. No result stays open: an unread one would make the commit fail."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._raw: Any = connection.connection.dbapi_connection

    def now(self, now: datetime | None) -> datetime:
        return utc_now() if now is None else now

    def challenge(self, challenge_id: str) -> ChallengeRecord | None:
        return self._one(ChallengeRecord, sql.CHALLENGE, row_id=challenge_id)

    def peek(self, challenge_id: str) -> ChallengeRecord | None:
        return self.challenge(challenge_id)

    def challenge_if_free(self, challenge_id: str) -> ChallengeRecord | None:
        return self.challenge(challenge_id)

    def latest(self, subject: str) -> ChallengeRecord | None:
        return self._one(ChallengeRecord, sql.LATEST, subject=subject)

    def peek_latest(self, subject: str) -> ChallengeRecord | None:
        return self.latest(subject)

    def challenges_of(self, phone_key: str) -> Sequence[ChallengeRecord]:
        return self._all(ChallengeRecord, sql.CHALLENGES_OF, phone_key=phone_key)

    def insert_challenge(self, challenge: ChallengeRecord) -> bool:
        live_key = None if challenge.state in OVER else challenge.subject
        return self._put(sql.INSERT_CHALLENGE, challenge, live_key=live_key) == 1

    def update_challenge(self, challenge_id: str, **changes: Any) -> None:
        if changes.get("state") in OVER:
            changes["live_key"] = None
        self._changed(sql.UPDATE_CHALLENGE, row_id=challenge_id, **changes)

    def accept(self, challenge_id: str, now: datetime) -> ChallengeRecord | None:
        return self._one(ChallengeRecord, sql.ACCEPT, row_id=challenge_id, now=now, begun_by=now + CLOCK_SLACK)

    def take_attempt(self, challenge_id: str, now: datetime) -> bool:
        return self._changed(sql.TAKE_ATTEMPT, row_id=challenge_id, now=now, begun_by=now + CLOCK_SLACK) == 1

    def give_attempt_back(self, challenge_id: str, givebacks: int) -> bool:
        return self._changed(sql.GIVE_ATTEMPT_BACK, row_id=challenge_id, most=givebacks) == 1

    def consume(self, challenge_id: str, now: datetime, *, attempts: int) -> bool:
        when = {"now": now, "begun_by": now + CLOCK_SLACK}
        return self._changed(sql.CONSUME, row_id=challenge_id, more=attempts, **when) == 1

    def expired(self, now: datetime, limit: int) -> Sequence[ChallengeRecord]:
        return self._all(ChallengeRecord, sql.EXPIRED, now=now, most=limit)

    def begun_after(self, moment: datetime, limit: int) -> Sequence[ChallengeRecord]:
        return self._all(ChallengeRecord, sql.BEGUN_AFTER, moment=moment, most=limit)

    def deliveries(self, challenge_id: str) -> Sequence[DeliveryRecord]:
        return self._all(DeliveryRecord, sql.DELIVERIES, challenge_id=challenge_id)

    def delivery(self, delivery_id: str) -> DeliveryRecord | None:
        return self._one(DeliveryRecord, sql.DELIVERY, row_id=delivery_id)

    def delivery_by_reference(self, instance: str, reference: str) -> DeliveryRecord | None:
        return self._one(DeliveryRecord, sql.DELIVERY_BY_REFERENCE, instance=instance, reference=reference)

    def insert_delivery(self, delivery: DeliveryRecord, phone_key: str) -> None:
        self._put(sql.INSERT_DELIVERY, delivery, phone_key=phone_key)

    def count_taken(self, challenge_id: str) -> int:
        return int(self._scalar(sql.COUNT_TAKEN, challenge_id=challenge_id))

    def answer_delivery(self, delivery_id: str, **answer: Any) -> bool:
        return self._changed(sql.ANSWER_DELIVERY, row_id=delivery_id, **answer) == 1

    def mark_gone(self, delivery_ids: Collection[str]) -> None:
        if delivery_ids:
            self._changed(sql.MARK_GONE, ids=list(delivery_ids))

    def insert_receipt(self, receipt: ReceiptRecord) -> bool:
        return self._put(sql.INSERT_RECEIPT, receipt) == 1

    def receipts_of(self, delivery_id: str, reference: str) -> Sequence[ReceiptRecord]:
        return self._all(ReceiptRecord, sql.RECEIPTS_OF, delivery_id=delivery_id, reference=reference)

    def apply_receipt(self, receipt: ReceiptRecord, delivery_id: str) -> None:
        key = ("reference", "instance", "delivery_id", "status")
        self._changed(sql.DELETE_RECEIPT, **{f"row_{name}": getattr(receipt, name) for name in key})
        self._put(sql.PUT_RECEIPT, changed(receipt, delivery_id=delivery_id, applied=True))

    def schedule(self, challenge_id: str, channel: Channel) -> ScheduleRecord | None:
        return self._one(ScheduleRecord, sql.SCHEDULE, row_id=challenge_id, row_channel=channel)

    def schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        return self._all(ScheduleRecord, sql.SCHEDULES, row_id=challenge_id)

    def put_schedule(self, row: ScheduleRecord) -> None:
        self._put(sql.PUT_SCHEDULE, row)

    def delete_schedule(self, challenge_id: str, channel: Channel) -> None:
        self._changed(sql.DELETE_SCHEDULE, row_id=challenge_id, row_channel=channel)

    def end_schedules(self, challenge_id: str) -> Sequence[EndedRow]:
        return self._all(Ended, sql.END_SCHEDULES, row_id=challenge_id)

    def due(
        self,
        now: datetime,
        limit: int,
        *,
        channels: Collection[Channel],
        key_ids: Collection[str] | None = None,
        instances: Collection[str] | None = None,
    ) -> Sequence[ScheduleRecord]:
        return self._due(lambda statement: statement, now, limit, channels, key_ids, instances)

    def _due(
        self,
        locked: Callable[[Select[Any]], Select[Any]],
        now: datetime,
        limit: int,
        channels: Collection[Channel],
        key_ids: Collection[str] | None,
        instances: Collection[str] | None,
    ) -> Sequence[ScheduleRecord]:
        wanted: dict[str, Any] = {"now": now, "most": limit, "channels": list(channels)}
        if key_ids is not None:
            wanted["key_ids"] = list(key_ids)
        by_key = key_ids is not None
        rows = self._all(ScheduleRecord, locked(sql.due(by_key=by_key, by_forced=False)), **wanted)
        if instances is None:
            return rows
        able = frozenset(instances)
        claimable = [row for row in rows if able.issuperset(row.forced or ())]
        if len(claimable) == len(rows) or len(rows) < limit:
            return claimable
        # Somebody else's rows came first: ask again without them, so that they never starve ours.
        lists = [text for text in self._scalars(sql.FORCED_LISTS, now=now) if able.issuperset(json.loads(text))]
        return self._all(ScheduleRecord, locked(sql.due(by_key=by_key, by_forced=True)), forced=lists, **wanted)

    def next_due(self) -> datetime | None:
        due_at: datetime | None = self._scalar(sql.NEXT_DUE)
        return due_at

    def upcoming(self, limit: int, after: ScheduleRecord | None = None) -> Sequence[ScheduleRecord]:
        if after is None:
            return self._all(ScheduleRecord, sql.UPCOMING, most=limit)
        last = {"due_at": after.due_at, "row_id": after.challenge_id, "row_channel": after.channel}
        return self._all(ScheduleRecord, sql.UPCOMING_AFTER, most=limit, **last)

    def waiting(self, waits_for: str, until: datetime, limit: int) -> int:
        return int(self._scalar(sql.WAITING, row_key=waits_for, due_by=until, most=limit))

    def waited_for(self) -> Sequence[str]:
        found: list[str] = []
        key = self._scalar(sql.FIRST_WAITED_FOR)
        while key is not None:  # one look at the index for each: there may be a million rows that wait for one
            found.append(key)
            key = self._scalar(sql.NEXT_WAITED_FOR, row_key=key)
        return found

    def wake(self, waits_for: str, due_at: datetime, limit: int) -> int:
        return self._wake(sql.ASLEEP, waits_for, due_at, limit)

    def _wake(self, asleep: Executable, waits_for: str, due_at: datetime, limit: int) -> int:
        ids = self._scalars(asleep, row_key=waits_for, most=limit)
        return self._changed(sql.WAKE, ids=ids, row_key=waits_for, due_by=due_at) if ids else 0

    def due_keys(self, now: datetime) -> frozenset[str]:
        return frozenset(self._scalars(sql.DUE_KEYS, now=now))

    def slot(self, scope: str, phone_key: str) -> SlotRecord | None:
        return self._one(SlotRecord, sql.SLOT, scope=scope, phone_key=phone_key)

    def take_slot(self, slot: SlotRecord, held_by: str | None) -> bool:
        if held_by is None:
            return self._put(sql.INSERT_SLOT, slot) == 1
        where = {"row_scope": slot.scope, "row_phone_key": slot.phone_key, "held_by": held_by}
        return self._changed(sql.TAKE_SLOT, holder=slot.holder, mark=slot.mark, **where) == 1

    def purge_slots(self, limit: int) -> int:
        return self._changed(sql.PURGE_SLOTS, most=limit)

    def free_slots(self, limit: int) -> Sequence[SlotRecord]:
        return self._all(SlotRecord, sql.FREE_SLOTS, most=limit)

    def delete_slot(self, scope: str, phone_key: str) -> None:
        self._changed(sql.DELETE_SLOT, row_scope=scope, row_phone_key=phone_key)

    def charge(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        if not charges:
            return []
        wanted: dict[str, Any] = {"now": now}
        for number, charge in enumerate(charges):
            one = {"key": charge.key, "ends": now + charge.window, "most": charge.limit}
            wanted |= {f"{name}_{number}": value for name, value in one.items()}
        return [Charged(key=key, window_ends_at=ends) for key, ends in self._rows(sql.charges_of(len(charges)), wanted)]

    def refund(self, charged: Charged) -> None:
        self._changed(sql.REFUND, row_key=charged.key, ends=charged.window_ends_at)

    def counters(self, prefix: str, now: datetime) -> Sequence[CounterRecord]:
        return self._all(CounterRecord, sql.COUNTERS, **_span(prefix), now=now)

    def failure_counters(self, prefix: str) -> Sequence[FailureRecord]:
        return self._all(FailureRecord, sql.FAILURE_COUNTERS, **_span(prefix))

    def reset_counters(self, prefix: str) -> int:
        return sum(self._changed(statement, **_span(prefix)) for statement in sql.RESET)

    def peek_failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        first, second = keys
        return self._all(FailureRecord, sql.FAILURES, first=first, second=second)

    def failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        return self.peek_failures(keys)

    def count_failure(self, key: str) -> int:
        return int(self._scalar(sql.COUNT_FAILURE, key=key))

    def put_failures(self, record: FailureRecord) -> None:
        self._put(sql.PUT_FAILURES, record)

    def clear_failures(self, keys: tuple[str, str]) -> None:
        first, second = keys
        self._changed(sql.CLEAR_FAILURES, first=first, second=second)

    def budgets(self, prefix: str) -> Sequence[BudgetRecord]:
        return self._all(BudgetRecord, sql.BUDGETS, **_span(prefix))

    def verified(self, phone_key: str) -> datetime | None:
        verified_at: datetime | None = self._scalar(sql.VERIFIED, row_key=phone_key)
        return verified_at

    def note_verified(self, phone_key: str, now: datetime, counted_before: datetime) -> bool:
        when = {"verified_at": now, "counted_at": now, "before": counted_before}
        if self._changed(sql.COUNT_VERIFIED, phone_key=phone_key, **when) == 1:
            return True
        self._changed(sql.NOTE_VERIFIED, row_key=phone_key, now=now)
        return False

    def count_refusal(self, key: str, now: datetime) -> bool:
        return self._changed(sql.COUNT_REFUSAL, row_key=key, now=now) == 1

    def put_refusal(self, refusal: RefusalRecord) -> None:
        self._put(sql.PUT_REFUSAL, refusal)

    def refusals(self, phone_key: str | None, limit: int) -> Sequence[RefusalRecord]:
        if phone_key is None:
            return self._all(RefusalRecord, sql.REFUSALS, most=limit)
        return self._all(RefusalRecord, sql.REFUSALS_OF, phone_key=phone_key, most=limit)

    def breakers(self, least: int) -> Sequence[BreakerRecord]:
        return self._all(BreakerRecord, sql.BREAKERS, least=least)

    def count_breaker(self, instance: str) -> int:
        return int(self._scalar(sql.COUNT_BREAKER, instance=instance))

    def close_breaker(self, instance: str) -> int:
        return int(self._scalar(sql.CLOSE_BREAKER, row_key=instance) or 0)

    def win_probe(self, instance: str, now: datetime, next_probe: datetime) -> bool:
        when = {"now": now, "next_probe": next_probe, "too_far": next_probe + CLOCK_SLACK}
        return self._changed(sql.WIN_PROBE, row_key=instance, **when) == 1

    def open_breaker(self, instance: str, now: datetime, probe_at: datetime) -> None:
        self._changed(sql.OPEN_BREAKER, row_key=instance, now=now, next_probe=probe_at)

    def put_worker(self, worker: WorkerRecord) -> None:
        self._put(sql.PUT_WORKER, worker)

    def remove_worker(self, name: str) -> None:
        self._changed(sql.REMOVE_WORKER, row_key=name)

    def remove_stale_workers(self, before: datetime) -> Sequence[WorkerRecord]:
        return sorted(self._all(WorkerRecord, sql.REMOVE_STALE_WORKERS, before=before), key=lambda worker: worker.name)

    def workers(self) -> Sequence[WorkerRecord]:
        return self._all(WorkerRecord, sql.WORKERS)

    def count_outcomes(self, since: datetime) -> Sequence[OutcomeCount]:
        return self._all(OutcomeCount, sql.COUNT_OUTCOMES, since=since)

    def count_verified(self, since: datetime) -> Sequence[RouteCount]:
        return self._all(RouteCount, sql.VERIFIED_BY_ROUTE, since=since)

    def count_waiting(self, now: datetime) -> Sequence[Waiting]:
        return self._all(Waiting, sql.COUNT_WAITING, now=now)

    def settings(self) -> dict[str, str]:
        return {str(name): str(value) for name, value in self._rows(sql.SETTINGS, {})}

    def put_setting(self, name: str, value: str | None) -> None:
        if value is None:
            self._changed(sql.DELETE_SETTING, row_key=name)
        else:
            self._changed(sql.PUT_SETTING, name=name, value=value)

    def keys_in_use(self) -> Sequence[KeyUse]:
        return self._all(KeyUse, sql.KEYS_IN_USE)

    def purge_challenges(self, before: datetime, limit: int) -> int:
        return self._remove_challenges(self._scalars(sql.OVER_BEFORE, before=before, most=limit))

    def purge_deliveries(self, before: datetime, limit: int) -> int:
        return self._changed(sql.PURGE_DELIVERIES, before=before, most=limit)

    def purge_receipts(self, before: datetime, limit: int) -> int:
        return self._changed(sql.PURGE_RECEIPTS, before=before, most=limit)

    def purge_counters(self, now: datetime, limit: int) -> int:
        return self._changed(sql.PURGE_COUNTERS, now=now, most=limit)

    def purge_refusals(self, before: datetime, limit: int) -> int:
        return self._changed(sql.PURGE_REFUSALS, before=before, most=limit)

    def purge_verified(self, before: datetime, limit: int) -> int:
        return self._changed(sql.PURGE_VERIFIED, before=before, most=limit)

    def forget(self, phone_key: str) -> tuple[int, int]:
        refusals, verified = (self._changed(statement, phone_key=phone_key) for statement in sql.FORGET)
        return refusals, verified

    def erase(self, phone_key: str) -> tuple[int, int]:
        removed = self._remove_challenges(self._scalars(sql.OF_PHONE, phone_key=phone_key))
        self._changed(sql.DELETE_SLOTS_OF, phone_key=phone_key)
        self._changed(sql.DELETE_RECEIPTS_OF, phone_key=phone_key)
        return removed, self._changed(sql.DELETE_DELIVERIES_OF, phone_key=phone_key)

    def _remove_challenges(self, ids: Sequence[str]) -> int:
        for statement in sql.REMOVE_CHALLENGES:
            self._changed(statement, ids=ids)
        return len(ids)

    def _changed(self, statement: Executable, **parameters: Any) -> int:
        """Run a statement; how many rows it changed."""
        return run(self._connection, self._raw, statement, parameters)[1]

    def _put(self, statement: Executable, record: Any, **more: Any) -> int:
        """Run a statement with a record's fields; how many rows it changed."""
        return write(self._connection, self._raw, statement, record, more)

    def _scalar(self, statement: Executable, **parameters: Any) -> Any:
        rows = self._rows(statement, parameters)
        return rows[0][0] if rows else None

    def _scalars(self, statement: Executable, **parameters: Any) -> Sequence[Any]:
        return [row[0] for row in self._rows(statement, parameters)]

    def _one(self, kind: type[R], statement: Executable, **parameters: Any) -> R | None:
        rows = self._rows(statement, parameters)
        return made(kind, rows[0]) if rows else None

    def _all(self, kind: type[R], statement: Executable, **parameters: Any) -> list[R]:
        return [made(kind, row) for row in self._rows(statement, parameters)]

    def _rows(self, statement: Executable, parameters: dict[str, Any]) -> list[Any]:
        return run(self._connection, self._raw, statement, parameters)[0]


def _span(prefix: str) -> dict[str, str]:
    """All keys that begin so, up to the last ASCII character."""
    return {"prefix": prefix, "after": f"{prefix}\x7f"}
