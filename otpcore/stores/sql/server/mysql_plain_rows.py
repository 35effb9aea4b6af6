"""`Rows` on MariaDB and MySQL without reading ahead: they return nothing from an UPDATE and cannot tell an insert from a conflict."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ClauseElement,
    Column,
    ColumnClause,
    Delete,
    Executable,
    bindparam,
    case,
    column,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql.dml import OnConflictDoUpdate
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.visitors import replacement_traverse

from otpcore.rate_limits.admission import Charge
from otpcore.stores.lifecycle import CLOCK_SLACK, OVER
from otpcore.stores.records import (
    BreakerRecord,
    ChallengeRecord,
    Charged,
    ReceiptRecord,
    ScheduleRecord,
    SlotRecord,
    WorkerRecord,
    changed,
    values_of,
)
from otpcore.stores.rows import EndedRow, OutrunError
from otpcore.stores.sealed import SealedRecord
from otpcore.stores.sql import limit_statements as limits_sql
from otpcore.stores.sql import statements as sql
from otpcore.stores.sql.building import own
from otpcore.stores.sql.change_rows import OLD_CHANGES
from otpcore.stores.sql.sealed_rows import EXPIRED
from otpcore.stores.sql.series_statements import OLD_SERIES
from otpcore.stores.sql.server.rows import ServerRows
from otpcore.stores.sql.server.striped_rows import CHARGE_STRIPE, FREE_BUDGET, FREE_STRIPE, MOVE_STRIPE
from otpcore.stores.sql.server.stripes import span
from otpcore.stores.sql.tables import (
    challenges,
    counters,
    deliveries,
    failures,
    folds,
    receipts,
    refusals,
    sealed,
    slots,
    verified,
)

_DUPLICATE = 1062  # ER_DUP_ENTRY

_OF_KEY = counters.c.key == bindparam("row_key")
_OVER_WINDOW = counters.c.window_ends_at <= bindparam("now", type_=counters.c.window_ends_at.type)
_NEW_CHALLENGE = insert(challenges)
_NEW_SLOT = insert(slots)
NEW_COUNTER = insert(counters)
CHARGE = (
    update(counters)
    .where(_OF_KEY, or_(_OVER_WINDOW, counters.c.count < bindparam("most")))
    .ordered_values(  # MySQL assigns from left to right, and sees what it has assigned
        (counters.c.count, case((_OVER_WINDOW, 1), else_=counters.c.count + 1)),
        (
            counters.c.window_ends_at,
            case(
                (_OVER_WINDOW, bindparam("ends", type_=counters.c.window_ends_at.type)),
                else_=counters.c.window_ends_at,
            ),
        ),
    )
)
_WINDOW_ENDS = select(counters.c.window_ends_at).where(_OF_KEY)
_FAILURES_OF = select(failures.c.failures).where(failures.c.key == bindparam("row_key"))
_NEW_RECEIPT = insert(receipts)
_NEW_SEALED = insert(sealed)
_NEW_FOLD = insert(folds)


def _older(column: Column[Any]) -> Delete:
    table = column.table
    return delete(table).where(column < bindparam("before", type_=column.type), own(table))


_FREE_SLOTS = delete(slots).where(slots.c.holder == "", slots.c.mark.is_(None), own(slots))
_OLD_DELIVERIES = _older(deliveries.c.recorded_at)
_OLD_RECEIPTS = _older(receipts.c.received_at)
_OLD_REFUSALS = _older(refusals.c.last_at)
_OLD_VERIFIED = _older(verified.c.verified_at)
_EXPIRED_SEALED = delete(sealed).where(EXPIRED, own(sealed))


@functools.cache
def _at_most(statement: Delete, limit: int) -> Delete:
    """MySQL takes no LIMIT in a subquery, and one in the DELETE itself."""
    return statement.with_dialect_options(mysql_limit=limit, mariadb_limit=limit)


@compiles(OnConflictDoUpdate, "mysql")
@compiles(OnConflictDoUpdate, "mariadb")
def _on_duplicate_key(clause: Any, compiler: Any, **options: Any) -> str:
    """``ON CONFLICT … DO UPDATE SET a = excluded.a`` in MySQL's words; it looks at every unique key by itself."""
    assigned = []
    for key, value in clause.update_values_to_set.items():
        shown = compiler.process(replacement_traverse(_coerced(value), {}, _new_value), use_schema=False, **options)
        assigned.append(f"{compiler.preparer.quote(key)} = {shown}")
    return f"ON DUPLICATE KEY UPDATE {', '.join(assigned)}"


