"""Statements that read what a unit of work will look at, for all of it in one flight: each finds its rows by what is known before."""

from __future__ import annotations

import functools
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)

from otpcore.stores.records import PART_MARK, ChallengeRecord, CounterRecord, FailureRecord, ScheduleRecord
from otpcore.stores.sql.building import columns, own, records
from otpcore.stores.sql.tables import budgets, challenges, counters, failures, schedule, verified

__all__ = [
    "BUDGETS_OF",
    "FAILURES_OF",
    "VERIFIED_AT",
    "VERIFIED_OF",
    "WHOLE_BUDGETS",
    "counters_of",
    "due_with_challenges",
]

_MARK = bindparam("mark", type_=String)
"""Of the world, where both share a table (``World.mark``)."""


def _of(column: ColumnElement[Any]) -> Any:
    """Of the challenge of this id."""
    return select(column).where(challenges.c.id == bindparam("row_id")).scalar_subquery()


_stripes = budgets.alias()


def _whole_budgets(begins: Any, after: Any) -> Select[Any]:
    """As `whole_budgets` reads them from their stripes: a row for each, instead of sixteen."""
    first, each = budgets.c, _stripes.c
    is_its_stripe = (
        (each.key >= first.key)
        & (each.key < first.key.concat(f"{PART_MARK}\x7f"))
        & (each.window_ends_at == first.window_ends_at)
    )
    used, verified_ = (cast(func.sum(column), Integer) for column in (each.used, each.verified))
    return (
        select(first.key, func.greatest(used, 0), verified_, first.base, first.window_ends_at)
        .join(_stripes, is_its_stripe)
        .where(first.key >= begins, first.key < after, first.key == func.replace(first.key, PART_MARK, ""))
        .group_by(first.key, first.base, first.window_ends_at)
    )


WHOLE_BUDGETS = _whole_budgets(bindparam("prefix", type_=String), bindparam("after", type_=String))
_BUDGET = _MARK.concat(_of(challenges.c.budget))
BUDGETS_OF = _whole_budgets(_BUDGET.concat("/"), _BUDGET.concat("/\x7f"))
_PHONE = _MARK.concat(_of(challenges.c.phone_key))
FAILURES_OF = (
    records(FailureRecord, failures)
    .where(failures.c.key.in_((_PHONE.concat(bindparam("of_client", type_=String)), _PHONE.concat("/*"))))
    .order_by(failures.c.key)  # locked in one order
    .with_for_update()
)
_VERIFIED = select(verified.c.verified_at, verified.c.counted_at)
VERIFIED_OF = _VERIFIED.where(verified.c.phone_key == _of(challenges.c.phone_key))
VERIFIED_AT = _VERIFIED.where(verified.c.phone_key == bindparam("row_key"))


def several(name: str, number: int) -> list[Any]:
    """Parameters of these names, with a number behind each."""
    return [bindparam(f"{name}_{place}", type_=String) for place in range(number)]


@functools.cache
def counters_of(number: int) -> Select[Any]:
    """So many counters, by their keys (``key_0`` and so on)."""
    return records(CounterRecord, counters).where(counters.c.key.in_(several("key", number)))


@functools.cache
def due_with_challenges(clock: str, channels: int, key_ids: int) -> Select[Any]:
    """The earliest due rows of some channels and keys with their challenges, both locked; not where anybody holds either.

    Args:
        clock: The server's, as an expression; empty: ``now`` is given.
        channels: How many are given, as ``channel_0`` and so on.
        key_ids: Likewise, as ``key_id_0`` and so on.
    """
    now: Any = literal_column(clock, BigInteger) if clock else bindparam("now", type_=schedule.c.due_at.type)
    return (
        select(*columns(ScheduleRecord, schedule), *columns(ChallengeRecord, challenges))
        .join(challenges, challenges.c.id == schedule.c.challenge_id)
        .where(
            schedule.c.claimable_at <= now,
            own(schedule),
            schedule.c.channel.in_(several("channel", channels)),
            schedule.c.key_id.in_(several("key_id", key_ids)),
        )
        .order_by(schedule.c.claimable_at, schedule.c.challenge_id, schedule.c.channel)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )
