"""How a counter that many senders share is cut into stripes, so that they need not wait for one another; pure.

A limit of ``count`` is divided among the stripes, without a rest: their shares make up the limit exactly. Whoever charges
it takes any stripe that has room and that nobody else is at work on; a counter is full when all its stripes are. The first
stripe has the key of the counter itself, and its window is the counter's: the others get theirs from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from otpcore.rate_limits.admission import BudgetRecord, Charge
from otpcore.stores.records import PART_MARK, CounterRecord, changed, whole_key

STRIPES = 16
"""Twice the connections of one process."""

_LEAST_SHARE = 4  # a smaller limit is charged too rarely to be worth it


def is_striped(charge: Charge) -> bool:
    """Many senders charge it, and it is large enough to be divided."""
    return charge.shared and charge.limit >= STRIPES * _LEAST_SHARE


def shares(limit: int) -> tuple[int, int]:
    """Of the first stripe, and of each other one."""
    share = limit // STRIPES
    return limit - share * (STRIPES - 1), share


def later_stripes(key: str) -> list[str]:
    """The keys of all stripes but the first."""
    return [f"{key}{PART_MARK}{number:02}" for number in range(1, STRIPES)]


def span(key: str) -> dict[str, str]:
    """All stripes of a key, as a range of the index."""
    return {"first": key, "after": f"{key}{PART_MARK}\x7f"}


def whole_counters(stripes: Sequence[CounterRecord]) -> list[CounterRecord]:
    """One record for each counter, by key, from the stripes of windows that have not ended."""
    found: dict[str, CounterRecord] = {}
    for one in stripes:
        key = whole_key(one.key)
        sum_ = found.get(key)
        count = one.count if sum_ is None else sum_.count + one.count
        found[key] = CounterRecord(key=key, count=count, window_ends_at=one.window_ends_at)
    return [found[key] for key in sorted(found)]


def whole_budgets(stripes: Sequence[BudgetRecord]) -> list[BudgetRecord]:
    """One record for each budget, by key: the first stripe's window, and what all stripes counted in it."""
    firsts = {one.key: one for one in stripes if whole_key(one.key) == one.key}
    for one in stripes:
        whole = firsts.get(whole_key(one.key))
        if whole is not None and one.key != whole.key and one.window_ends_at == whole.window_ends_at:
            firsts[whole.key] = changed(whole, used=whole.used + one.used, verified=whole.verified + one.verified)
    return [changed(firsts[key], used=max(firsts[key].used, 0)) for key in sorted(firsts)]


def whole_budget(stripes: Sequence[BudgetRecord], now: datetime) -> BudgetRecord | None:
    """The budget of these stripes, if its window has not ended."""
    return next((one for one in whole_budgets(stripes) if one.window_ends_at > now), None)