def _coerced(value: Any) -> Any:
    """An expression; plain values become one."""
    return value if isinstance(value, ClauseElement) else literal(value)


def _new_value(element: Any, **_: Any) -> Any:
    """``excluded.a`` is ``VALUES(a)``; None: the element stays."""
    if isinstance(element, ColumnClause) and getattr(element.table, "name", "") == "excluded":
        return func.VALUES(column(element.name))
    return None


_NEW_VERIFIED = insert(verified)


class MySqlPlainRows(ServerRows):
    """The rows of one unit of work. What PostgreSQL says in one statement is an update and a look at what is locked by it."""

    def insert_challenge(self, challenge: ChallengeRecord) -> bool:
        live_key = None if challenge.state in OVER else challenge.subject
        return self._inserted(_NEW_CHALLENGE, live_key=live_key, world=self.world, **values_of(challenge))

    def accept(self, challenge_id: str, code_number: int, now: datetime) -> ChallengeRecord | None:
        when = {"now": now, "begun_by": now + CLOCK_SLACK}
        changed = self._changed(sql.ACCEPT_ONLY, row_id=challenge_id, of_code=code_number, **when)
        return self.peek(challenge_id) if changed else None

    def end_schedules(self, challenge_id: str) -> Sequence[EndedRow]:
        rows = self._all(ScheduleRecord, sql.locked(sql.SCHEDULES), row_id=challenge_id)
        if rows:
            self._changed(sql.END_SCHEDULES_ONLY, row_id=challenge_id)
        return rows

    def take_slot(self, slot: SlotRecord, held_by: str | None) -> bool:
        if held_by is None:
            return self._inserted(_NEW_SLOT, world=self.world, **values_of(slot))
        return super().take_slot(slot, held_by)

    def _charge_rows(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        done = (self._charge_row(one.key, one.limit, one.window, now) for one in charges)
        return [charged for charged in done if charged is not None]

    def _charge_row(self, key: str, limit: int, window: timedelta, now: datetime) -> Charged | None:
        ends = now + window
        wanted = {"row_key": key, "ends": ends, "most": limit, "now": now}
        # The row is there as a rule. Two inserts of one key would often deadlock.
        if not self._changed(CHARGE, **wanted):
            if self._scalar(_WINDOW_ENDS, row_key=key) is None:
                if not self._inserted(NEW_COUNTER, key=key, count=1, window_ends_at=ends):
                    raise OutrunError("the counter was begun by somebody else")
                return Charged(key=key, window_ends_at=ends)
            if not self._changed(CHARGE, **wanted):  # once more: somebody may have begun it between the two looks
                return None
        return Charged(key=key, window_ends_at=self._scalar(_WINDOW_ENDS, row_key=key))

    def _take_stripe(self, key: str, first_share: int, share: int, now: datetime) -> Charged | None:
        wanted = {"first_share": first_share, "share": share, "now": now}
        free = self._rows(FREE_STRIPE, {**span(key), **wanted})
        if not free:
            return None
        stripe, ends_at = free[0]
        self._changed(CHARGE_STRIPE, row_key=stripe, most=max(first_share, share), now=now)
        return Charged(key=stripe, window_ends_at=ends_at)

    def _take_budget(self, key: str, now: datetime, more: dict[str, int]) -> bool:
        stripe = self._scalar(FREE_BUDGET, **span(key), now=now)
        return stripe is not None and self._changed(MOVE_STRIPE, row_key=stripe, **more) == 1

    def count_failure(self, key: str) -> int:
        self._changed(limits_sql.COUNT_FAILURE_ONLY, key=key)
        return int(self._scalar(_FAILURES_OF, row_key=key))

    def note_verified(self, phone_key: str, now: datetime, counted_before: datetime) -> bool:
        if self._changed(limits_sql.COUNT_AGAIN, row_key=phone_key, now=now, before=counted_before):
            return True
        if self._changed(limits_sql.NOTE_VERIFIED, row_key=phone_key, now=now):
            return False
        new = {"phone_key": phone_key, "verified_at": now, "counted_at": now, "world": self.world}
        if not self._inserted(_NEW_VERIFIED, **new):
            raise OutrunError("the phone was noted by somebody else")
        return True

    def count_breaker(self, instance: str, code: str, words: str) -> int:
        marked = self.world.mark(instance)
        self._changed(limits_sql.COUNT_BREAKER_ONLY, instance=marked, code=code, words=words)
        return int(self._scalar(limits_sql.BREAKER_FAILURES, row_key=marked))

    def close_breaker(self, instance: str) -> BreakerRecord | None:
        marked = self.world.mark(instance)
        breaker = self._one(BreakerRecord, sql.locked(limits_sql.BREAKER), row_key=marked)
        if breaker is None:
            return None
        self._changed(limits_sql.CLOSE_BREAKER_ONLY, row_key=marked)
        return changed(breaker, instance=instance)

    def insert_receipt(self, receipt: ReceiptRecord) -> bool:
        return self._inserted(_NEW_RECEIPT, world=self.world, **values_of(receipt))

    def remove_stale_workers(self, before: datetime) -> Sequence[WorkerRecord]:
        stale = self._all(WorkerRecord, sql.locked(sql.STALE_WORKERS), before=before)
        if stale:
            self._changed(sql.REMOVE_STALE_WORKERS_ONLY, before=before)
        return stale

    def purge_slots(self, limit: int) -> int:
        return self._changed(_at_most(_FREE_SLOTS, limit), own_world=self.world)

    def purge_deliveries(self, before: datetime, limit: int) -> int:
        return self._changed(_at_most(_OLD_DELIVERIES, limit), before=before, own_world=self.world)

    def purge_receipts(self, before: datetime, limit: int) -> int:
        return self._changed(_at_most(_OLD_RECEIPTS, limit), before=before, own_world=self.world)

    def purge_audits(self, before: datetime, limit: int) -> int:
        return self._changed(_at_most(sql.OLD_AUDITS, limit), before=before)

    def purge_refusals(self, before: datetime, limit: int) -> int:
        return self._changed(_at_most(_OLD_REFUSALS, limit), before=before, own_world=self.world)

    def purge_verified(self, before: datetime, limit: int) -> int:
        return self._changed(_at_most(_OLD_VERIFIED, limit), before=before, own_world=self.world)

    def purge_sealed(self, now: datetime, limit: int) -> int:
        return self._changed(_at_most(_EXPIRED_SEALED, limit), now=now, own_world=self.world)

    def _insert_sealed(self, record: SealedRecord) -> bool:
        return self._inserted(_NEW_SEALED, world=self.world, **values_of(record))

    def purge_changes(self, before: datetime, limit: int) -> int:
        return self._changed(_at_most(OLD_CHANGES, limit), before=before, own_world=self.world)

    def _insert_fold(self, until: datetime) -> bool:
        return self._inserted(_NEW_FOLD, world=self.world, folded_until=until)

    def _purge_span(self, span: int, before: int, limit: int) -> int:
        given = {"row_span": span, "before": before, "own_world": self.world}
        return self._changed(_at_most(OLD_SERIES, limit), **given)

    def _inserted(self, statement: Executable, **values: Any) -> bool:
        """Insert; False when its key is taken. InnoDB undoes the one statement, and the transaction goes on."""
        try:
            self._changed(statement, **values)
        except (IntegrityError, self._connection.dialect.dbapi.IntegrityError) as error:  # type: ignore[union-attr] # it has a driver
            cause = error.orig if isinstance(error, IntegrityError) else error
            if cause is None or cause.args[0] != _DUPLICATE:
                raise
            return False
        return True
