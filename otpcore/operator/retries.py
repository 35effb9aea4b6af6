"""Sends that wait for their next try: list them, make them due, end them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

import attrs

from otpcore.errors import InvalidArgument, SettingsError
from otpcore.events import EventType
from otpcore.models import Channel
from otpcore.operator.challenges import retry_seen
from otpcore.operator.desk import Desk, checked_target
from otpcore.operator.results.challenges import Ended, Matching, RetryPage, RetrySeen
from otpcore.service.arguments import check_storable, check_text, findable
from otpcore.service.charging import TargetMap
from otpcore.service.failover import report_ended
from otpcore.service.measures import checked_count
from otpcore.stores.lists import EXAMINED, Place
from otpcore.stores.records import AuditRecord, ChallengeRecord, DeliveryRecord, ScheduleRecord

__all__ = ["AsyncRetries"]

_PAGE = 500  # rows that are looked at in one go
_CURSOR = re.compile(r"([0-9a-f-]{1,31})\.([a-z][a-z0-9_]{0,19})\.([A-Za-z0-9_-]{1,64})")


@attrs.frozen(kw_only=True)
class _Done:
    """What became of the sends of one challenge: whether there are any, whether something was done, and its state then."""

    found: bool
    changed: bool
    state: str | None = None


_Change = Callable[[str, AuditRecord], Awaitable[_Done]]


@attrs.frozen(kw_only=True)
class _Meant:
    """Whose sends: to numbers of a prefix or region (None: all), that tried an instance last (empty: any)."""

    prefix: str | None
    instance: str

    @property
    def is_everybody(self) -> bool:
        return self.prefix is None and not self.instance


class AsyncRetries:
    """List what waits; requeue or drop the sends of one challenge, or, once they are counted, of a prefix, an instance or all."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(
        self,
        limit: int = 50,
        *,
        prefix: str | None = None,
        instance: str = "",
        after: str | None = None,
        reveal: bool = False,
    ) -> RetryPage:
        """Sends that wait for their next try, or are under way, the earliest due first.

        What is tried meanwhile moves in the list. A page may be short though more follow: it looks at 5,000 rows at most.

        Args:
            limit: How many.
            prefix: To numbers that begin so, or of a region such as ``BG``; None: to all.
            instance: That they tried last; empty: any.
            after: The cursor of the page before; None: the first page.
            reveal: Show full numbers.

        Raises:
            InvalidArgument: An argument cannot be meant.
            SettingsError: With ``reveal``: a key that sealed a number is not here.
        """
        checked_count("limit", limit)
        meant = _meant(prefix, instance)
        found: list[RetrySeen] = []
        last = None if after is None else _read(after)
        examined = 0
        at_once = min(limit + 1, _PAGE) if meant.is_everybody else _PAGE
        async with aclosing(self._waiting(last, with_last=True, at_once=at_once)) as waiting:
            async for row, challenge, tried in waiting:
                if examined >= EXAMINED or len(found) >= limit:
                    return RetryPage(items=tuple(found), cursor=None if last is None else _cursor(last))
                is_meant = False
                with suppress(SettingsError):  # of a number that cannot be opened nobody can tell
                    is_meant = self._is_meant(meant, challenge, tried)
                if is_meant:
                    found.append(retry_seen(row, challenge, tried, self._desk.shown(challenge, reveal=reveal)))
                examined, last = examined + 1, row
        return RetryPage(items=tuple(found), cursor=None)

    async def count(self, prefix: str | None = None, *, instance: str = "") -> Matching:
        """How many challenges have a send that waits, or is under way.

        Args:
            prefix: To numbers that begin so, or of a region such as ``BG``; None: to all.
            instance: That they tried last; empty: any.

        Raises:
            InvalidArgument: It is neither prefix nor region, or the instance is no name.
        """
        meant = _meant(prefix, instance)
        found, unread = await self._matching(meant)
        return Matching(prefix=prefix, instance=meant.instance, count=len(found), unread=unread)

    async def requeue(
        self,
        challenge_id: str | None = None,
        *,
        prefix: str | None = None,
        instance: str = "",
        count: int | None = None,
        by: str,
        reason: str = "",
    ) -> Ended:
        """Make what waits due now; what is under way is left alone.

        Args:
            challenge_id: Of one challenge; None: of many.
            prefix: Of many: to numbers that begin so, or of a region such as ``BG``; None: to all.
            instance: Of many: that they tried last; empty: any.
            count: Of many: how many ``count`` found. Where more are there by now, nothing is done.
            by: Who does it.
            reason: Why.

        Raises:
            InvalidArgument: One challenge and many are asked for, they were not counted, or are more than that.
        """

        async def requeue(one: str, record: AuditRecord) -> _Done:
            service = self._desk.service
            waiting = await service.store.requeue(one, service.store_now, audit=record)
            if waiting:
                service.emit(EventType.RETRY_SCHEDULED, challenge_id=one, reason="requeued")
            return _Done(found=waiting is not None, changed=bool(waiting))

        meant = _meant(prefix, instance)
        return await self._change("retries.requeue", requeue, challenge_id, meant, count, by, reason)

    async def drop(
        self,
        challenge_id: str | None = None,
        *,
        prefix: str | None = None,
        instance: str = "",
        count: int | None = None,
        by: str,
        reason: str = "",
    ) -> Ended:
        """End the sending; what has arrived still verifies.

        Arguments and errors are those of ``requeue``.
        """

        async def drop(one: str, record: AuditRecord) -> _Done:
            service = self._desk.service
            ended = await service.store.drop(one, service.store_now, audit=record)
            if ended is None:
                return _Done(found=False, changed=False)
            report_ended(service, ended.channel, ended.challenge)
            return _Done(found=True, changed=True, state=str(ended.challenge.state))

        return await self._change("retries.drop", drop, challenge_id, _meant(prefix, instance), count, by, reason)

    async def _change(
        self,
        action: str,
        change: _Change,
        challenge_id: str | None,
        meant: _Meant,
        count: int | None,
        by: str,
        reason: str,
    ) -> Ended:
        """One transaction and one record for each challenge; others may be at work on the rest meanwhile."""
        more = {name: value for name, value in attrs.asdict(meant).items() if value}
        if challenge_id is not None:
            if more or count is not None:
                raise InvalidArgument(
                    "challenge_id: one is named, and prefix, instance or count are of many. Fix: name one of them"
                )
            one = findable(challenge_id)
            done = await self._change_one(action, change, one, by, reason)
            return Ended(found=int(done.found), changed=int(done.changed), state=done.state)
        if count is None:
            raise InvalidArgument("count: many sends are meant. Fix: count them with retries.count, and pass its count")
        checked_count("count", count, least=0)
        ids, unread = await self._matching(meant)
        if len(ids) > count:
            raise InvalidArgument(f"count: {len(ids)} are there by now, and {count} were counted. Fix: count again")
        changed = 0
        for one in ids:
            changed += (await self._change_one(action, change, one, by, reason, **more)).changed
        return Ended(found=len(ids), changed=changed, unread=unread)

    async def _change_one(
        self, action: str, change: _Change, challenge_id: str, by: str, reason: str, **more: Any
    ) -> _Done:
        record = self._desk.record(action, by, reason, target=challenge_id, **more)
        done = await change(challenge_id, record)
        if done.changed:
            self._desk.tell(record, challenge_id=challenge_id)
        return done

    async def _matching(self, meant: _Meant) -> tuple[Sequence[str], int]:
        """Challenges with such a send that waits, and how many could not be opened."""
        found: dict[str, None] = {}
        unread: set[str] = set()
        async for _, challenge, tried in self._waiting(with_last=bool(meant.instance)):
            try:
                if self._is_meant(meant, challenge, tried):
                    found[challenge.id] = None
            except SettingsError:
                unread.add(challenge.id)
        return list(found), len(unread)

    def _is_meant(self, meant: _Meant, challenge: ChallengeRecord, tried: DeliveryRecord | None) -> bool:
        """Whether it is one of those; its number is opened only where that is asked for.

        Raises:
            SettingsError: The key that sealed it is not here.
        """
        if meant.instance and (tried is None or tried.instance != meant.instance):
            return False
        if meant.prefix is None:
            return True
        return any(TargetMap({meant.prefix: True}).matches(self._desk.service.phone_of(challenge).e164))

    async def _waiting(
        self, last: ScheduleRecord | None = None, *, with_last: bool = False, at_once: int = _PAGE
    ) -> AsyncGenerator[tuple[ScheduleRecord, ChallengeRecord, DeliveryRecord | None], None]:
        store = self._desk.service.store
        while pairs := await store.retries(at_once, after=last):
            rows = [row for row, _ in pairs]
            tried = await store.last_deliveries(rows) if with_last else [None] * len(rows)
            for (row, challenge), one in zip(pairs, tried, strict=True):
                yield row, challenge, one
            last = rows[-1]


def _meant(prefix: str | None, instance: str) -> _Meant:
    """Whose sends are meant.

    Raises:
        InvalidArgument: It is neither prefix nor region, or the instance is no name.
    """
    check_storable(instance=instance)
    check_text(instance=instance)
    return _Meant(prefix=None if prefix is None else checked_target(prefix), instance=instance.casefold())


def _cursor(row: ScheduleRecord) -> str:
    return f"{Place(row.claimable_at).cursor()}.{row.channel}.{row.challenge_id}"


def _read(cursor: str) -> ScheduleRecord:
    """A row at the place of a cursor.

    Raises:
        InvalidArgument: It is none.
    """
    check_text(after=cursor)
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidArgument("after: is no cursor that a page had")
    return ScheduleRecord(
        challenge_id=found[3], channel=Channel(found[2]), send_id="", token="", due_at=Place.read(found[1]).time
    )
