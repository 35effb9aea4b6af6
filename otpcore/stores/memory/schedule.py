"""Schedule rows in a dictionary, and lists of when they may be claimed, in order."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Sequence
from datetime import datetime

from otpcore.models import Channel
from otpcore.stores.records import ScheduleRecord, Waits, changed


class ScheduleRows:
    """By challenge and channel."""

    def __init__(self) -> None:
        super().__init__()
        self._schedule: dict[tuple[str, Channel], ScheduleRecord] = {}
        self._channels_of: dict[str, list[Channel]] = {}
        self._claimable: list[tuple[datetime, str, Channel]] = []
        self._waiting: dict[tuple[Waits, str], list[tuple[datetime, str, Channel]]] = {}

    def schedule(self, challenge_id: str, channel: Channel) -> ScheduleRecord | None:
        return self._schedule.get((challenge_id, channel))

    def schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        channels = sorted(self._channels_of.get(challenge_id, ()), reverse=True)
        return [self._schedule[challenge_id, channel] for channel in channels]

    def put_schedule(self, row: ScheduleRecord) -> None:
        self.delete_schedule(row.challenge_id, row.channel)
        self._schedule[row.challenge_id, row.channel] = row
        self._channels_of.setdefault(row.challenge_id, []).append(row.channel)
        bisect.insort(self._claimable, _place(row))
        if row.waits is not None:
            bisect.insort(self._waiting.setdefault((row.waits, row.waits_for), []), _place(row))

    def delete_schedule(self, challenge_id: str, channel: Channel) -> None:
        old = self._schedule.pop((challenge_id, channel), None)
        if old is None:
            return
        self._channels_of[challenge_id].remove(channel)
        if not self._channels_of[challenge_id]:
            del self._channels_of[challenge_id]
        place = _place(old)
        del self._claimable[bisect.bisect_left(self._claimable, place)]
        if old.waits is not None:
            waiting = self._waiting[old.waits, old.waits_for]
            del waiting[bisect.bisect_left(waiting, place)]
            if not waiting:
                del self._waiting[old.waits, old.waits_for]

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
        for claimable_at, challenge_id, channel in self._claimable:
            if claimable_at > now or len(found) >= limit:
                break
            row = self._schedule[challenge_id, channel]
            has_key = key_ids is None or row.key_id in key_ids
            has_instances = instances is None or all(one in instances for one in row.forced or ())
            if channel in channels and has_key and has_instances:
                found.append(row)
        return found

    def next_due(self) -> datetime | None:
        return self._claimable[0][0] if self._claimable else None

    def upcoming(self, limit: int, after: ScheduleRecord | None = None) -> Sequence[ScheduleRecord]:
        first = 0 if after is None else bisect.bisect_right(self._claimable, _place(after))
        return [self._schedule[place[1:]] for place in self._claimable[first : first + limit]]

    def waiting(self, waits: Waits, waits_for: str, until: datetime, limit: int) -> int:
        return sum(due_at <= until for due_at, _, _ in self._waiting.get((waits, waits_for), [])[:limit])

    def waited_for(self) -> Sequence[tuple[Waits, str]]:
        return sorted(self._waiting)

    def wake(self, waits: Waits, waits_for: str, due_at: datetime, limit: int) -> int:
        rows = [self._schedule[place[1:]] for place in self._waiting.get((waits, waits_for), ())]
        asleep = [row for row in rows if row.lease_until is None][:limit]
        for row in asleep:
            self.put_schedule(changed(row, due_at=min(row.due_at, due_at), waits=None, waits_for=""))
        return len(asleep)

    def due_keys(self, now: datetime) -> frozenset[str]:
        return frozenset(row.key_id for row in self._schedule.values() if row.claimable_at <= now)


def _place(row: ScheduleRecord) -> tuple[datetime, str, Channel]:
    return row.claimable_at, row.challenge_id, row.channel
