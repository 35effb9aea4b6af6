"""The statements of the SQL store, each built once: building one costs more than running it."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

import attrs
from sqlalchemy import (
    Column,
    Select,
    Table,
    Text,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import insert  # SQLite understands it as it is; _mysql_rows teaches MySQL

from otpcore.lifecycle import OVER
from otpcore.models import ChallengeState
from otpcore.records import (
    BreakerRecord,
    ChallengeRecord,
    CounterRecord,
    DeliveryRecord,
    FailureRecord,
    ScheduleRecord,
    SlotRecord,
)
from otpcore.stores._tables import (
    breakers,
    challenges,
    counters,
    deliveries,
    failures,
    schedule,
    settings,
    slots,
)


def _records(kind: type[Any], table: Table) -> Select[Any]:
    """Read records."""
    return select(*_columns(kind, table))


def _columns(kind: type[Any], table: Table) -> tuple[Column[Any], ...]:
    """The columns that make one record, in the order of its fields."""
    return tuple(table.c[field.name] for field in attrs.fields(kind))


def _upsert(table: Table) -> Any:
    """Insert, or replace everything but the primary key."""
    statement = insert(table)
    others = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=others)


def _begins(table: Table) -> Any:
    """The key begins so, as a range of the index; LIKE would read % and _, ignore case, and scan the table."""
    return (table.c.key >= bindparam("prefix")) & (table.c.key < bindparam("after"))


_AT_ONCE = datetime(1, 1, 1, tzinfo=UTC)
_NOW = bindparam("now", type_=challenges.c.expires_at.type)
_ALIVE = challenges.c.live_key.is_not(None)
_LIVING = _ALIVE & (challenges.c.expires_at > _NOW)
_THIS_CHALLENGE = challenges.c.id == bindparam("row_id")
_THIS_ROW = (schedule.c.challenge_id == bindparam("row_id")) & (schedule.c.channel == bindparam("row_channel"))
_BY_DUE = (schedule.c.due_at, schedule.c.challenge_id, schedule.c.channel)

CHALLENGE = _records(ChallengeRecord, challenges).where(_THIS_CHALLENGE)
LATEST = (
    _records(ChallengeRecord, challenges)
    .where(challenges.c.subject == bindparam("subject"))
    .order_by(challenges.c.number.desc())
    .limit(1)
)
CHALLENGES_OF = (
    _records(ChallengeRecord, challenges)
    .where(challenges.c.phone_key == bindparam("phone_key"))
    .order_by(challenges.c.number.desc())
)
INSERT_CHALLENGE = insert(challenges).inline().on_conflict_do_nothing(index_elements=[challenges.c.live_key])
UPDATE_CHALLENGE = update(challenges).where(_THIS_CHALLENGE)
ACCEPT_ONLY = (
    update(challenges).where(_THIS_CHALLENGE, _LIVING).values(state=ChallengeState.SENT, confirmed=True, reason=None)
)
ACCEPT = ACCEPT_ONLY.returning(*_columns(ChallengeRecord, challenges))
TAKE_ATTEMPT = (
    update(challenges)
    .where(_THIS_CHALLENGE, _LIVING, challenges.c.attempts < challenges.c.max_attempts)
    .values(attempts=challenges.c.attempts + 1)
)
GIVE_ATTEMPT_BACK = (
    update(challenges)
    .where(_THIS_CHALLENGE, challenges.c.givebacks < bindparam("most"), challenges.c.attempts > 0)
    .values(attempts=challenges.c.attempts - 1, givebacks=challenges.c.givebacks + 1)
)
CONSUME = update(challenges).where(_THIS_CHALLENGE, _LIVING).values(state=ChallengeState.APPROVED, live_key=None)
EXPIRED = (
    _records(ChallengeRecord, challenges)
    .where(challenges.c.state.in_(sorted(frozenset(ChallengeState) - OVER)), challenges.c.expires_at <= _NOW)
    .order_by(challenges.c.expires_at, challenges.c.id)
    .limit(bindparam("most"))
)

DELIVERIES = (
    _records(DeliveryRecord, deliveries)
    .where(deliveries.c.challenge_id == bindparam("challenge_id"))
    .order_by(deliveries.c.number)
)
INSERT_DELIVERY = insert(deliveries).inline()
DELIVERY = _records(DeliveryRecord, deliveries).where(deliveries.c.id == bindparam("row_id"))
ANSWER_DELIVERY_ONLY = update(deliveries).where(deliveries.c.id == bindparam("row_id"))
ANSWER_DELIVERY = ANSWER_DELIVERY_ONLY.returning(*_columns(DeliveryRecord, deliveries))
MARK_GONE = update(deliveries).where(deliveries.c.id.in_(bindparam("ids", expanding=True))).values(gone=True)

SCHEDULE = _records(ScheduleRecord, schedule).where(_THIS_ROW)
SCHEDULES = (
    _records(ScheduleRecord, schedule)
    .where(schedule.c.challenge_id == bindparam("row_id"))
    .order_by(schedule.c.channel.desc())  # SMS first, as everywhere
)
PUT_SCHEDULE = _upsert(schedule)
END_SCHEDULES_ONLY = delete(schedule).where(schedule.c.challenge_id == bindparam("row_id"))
END_SCHEDULES = END_SCHEDULES_ONLY.returning(*_columns(ScheduleRecord, schedule))
DELETE_SCHEDULE = delete(schedule).where(_THIS_ROW)
NEXT_DUE = select(func.min(schedule.c.due_at))
UPCOMING = _records(ScheduleRecord, schedule).order_by(*_BY_DUE).limit(bindparam("most"))

SLOT = _records(SlotRecord, slots).where(
    slots.c.scope == bindparam("scope"), slots.c.phone_key == bindparam("phone_key")
)
INSERT_SLOT = insert(slots).on_conflict_do_nothing()
TAKE_SLOT = update(slots).where(
    slots.c.scope == bindparam("row_scope"),
    slots.c.phone_key == bindparam("row_phone_key"),
    slots.c.holder == bindparam("held_by"),
)

_OVER_WINDOW = counters.c.window_ends_at <= _NOW
_NEW_COUNTER = insert(counters)
CHARGE = _NEW_COUNTER.on_conflict_do_update(
    index_elements=[counters.c.key],
    set_={
        "count": case((_OVER_WINDOW, 1), else_=counters.c.count + 1),
        "window_ends_at": case((_OVER_WINDOW, _NEW_COUNTER.excluded.window_ends_at), else_=counters.c.window_ends_at),
    },
    where=or_(_OVER_WINDOW, counters.c.count < bindparam("most")),
).returning(counters.c.window_ends_at)
REFUND = (
    update(counters)
    .where(
        counters.c.key == bindparam("row_key"),
        counters.c.window_ends_at == bindparam("ends", type_=counters.c.window_ends_at.type),
        counters.c.count > 0,
    )
    .values(count=counters.c.count - 1)
)
COUNTERS = (
    _records(CounterRecord, counters)
    .where(_begins(counters), counters.c.window_ends_at > _NOW)
    .order_by(counters.c.key)
)
FAILURE_COUNTERS = _records(FailureRecord, failures).where(_begins(failures)).order_by(failures.c.key)
RESET = tuple(delete(table).where(_begins(table)) for table in (counters, failures))

_BOTH_KEYS = failures.c.key.in_([bindparam("first"), bindparam("second")])
FAILURES = _records(FailureRecord, failures).where(_BOTH_KEYS).order_by(failures.c.key)  # locked in one order
COUNT_FAILURE_ONLY = (
    insert(failures)
    .values(key=bindparam("key"), failures=1)
    .on_conflict_do_update(index_elements=[failures.c.key], set_={"failures": failures.c.failures + 1})
)
COUNT_FAILURE = COUNT_FAILURE_ONLY.returning(failures.c.failures)
PUT_FAILURES = _upsert(failures)
CLEAR_FAILURES = delete(failures).where(_BOTH_KEYS)

BREAKERS = (
    _records(BreakerRecord, breakers).where(breakers.c.failures >= bindparam("least")).order_by(breakers.c.instance)
)
COUNT_BREAKER_ONLY = (
    insert(breakers)
    .values(instance=bindparam("instance"), failures=1, probe_at=_AT_ONCE)
    .on_conflict_do_update(index_elements=[breakers.c.instance], set_={"failures": breakers.c.failures + 1})
)
COUNT_BREAKER = COUNT_BREAKER_ONLY.returning(breakers.c.failures)
BREAKER_FAILURES = select(breakers.c.failures).where(breakers.c.instance == bindparam("row_key"))
CLOSE_BREAKER_ONLY = delete(breakers).where(breakers.c.instance == bindparam("row_key"))
CLOSE_BREAKER = CLOSE_BREAKER_ONLY.returning(breakers.c.failures)
WIN_PROBE = (
    update(breakers)
    .where(breakers.c.instance == bindparam("row_key"), breakers.c.probe_at <= _NOW)
    .values(probe_at=bindparam("next_probe", type_=breakers.c.probe_at.type))
)

SETTINGS = select(settings.c.name, settings.c.value)
PUT_SETTING = _upsert(settings)
DELETE_SETTING = delete(settings).where(settings.c.name == bindparam("row_key"))


def clock(expression: str) -> Select[Any]:
    """The server's own time, in microseconds since 1970."""
    return select(literal_column(expression))


