"""Schedule rows: fields of their challenge, and a sorted set of when they are due."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from otp_redis.challenge_rows import PAGE, ChallengeRows, doc_key
from otp_redis.packing import microseconds, moment, pack
from otpcore.models import Channel
from otpcore.records import ScheduleRecord

__all__ = ["ScheduleRows"]


class ScheduleRows(ChallengeRows):
    """The part of ``Rows`` about schedule rows."""

    def schedule(self, challenge_id: str, channel: Channel) -> ScheduleRecord | None:
        text = self._doc(challenge_id).get(f"s:{channel}")
        return None if text is None else self._unit.parsed(ScheduleRecord, text)

    def schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        return [row for channel in Channel if (row := self.schedule(challenge_id, channel))]

    def put_schedule(self, row: ScheduleRecord) -> None:
        self._doc(row.challenge_id)
        self._unit.bump(doc_key(row.challenge_id))
        self._unit.put(doc_key(row.challenge_id), f"s:{row.channel}", pack(row))
        self._unit.call("ZADD", "due", str(microseconds(row.due_at)), f"{row.challenge_id} {row.channel}")

    def delete_schedule(self, challenge_id: str, channel: Channel) -> None:
        if self.schedule(challenge_id, channel) is not None:
            self._unit.bump(doc_key(challenge_id))
            self._unit.remove(doc_key(challenge_id), f"s:{channel}")
            self._unit.call("ZREM", "due", f"{challenge_id} {channel}")

    def end_schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        rows = self.schedules(challenge_id)
        for row in rows:
            self.delete_schedule(row.challenge_id, row.channel)
        return rows

    def due(
        self,
        now: datetime,
        limit: int,
        *,
        channels: Collection[Channel],
        key_ids: Collection[str] | None = None,
        instances: Collection[str] | None = None,
    ) -> Sequence[ScheduleRecord]:
        found: list[ScheduleRecord] = []
        able = None if instances is None else frozenset(instances)
        for row in self._rows("-inf", str(microseconds(now)), page=max(limit, 1)):
            has_key = key_ids is None or row.key_id in key_ids
            has_instances = able is None or able.issuperset(row.forced or ())
            if row.due_at <= now and row.channel in channels and has_key and has_instances:
                found.append(row)
            if len(found) >= limit:
                break
        return found

    def next_due(self) -> datetime | None:
        (reply,) = self._unit.ask(("ranked", "due", "0", "0"))
        return moment(int(float(reply[1]))) if reply else None

    def upcoming(self, limit: int, after: ScheduleRecord | None = None) -> Sequence[ScheduleRecord]:
        found: list[ScheduleRecord] = []
        last = None if after is None else (after.due_at, after.challenge_id, after.channel)
        for row in self._rows("-inf" if after is None else str(microseconds(after.due_at)), "+inf"):
            if len(found) >= limit:
                break
            if last is None or (row.due_at, row.challenge_id, row.channel) > last:
                found.append(row)
        return found

    def due_keys(self, now: datetime) -> frozenset[str]:
        return frozenset(row.key_id for row in self._rows("-inf", str(microseconds(now))))

    def _rows(self, least: str, most: str, *, page: int = PAGE) -> Iterator[ScheduleRecord]:
        """The schedule rows of a span of due times, the earliest first."""
        for member in self._pages("due", least, most, page=page):
            challenge_id, channel = member.split()
            row = self.schedule(challenge_id, Channel(channel))
            if row is not None:
                yield row
            elif not self._doc(challenge_id):
                self._unit.call("ZREM", "due", member)
