"""The statements of the SQL store, each built once: building one costs more than running it."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

import attrs
from sqlalchemy import (
    Column,
    ColumnElement,
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
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import insert  # SQLite understands it as it is; _mysql_rows teaches MySQL

from otpcore.admission import BudgetRecord, RefusalRecord
from otpcore.lifecycle import ERASED, OVER, TAKEN
from otpcore.models import ChallengeState, Outcome
from otpcore.records import (
    BreakerRecord,
    ChallengeRecord,
    CounterRecord,
    DeliveryRecord,
    FailureRecord,
    ReceiptRecord,
    ScheduleRecord,
    SlotRecord,
    WorkerRecord,
)
from otpcore.stores._tables import (
    breakers,
    budgets,
    challenges,
    counters,
    deliveries,
    failures,
    receipts,
    refusals,
    schedule,
    settings,
    slots,
    verified,
    workers,
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
_BEGUN_BY = bindparam("begun_by", type_=challenges.c.first_sent_at.type)
_LIVING = _ALIVE & (challenges.c.expires_at > _NOW) & (challenges.c.first_sent_at <= _BEGUN_BY)
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
CONSUME = (
    update(challenges)
    .where(_THIS_CHALLENGE, _LIVING)
    .values(**ERASED, state=ChallengeState.APPROVED, live_key=None, attempts=challenges.c.attempts + bindparam("more"))
)
EXPIRED = (
    _records(ChallengeRecord, challenges)
    .where(challenges.c.state.in_(sorted(frozenset(ChallengeState) - OVER)), challenges.c.expires_at <= _NOW)
    .order_by(challenges.c.expires_at, challenges.c.id)
    .limit(bindparam("most"))
)

BEGUN_AFTER = (
    _records(ChallengeRecord, challenges)
    .where(
        challenges.c.state.in_(sorted(frozenset(ChallengeState) - OVER)),
        challenges.c.first_sent_at > bindparam("moment", type_=challenges.c.first_sent_at.type),
    )
    .order_by(challenges.c.expires_at, challenges.c.id)
    .limit(bindparam("most"))
)

DELIVERIES = (
    _records(DeliveryRecord, deliveries)
    .where(deliveries.c.challenge_id == bindparam("challenge_id"))
    .order_by(deliveries.c.number)
)
COUNT_TAKEN = select(func.count()).where(
    deliveries.c.challenge_id == bindparam("challenge_id"),
    or_(*(deliveries.c.outcome == outcome for outcome in sorted(TAKEN))),  # a list would be no prepared statement
)
DELIVERY = _records(DeliveryRecord, deliveries).where(deliveries.c.id == bindparam("row_id"))
DELIVERY_BY_REFERENCE = (
    _records(DeliveryRecord, deliveries)
    .where(deliveries.c.reference == bindparam("reference"), deliveries.c.instance == bindparam("instance"))
    .order_by(deliveries.c.number.desc())
    .limit(1)
)
INSERT_DELIVERY = insert(deliveries).inline()
ANSWER_DELIVERY = update(deliveries).where(deliveries.c.id == bindparam("row_id"))
MARK_GONE = update(deliveries).where(deliveries.c.id.in_(bindparam("ids", expanding=True))).values(gone=True)

INSERT_RECEIPT = insert(receipts).on_conflict_do_nothing()
PUT_RECEIPT = _upsert(receipts)
RECEIPTS_OF = (
    _records(ReceiptRecord, receipts)
    .where(
        or_(
            receipts.c.delivery_id == bindparam("delivery_id"),
            (receipts.c.reference == bindparam("reference")) & (receipts.c.reference != ""),
        )
    )
    .order_by(receipts.c.received_at, *receipts.primary_key)
)
ANY_RECEIPT = select(receipts.c.reference).where(receipts.c.reference >= "").limit(1)  # one look at the index
DELETE_RECEIPT = delete(receipts).where(*(column == bindparam(f"row_{column.name}") for column in receipts.primary_key))

SCHEDULE = _records(ScheduleRecord, schedule).where(_THIS_ROW)
SCHEDULES = (
    _records(ScheduleRecord, schedule)
    .where(schedule.c.challenge_id == bindparam("row_id"))
    .order_by(schedule.c.channel.desc())  # SMS first, as everywhere
)
PUT_SCHEDULE = _upsert(schedule)
END_SCHEDULES_ONLY = delete(schedule).where(schedule.c.challenge_id == bindparam("row_id"))
END_SCHEDULES = END_SCHEDULES_ONLY.returning(
    schedule.c.challenge_id, schedule.c.send_id, type_coerce(schedule.c.charges, Text).label("kept")
)
DELETE_SCHEDULE = delete(schedule).where(_THIS_ROW)
NEXT_DUE = select(func.min(schedule.c.due_at))
UPCOMING = _records(ScheduleRecord, schedule).order_by(*_BY_DUE).limit(bindparam("most"))
_SAME_DUE = schedule.c.due_at == bindparam("due_at")
_SAME_CHALLENGE = schedule.c.challenge_id == bindparam("row_id")
UPCOMING_AFTER = UPCOMING.where(
    or_(
        schedule.c.due_at > bindparam("due_at"),
        _SAME_DUE & (schedule.c.challenge_id > bindparam("row_id")),
        _SAME_DUE & _SAME_CHALLENGE & (schedule.c.channel > bindparam("row_channel")),
    )
)

_WAITS = schedule.c.waits_for == bindparam("row_key")
_DUE_BY = bindparam("due_by", type_=schedule.c.due_at.type)
WAITING = select(func.count()).select_from(
    select(schedule.c.due_at).where(_WAITS, schedule.c.due_at <= _DUE_BY).limit(bindparam("most")).subquery()
)
_WAITED_FOR = select(schedule.c.waits_for).order_by(schedule.c.waits_for).limit(1)  # MariaDB would read all for a min()
FIRST_WAITED_FOR = _WAITED_FOR.where(schedule.c.waits_for >= "")
NEXT_WAITED_FOR = _WAITED_FOR.where(schedule.c.waits_for > bindparam("row_key"))
_ASLEEP = _WAITS & schedule.c.leased.is_(False)
ASLEEP = select(schedule.c.challenge_id).where(_ASLEEP).order_by(schedule.c.due_at).limit(bindparam("most"))
WAKE = (
    update(schedule)
    .where(schedule.c.challenge_id.in_(bindparam("ids", expanding=True)), _ASLEEP)
    .values(waits_for=None, due_at=case((schedule.c.due_at > _DUE_BY, _DUE_BY), else_=schedule.c.due_at))
)

DUE_KEYS = select(schedule.c.key_id).where(schedule.c.due_at <= _NOW).distinct()

SLOT = _records(SlotRecord, slots).where(
    slots.c.scope == bindparam("scope"), slots.c.phone_key == bindparam("phone_key")
)
INSERT_SLOT = insert(slots).on_conflict_do_nothing()
_THIS_SLOT = (slots.c.scope == bindparam("row_scope")) & (slots.c.phone_key == bindparam("row_phone_key"))
TAKE_SLOT = update(slots).where(_THIS_SLOT, slots.c.holder == bindparam("held_by"))
DELETE_SLOT = delete(slots).where(_THIS_SLOT)
FREE_SLOTS = _records(SlotRecord, slots).where(slots.c.holder == "").limit(bindparam("most"))
PURGE_SLOTS = delete(slots).where(
    tuple_(slots.c.scope, slots.c.phone_key).in_(
        select(slots.c.scope, slots.c.phone_key)
        .where(slots.c.holder == "", slots.c.mark.is_(None))
        .limit(bindparam("most"))
    )
)

_OVER_WINDOW = counters.c.window_ends_at <= _NOW


@functools.cache
def charges_of(number: int) -> Any:
    """Charge so many different counters, each with a limit of its own; the keys and windows of those that had room."""
    of = range(number)
    ends = counters.c.window_ends_at.type
    new = insert(counters).values(
        [{"key": bindparam(f"key_{n}"), "count": 1, "window_ends_at": bindparam(f"ends_{n}", type_=ends)} for n in of]
    )
    most = case({bindparam(f"key_{n}"): bindparam(f"most_{n}") for n in of}, value=new.excluded.key)
    return new.on_conflict_do_update(
        index_elements=[counters.c.key],
        set_={
            "count": case((_OVER_WINDOW, 1), else_=counters.c.count + 1),
            "window_ends_at": case((_OVER_WINDOW, new.excluded.window_ends_at), else_=counters.c.window_ends_at),
        },
        where=or_(_OVER_WINDOW, counters.c.count < most),
    ).returning(counters.c.key, counters.c.window_ends_at)


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
RESET = tuple(delete(table).where(_begins(table)) for table in (failures, counters))  # in the order of whoever verifies

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

BUDGETS = _records(BudgetRecord, budgets).where(_begins(budgets)).order_by(budgets.c.key)
PUT_BUDGET = _upsert(budgets)

_THIS_PHONE = verified.c.phone_key == bindparam("row_key")
VERIFIED = select(verified.c.verified_at).where(_THIS_PHONE)
_NEW_VERIFIED = insert(verified)
COUNT_VERIFIED = _NEW_VERIFIED.on_conflict_do_update(
    index_elements=[verified.c.phone_key],
    set_={name: _NEW_VERIFIED.excluded[name] for name in ("verified_at", "counted_at")},
    where=verified.c.counted_at <= bindparam("before", type_=verified.c.counted_at.type),
)
NOTE_VERIFIED = update(verified).where(_THIS_PHONE).values(verified_at=_NOW)

_COUNTED = {"count": refusals.c.count + 1}
COUNT_REFUSAL = update(refusals).where(refusals.c.key == bindparam("row_key")).values(**_COUNTED, last_at=_NOW)
_NEW_REFUSAL = insert(refusals)
PUT_REFUSAL = _NEW_REFUSAL.on_conflict_do_update(
    index_elements=[refusals.c.key], set_={**_COUNTED, "last_at": _NEW_REFUSAL.excluded.last_at}
)
REFUSALS = (
    _records(RefusalRecord, refusals)
    .order_by(refusals.c.last_at.desc(), refusals.c.key.desc())
    .limit(bindparam("most"))
)
REFUSALS_OF = REFUSALS.where(refusals.c.phone_key == bindparam("phone_key"))

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
    .where(
        breakers.c.instance == bindparam("row_key"),
        (breakers.c.probe_at <= _NOW) | (breakers.c.probe_at > bindparam("too_far", type_=breakers.c.probe_at.type)),
    )
    .values(probe_at=bindparam("next_probe", type_=breakers.c.probe_at.type))
)

OPEN_BREAKER = (
    update(breakers)
    .where(breakers.c.instance == bindparam("row_key"))
    .values(opened_at=_NOW, probe_at=bindparam("next_probe", type_=breakers.c.probe_at.type))
)

PUT_WORKER = _upsert(workers)
REMOVE_WORKER = delete(workers).where(workers.c.name == bindparam("row_key"))
_STALE = workers.c.seen_at < bindparam("before", type_=workers.c.seen_at.type)
REMOVE_STALE_WORKERS_ONLY = delete(workers).where(_STALE)
REMOVE_STALE_WORKERS = REMOVE_STALE_WORKERS_ONLY.returning(*_columns(WorkerRecord, workers))
WORKERS = _records(WorkerRecord, workers).order_by(workers.c.name)
STALE_WORKERS = WORKERS.where(_STALE)

_ROUTE = (deliveries.c.instance, deliveries.c.prefix)
_LATELY = deliveries.c.recorded_at >= bindparam("since", type_=deliveries.c.recorded_at.type)
COUNT_OUTCOMES = (
    select(*_ROUTE, deliveries.c.outcome, func.count())
    .where(_LATELY)
    .group_by(*_ROUTE, deliveries.c.outcome)
    .order_by(*_ROUTE, deliveries.c.outcome)
)
VERIFIED_BY_ROUTE = (
    select(*_ROUTE, func.count(deliveries.c.challenge_id.distinct()))
    .join_from(deliveries, challenges, challenges.c.id == deliveries.c.challenge_id)
    .where(_LATELY, deliveries.c.outcome == Outcome.ACCEPTED, challenges.c.state == ChallengeState.APPROVED)
    .group_by(*_ROUTE)
    .order_by(*_ROUTE)
)
_of_send = deliveries.alias()
_LATEST_OF_SEND = (
    select(func.max(_of_send.c.number))
    .where(_of_send.c.challenge_id == schedule.c.challenge_id, _of_send.c.send_id == schedule.c.send_id)
    .scalar_subquery()
)
_NOBODY: ColumnElement[str] = literal_column(
    "''"
)  # no parameter: PostgreSQL must see that it groups by what it selects
_LAST_ROUTE = tuple(func.coalesce(column, _NOBODY) for column in _ROUTE)
COUNT_WAITING = (
    select(*_LAST_ROUTE, func.count(), func.min(challenges.c.first_sent_at))
    .select_from(schedule)
    .join(challenges, challenges.c.id == schedule.c.challenge_id)
    .outerjoin(deliveries, deliveries.c.number == _LATEST_OF_SEND)
    .where(or_(schedule.c.leased.is_(False), schedule.c.due_at <= _NOW))
    .group_by(*_LAST_ROUTE)
    .order_by(*_LAST_ROUTE)
)

SETTINGS = select(settings.c.name, settings.c.value)
PUT_SETTING = _upsert(settings)
DELETE_SETTING = delete(settings).where(settings.c.name == bindparam("row_key"))


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


KEYS_IN_USE = (
    select(
        challenges.c.key_id,
        func.count(),
        func.max(challenges.c.first_sent_at),
        func.max(challenges.c.expires_at),
    )
    .group_by(challenges.c.key_id)
    .order_by(challenges.c.key_id)
)
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
PURGE_RECEIPTS = delete(receipts).where(
    tuple_(*receipts.primary_key).in_(
        select(*receipts.primary_key).where(receipts.c.received_at < bindparam("before")).limit(bindparam("most"))
    )
)
# Each says twice what is old: somebody may renew a row between the two looks at it.
PURGE_COUNTERS = delete(counters).where(
    _OVER_WINDOW, counters.c.key.in_(select(counters.c.key).where(_OVER_WINDOW).limit(bindparam("most")))
)
_OLD_REFUSAL = refusals.c.last_at < bindparam("before")
PURGE_REFUSALS = delete(refusals).where(
    _OLD_REFUSAL, refusals.c.key.in_(select(refusals.c.key).where(_OLD_REFUSAL).limit(bindparam("most")))
)
_OLD_VERIFIED = verified.c.verified_at < bindparam("before")
PURGE_VERIFIED = delete(verified).where(
    _OLD_VERIFIED,
    verified.c.phone_key.in_(select(verified.c.phone_key).where(_OLD_VERIFIED).limit(bindparam("most"))),
)
FORGET = tuple(delete(table).where(table.c.phone_key == bindparam("phone_key")) for table in (refusals, verified))
DELETE_SLOTS_OF = delete(slots).where(slots.c.phone_key == bindparam("phone_key"))
DELETE_RECEIPTS_OF = delete(receipts).where(
    receipts.c.delivery_id.in_(select(deliveries.c.id).where(deliveries.c.phone_key == bindparam("phone_key")))
)
DELETE_DELIVERIES_OF = delete(deliveries).where(deliveries.c.phone_key == bindparam("phone_key"))
