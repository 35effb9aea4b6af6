"""The statements of limits: counters, failures, budgets, who verified, refusals, breakers; each built once."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, case, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite understands it as it is; mysql_plain_rows teaches MySQL

from otpcore.rate_limits.admission import BudgetRecord, RefusalRecord
from otpcore.stores.records import BreakerRecord, CounterRecord, FailureRecord
from otpcore.stores.sql.building import NOW, begins, columns, own, records, upsert
from otpcore.stores.sql.tables import breakers, budgets, counters, failures, refusals, verified

_AT_ONCE = datetime(1, 1, 1, tzinfo=UTC)
_OVER_WINDOW = counters.c.window_ends_at <= NOW


@functools.cache
def charges_of(number: int) -> Any:
    """Charge so many different counters, each with a limit of its own; the keys and windows of those that had room."""
    return _charging(number).returning(counters.c.key, counters.c.window_ends_at)


@functools.cache
def charge_only() -> Any:
    """Charge one counter if it has room, and nothing comes back."""
    return _charging(1)


def _charging(number: int) -> Any:
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
    )


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
    records(CounterRecord, counters).where(begins(counters), counters.c.window_ends_at > NOW).order_by(counters.c.key)
)
FAILURE_COUNTERS = records(FailureRecord, failures).where(begins(failures)).order_by(failures.c.key)
RESET = tuple(delete(table).where(begins(table)) for table in (failures, counters))  # in the order of whoever verifies

_BOTH_KEYS = failures.c.key.in_([bindparam("first"), bindparam("second")])
FAILURES = records(FailureRecord, failures).where(_BOTH_KEYS).order_by(failures.c.key)  # locked in one order
COUNT_FAILURE_ONLY = (
    insert(failures)
    .values(key=bindparam("key"), failures=1)
    .on_conflict_do_update(index_elements=[failures.c.key], set_={"failures": failures.c.failures + 1})
)
COUNT_FAILURE = COUNT_FAILURE_ONLY.returning(failures.c.failures)
INSERT_FAILURE = insert(failures).values(key=bindparam("key"), failures=1)
ONE_MORE_FAILURE = (
    update(failures)
    .where(failures.c.key == bindparam("row_key"), failures.c.failures == bindparam("known"))
    .values(failures=failures.c.failures + 1)
)
PUT_FAILURES = upsert(failures)
CLEAR_FAILURES = delete(failures).where(_BOTH_KEYS)

BUDGETS = records(BudgetRecord, budgets).where(begins(budgets)).order_by(budgets.c.key)
PUT_BUDGET = upsert(budgets)

_THIS_PHONE = verified.c.phone_key == bindparam("row_key")
VERIFIED = select(verified.c.verified_at).where(_THIS_PHONE)
_NEW_VERIFIED = insert(verified)
COUNT_VERIFIED = _NEW_VERIFIED.on_conflict_do_update(
    index_elements=[verified.c.phone_key],
    set_={name: _NEW_VERIFIED.excluded[name] for name in ("verified_at", "counted_at")},
    where=verified.c.counted_at <= bindparam("before", type_=verified.c.counted_at.type),
)
NOTE_VERIFIED = update(verified).where(_THIS_PHONE).values(verified_at=NOW)
INSERT_VERIFIED = _NEW_VERIFIED.inline()
COUNT_AGAIN = NOTE_VERIFIED.where(
    verified.c.counted_at <= bindparam("before", type_=verified.c.counted_at.type)
).values(counted_at=bindparam("now", type_=verified.c.counted_at.type))

_COUNTED = {"count": refusals.c.count + 1}
COUNT_REFUSAL = update(refusals).where(refusals.c.key == bindparam("row_key")).values(**_COUNTED, last_at=NOW)
_NEW_REFUSAL = insert(refusals)
PUT_REFUSAL = _NEW_REFUSAL.on_conflict_do_update(
    index_elements=[refusals.c.key], set_={**_COUNTED, "last_at": _NEW_REFUSAL.excluded.last_at}
)
REFUSALS = (
    records(RefusalRecord, refusals)
    .where(own(refusals))
    .order_by(refusals.c.last_at.desc(), refusals.c.key.desc())
    .limit(bindparam("most"))
)
REFUSALS_OF = REFUSALS.where(refusals.c.phone_key == bindparam("phone_key"))

BREAKERS = (
    records(BreakerRecord, breakers).where(breakers.c.failures >= bindparam("least")).order_by(breakers.c.instance)
)
_THIS_BREAKER = breakers.c.instance == bindparam("row_key")
_SAID = {
    "code": bindparam("code", type_=breakers.c.code.type),
    "words": bindparam("words", type_=breakers.c.words.type),
}
COUNT_BREAKER_ONLY = (
    insert(breakers)
    .values(instance=bindparam("instance"), failures=1, probe_at=_AT_ONCE, **_SAID)
    .on_conflict_do_update(index_elements=[breakers.c.instance], set_={"failures": breakers.c.failures + 1, **_SAID})
)
COUNT_BREAKER = COUNT_BREAKER_ONLY.returning(breakers.c.failures)
BREAKER_FAILURES = select(breakers.c.failures).where(_THIS_BREAKER)
BREAKER = records(BreakerRecord, breakers).where(_THIS_BREAKER)
NEW_BREAKER = (
    insert(breakers)
    .values(instance=bindparam("instance"), failures=0, probe_at=_AT_ONCE, code="", words="")
    .on_conflict_do_update(index_elements=[breakers.c.instance], set_={"failures": breakers.c.failures})
)
MISCONFIGURED = (
    update(breakers).where(_THIS_BREAKER, breakers.c.misconfigured_at.is_(None)).values(misconfigured_at=NOW, **_SAID)
)
LAST_WORDS = update(breakers).where(_THIS_BREAKER).values(**_SAID)
CLOSE_BREAKER_ONLY = delete(breakers).where(_THIS_BREAKER)
CLOSE_KNOWN_BREAKER = CLOSE_BREAKER_ONLY.where(breakers.c.failures == bindparam("known"))
CLOSE_BREAKER = CLOSE_BREAKER_ONLY.returning(*columns(BreakerRecord, breakers))
WIN_PROBE = (
    update(breakers)
    .where(
        breakers.c.instance == bindparam("row_key"),
        (breakers.c.probe_at <= NOW) | (breakers.c.probe_at > bindparam("too_far", type_=breakers.c.probe_at.type)),
    )
    .values(probe_at=bindparam("next_probe", type_=breakers.c.probe_at.type))
)

OPEN_BREAKER = (
    update(breakers)
    .where(breakers.c.instance == bindparam("row_key"))
    .values(opened_at=NOW, probe_at=bindparam("next_probe", type_=breakers.c.probe_at.type))
)

# Each says twice what is old: somebody may renew a row between the two looks at it.
PURGE_COUNTERS = delete(counters).where(
    _OVER_WINDOW, counters.c.key.in_(select(counters.c.key).where(_OVER_WINDOW).limit(bindparam("most")))
)
_OLD_REFUSAL = (refusals.c.last_at < bindparam("before")) & own(refusals)
PURGE_REFUSALS = delete(refusals).where(
    _OLD_REFUSAL, refusals.c.key.in_(select(refusals.c.key).where(_OLD_REFUSAL).limit(bindparam("most")))
)
_OLD_VERIFIED = (verified.c.verified_at < bindparam("before")) & own(verified)
PURGE_VERIFIED = delete(verified).where(
    _OLD_VERIFIED,
    verified.c.phone_key.in_(select(verified.c.phone_key).where(_OLD_VERIFIED).limit(bindparam("most"))),
)
FORGET = tuple(delete(table).where(table.c.phone_key == bindparam("phone_key")) for table in (refusals, verified))
