"""The outbox in a dictionary."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from datetime import datetime

from otpcore.stores.changes import ChangeRecord
from otpcore.stores.records import changed


class ChangeRows:
    """By number."""

    keeps_outbox = False

    def __init__(self) -> None:
        super().__init__()
        self._changes: dict[int, ChangeRecord] = {}
        self._last_change = 0

    def put_change(self, change: ChangeRecord) -> None:
        self._last_change += 1
        self._changes[self._last_change] = changed(change, number=self._last_change)

    def due_changes(self, now: datetime, limit: int) -> Sequence[ChangeRecord]:
        due = (one for one in self._changes.values() if one.due_at <= now)
        return heapq.nsmallest(limit, due, key=lambda one: (one.due_at, one.number))

    def claim_change(self, change: ChangeRecord, token: str, until: datetime) -> None:
        self._changes[change.number] = changed(change, token=token, due_at=until, tries=change.tries + 1)

    def finish_changes(self, numbers: Collection[int], token: str) -> int:
        ours = self._ours(numbers, token)
        for one in ours:
            del self._changes[one.number]
        return len(ours)

    def put_off_changes(self, numbers: Collection[int], token: str, due_at: datetime, *, untried: bool) -> int:
        ours = self._ours(numbers, token)
        for one in ours:
            self._changes[one.number] = changed(one, token="", due_at=due_at, tries=one.tries - untried)
        return len(ours)

    def purge_changes(self, before: datetime, limit: int) -> int:
        old = [number for number, one in self._changes.items() if one.happened_at < before][:limit]
        for number in old:
            del self._changes[number]
        return len(old)

    def erase_changes(self, challenge_ids: Collection[str]) -> int:
        gone = [number for number, one in self._changes.items() if one.challenge_id in challenge_ids]
        for number in gone:
            del self._changes[number]
        return len(gone)

    def _ours(self, numbers: Collection[int], token: str) -> list[ChangeRecord]:
        found = (self._changes.get(number) for number in set(numbers))
        return [one for one in found if one is not None and one.token == token]
