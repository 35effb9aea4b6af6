"""The statements of the SQL store, each built once: building one costs more than running it."""

from __future__ import annotations

import functools
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    bindparam,
    case,
    delete,
    false,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import insert  # SQLite understands it as it is; mysql_plain_rows teaches MySQL

from otpcore.models import ChallengeState, Outcome
from otpcore.stores.lifecycle import ERASED, OVER, TAKEN
from otpcore.stores.records import (
    AuditRecord,
    ChallengeRecord,
    DeliveryRecord,
    ReceiptRecord,
    ScheduleRecord,
    SlotRecord,
    WorkerRecord,
)
from otpcore.stores.sql.building import NOW, columns, own, own_found_otherwise, records, upsert
from otpcore.stores.sql.tables import (
    audits,
    challenges,
    deliveries,
    receipts,
    schedule,
    settings,
    slots,
    workers,
)

_ALIVE = challenges.c.live_key.is_not(None)
_BEGUN_BY = bindparam("begun_by", type_=challenges.c.first_sent_at.type)
_LIVING = _ALIVE & (challenges.c.expires_at > NOW) & (challenges.c.first_sent_at <= _BEGUN_BY)
_THIS_CHALLENGE = challenges.c.id == bindparam("row_id")
_THIS_ROW = (schedule.c.challenge_id == bindparam("row_id")) & (schedule.c.channel == bindparam("row_channel"))
_BY_CLAIMABLE = (schedule.c.claimable_at, schedule.c.challenge_id, schedule.c.channel)

# No parameter: the database must see that it groups by what it selects, and that an index holds what is asked for.
_EMPTY: ColumnElement[str] = literal_column("''")

CHALLENGE = records(ChallengeRecord, challenges).where(_THIS_CHALLENGE, own(challenges))
LATEST = (
    records(ChallengeRecord, challenges)
    .where(challenges.c.subject == bindparam("subject"))
    .order_by(challenges.c.number.desc())
    .limit(1)
)
CHALLENGES_OF = (
    records(ChallengeRecord, challenges)
    .where(challenges.c.phone_key == bindparam("phone_key"))
    .order_by(challenges.c.number.desc())
)
_LATEST_DELIVERY = func.max(deliveries.c.recorded_at).label("latest")
_RECENTLY = (
    select(deliveries.c.challenge_id, _LATEST_DELIVERY)
    .where(
        deliveries.c.recorded_at >= bindparam("since", type_=deliveries.c.recorded_at.type),
        deliveries.c.channel == bindparam("row_channel", type_=deliveries.c.channel.type),
        own(deliveries),
    )
    .group_by(deliveries.c.challenge_id)
    .subquery()
)
RECENT = (
    records(ChallengeRecord, challenges)
    .join(_RECENTLY, _RECENTLY.c.challenge_id == challenges.c.id)
    .order_by(_RECENTLY.c.latest.desc(), challenges.c.id.desc())
    .limit(bindparam("most"))
)
INSERT_ONLY_CHALLENGE = insert(challenges).inline()
INSERT_CHALLENGE = INSERT_ONLY_CHALLENGE.on_conflict_do_nothing(index_elements=[challenges.c.live_key])
UPDATE_CHALLENGE = update(challenges).where(_THIS_CHALLENGE)
ACCEPT_ONLY = (
    update(challenges)
    .where(_THIS_CHALLENGE, _LIVING, challenges.c.code_number == bindparam("of_code"))
    .values(state=ChallengeState.SENT, confirmed=True, reason=None)
)
ACCEPT = ACCEPT_ONLY.returning(*columns(ChallengeRecord, challenges))
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
    .values(
        **ERASED,
        state=ChallengeState.APPROVED,
        live_key=None,
        attempts=challenges.c.attempts + bindparam("more"),
        approved_at=NOW,
    )
)
EXPIRED = (
    records(ChallengeRecord, challenges)
    .where(
        challenges.c.state.in_(sorted(frozenset(ChallengeState) - OVER)),
        challenges.c.expires_at <= NOW,
        own_found_otherwise(challenges),
    )
    .order_by(challenges.c.expires_at, challenges.c.id)
    .limit(bindparam("most"))
)

