"""`Rows` of the outbox over an SQL database, with their statements."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from otpcore.stores.changes import ChangeRecord
from otpcore.stores.records import values_of
from otpcore.stores.sql.building import NOW, own, records
from otpcore.stores.sql.columns import Moment
from otpcore.stores.sql.tables import changes
from otpcore.stores.sql.unit import SqlUnit

__all__ = ["OLD_CHANGES", "ChangeRows"]

_INSERT = insert(changes).inline()
_DUE = (
    records(ChangeRecord, changes)
    .where(own(changes), changes.c.due_at <= NOW)
    .order_by(changes.c.due_at, changes.c.number)
    .limit(bindparam("most"))
)
_CLAIM = update(changes).where(changes.c.number == bindparam("row_number")).values(tries=changes.c.tries + 1)
_OURS = (changes.c.number.in_(bindparam("numbers", expanding=True)), changes.c.token == bindparam("held_by"))
_FINISH = delete(changes).where(*_OURS)
_PUT_OFF = update(changes).where(*_OURS)
_GIVE_BACK = _PUT_OFF.values(tries=changes.c.tries - 1)
_ERASE = delete(changes).where(changes.c.challenge_id.in_(bindparam("ids", expanding=True)))
_OLD = (own(changes), changes.c.happened_at < bindparam("before", type_=Moment()))
OLD_CHANGES = delete(changes).where(*_OLD)
_PURGE = delete(changes).where(changes.c.number.in_(select(changes.c.number).where(*_OLD).limit(bindparam("most"))))


class ChangeRows(SqlUnit):
    """Part of `SqlRows`."""

    keeps_outbox = False

    def put_change(self, change: ChangeRecord) -> None:
        values = values_of(change)
        del values["number"]  # the database gives it
        self._later(_INSERT, world=self.world, **values)

    def due_changes(self, now: datetime, limit: int) -> Sequence[ChangeRecord]:
        return self._all(ChangeRecord, self._free(_DUE), now=now, most=limit, own_world=self.world)

    def claim_change(self, change: ChangeRecord, token: str, until: datetime) -> None:
        self._changed(_CLAIM, row_number=change.number, token=token, due_at=until)

    def finish_changes(self, numbers: Collection[int], token: str) -> int:
        return self._changed(_FINISH, numbers=list(numbers), held_by=token) if numbers else 0

    def put_off_changes(self, numbers: Collection[int], token: str, due_at: datetime, *, untried: bool) -> int:
        ours: dict[str, Any] = {"numbers": list(numbers), "held_by": token}
        statement = _GIVE_BACK if untried else _PUT_OFF
        return self._changed(statement, **ours, token="", due_at=due_at) if numbers else 0

    def erase_changes(self, challenge_ids: Collection[str]) -> int:
        return self._changed(_ERASE, ids=list(challenge_ids)) if challenge_ids else 0

    def purge_changes(self, before: datetime, limit: int) -> int:
        return self._changed(_PURGE, before=before, most=limit, own_world=self.world)
