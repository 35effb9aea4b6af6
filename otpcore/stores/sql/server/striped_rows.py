"""`Rows` whose hot counters are cut into stripes: one that has room and that nobody is at work on is found, not waited for."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from otpcore.rate_limits.admission import BudgetRecord, Charge, rolled_base
from otpcore.stores.records import Charged, CounterRecord, changed, values_of, whole_key
from otpcore.stores.rows import OutrunError
from otpcore.stores.sql.rows import SqlRows
from otpcore.stores.sql.server import stripes as _stripes
from otpcore.stores.sql.tables import budgets, counters

_NOW = bindparam("now", type_=counters.c.window_ends_at.type)


def _stripes_of(table: Any) -> Any:
    return (table.c.key >= bindparam("first")) & (table.c.key < bindparam("after"))


_RUNNING = counters.c.window_ends_at > _NOW
_SHARE = case((counters.c.key == bindparam("first"), bindparam("first_share")), else_=bindparam("share"))
_FREE_STRIPE = select(counters.c.key, counters.c.window_ends_at).where(
    _stripes_of(counters), _RUNNING, counters.c.count < _SHARE
)
FREE_STRIPE = _FREE_STRIPE.limit(1).with_for_update(skip_locked=True)
_ONE_MORE = {"count": counters.c.count + 1}
TAKE_STRIPE = (
    update(counters)
    .where(
        counters.c.key
        == _FREE_STRIPE.with_only_columns(counters.c.key).limit(1).with_for_update(skip_locked=True).scalar_subquery()
    )
    .values(**_ONE_MORE)
    .returning(counters.c.key, counters.c.window_ends_at)
)
CHARGE_STRIPE = (
    update(counters)
    .where(counters.c.key == bindparam("row_key"), _RUNNING, counters.c.count < bindparam("most"))
    .values(**_ONE_MORE)
)
STRIPES = select(counters.c.key, counters.c.count, counters.c.window_ends_at).where(_stripes_of(counters), _RUNNING)
_NEW_STRIPE = insert(counters).values(count=0)
_OVER = counters.c.window_ends_at <= _NOW
BEGIN_STRIPE = _NEW_STRIPE.on_conflict_do_update(
    index_elements=[counters.c.key],
    set_={  # in this order for MySQL, which assigns from left to right and sees what it has assigned
        "count": case((_OVER, 0), else_=counters.c.count),
        "window_ends_at": case((_OVER, _NEW_STRIPE.excluded.window_ends_at), else_=counters.c.window_ends_at),
    },
)
ENDED = select(counters.c.key).where(_OVER).limit(bindparam("most")).with_for_update(skip_locked=True)
REMOVE = delete(counters).where(counters.c.key.in_(bindparam("keys", expanding=True)))
KEYS = select(counters.c.key).where((counters.c.key >= bindparam("prefix")) & (counters.c.key < bindparam("after")))

_BUDGET_NOW = bindparam("now", type_=budgets.c.window_ends_at.type)
_BUDGET_RUNS = budgets.c.window_ends_at > _BUDGET_NOW
FREE_BUDGET = select(budgets.c.key).where(_stripes_of(budgets), _BUDGET_RUNS).limit(1).with_for_update(skip_locked=True)
_MOVED = {
    "used": budgets.c.used + bindparam("more_used", type_=budgets.c.used.type),
    "verified": budgets.c.verified + bindparam("more_verified", type_=budgets.c.verified.type),
}
TAKE_BUDGET = update(budgets).where(budgets.c.key == FREE_BUDGET.scalar_subquery()).values(**_MOVED)
MOVE_STRIPE = update(budgets).where(budgets.c.key == bindparam("row_key")).values(**_MOVED)
BUDGET_STRIPES = select(*(budgets.c[name] for name in ("key", "used", "verified", "base", "window_ends_at"))).where(
    _stripes_of(budgets)
)
_FIRST = insert(budgets)
BEGIN_BUDGET = _FIRST.on_conflict_do_update(  # nothing is changed, but the row is there, and ours
    index_elements=[budgets.c.key], set_={"base": budgets.c.base}
)
ROLL_BUDGET = update(budgets).where(budgets.c.key == bindparam("row_key"))
_NEW_BUDGET = insert(budgets).values(used=0, verified=0, base=0)
_ENDED = budgets.c.window_ends_at <= _BUDGET_NOW
BEGIN_BUDGET_STRIPE = _NEW_BUDGET.on_conflict_do_update(
    index_elements=[budgets.c.key],
    set_={
        "used": case((_ENDED, 0), else_=budgets.c.used),
        "verified": case((_ENDED, 0), else_=budgets.c.verified),
        "window_ends_at": case((_ENDED, _NEW_BUDGET.excluded.window_ends_at), else_=budgets.c.window_ends_at),
    },
)


class StripedRows(SqlRows):
    """The rows of one unit of work. A unit holds one stripe of a counter at most, so stripes are locked in the order of keys."""

    def charge(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        done: list[Charged] = []
        for striped, group in itertools.groupby(charges, key=_stripes.is_striped):
            some = list(group)
            done += self._charge_striped(some, now) if striped else self._charge_rows(some, now)
        return done

    def counters(self, prefix: str, now: datetime) -> Sequence[CounterRecord]:
        return _stripes.whole_counters(super().counters(prefix, now))

    def reset_counters(self, prefix: str) -> int:
        keys = self._scalars(KEYS, prefix=prefix, after=f"{prefix}\x7f")
        stripes = len(keys) - len({whole_key(key) for key in keys})
        return super().reset_counters(prefix) - stripes

    def purge_counters(self, now: datetime, limit: int) -> int:
        removed = 0
        while removed < limit and (ended := self._scalars(ENDED, now=now, most=limit)):
            firsts = [key for key in ended if key == whole_key(key)][: limit - removed]  # one of each counter
            self._changed(REMOVE, keys=[*firsts, *(key for key in ended if key != whole_key(key))])
            removed += len(firsts)
        return removed

    def budgets(self, prefix: str) -> Sequence[BudgetRecord]:
        return _stripes.whole_budgets(super().budgets(prefix))

    def move_budget(self, key: str, used: int, verified: int, now: datetime, ends_at: datetime) -> None:
        if used < 0:
            whole = _stripes.whole_budget(self._all(BudgetRecord, BUDGET_STRIPES, **_stripes.span(key)), now)
            used = max(used, -whole.used) if whole is not None else 0
        more = {"more_used": used, "more_verified": verified}
        if self._take_budget(key, now, more):
            return
        stripes = self._all(BudgetRecord, BUDGET_STRIPES, **_stripes.span(key))
        running = [stripe.key for stripe in stripes if stripe.window_ends_at > now]
        if running:  # somebody is at work on each
            self._changed(MOVE_STRIPE, row_key=random.choice(running), **more)
        else:
            self._begin_budget(key, now, ends_at, more)

    def _charge_striped(self, charges: Iterable[Charge], now: datetime) -> Iterator[Charged]:
        for charge in charges:
            if (done := self._charge_stripe(charge, now)) is not None:
                yield done

    def _charge_stripe(self, charge: Charge, now: datetime) -> Charged | None:
        first_share, share = _stripes.shares(charge.limit)
        taken = self._take_stripe(charge.key, first_share, share, now)
        if taken is not None:
            return taken
        running = self._all(CounterRecord, STRIPES, **_stripes.span(charge.key), now=now)
        if not running:
            return self._begin_window(charge, first_share, now)
        if [one.key for one in running] == [charge.key]:  # begun by a version without stripes
            return next(iter(self._charge_rows([charge], now)), None)
        most = {stripe.key: first_share if stripe.key == charge.key else share for stripe in running}
        with_room = [stripe for stripe in running if stripe.count < most[stripe.key]]
        random.shuffle(with_room)
        for stripe in with_room:  # somebody is at work on each
            if self._changed(CHARGE_STRIPE, row_key=stripe.key, most=most[stripe.key], now=now):
                return Charged(key=stripe.key, window_ends_at=stripe.window_ends_at)
        return None

    def _begin_window(self, charge: Charge, first_share: int, now: datetime) -> Charged:
        """Whoever comes first begins all stripes; the others wait for that."""
        done = self._charge_rows([changed(charge, limit=first_share)], now)
        if not done:
            raise OutrunError("the window was begun by somebody else")
        (begun,) = done
        if begun.window_ends_at == now + charge.window:
            for key in _stripes.later_stripes(charge.key):
                self._changed(BEGIN_STRIPE, key=key, window_ends_at=begun.window_ends_at, now=now)
        return begun

    def _begin_budget(self, key: str, now: datetime, ends_at: datetime, more: dict[str, int]) -> None:
        """The window after the one that has ended, unless somebody else has begun it by now."""
        new = BudgetRecord(key=key, used=0, verified=0, base=0, window_ends_at=ends_at)
        self._changed(BEGIN_BUDGET, **values_of(new))
        stripes = self._all(BudgetRecord, BUDGET_STRIPES, **_stripes.span(key))
        (last,) = _stripes.whole_budgets(stripes)
        if last.window_ends_at <= now:
            begun = {"used": 0, "verified": 0, "base": rolled_base(last), "window_ends_at": ends_at}
            self._changed(ROLL_BUDGET, row_key=key, **begun)
        if len(stripes) < _stripes.STRIPES or last.window_ends_at <= now:
            for stripe in _stripes.later_stripes(key):
                self._changed(BEGIN_BUDGET_STRIPE, key=stripe, window_ends_at=ends_at, now=now)
        self._changed(MOVE_STRIPE, row_key=key, **more)

    # What differs where an UPDATE returns nothing.

    def _charge_rows(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        return super().charge(charges, now)

    def _take_stripe(self, key: str, first_share: int, share: int, now: datetime) -> Charged | None:
        wanted = {"first_share": first_share, "share": share, "now": now}
        taken = self._rows(TAKE_STRIPE, {**_stripes.span(key), **wanted})
        return Charged(key=taken[0][0], window_ends_at=taken[0][1]) if taken else None

    def _take_budget(self, key: str, now: datetime, more: dict[str, int]) -> bool:
        return self._changed(TAKE_BUDGET, **_stripes.span(key), now=now, **more) == 1