BEGUN_AFTER = (
    records(ChallengeRecord, challenges)
    .where(
        challenges.c.state.in_(sorted(frozenset(ChallengeState) - OVER)),
        challenges.c.first_sent_at > bindparam("moment", type_=challenges.c.first_sent_at.type),
        own(challenges),
    )
    .order_by(challenges.c.expires_at, challenges.c.id)
    .limit(bindparam("most"))
)

DELIVERIES = (
    records(DeliveryRecord, deliveries)
    .where(deliveries.c.challenge_id == bindparam("challenge_id"))
    .order_by(deliveries.c.number)
)
COUNT_TAKEN = select(func.count()).where(
    deliveries.c.challenge_id == bindparam("challenge_id"),
    or_(*(deliveries.c.outcome == outcome for outcome in sorted(TAKEN))),  # a list would be no prepared statement
)
DELIVERY = records(DeliveryRecord, deliveries).where(deliveries.c.id == bindparam("row_id"), own(deliveries))
DELIVERY_BY_REFERENCE = (
    records(DeliveryRecord, deliveries)
    .where(
        deliveries.c.reference == bindparam("reference"),
        deliveries.c.reference != _EMPTY,
        deliveries.c.instance == bindparam("instance"),
        own_found_otherwise(deliveries),
    )
    .order_by(deliveries.c.number.desc())
    .limit(1)
)
INSERT_DELIVERY = insert(deliveries).inline()
ANSWER_DELIVERY = update(deliveries).where(deliveries.c.id == bindparam("row_id"))
MARK_GONE = update(deliveries).where(deliveries.c.id.in_(bindparam("ids", expanding=True))).values(gone=True)

INSERT_RECEIPT = insert(receipts).on_conflict_do_nothing()
PUT_RECEIPT = upsert(receipts)
RECEIPTS_OF = (
    records(ReceiptRecord, receipts)
    .where(
        or_(
            receipts.c.delivery_id == bindparam("delivery_id"),
            (receipts.c.reference == bindparam("reference")) & (receipts.c.reference != ""),
        ),
        own(receipts),
    )
    .order_by(receipts.c.received_at, *receipts.primary_key)
)
ANY_RECEIPT = select(receipts.c.reference).where(receipts.c.reference >= "").limit(1)  # one look at the index
DELETE_RECEIPT = delete(receipts).where(*(column == bindparam(f"row_{column.name}") for column in receipts.primary_key))

SCHEDULE = records(ScheduleRecord, schedule).where(_THIS_ROW)
SCHEDULES = (
    records(ScheduleRecord, schedule)
    .where(schedule.c.challenge_id == bindparam("row_id"))
    .order_by(schedule.c.channel.desc())  # in every store; of the two usual ones SMS is first
)
PUT_SCHEDULE = upsert(schedule)
END_SCHEDULES_ONLY = delete(schedule).where(schedule.c.challenge_id == bindparam("row_id"))
END_SCHEDULES = END_SCHEDULES_ONLY.returning(
    schedule.c.challenge_id, schedule.c.send_id, type_coerce(schedule.c.charges, Text).label("kept")
)
DELETE_SCHEDULE = delete(schedule).where(_THIS_ROW)
NEXT_DUE = select(func.min(schedule.c.claimable_at)).where(own(schedule))
UPCOMING = records(ScheduleRecord, schedule).where(own(schedule)).order_by(*_BY_CLAIMABLE).limit(bindparam("most"))
_SAME_TIME = schedule.c.claimable_at == bindparam("claimable_at")
_SAME_CHALLENGE = schedule.c.challenge_id == bindparam("row_id")
UPCOMING_AFTER = UPCOMING.where(
    or_(
        schedule.c.claimable_at > bindparam("claimable_at"),
        _SAME_TIME & (schedule.c.challenge_id > bindparam("row_id")),
        _SAME_TIME & _SAME_CHALLENGE & (schedule.c.channel > bindparam("row_channel")),
    )
)

