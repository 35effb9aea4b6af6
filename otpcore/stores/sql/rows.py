"""`Rows` over one connection to an SQL database: prebuilt Core statements, plain values in and out."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
from sqlalchemy import Executable, Select

from otpcore.models import Channel
from otpcore.stores.counts import KeyUse, OutcomeCount, RouteCount, Waiting
from otpcore.stores.lifecycle import CLOCK_SLACK, OVER
from otpcore.stores.records import (
    AuditRecord,
    ChallengeRecord,
    Charged,
    DeliveryRecord,
    ReceiptRecord,
    ScheduleRecord,
    SlotRecord,
    Waits,
    WorkerRecord,
    changed,
    values_of,
)
from otpcore.stores.rows import EndedRow
from otpcore.stores.sql import statements as sql
from otpcore.stores.sql.change_rows import ChangeRows
from otpcore.stores.sql.columns import read_charges
from otpcore.stores.sql.limit_rows import LimitRows
from otpcore.stores.sql.list_rows import ListRows
from otpcore.stores.sql.sealed_rows import SealedRows
from otpcore.stores.sql.series_rows import SeriesRows

_BEYOND = 2**62  # no row has such a number


@attrs.frozen(kw_only=True)
class Ended:
    """A schedule row that was removed; hardly anybody asks for its charges."""

    challenge_id: str
    send_id: str
    kept: str

    @property
    def charges(self) -> tuple[Charged, ...]:
        return read_charges(self.kept)


class SqlRows(LimitRows, ListRows, SealedRows, SeriesRows, ChangeRows):
    """All rows: what is in the way of a send and what becomes of it, workers, settings and counts; the others by their bases."""

    def challenge(self, challenge_id: str) -> ChallengeRecord | None:
        return self._one(ChallengeRecord, sql.CHALLENGE, row_id=challenge_id, own_world=self.world)

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

    def recent(self, since: datetime, channel: Channel, limit: int) -> Sequence[ChallengeRecord]:
        wanted = {"since": since, "row_channel": channel, "most": limit, "own_world": self.world}
        return self._all(ChallengeRecord, sql.RECENT, **wanted)

    def insert_challenge(self, challenge: ChallengeRecord) -> bool:
        live_key = None if challenge.state in OVER else challenge.subject
        return self._put(sql.INSERT_CHALLENGE, challenge, live_key=live_key, world=self.world) == 1

    def update_challenge(self, challenge_id: str, **changes: Any) -> None:
        if changes.get("state") in OVER:
            changes["live_key"] = None
        self._later(sql.UPDATE_CHALLENGE, row_id=challenge_id, **changes)

    def accept(self, challenge_id: str, code_number: int, now: datetime) -> ChallengeRecord | None:
        when = {"now": now, "begun_by": now + CLOCK_SLACK}
        return self._one(ChallengeRecord, sql.ACCEPT, row_id=challenge_id, of_code=code_number, **when)

    def take_attempt(self, challenge_id: str, now: datetime) -> bool:
        return self._changed(sql.TAKE_ATTEMPT, row_id=challenge_id, now=now, begun_by=now + CLOCK_SLACK) == 1

    def give_attempt_back(self, challenge_id: str, givebacks: int) -> bool:
        return self._changed(sql.GIVE_ATTEMPT_BACK, row_id=challenge_id, most=givebacks) == 1

    def consume(self, challenge_id: str, now: datetime, *, attempts: int) -> bool:
        when = {"now": now, "begun_by": now + CLOCK_SLACK}
        return self._changed(sql.CONSUME, row_id=challenge_id, more=attempts, **when) == 1

    def expired(self, now: datetime, limit: int) -> Sequence[ChallengeRecord]:
        return self._all(ChallengeRecord, sql.EXPIRED, now=now, most=limit, own_world=self.world)

    def begun_after(self, moment: datetime, limit: int) -> Sequence[ChallengeRecord]:
        return self._all(ChallengeRecord, sql.BEGUN_AFTER, moment=moment, most=limit, own_world=self.world)

    def deliveries(self, challenge_id: str) -> Sequence[DeliveryRecord]:
        return self._all(DeliveryRecord, sql.DELIVERIES, challenge_id=challenge_id)

    def delivery(self, delivery_id: str) -> DeliveryRecord | None:
        return self._one(DeliveryRecord, sql.DELIVERY, row_id=delivery_id, own_world=self.world)

    def delivery_by_reference(self, instance: str, reference: str) -> DeliveryRecord | None:
        wanted = {"instance": instance, "reference": reference, "own_world": self.world}
        return self._one(DeliveryRecord, sql.DELIVERY_BY_REFERENCE, **wanted)

    def insert_delivery(self, delivery: DeliveryRecord, phone_key: str) -> None:
        self._later_put(sql.INSERT_DELIVERY, delivery, phone_key=phone_key, world=self.world)

    def count_taken(self, challenge_id: str) -> int:
        return int(self._scalar(sql.COUNT_TAKEN, challenge_id=challenge_id))

    def answer_delivery(self, delivery_id: str, **answer: Any) -> bool:
        return self._changed(sql.ANSWER_DELIVERY, row_id=delivery_id, **answer) == 1

    def mark_gone(self, delivery_ids: Collection[str]) -> None:
        if delivery_ids:
            self._changed(sql.MARK_GONE, ids=list(delivery_ids))

    def insert_receipt(self, receipt: ReceiptRecord) -> bool:
        return self._put(sql.INSERT_RECEIPT, receipt, world=self.world) == 1

    def receipts_of(self, delivery_id: str, reference: str) -> Sequence[ReceiptRecord]:
        wanted = {"delivery_id": delivery_id, "reference": reference, "own_world": self.world}
        return self._all(ReceiptRecord, sql.RECEIPTS_OF, **wanted)

    def apply_receipt(self, receipt: ReceiptRecord, delivery_id: str) -> None:
        key = ("reference", "instance", "delivery_id", "status")
        self._later(sql.DELETE_RECEIPT, **{f"row_{name}": getattr(receipt, name) for name in key})
        self._later_put(sql.PUT_RECEIPT, changed(receipt, delivery_id=delivery_id, applied=True), world=self.world)

    def schedule(self, challenge_id: str, channel: Channel) -> ScheduleRecord | None:
        return self._one(ScheduleRecord, sql.SCHEDULE, row_id=challenge_id, row_channel=channel)

    def schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        return self._all(ScheduleRecord, sql.SCHEDULES, row_id=challenge_id)

    def put_schedule(self, row: ScheduleRecord) -> None:
        self._later_put(sql.PUT_SCHEDULE, row, world=self.world)

    def delete_schedule(self, challenge_id: str, channel: Channel) -> None:
        self._later(sql.DELETE_SCHEDULE, row_id=challenge_id, row_channel=channel)

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
        wanted: dict[str, Any] = {"now": now, "most": limit, "channels": list(channels), "own_world": self.world}
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
        lists = [
            text
            for text in self._scalars(sql.FORCED_LISTS, now=now, own_world=self.world)
            if able.issuperset(json.loads(text))
        ]
        return self._all(ScheduleRecord, locked(sql.due(by_key=by_key, by_forced=True)), forced=lists, **wanted)

    def next_due(self) -> datetime | None:
        due_at: datetime | None = self._scalar(sql.NEXT_DUE, own_world=self.world)
        return due_at

    def upcoming(self, limit: int, after: ScheduleRecord | None = None) -> Sequence[ScheduleRecord]:
        if after is None:
            return self._all(ScheduleRecord, sql.UPCOMING, most=limit, own_world=self.world)
        last = {"claimable_at": after.claimable_at, "row_id": after.challenge_id, "row_channel": after.channel}
        return self._all(ScheduleRecord, sql.UPCOMING_AFTER, most=limit, own_world=self.world, **last)

    def waiting(self, waits: Waits, waits_for: str, until: datetime, limit: int) -> int:
        so = {"how": waits, "row_key": waits_for, "own_world": self.world}
        return int(self._scalar(sql.WAITING, due_by=until, most=limit, **so))

    def waited_for(self) -> Sequence[tuple[Waits, str]]:
        found: list[tuple[Waits, str]] = []
        for waits in Waits:
            key = self._scalar(sql.FIRST_WAITED_FOR, how=waits, own_world=self.world)
            while key is not None:  # one look at the index for each: there may be a million rows that wait for one
                found.append((waits, key))
                key = self._scalar(sql.NEXT_WAITED_FOR, how=waits, row_key=key, own_world=self.world)
        return found

    def wake(self, waits: Waits, waits_for: str, due_at: datetime, limit: int) -> int:
        return self._wake(sql.ASLEEP, waits, waits_for, due_at, limit)

    def _wake(self, asleep: Executable, waits: Waits, waits_for: str, due_at: datetime, limit: int) -> int:
        so = {"how": waits, "row_key": waits_for, "own_world": self.world}
        ids = self._scalars(asleep, most=limit, **so)
        return self._changed(sql.WAKE, ids=ids, due_by=due_at, **so) if ids else 0

    def due_keys(self, now: datetime) -> frozenset[str]:
        return frozenset(self._scalars(sql.DUE_KEYS, now=now, own_world=self.world))

    def slot(self, scope: str, phone_key: str) -> SlotRecord | None:
        return self._one(SlotRecord, sql.SLOT, scope=scope, phone_key=phone_key)

    def take_slot(self, slot: SlotRecord, held_by: str | None) -> bool:
        if held_by is None:
            return self._put(sql.INSERT_SLOT, slot, world=self.world) == 1
        where = {"row_scope": slot.scope, "row_phone_key": slot.phone_key, "held_by": held_by}
        return self._changed(sql.TAKE_SLOT, holder=slot.holder, mark=slot.mark, **where) == 1

    def purge_slots(self, limit: int) -> int:
        return self._changed(sql.PURGE_SLOTS, most=limit, own_world=self.world)

    def free_slots(self, limit: int) -> Sequence[SlotRecord]:
        return self._all(SlotRecord, sql.FREE_SLOTS, most=limit, own_world=self.world)

    def delete_slot(self, scope: str, phone_key: str) -> None:
        self._later(sql.DELETE_SLOT, row_scope=scope, row_phone_key=phone_key)

    def put_worker(self, worker: WorkerRecord) -> None:
        self._later_put(sql.PUT_WORKER, worker)

    def remove_worker(self, name: str) -> None:
        self._later(sql.REMOVE_WORKER, row_key=name)

    def remove_stale_workers(self, before: datetime) -> Sequence[WorkerRecord]:
        return sorted(self._all(WorkerRecord, sql.REMOVE_STALE_WORKERS, before=before), key=lambda worker: worker.name)

    def workers(self) -> Sequence[WorkerRecord]:
        return self._all(WorkerRecord, sql.WORKERS)

    def count_outcomes(self, since: datetime) -> Sequence[OutcomeCount]:
        return self._all(OutcomeCount, sql.COUNT_OUTCOMES, since=since, own_world=self.world)

    def count_verified(self, since: datetime) -> Sequence[RouteCount]:
        return self._all(RouteCount, sql.VERIFIED_BY_ROUTE, since=since, own_world=self.world)

    def count_relayed(self, since: datetime) -> Sequence[RouteCount]:
        return self._all(RouteCount, sql.RELAYED_BY_ROUTE, since=since, own_world=self.world)

    def count_waiting(self, now: datetime) -> Sequence[Waiting]:
        return self._all(Waiting, sql.COUNT_WAITING, now=now, own_world=self.world)

    def settings(self) -> dict[str, str]:
        return {str(name): str(value) for name, value in self._rows(sql.SETTINGS, {})}

    def setting(self, name: str) -> str | None:
        value: str | None = self._scalar(sql.SETTING, row_key=name)
        return value

    def put_setting(self, name: str, value: str | None) -> None:
        if value is None:
            self._later(sql.DELETE_SETTING, row_key=name)
        else:
            self._later(sql.PUT_SETTING, name=name, value=value)

    def insert_setting(self, name: str, value: str) -> bool:
        return self._changed(sql.INSERT_SETTING, name=name, value=value) == 1

    def add_audit(self, record: AuditRecord) -> None:
        values = values_of(record)
        del values["number"]  # the database gives it
        self._later(sql.INSERT_AUDIT, **values)

    def audits(self, action: str, below: int | None, limit: int) -> Sequence[AuditRecord]:
        page = {"below": _BEYOND if below is None else below, "most": limit}
        if action:
            return self._all(AuditRecord, sql.AUDITS_OF, row_action=action, **page)
        return self._all(AuditRecord, sql.AUDITS, **page)

    def purge_audits(self, before: datetime, limit: int) -> int:
        return self._changed(sql.PURGE_AUDITS, before=before, most=limit)

    def blank_audits(self, phone_key: str, blank: Mapping[str, str]) -> int:
        return self._changed(sql.BLANK_AUDITS, of_phone=phone_key, **blank)

    def keys_in_use(self) -> Sequence[KeyUse]:
        return self._all(KeyUse, sql.KEYS_IN_USE, own_world=self.world)

    def purge_challenges(self, before: datetime, limit: int) -> int:
        return self._remove_challenges(self._scalars(sql.OVER_BEFORE, before=before, most=limit, own_world=self.world))

    def purge_deliveries(self, before: datetime, limit: int) -> int:
        return self._changed(sql.PURGE_DELIVERIES, before=before, most=limit, own_world=self.world)

    def purge_receipts(self, before: datetime, limit: int) -> int:
        return self._changed(sql.PURGE_RECEIPTS, before=before, most=limit, own_world=self.world)

    def erase(self, phone_key: str) -> tuple[int, int]:
        removed = self._remove_challenges(self._scalars(sql.OF_PHONE, phone_key=phone_key))
        self._changed(sql.DELETE_SLOTS_OF, phone_key=phone_key)
        self._changed(sql.DELETE_RECEIPTS_OF, phone_key=phone_key)
        return removed, self._changed(sql.DELETE_DELIVERIES_OF, phone_key=phone_key)

    def _remove_challenges(self, ids: Sequence[str]) -> int:
        for statement in sql.REMOVE_CHALLENGES:
            self._changed(statement, ids=ids)
        return len(ids)
