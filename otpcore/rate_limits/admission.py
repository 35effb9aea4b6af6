"""What may stand between a number and a send, besides full counters: barriers, budgets, refusals; frozen values and pure rules."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs

__all__ = [
    "UNCOUNTED",
    "Admission",
    "Asked",
    "Barrier",
    "BudgetRecord",
    "BudgetRule",
    "BudgetWindow",
    "Charge",
    "LimitReason",
    "RefusalRecord",
    "allowance",
    "budget_key",
    "moved",
    "overdrawn",
    "rolled_base",
]

_MINUTE = timedelta(minutes=1)


class LimitReason(enum.StrEnum):
    """Which limit refused, as ``RateLimited.reason`` says it, each with a row in ``ANSWERS``; NEIGHBOURS is only ever recorded."""

    PHONE = "phone"
    CLIENT = "client"
    PREFIX = "prefix"
    COUNTRY = "country"
    CHANNEL = "channel"
    GLOBAL = "global"
    DENIED = "denied"
    UNVERIFIED = "unverified"
    PAUSED = "paused"
    NEIGHBOURS = "neighbours"


class Asked(enum.StrEnum):
    """What was refused."""

    SEND = "send"
    RETRY = "retry"
    VERIFY = "verify"


@attrs.frozen(kw_only=True)
class Barrier:
    """Why a number is not sent to at all, whatever its counters say.

    Args:
        reason: PAUSED or DENIED.
        ends_at: It falls by itself then; None: somebody has to lift it.
        unless_verified: It does not hold for a phone that verified before.
    """

    reason: LimitReason
    ends_at: datetime | None = None
    unless_verified: bool = False


@attrs.frozen(kw_only=True)
class BudgetWindow:
    """At most ``least`` unverified sends in a window, or ``BudgetRule.share`` of the phones that verified, if that is more."""

    least: int
    length: timedelta


@attrs.frozen(kw_only=True)
class BudgetRule:
    """How many accepted sends may stay unverified; no windows: they are not counted.

    Args:
        enforce: Refuse what is beyond it; else only record it.
    """

    windows: tuple[BudgetWindow, ...] = ()
    share: float = 0.0
    enforce: bool = False


UNCOUNTED = BudgetRule()
"""No budget."""


@attrs.frozen(kw_only=True)
class BudgetRecord:
    """One window of the budget of one country and rule prefix.

    Args:
        key: From ``budget_key``.
        used: Accepted sends that have not verified.
        verified: Phones that verified, each once a day.
        base: What counts of the windows before: the phones that verified in the last one, or half of what counted then.
    """

    key: str
    used: int
    verified: int
    base: int
    window_ends_at: datetime


@attrs.frozen(kw_only=True)
class RefusalRecord:
    """Identical refusals of one minute. Nothing in it is readable.

    Args:
        key: Says which are identical; from ``of``.
        phone_key: Empty, as ``phone_masked``, where a minute has so many that they are told together.
        channel: Empty for ``VERIFY``.
        reason: As in ``RateLimited.reason``, or ``breaker_open``.
        enforced: False: only recorded, what was asked for went on.
        count: How many.
    """

    key: str
    asked: Asked
    reason: str
    phone_key: str = ""
    phone_masked: str = ""
    channel: str = ""
    purpose: str = ""
    enforced: bool
    first_at: datetime
    last_at: datetime
    count: int = 1

    @classmethod
    def of(
        cls,
        asked: Asked,
        reason: str,
        now: datetime,
        *,
        phone_key: str = "",
        phone_masked: str = "",
        channel: str = "",
        purpose: str = "",
        enforced: bool,
    ) -> RefusalRecord:
        """One refusal."""
        minute = (now - datetime(1970, 1, 1, tzinfo=UTC)) // _MINUTE
        same = (asked.value, reason, phone_key, channel, purpose, enforced, minute)
        return cls(
            key=hashlib.sha256(repr(same).encode()).hexdigest(),
            asked=asked,
            reason=reason,
            phone_key=phone_key,
            phone_masked=phone_masked,
            channel=channel,
            purpose=purpose,
            enforced=enforced,
            first_at=now,
            last_at=now,
        )


def budget_key(budget: str, window: BudgetWindow) -> str:
    """The key of one window of a budget."""
    return f"{budget}/{window.length.total_seconds():.0f}"


def allowance(rule: BudgetRule, window: BudgetWindow, record: BudgetRecord) -> int:
    """How many sends of this window may stay unverified."""
    return max(window.least, int(rule.share * max(record.verified, record.base)))


def overdrawn(
    rule: BudgetRule, budget: str, records: Sequence[BudgetRecord], now: datetime
) -> tuple[BudgetWindow, datetime] | None:
    """A window of the budget that is used up, and when it ends: the one that ends last. None: there is something left."""
    found = {record.key: record for record in records}
    full = [
        (window, record.window_ends_at)
        for window in rule.windows
        if (record := found.get(budget_key(budget, window))) is not None
        and record.window_ends_at > now
        and record.used >= allowance(rule, window, record)
    ]
    return max(full, key=lambda one: one[1], default=None)


def moved(
    record: BudgetRecord | None, key: str, used: int, verified: int, now: datetime, ends_at: datetime
) -> BudgetRecord:
    """A window after so many more sends and verified phones; a new one, until ``ends_at``, where it has ended."""
    if record is None or record.window_ends_at <= now:
        base = rolled_base(record) if record is not None else 0
        return BudgetRecord(key=key, used=max(used, 0), verified=verified, base=base, window_ends_at=ends_at)
    return BudgetRecord(
        key=key,
        used=max(record.used + used, 0),
        verified=record.verified + verified,
        base=record.base,
        window_ends_at=record.window_ends_at,
    )


def rolled_base(record: BudgetRecord) -> int:
    """The base of the window after this one."""
    return max(record.verified, record.base // 2)


@attrs.frozen(kw_only=True)
class Charge:
    """One counter to charge: at most ``limit`` sends in a window that begins with its first.

    Args:
        refundable: Given back when a send ends and certainly nothing was sent.
        shared: Many senders charge it at the same time; a store may divide it, so that they need not wait for one another.
    """

    key: str
    limit: int
    window: timedelta
    reason: str
    refundable: bool = True
    shared: bool = False


@attrs.frozen(kw_only=True)
class Admission:
    """What somebody asks for before anything is sent: every limit of one send.

    Args:
        charges: Its counters.
        neighbours: For each window, the mark that the number leaves and the counter of its block; only ever recorded.
        barrier: What keeps the number from being sent to, or None.
        budget: Its unverified budget, or empty; as in the challenge.
    """

    charges: tuple[Charge, ...] = ()
    neighbours: tuple[tuple[Charge, Charge], ...] = ()
    barrier: Barrier | None = None
    budget: str = ""
    budget_rule: BudgetRule = UNCOUNTED