_WAITS_SO = (schedule.c.waits == bindparam("how", type_=schedule.c.waits.type)) & own(schedule)
_WAITS = _WAITS_SO & (schedule.c.waits_for == bindparam("row_key"))
_DUE_BY = bindparam("due_by", type_=schedule.c.due_at.type)
WAITING = select(func.count()).select_from(
    select(schedule.c.due_at).where(_WAITS, schedule.c.due_at <= _DUE_BY).limit(bindparam("most")).subquery()
)
_WAITED_FOR = (
    select(schedule.c.waits_for).where(_WAITS_SO).order_by(schedule.c.waits_for).limit(1)
)  # MariaDB would read all for a min()
FIRST_WAITED_FOR = _WAITED_FOR.where(schedule.c.waits_for >= "")
NEXT_WAITED_FOR = _WAITED_FOR.where(schedule.c.waits_for > bindparam("row_key"))
_ASLEEP = _WAITS & schedule.c.lease_until.is_(None)
ASLEEP = select(schedule.c.challenge_id).where(_ASLEEP).order_by(schedule.c.due_at).limit(bindparam("most"))
WAKE = (
    update(schedule)
    .where(schedule.c.challenge_id.in_(bindparam("ids", expanding=True)), _ASLEEP)
    .values(waits=None, waits_for="", due_at=case((schedule.c.due_at > _DUE_BY, _DUE_BY), else_=schedule.c.due_at))
)

DUE_KEYS = select(schedule.c.key_id).where(schedule.c.claimable_at <= NOW, own(schedule)).distinct()

SLOT = records(SlotRecord, slots).where(
    slots.c.scope == bindparam("scope"), slots.c.phone_key == bindparam("phone_key")
)
INSERT_SLOT = insert(slots).on_conflict_do_nothing()
_THIS_SLOT = (slots.c.scope == bindparam("row_scope")) & (slots.c.phone_key == bindparam("row_phone_key"))
TAKE_SLOT = update(slots).where(_THIS_SLOT, slots.c.holder == bindparam("held_by"))
DELETE_SLOT = delete(slots).where(_THIS_SLOT)
FREE_SLOTS = records(SlotRecord, slots).where(slots.c.holder == "", own(slots)).limit(bindparam("most"))
PURGE_SLOTS = delete(slots).where(
    tuple_(slots.c.scope, slots.c.phone_key).in_(
        select(slots.c.scope, slots.c.phone_key)
        .where(slots.c.holder == "", slots.c.mark.is_(None), own(slots))
        .limit(bindparam("most"))
    )
)

PUT_WORKER = upsert(workers)
REMOVE_WORKER = delete(workers).where(workers.c.name == bindparam("row_key"))
_STALE = workers.c.seen_at < bindparam("before", type_=workers.c.seen_at.type)
REMOVE_STALE_WORKERS_ONLY = delete(workers).where(_STALE)
REMOVE_STALE_WORKERS = REMOVE_STALE_WORKERS_ONLY.returning(*columns(WorkerRecord, workers))
WORKERS = records(WorkerRecord, workers).order_by(workers.c.name)
STALE_WORKERS = WORKERS.where(_STALE)

_ROUTE = (deliveries.c.instance, deliveries.c.prefix)
_LATELY = deliveries.c.recorded_at >= bindparam("since", type_=deliveries.c.recorded_at.type)
COUNT_OUTCOMES = (
    select(*_ROUTE, deliveries.c.outcome, func.count())
    .where(_LATELY, own(deliveries))
    .group_by(*_ROUTE, deliveries.c.outcome)
    .order_by(*_ROUTE, deliveries.c.outcome)
)
VERIFIED_BY_ROUTE = (
    select(*_ROUTE, func.count(deliveries.c.challenge_id.distinct()))
    .join_from(deliveries, challenges, challenges.c.id == deliveries.c.challenge_id)
    .where(
        _LATELY,
        own(deliveries),
        deliveries.c.outcome == Outcome.ACCEPTED,
        challenges.c.state == ChallengeState.APPROVED,
    )
    .group_by(*_ROUTE)
    .order_by(*_ROUTE)
)
RELAYED_BY_ROUTE = (
    select(*_ROUTE, func.count())
    .select_from(deliveries)
    .join(challenges, challenges.c.id == deliveries.c.challenge_id)
    .where(
        _LATELY,
        own(deliveries),
        deliveries.c.outcome == Outcome.ACCEPTED,
        challenges.c.verifiable.is_(false()),
    )
    .group_by(*_ROUTE)
    .order_by(*_ROUTE)
)
_of_send = deliveries.alias()
_LATEST_OF_SEND = (
    select(func.max(_of_send.c.number))
    .where(_of_send.c.challenge_id == schedule.c.challenge_id, _of_send.c.send_id == schedule.c.send_id)
    .scalar_subquery()
)
_LAST_ROUTE = tuple(func.coalesce(column, _EMPTY) for column in _ROUTE)
COUNT_WAITING = (
    select(*_LAST_ROUTE, func.count(), func.min(challenges.c.first_sent_at))
    .select_from(schedule)
    .join(challenges, challenges.c.id == schedule.c.challenge_id)
    .outerjoin(deliveries, deliveries.c.number == _LATEST_OF_SEND)
    .where(or_(schedule.c.lease_until.is_(None), schedule.c.lease_until <= NOW), own(schedule))
    .group_by(*_LAST_ROUTE)
    .order_by(*_LAST_ROUTE)
)

