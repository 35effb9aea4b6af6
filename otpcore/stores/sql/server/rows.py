"""`Rows` on a server that many machines share: rows are locked, other units' rows are skipped, the server's clock decides."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from otpcore.models import Channel
from otpcore.stores.records import ChallengeRecord, FailureRecord, ScheduleRecord, SlotRecord, Waits
from otpcore.stores.sql import limit_statements as limits_sql
from otpcore.stores.sql import statements as sql
from otpcore.stores.sql.columns import from_microseconds
from otpcore.stores.sql.server.striped_rows import StripedRows

CLOCKS = {
    "postgresql": "CAST(EXTRACT(EPOCH FROM now()) * 1000000 AS BIGINT)",  # of the transaction's start
    # Not UNIX_TIMESTAMP(NOW(6)), which reads the local time of the session's zone: an hour of it comes twice a year.
    "mysql": "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
}
CLOCKS["mariadb"] = CLOCKS["mysql"]


def clock_of(dialect: str) -> str:
    """The statement that asks for a server's own time, in microseconds since 1970."""
    return f"SELECT {CLOCKS[dialect]}"


class ServerRows(StripedRows):
    """The rows of one unit of work.

    A unit locks its challenge before anything else of it. Whoever comes from a schedule row (a claim) takes the challenge
    only if nobody else is at work on it: the two orders never wait for each other.

    Args:
        locking: False in a unit that changes nothing.
        begun_at: By the server's clock; None: it is asked for when it is needed.
    """

    def __init__(self, connection: Connection, *, locking: bool, begun_at: datetime | None = None) -> None:
        super().__init__(connection)
        self._locking = locking
        self._now = begun_at

    def now(self, now: datetime | None) -> datetime:
        self._moment = self._server_time() if now is None else now
        return self._moment

    def _server_time(self) -> datetime:
        if self._now is None:
            with self._raw.cursor() as cursor:
                cursor.execute(clock_of(self._connection.dialect.name))
                (moment,) = cursor.fetchone()
            self._now = from_microseconds(int(moment))
        return self._now

    def challenge(self, challenge_id: str) -> ChallengeRecord | None:
        return self._one(ChallengeRecord, self._locked(sql.CHALLENGE), row_id=challenge_id, own_world=self.world)

    def peek(self, challenge_id: str) -> ChallengeRecord | None:
        return self._one(ChallengeRecord, sql.CHALLENGE, row_id=challenge_id, own_world=self.world)

    def challenge_if_free(self, challenge_id: str) -> ChallengeRecord | None:
        return self._one(ChallengeRecord, sql.skipping_locked(sql.CHALLENGE), row_id=challenge_id, own_world=self.world)

    def latest(self, subject: str) -> ChallengeRecord | None:
        return self._one(ChallengeRecord, self._locked(sql.LATEST), subject=subject)

    def peek_latest(self, subject: str) -> ChallengeRecord | None:
        return self._one(ChallengeRecord, sql.LATEST, subject=subject)

    def expired(self, now: datetime, limit: int) -> Sequence[ChallengeRecord]:
        return self._all(ChallengeRecord, sql.skipping_locked(sql.EXPIRED), now=now, most=limit, own_world=self.world)

    def slot(self, scope: str, phone_key: str) -> SlotRecord | None:
        return self._one(SlotRecord, self._locked(sql.SLOT), scope=scope, phone_key=phone_key)

    def failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        first, second = keys
        return self._all(FailureRecord, self._locked(limits_sql.FAILURES), first=first, second=second)

    def due(
        self,
        now: datetime,
        limit: int,
        *,
        channels: Collection[Channel],
        key_ids: Collection[str] | None = None,
        instances: Collection[str] | None = None,
    ) -> Sequence[ScheduleRecord]:
        return self._due(sql.skipping_locked, now, limit, channels, key_ids, instances)

    def wake(self, waits: Waits, waits_for: str, due_at: datetime, limit: int) -> int:
        return self._wake(sql.skipping_locked(sql.ASLEEP), waits, waits_for, due_at, limit)

    def setting(self, name: str) -> str | None:
        value: str | None = self._scalar(self._locked(sql.SETTING), row_key=name)
        return value

    def erase(self, phone_key: str) -> tuple[int, int]:
        self._all(ChallengeRecord, self._locked(sql.CHALLENGES_OF), phone_key=phone_key)
        return super().erase(phone_key)

    def _free(self, statement: Any) -> Any:
        return sql.skipping_locked(statement)

    def _locked(self, statement: Any) -> Any:
        return sql.locked(statement) if self._locking else statement
