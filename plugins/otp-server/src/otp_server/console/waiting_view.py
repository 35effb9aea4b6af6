"""What the queue shows: how many sends wait, whether they are late, and who is meant before something is done with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from otp_server.console.desk import Desk
from otp_server.console.trail import latest
from otp_server.console.words import plural
from otpcore import Channel, ObstacleKind, Status
from otpcore.operator import Change, RetrySeen

__all__ = ["Group", "Meant", "Queue", "Waiting", "meant_by", "queue_of", "rows_of"]

_PAGE = 50
_SHOWN = 10  # of those that something is to be done with
_WINDOW = 300.0  # seconds; what waits is counted whatever it is
_LOOKED_BACK = timedelta(hours=1)
_MOST_UNSENDABLE = 200
_STAND_STILL = (ObstacleKind.NO_WORKER, ObstacleKind.RETRIES_STAND_STILL)


@attrs.frozen(kw_only=True)
class Waiting:
    """One send that waits.

    Args:
        of: As the operator sees it.
        most: Tries that its channel allows.
        waits: Seconds since its first send began.
        lives: Seconds for which its code is of use; none left: it will not be sent.
    """

    of: RetrySeen
    most: int
    waits: float
    lives: float


@attrs.frozen(kw_only=True)
class Group:
    """What waits and has one thing in common.

    Args:
        name: An instance, or a rule prefix.
        is_prefix: It is a prefix.
        number: How many.
        oldest: When the one that waits longest began.
    """

    name: str
    is_prefix: bool
    number: int
    oldest: datetime


@attrs.frozen(kw_only=True)
class Queue:
    """The page.

    Args:
        number: How many wait.
        matching: How many of them were asked for; None: all were.
        oldest: When the one that waits longest began; None: none waits.
        paused: Who paused sending, and why; None: it is not paused, or it is not known.
        is_paused: Sending is paused.
        stuck: Why no process runs them, and what helps; None: none is late.
        unsendable: How many of the last hour became unsendable.
        is_all_of_them: There are no more of those.
        rows: Of this page.
        cursor: Of the next; None: there is none.
        groups: What can be dealt with together.
    """

    number: int
    matching: int | None
    oldest: datetime | None
    paused: Change | None
    is_paused: bool
    stuck: tuple[str, str] | None
    unsendable: int
    is_all_of_them: bool
    rows: Sequence[Waiting]
    cursor: str | None
    groups: Sequence[Group]

    @property
    def sentence(self) -> str:
        """What state things are in."""
        if self.is_paused:
            return "Sending is paused."
        if not self.number and not self.rows:
            return "Nothing waits."
        waits = f"{plural(self.number, 'send waits', 'sends wait')}."
        if self.matching is not None:
            return f"{waits} {self.matching:,} of them {'is' if self.matching == 1 else 'are'} shown."
        if self.stuck:
            return f"{waits} No process runs them."
        return f"{waits} None is late."


@attrs.frozen(kw_only=True)
class Meant:
    """With whose sends something is to be done.

    Args:
        ids: Of their challenges, where they were picked one by one.
        prefix: To numbers that begin so, or of a region; empty: to any.
        instance: That they tried last; empty: any.
        number: How many there are.
        unread: How many more could not be looked at.
        rows: Some of them.
        prefixes: By rule prefix, how many of those that were picked.
    """

    ids: Sequence[str]
    prefix: str
    instance: str
    number: int
    unread: int
    rows: Sequence[Waiting]
    prefixes: Mapping[str, int]

    @property
    def whom(self) -> str:
        """Whose they are, for a sentence that begins with how many."""
        parts = [f"to {self.prefix}"] if self.prefix else []
        return " ".join([*parts, *([f"that tried {self.instance} last"] if self.instance else [])])


async def queue_of(desk: Desk, *, prefix: str, instance: str, after: str | None) -> Queue:
    """What waits now.

    Raises:
        InvalidArgument: It is neither prefix nor region, or no page had such a cursor.
    """
    operator, now = desk.operator, datetime.now(UTC)
    page = await operator.retries.list(_PAGE, prefix=prefix or None, instance=instance, after=after)
    status = await operator.status(window=_WINDOW)
    number, matching = sum(one.queued for one in status.routes), None
    if prefix or instance:
        matching = (await operator.retries.count(prefix or None, instance=instance)).count
    unsendable = await operator.challenges.list(state="unsendable", since=now - _LOOKED_BACK, limit=_MOST_UNSENDABLE)
    is_paused = any(one.kind is ObstacleKind.PAUSED for one in status.obstacles)
    return Queue(
        number=max(number, len(page.items), matching or 0),
        matching=matching,
        oldest=min((one.oldest for one in status.routes if one.oldest is not None), default=None),
        paused=(await latest(operator, ["sending.pause"])).get("") if is_paused else None,
        is_paused=is_paused,
        stuck=next(((one.detail, one.fix) for one in status.obstacles if one.kind in _STAND_STILL), None),
        unsendable=len(unsendable.items),
        is_all_of_them=unsendable.cursor is None,
        rows=rows_of(desk, page.items, now),
        cursor=page.cursor,
        groups=_groups(status),
    )


async def meant_by(desk: Desk, *, ids: Sequence[str], prefix: str, instance: str) -> Meant:
    """Those that were picked, or of a prefix or an instance, counted.

    Raises:
        InvalidArgument: It is neither prefix nor region.
    """
    operator, now = desk.operator, datetime.now(UTC)
    if ids:
        seen = [one for of in ids for one in await operator.challenges.show(of)]
        picked = [one.retries[0] for one in seen if one.retries]
        return Meant(
            ids=[one.challenge_id for one in picked],
            prefix="",
            instance="",
            number=len(picked),
            unread=0,
            rows=rows_of(desk, picked, now),
            prefixes=Counter(one.prefix for one in picked),
        )
    found = await operator.retries.count(prefix or None, instance=instance)
    some = await operator.retries.list(_SHOWN, prefix=prefix or None, instance=instance)
    return Meant(
        ids=(),
        prefix=found.prefix.upper() if found.prefix else "",
        instance=found.instance,
        number=found.count,
        unread=found.unread,
        rows=rows_of(desk, some.items, now),
        prefixes={},
    )


def rows_of(desk: Desk, found: Sequence[RetrySeen], now: datetime) -> Sequence[Waiting]:
    """With what is left of their time."""
    settings = desk.server.otp_settings
    return [
        Waiting(
            of=one,
            most=settings.retrying(Channel(one.channel)).max_retries,
            waits=(now - one.begun_at).total_seconds(),
            lives=(one.expires_at - now).total_seconds(),
        )
        for one in found
    ]


def _groups(status: Status) -> Sequence[Group]:
    """By instance, then by rule prefix, the most first."""
    found: defaultdict[tuple[bool, str], list[tuple[int, datetime]]] = defaultdict(list)
    for one in status.routes:
        if one.queued and one.oldest is not None:
            for key in ((False, one.instance), (True, one.prefix)):
                if key[1]:
                    found[key].append((one.queued, one.oldest))
    return [
        Group(name=name, is_prefix=is_prefix, number=sum(each for each, _ in of), oldest=min(began for _, began in of))
        for (is_prefix, name), of in sorted(found.items(), key=lambda item: (item[0][0], -sum(n for n, _ in item[1])))
    ]
