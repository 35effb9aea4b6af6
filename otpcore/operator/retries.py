"""Sends that wait for their next try: list them, make them due, end them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from otpcore.errors import InvalidArgument, SettingsError
from otpcore.events import EventType
from otpcore.operator.challenges import retry_seen
from otpcore.operator.desk import Desk, checked_target
from otpcore.operator.results.challenges import Ended, Matching, RetrySeen
from otpcore.service.arguments import findable
from otpcore.service.charging import TargetMap
from otpcore.service.failover import report_ended
from otpcore.service.measures import checked_count
from otpcore.stores.records import AuditRecord, ChallengeRecord, ScheduleRecord

__all__ = ["AsyncRetries"]

_PAGE = 500  # rows that are looked at in one go
_Change = Callable[[str, AuditRecord], Awaitable[str | None]]
"""Does something with the sends of one challenge; what its state is then, or None where nothing was done."""


class AsyncRetries:
    """List what waits; requeue or drop the sends of one challenge, or, once they are counted, of a prefix or all."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, limit: int = 50, *, reveal: bool = False) -> tuple[RetrySeen, ...]:
        """Sends that wait for their next try, or are under way, the earliest due first.

        Args:
            limit: How many.
            reveal: Show full numbers.

        Raises:
            SettingsError: With ``reveal``: a key that sealed a number is not here.
        """
        checked_count("limit", limit)
        return tuple(
            retry_seen(row, challenge, self._desk.shown(challenge, reveal=reveal))
            for row, challenge in await self._desk.service.store.retries(limit)
        )

    async def count(self, prefix: str | None = None) -> Matching:
        """How many challenges have a send that waits, or is under way.

        Args:
            prefix: To numbers that begin so, or of a region such as ``BG``; None: to all.

        Raises:
            InvalidArgument: It is neither prefix nor region.
        """
        found, unread = await self._matching(prefix)
        return Matching(prefix=prefix, count=len(found), unread=unread)

    async def requeue(
        self,
        challenge_id: str | None = None,
        *,
        prefix: str | None = None,
        count: int | None = None,
        by: str,
        reason: str = "",
    ) -> Ended:
        """Make what waits due now; what is under way is left alone.

        Args:
            challenge_id: Of one challenge; None: of many.
            prefix: Of many: to numbers that begin so, or of a region such as ``BG``; None: to all.
            count: Of many: how many ``count`` found. Where more are there by now, nothing is done.
            by: Who does it.
            reason: Why.

        Raises:
            InvalidArgument: One challenge and many are asked for, they were not counted, or are more than that.
        """

        async def requeue(one: str, record: AuditRecord) -> str | None:
            service = self._desk.service
            if not await service.store.requeue(one, service.store_now, audit=record):
                return None
            service.emit(EventType.RETRY_SCHEDULED, challenge_id=one, reason="requeued")
            return ""

        return await self._change("retries.requeue", requeue, challenge_id, prefix, count, by, reason)

    async def drop(
        self,
        challenge_id: str | None = None,
        *,
        prefix: str | None = None,
        count: int | None = None,
        by: str,
        reason: str = "",
    ) -> Ended:
        """End the sending; what has arrived still verifies.

        Arguments and errors are those of ``requeue``.
        """

        async def drop(one: str, record: AuditRecord) -> str | None:
            service = self._desk.service
            ended = await service.store.drop(one, service.store_now, audit=record)
            if ended is None:
                return None
            report_ended(service, ended.channel, ended.challenge)
            return str(ended.challenge.state)

        return await self._change("retries.drop", drop, challenge_id, prefix, count, by, reason)

    async def _change(
        self,
        action: str,
        change: _Change,
        challenge_id: str | None,
        prefix: str | None,
        count: int | None,
        by: str,
        reason: str,
    ) -> Ended:
        """One transaction and one record for each challenge; others may be at work on the rest meanwhile."""
        if challenge_id is None:
            if count is None:
                raise InvalidArgument(
                    "count: many sends are meant. Fix: count them with retries.count, and pass its count"
                )
            checked_count("count", count, least=0)
            ids, unread = await self._matching(prefix)
            if len(ids) > count:
                raise InvalidArgument(f"count: {len(ids)} are there by now, and {count} were counted. Fix: count again")
        elif (prefix, count) != (None, None):
            raise InvalidArgument("challenge_id: one is named, and prefix or count are of many. Fix: name one of them")
        else:
            ids, unread = [findable(challenge_id)], 0
        more: dict[str, Any] = {} if prefix is None else {"prefix": prefix}
        states = []
        for one in ids:
            record = self._desk.record(action, by, reason, target=one, **more)
            state = await change(one, record)
            if state is not None:
                self._desk.tell(record, challenge_id=one)
                states.append(state)
        state = states[0] or None if challenge_id is not None and states else None
        return Ended(found=len(ids), changed=len(states), unread=unread, state=state)

    async def _matching(self, prefix: str | None) -> tuple[Sequence[str], int]:
        """Challenges with a send that waits to such a number, and how many could not be opened."""
        concerned = None if prefix is None else TargetMap({checked_target(prefix): True})
        found: dict[str, None] = {}
        unread: set[str] = set()
        async for _, challenge in self._waiting():
            try:
                if concerned is None or any(concerned.matches(self._desk.service.phone_of(challenge).e164)):
                    found[challenge.id] = None
            except SettingsError:
                unread.add(challenge.id)
        return list(found), len(unread)

    async def _waiting(self) -> AsyncIterator[tuple[ScheduleRecord, ChallengeRecord]]:
        last: ScheduleRecord | None = None
        while rows := await self._desk.service.store.retries(_PAGE, after=last):
            for pair in rows:
                yield pair
            last = rows[-1][0]