@functools.cache
def locked(statement: Select[Any]) -> Select[Any]:
    """The same rows, held until the end of the transaction."""
    return statement.with_for_update()


@functools.cache
def skipping_locked(statement: Select[Any]) -> Select[Any]:
    """The same rows but for those that somebody else holds, held until the end of the transaction."""
    return statement.with_for_update(skip_locked=True)


@functools.cache
def due(*, by_key: bool, by_forced: bool) -> Select[Any]:
    """The earliest due rows: of some channels, where asked of some keys, and of some forced lists or none."""
    statement = _records(ScheduleRecord, schedule).where(
        schedule.c.due_at <= _NOW, schedule.c.channel.in_(bindparam("channels", expanding=True))
    )
    if by_key:
        statement = statement.where(schedule.c.key_id.in_(bindparam("key_ids", expanding=True)))
    if by_forced:
        forced = type_coerce(schedule.c.forced, Text)
        statement = statement.where(or_(schedule.c.forced.is_(None), forced.in_(bindparam("forced", expanding=True))))
    return statement.order_by(*_BY_DUE).limit(bindparam("most"))


FORCED_LISTS = (
    select(type_coerce(schedule.c.forced, Text))
    .where(schedule.c.due_at <= _NOW, schedule.c.forced.is_not(None))
    .distinct()
)
"""The few different forced lists among the due rows, as they are stored."""


OVER_BEFORE = (
    select(challenges.c.id)
    .where(challenges.c.state.in_(sorted(OVER)), challenges.c.expires_at < bindparam("before"))
    .limit(bindparam("most"))
)
OF_PHONE = select(challenges.c.id).where(challenges.c.phone_key == bindparam("phone_key"))
REMOVE_CHALLENGES = tuple(
    delete(column.table).where(column.in_(bindparam("ids", expanding=True)))
    for column in (schedule.c.challenge_id, slots.c.holder, challenges.c.id)
)
PURGE_DELIVERIES = delete(deliveries).where(
    deliveries.c.number.in_(
        select(deliveries.c.number).where(deliveries.c.recorded_at < bindparam("before")).limit(bindparam("most"))
    )
)
PURGE_COUNTERS = delete(counters).where(
    counters.c.key.in_(select(counters.c.key).where(_OVER_WINDOW).limit(bindparam("most")))
)
DELETE_SLOTS_OF = delete(slots).where(slots.c.phone_key == bindparam("phone_key"))
DELETE_DELIVERIES_OF = delete(deliveries).where(deliveries.c.phone_key == bindparam("phone_key"))
