"""The statements of lists, each built once for the conditions that are given."""

from __future__ import annotations

import functools
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, and_, bindparam, not_

from otpcore.stores.lists import ChallengeFilter, DeliveryFilter
from otpcore.stores.records import ChallengeRecord, DeliveryRecord
from otpcore.stores.sql.building import records, unindexed
from otpcore.stores.sql.tables import challenges, deliveries

_TIMES = {DeliveryFilter: deliveries.c.recorded_at, ChallengeFilter: challenges.c.first_sent_at}
_RECORDS = {
    DeliveryFilter: records(DeliveryRecord, deliveries),
    ChallengeFilter: records(ChallengeRecord, challenges),
}


@functools.cache
def listed(kind: Any, names: tuple[str, ...], *, of_phone: bool) -> Select[Any]:
    """Records with their numbers, where columns of these names are as given."""
    number = _TIMES[kind].table.c.number
    return _ordered(kind, _RECORDS[kind].add_columns(number), names, of_phone=of_phone).limit(bindparam("most"))


@functools.cache
def place(kind: Any, names: tuple[str, ...], *, of_phone: bool) -> Select[Any]:
    """Time and number of the record that follows some others; read from the index alone."""
    time = _TIMES[kind]
    found = _RECORDS[kind].with_only_columns(time, time.table.c.number)
    return _ordered(kind, found, names, of_phone=of_phone).limit(1).offset(bindparam("skip"))


def _ordered(kind: Any, found: Select[Any], names: tuple[str, ...], *, of_phone: bool) -> Select[Any]:
    """Between two places, the newest first.

    A place is compared as every database finds it in an index: MariaDB reads all rows for a comparison of pairs, and SQLite
    may take an "or" for two look-ups. With a phone its index is the only one that is offered.
    """
    time = _TIMES[kind]
    columns = time.table.c
    first, last = bindparam("start_time", type_=time.type), bindparam("end_time", type_=time.type)
    between = (
        time <= first,
        not_(and_(time == first, columns.number >= bindparam("start_number"))),
        time >= last,
        not_(and_(time == last, columns.number < bindparam("end_number"))),
    )
    if of_phone:
        found = found.where(columns.phone_key == bindparam("phone_key"))
    others = [columns.world, *(columns[name] for name in names)]
    return found.where(*(_is(column, indexed=not of_phone) for column in others), *between).order_by(
        time.desc(), columns.number.desc()
    )


def _is(column: Column[Any], *, indexed: bool) -> ColumnElement[bool]:
    value = bindparam("own_world" if column.name == "world" else column.name, type_=column.type)
    return (column if indexed else unindexed(column)) == value
