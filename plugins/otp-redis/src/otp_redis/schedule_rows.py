"""Schedule rows: fields of their challenge, and a sorted set of when they may be claimed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from otp_redis.challenge_rows import PAGE, ChallengeRows, doc_key
from otp_redis.packing import microseconds, moment
from otpcore.stores import Channel, ScheduleRecord, Waits, changed

__all__ = ["ScheduleRows"]


class ScheduleRows(ChallengeRows):
    """The part of ``Rows`` about schedule rows."""

    def schedule(self, challenge_id: str, channel: Channel) -> ScheduleRecord | None:
        text = self._doc(challenge_id).get(f"s:{channel}")
        return None if text is None else self._unit.parsed(ScheduleRecord, text)

    def schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        names = sorted((name for name in self._doc(challenge_id) if name.startswith("s:")), reverse=True)
        found = (self.schedule(challenge_id, Channel(name.removeprefix("s:"))) for name in names)
        return [row for row in found if row is not None]

    def put_schedule(self, row: ScheduleRecord) -> None:
        before = self.schedule(row.challenge_id, row.channel)
        if before is not None and before.waits is not None and _waits(before) != _waits(row):
            self._unwait(before)
        if row.waits is not None:
            self._unit.call("ZADD", f"wf:{_waits(row)}", str(microseconds(row.due_at)), _member(row))
            self._unit.call("SADD", "ix:waits", _waits(row))
        self._unit.bump(doc_key(row.challenge_id))
        self._unit.put(doc_key(row.challenge_id), f"s:{row.channel}", self._unit.packed(row))
        self._unit.call("ZADD", "due", str(microseconds(row.claimable_at)), _member(row))

    def delete_schedule(self, challenge_id: str, channel: Channel) -> None:
        row = self.schedule(challenge_id, channel)
        if row is not None:
            if row.waits is not None:
                self._unwait(row)
            self._unit.bump(doc_key(challenge_id))
            self._unit.remove(doc_key(challenge_id), f"s:{channel}")
            self._unit.call("ZREM", "due", f"{challenge_id} {channel}")

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
            if row.claimable_at <= now and row.channel in channels and has_key and has_instances:
                found.append(row)
            if len(found) >= limit:
                break
        return found

    def next_due(self) -> datetime | None:
        (reply,) = self._unit.ask(("ranked", "due", "0", "0"))
        return moment(int(float(reply[1]))) if reply else None

    def upcoming(self, limit: int, after: ScheduleRecord | None = None) -> Sequence[ScheduleRecord]:
        found: list[ScheduleRecord] = []
        last = None if after is None else (after.claimable_at, after.challenge_id, after.channel)
        for row in self._rows("-inf" if after is None else str(microseconds(after.claimable_at)), "+inf"):
            if len(found) >= limit:
                break
            if last is None or (row.claimable_at, row.challenge_id, row.channel) > last:
                found.append(row)
        return found

    def waiting(self, waits: Waits, waits_for: str, until: datetime, limit: int) -> int:
        (reply,) = self._unit.ask(
            ("scored", f"wf:{waits}/{waits_for}", "-inf", str(microseconds(until)), "0", str(limit))
        )
        return len(reply) // 2

    def waited_for(self) -> Sequence[tuple[Waits, str]]:
        (reply,) = self._unit.ask(("members", "ix:waits"))
        return sorted((Waits(waits), waits_for) for waits, _, waits_for in (one.partition("/") for one in reply))

    def wake(self, waits: Waits, waits_for: str, due_at: datetime, limit: int) -> int:
        woken = 0
        for row in self._span(f"wf:{waits}/{waits_for}", "-inf", "+inf"):
            if woken >= limit:
                break
            if row.lease_until is None and (row.waits, row.waits_for) == (waits, waits_for):
                self.put_schedule(changed(row, due_at=min(row.due_at, due_at), waits=None, waits_for=""))
                woken += 1
        return woken

    def due_keys(self, now: datetime) -> frozenset[str]:
        return frozenset(row.key_id for row in self._rows("-inf", str(microseconds(now))))

    def _rows(self, least: str, most: str, *, page: int = PAGE) -> Iterator[ScheduleRecord]:
        """The schedule rows that may be claimed in a span of time, the earliest first."""
        return self._span("due", least, most, page=page)

    def _span(self, index: str, least: str, most: str, *, page: int = PAGE) -> Iterator[ScheduleRecord]:
        for member in self._pages(index, least, most, page=page):
            challenge_id, channel = member.split()
            row = self.schedule(challenge_id, Channel(channel))
            if row is not None:
                yield row
            elif index == "due":
                self._unit.call("ZREM", index, member)
            else:
                self._unit.change("unwait", index.removeprefix("wf:"), member)

    def _unwait(self, row: ScheduleRecord) -> None:
        self._unit.change("unwait", _waits(row), _member(row))


def _waits(row: ScheduleRecord) -> str:
    """What it waits for, as one word; only with ``waits``."""
    return f"{row.waits}/{row.waits_for}"


def _member(row: ScheduleRecord) -> str:
    return f"{row.challenge_id} {row.channel}"
