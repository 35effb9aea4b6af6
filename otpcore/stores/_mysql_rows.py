"""`Rows` on MariaDB and MySQL, which return nothing from an UPDATE and cannot tell an insert from a conflict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, bindparam, case, delete, insert, or_, select, update
from sqlalchemy.dialects.postgresql.dml import OnConflictDoUpdate
from sqlalchemy.ext.compiler import compiles

from otpcore.lifecycle import OVER
from otpcore.records import ChallengeRecord, Charge, Charged, DeliveryRecord, ScheduleRecord, SlotRecord
from otpcore.stores import _sql_statements as sql
from otpcore.stores._rows import OutrunError
from otpcore.stores._server_rows import ServerRows
from otpcore.stores._sql_rows import values_of
from otpcore.stores._tables import challenges, counters, deliveries, failures, slots

_DUPLICATE = 1062  # ER_DUP_ENTRY

_OF_KEY = counters.c.key == bindparam("row_key")
_OVER_WINDOW = counters.c.window_ends_at <= bindparam("now", type_=counters.c.window_ends_at.type)
_NEW_CHALLENGE = insert(challenges)
_NEW_SLOT = insert(slots)
_NEW_COUNTER = insert(counters)
_CHARGE = (
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
_OLD_DELIVERIES = (
    select(deliveries.c.number).where(deliveries.c.recorded_at < bindparam("before")).limit(bindparam("most"))
)
_REMOVE_DELIVERIES = delete(deliveries).where(deliveries.c.number.in_(bindparam("found", expanding=True)))
_OLD_COUNTERS = select(counters.c.key).where(_OVER_WINDOW).limit(bindparam("most"))
_REMOVE_COUNTERS = delete(counters).where(counters.c.key.in_(bindparam("found", expanding=True)))


@compiles(OnConflictDoUpdate, "mysql")
@compiles(OnConflictDoUpdate, "mariadb")
def _on_duplicate_key(clause: Any, compiler: Any, **options: Any) -> str:
    """``ON CONFLICT … DO UPDATE SET a = excluded.a`` in MySQL's words; it looks at every unique key by itself."""
    preparer = compiler.preparer
    assigned = []
    for key, value in clause.update_values_to_set.items():
        name = preparer.quote(getattr(key, "name", key))
        from_new = getattr(getattr(value, "table", None), "name", "") == "excluded"
        shown = (
            f"VALUES({preparer.quote(value.name)})"
            if from_new
            else compiler.process(value, use_schema=False, **options)
        )
        assigned.append(f"{name} = {shown}")
    return f"ON DUPLICATE KEY UPDATE {', '.join(assigned)}"


class MySqlRows(ServerRows):
    """The rows of one unit of work. What PostgreSQL says in one statement is an update and a look at what is locked by it."""

    def insert_challenge(self, challenge: ChallengeRecord) -> bool:
        live_key = None if challenge.state in OVER else challenge.subject
        return self._inserted(_NEW_CHALLENGE, live_key=live_key, **values_of(challenge))

    def accept(self, challenge_id: str, now: datetime) -> ChallengeRecord | None:
        changed = self._changed(sql.ACCEPT_ONLY, row_id=challenge_id, now=now)
        return self.peek(challenge_id) if changed else None

    def answer_delivery(self, delivery_id: str, **answer: Any) -> DeliveryRecord | None:
        changed = self._changed(sql.ANSWER_DELIVERY_ONLY, row_id=delivery_id, **answer)
        return self._one(DeliveryRecord, sql.DELIVERY, row_id=delivery_id) if changed else None

    def end_schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        rows = self._all(ScheduleRecord, sql.locked(sql.SCHEDULES), row_id=challenge_id)
        if rows:
            self._changed(sql.END_SCHEDULES_ONLY, row_id=challenge_id)
        return rows

    def take_slot(self, slot: SlotRecord, held_by: str | None) -> bool:
        if held_by is None:
            return self._inserted(_NEW_SLOT, **values_of(slot))
        return super().take_slot(slot, held_by)

    def charge(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        return [done for charge in charges if (done := self._charge_one(charge, now)) is not None]

    def _charge_one(self, charge: Charge, now: datetime) -> Charged | None:
        ends = now + charge.window
        # The row is there as a rule. Two inserts of one key would often deadlock.
        if self._changed(_CHARGE, row_key=charge.key, ends=ends, most=charge.limit, now=now):
            return Charged(key=charge.key, window_ends_at=self._scalar(_WINDOW_ENDS, row_key=charge.key))
        if self._scalar(_WINDOW_ENDS, row_key=charge.key) is not None:
            return None
        if not self._inserted(_NEW_COUNTER, key=charge.key, count=1, window_ends_at=ends):
            raise OutrunError("the counter was begun by somebody else")
        return Charged(key=charge.key, window_ends_at=ends)

    def count_failure(self, key: str) -> int:
        self._changed(sql.COUNT_FAILURE_ONLY, key=key)
        return int(self._scalar(_FAILURES_OF, row_key=key))

    def count_breaker(self, instance: str) -> int:
        self._changed(sql.COUNT_BREAKER_ONLY, instance=instance)
        return int(self._scalar(sql.BREAKER_FAILURES, row_key=instance))

    def close_breaker(self, instance: str) -> int:
        failures = self._scalar(sql.locked(sql.BREAKER_FAILURES), row_key=instance)
        if failures:
            self._changed(sql.CLOSE_BREAKER_ONLY, row_key=instance)
        return int(failures or 0)

    def purge_deliveries(self, before: datetime, limit: int) -> int:
        return self._removed(_OLD_DELIVERIES, _REMOVE_DELIVERIES, before=before, most=limit)

    def purge_counters(self, now: datetime, limit: int) -> int:
        return self._removed(_OLD_COUNTERS, _REMOVE_COUNTERS, now=now, most=limit)

    def _inserted(self, statement: Executable, **values: Any) -> bool:
        """Insert; False when its key is taken. InnoDB undoes the one statement, and the transaction goes on."""
        try:
            self._changed(statement, **values)
        except self._connection.dialect.dbapi.IntegrityError as error:  # type: ignore[union-attr] # it has a driver
            if error.args[0] == _DUPLICATE:
                return False
            raise
        return True

    def _removed(self, find: Executable, remove: Executable, **limits: Any) -> int:
        """Delete what a look found: MySQL takes no LIMIT in a subquery."""
        found = self._scalars(find, **limits)
        return self._changed(remove, found=found) if found else 0
