"""The outbox: a hash of changes by number, which the server gives, and sorted sets of when they are due and happened."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from otp_redis.limit_rows import LimitRows
from otp_redis.packing import microseconds, pack, unpack
from otpcore.stores import ChangeRecord, changed

__all__ = ["ChangeRows"]

_CHANGES = "changes"


class ChangeRows(LimitRows):
    """The part of ``Rows`` about the outbox."""

    keeps_outbox = False

    def moment(self) -> datetime:
        return self._unit.clock

    def put_change(self, change: ChangeRecord) -> None:
        self._unit.change("note", pack(change), str(microseconds(change.due_at)))

    def due_changes(self, now: datetime, limit: int) -> Sequence[ChangeRecord]:
        (reply,) = self._unit.ask(("fields", _CHANGES, "ix:changes:due", "-inf", str(microseconds(now)), str(limit)))
        found = [self._learn(number, text) for number, text in reply]
        return [one for one in found if one is not None]

    def claim_change(self, change: ChangeRecord, token: str, until: datetime) -> None:
        self._put(changed(change, token=token, due_at=until, tries=change.tries + 1))

    def finish_changes(self, numbers: Collection[int], token: str) -> int:
        ours = self._ours(numbers, token)
        for one in ours:
            self._remove(one.number)
        return len(ours)

    def put_off_changes(self, numbers: Collection[int], token: str, due_at: datetime, *, untried: bool) -> int:
        ours = self._ours(numbers, token)
        for one in ours:
            self._put(changed(one, token="", due_at=due_at, tries=one.tries - untried))
        return len(ours)

    def purge_changes(self, before: datetime, limit: int) -> int:
        (reply,) = self._unit.ask(
            ("scored", "ix:changes:happened", "-inf", f"({microseconds(before)}", "0", str(limit))
        )
        for number in reply[::2]:
            self._remove(int(number))
        return len(reply) // 2

    def erase_changes(self, challenge_ids: Collection[str]) -> int:
        kept = self._unit.hash(_CHANGES) if challenge_ids else {}
        gone = [number for number, text in kept.items() if unpack(ChangeRecord, text).challenge_id in challenge_ids]
        for number in gone:
            self._remove(int(number))
        return len(gone)

    def _ours(self, numbers: Collection[int], token: str) -> list[ChangeRecord]:
        wanted = [str(number) for number in sorted(set(numbers))]
        (reply,) = self._unit.ask(("some", _CHANGES, *wanted)) if wanted else ((),)
        found = [self._learn(number, text) for number, text in zip(wanted, reply, strict=True)]
        return [one for one in found if one is not None and one.token == token]

    def _learn(self, number: str, text: str) -> ChangeRecord | None:
        """One that must still be so when the unit is committed; None: it is gone."""
        if not text:
            return None
        self._unit.guard_text(_CHANGES, number, text)
        return changed(unpack(ChangeRecord, text), number=int(number))

    def _put(self, change: ChangeRecord) -> None:
        number = str(change.number)
        self._unit.call("HSET", _CHANGES, number, pack(changed(change, number=0)))
        self._unit.call("ZADD", "ix:changes:due", str(microseconds(change.due_at)), number)

    def _remove(self, number: int) -> None:
        self._unit.call("HDEL", _CHANGES, str(number))
        for index in ("ix:changes:due", "ix:changes:happened"):
            self._unit.call("ZREM", index, str(number))