SETTINGS = select(settings.c.name, settings.c.value)
SETTING = select(settings.c.value).where(settings.c.name == bindparam("row_key"))
PUT_SETTING = upsert(settings)
INSERT_SETTING = insert(settings).on_conflict_do_nothing()
DELETE_SETTING = delete(settings).where(settings.c.name == bindparam("row_key"))

INSERT_AUDIT = insert(audits).inline()
AUDITS = (
    records(AuditRecord, audits)
    .where(audits.c.number < bindparam("below"))
    .order_by(audits.c.number.desc())
    .limit(bindparam("most"))
)
AUDITS_OF = AUDITS.where(audits.c.action == bindparam("row_action"))
BLANK_AUDITS = update(audits).where(audits.c.about == bindparam("of_phone"))
OLD_AUDITS = delete(audits).where(audits.c.at < bindparam("before", type_=audits.c.at.type))
PURGE_AUDITS = delete(audits).where(
    audits.c.number.in_(select(audits.c.number).where(audits.c.at < bindparam("before")).limit(bindparam("most")))
)


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
    statement = records(ScheduleRecord, schedule).where(
        schedule.c.claimable_at <= NOW, own(schedule), schedule.c.channel.in_(bindparam("channels", expanding=True))
    )
    if by_key:
        statement = statement.where(schedule.c.key_id.in_(bindparam("key_ids", expanding=True)))
    if by_forced:
        forced = type_coerce(schedule.c.forced, Text)
        statement = statement.where(or_(schedule.c.forced.is_(None), forced.in_(bindparam("forced", expanding=True))))
    return statement.order_by(*_BY_CLAIMABLE).limit(bindparam("most"))


FORCED_LISTS = (
    select(type_coerce(schedule.c.forced, Text))
    .where(schedule.c.claimable_at <= NOW, schedule.c.forced.is_not(None), own(schedule))
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
    .where(own(challenges))
    .group_by(challenges.c.key_id)
    .order_by(challenges.c.key_id)
)
OVER_BEFORE = (
    select(challenges.c.id)
    .where(
        challenges.c.state.in_(sorted(OVER)),
        challenges.c.expires_at < bindparam("before"),
        own_found_otherwise(challenges),
    )
    .limit(bindparam("most"))
)
OF_PHONE = select(challenges.c.id).where(challenges.c.phone_key == bindparam("phone_key"))
REMOVE_CHALLENGES = tuple(
    delete(column.table).where(column.in_(bindparam("ids", expanding=True)))
    for column in (schedule.c.challenge_id, slots.c.holder, challenges.c.id)
)
PURGE_DELIVERIES = delete(deliveries).where(
    deliveries.c.number.in_(
        select(deliveries.c.number)
        .where(deliveries.c.recorded_at < bindparam("before"), own(deliveries))
        .limit(bindparam("most"))
    )
)
PURGE_RECEIPTS = delete(receipts).where(
    tuple_(*receipts.primary_key).in_(
        select(*receipts.primary_key)
        .where(receipts.c.received_at < bindparam("before"), own(receipts))
        .limit(bindparam("most"))
    )
)
DELETE_SLOTS_OF = delete(slots).where(slots.c.phone_key == bindparam("phone_key"))
DELETE_RECEIPTS_OF = delete(receipts).where(
    receipts.c.delivery_id.in_(select(deliveries.c.id).where(deliveries.c.phone_key == bindparam("phone_key")))
)
DELETE_DELIVERIES_OF = delete(deliveries).where(deliveries.c.phone_key == bindparam("phone_key"))
