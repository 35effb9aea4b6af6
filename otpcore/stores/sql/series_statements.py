"""The statements of series: the database itself counts what has happened."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import NULLTYPE, Text

from otpcore.models import Outcome, ReceiptStatus
from otpcore.stores.series import BOUNDS
from otpcore.stores.sql.building import own, own_found_otherwise, unindexed, upsert
from otpcore.stores.sql.columns import Moment
from otpcore.stores.sql.tables import challenges, deliveries, folds, receipts, series, verified

_SINCE, _UNTIL = bindparam("since", type_=Moment()), bindparam("until", type_=Moment())
_MINUTE: ColumnElement[int] = literal_column(str(60_000_000), BigInteger)


def _between(column: Any) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return column >= _SINCE, column < _UNTIL


def _minute(moment: Any) -> Any:
    return (type_coerce(moment, BigInteger) // _MINUTE).label("minute")


def _bucket(moment: Any) -> Any:
    """Of the wait from acceptance to then. Numbers, not parameters: there are fifty of them."""
    accepted = func.coalesce(deliveries.c.answered_at, deliveries.c.recorded_at)
    wait = type_coerce(moment, BigInteger) - type_coerce(accepted, BigInteger)
    rungs = [(wait < _number(bound), _number(bucket)) for bucket, bound in enumerate(BOUNDS)]
    return case(*rungs, else_=_number(len(BOUNDS))).label("bucket")


def _number(value: int) -> ColumnElement[int]:
    return literal_column(str(value), BigInteger)


def _counted(found: Select[Any]) -> Select[Any]:
    """How many of each; a subquery, since PostgreSQL must see that it groups by what it selects."""
    rows = found.subquery()
    return select(*rows.c, func.count()).group_by(*rows.c)


_ROUTE = (deliveries.c.instance, deliveries.c.prefix, deliveries.c.channel)
ANSWERED = _counted(
    select(_minute(deliveries.c.recorded_at), *_ROUTE, deliveries.c.outcome).where(
        own(deliveries), *_between(deliveries.c.recorded_at)
    )
)
_RECEIVED = select(receipts.c.delivery_id).where(
    own(receipts), *_between(receipts.c.received_at), receipts.c.status == ReceiptStatus.DELIVERED
)
DELIVERED = _counted(
    select(_minute(deliveries.c.delivered_at), *_ROUTE, _bucket(deliveries.c.delivered_at)).where(
        deliveries.c.id.in_(_RECEIVED), *_between(deliveries.c.delivered_at), own_found_otherwise(deliveries)
    )
)
_of_challenge = deliveries.alias()
_LAST = select(func.max(_of_challenge.c.number)).where(_of_challenge.c.challenge_id == challenges.c.id)
_LAST_ACCEPTED = _LAST.where(_of_challenge.c.outcome == Outcome.ACCEPTED)
VERIFIED = _counted(
    select(_minute(challenges.c.approved_at), *_ROUTE, _bucket(challenges.c.approved_at))
    .select_from(verified)
    .join(challenges, challenges.c.phone_key == unindexed(verified.c.phone_key))
    .join(deliveries, deliveries.c.number == func.coalesce(_LAST_ACCEPTED.scalar_subquery(), _LAST.scalar_subquery()))
    .where(
        verified.c.verified_at >= _SINCE,  # a phone may have verified again since
        own(verified),
        own_found_otherwise(challenges),
        *_between(challenges.c.approved_at),
    )
)
RECORDED_AFTER = (
    select(deliveries.c.recorded_at)
    .where(own(deliveries), deliveries.c.recorded_at >= _SINCE)
    .order_by(deliveries.c.recorded_at)
    .limit(1)
    .offset(bindparam("skip"))
)

FOLDED_UNTIL = select(folds.c.folded_until).where(own(folds))
INSERT_FOLD = insert(folds).on_conflict_do_nothing()
NOTE_FOLDED = update(folds).where(own(folds), folds.c.folded_until == bindparam("before", type_=Moment()))

_THIS = (
    own(series),
    series.c.span == bindparam("row_span"),
    series.c.minute == bindparam("row_minute"),
    series.c.instance == bindparam("row_instance"),
    series.c.prefix == bindparam("row_prefix"),
    series.c.channel == bindparam("row_channel", type_=series.c.channel.type),
)
COUNTS = select(series.c.counts).where(*_THIS)
PUT_SERIES = upsert(series)
# As the driver has them: there are ten thousands of rows, and a few different words in them.
_COUNTS = (type_coerce(series.c.channel, Text), type_coerce(series.c.counts, NULLTYPE))
SERIES = select(series.c.minute, series.c.instance, series.c.prefix, *_COUNTS).where(
    own(series),
    series.c.span == bindparam("row_span"),
    series.c.minute >= bindparam("first"),
    series.c.minute < bindparam("last"),
)
_OLD = (own(series), series.c.span == bindparam("row_span"), series.c.minute < bindparam("before"))
OLD_SERIES = delete(series).where(*_OLD)
PURGE_SERIES = delete(series).where(
    tuple_(*series.primary_key).in_(select(*series.primary_key).where(*_OLD).limit(bindparam("most")))
)
