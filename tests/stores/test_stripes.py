"""How a counter is cut into stripes: the shares are the limit, and the stripes of a window are one counter again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from otpcore.rate_limits.admission import BudgetRecord, Charge
from otpcore.stores.records import CounterRecord, whole_key
from otpcore.stores.sql.server import stripes

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

limits = st.integers(min_value=stripes.STRIPES, max_value=1_000_000)
counts = st.lists(st.integers(min_value=0, max_value=1000), min_size=stripes.STRIPES, max_size=stripes.STRIPES)


def keys_of(key):
    return [key, *stripes.later_stripes(key)]


def charge(limit, *, shared=True):
    return Charge(key="all/global/3600", limit=limit, window=HOUR, reason="global", shared=shared)


@given(limits)
def test_the_shares_make_up_the_limit_and_each_stripe_has_one(limit):
    first, other = stripes.shares(limit)
    assert first + other * (stripes.STRIPES - 1) == limit
    assert first >= other >= 1


def test_a_limit_is_divided_if_it_is_shared_and_each_stripe_gets_some_of_it():
    assert stripes.is_striped(charge(4 * stripes.STRIPES))
    assert not stripes.is_striped(charge(4 * stripes.STRIPES - 1))
    assert not stripes.is_striped(charge(1000, shared=False))


def test_every_stripe_is_of_its_counter_and_within_its_range_and_no_other_counter_is():
    keys = keys_of("BG/3600")
    assert len(set(keys)) == stripes.STRIPES
    assert {whole_key(key) for key in keys} == {"BG/3600"}
    span = stripes.span("BG/3600")
    assert all(span["first"] <= key < span["after"] for key in keys)
    others = keys_of("BG/360") + keys_of("BG/36000") + keys_of("BG/3600a")
    assert not [key for key in others if span["first"] <= key < span["after"]]


@given(counts, counts)
def test_the_stripes_of_counters_are_summed_each_by_its_own_key(ours, theirs):
    given_counts = [*zip(keys_of("b"), theirs, strict=True), *zip(keys_of("a"), ours, strict=True)]
    found = stripes.whole_counters(
        [CounterRecord(key=key, count=count, window_ends_at=NOW + HOUR) for key, count in given_counts]
    )
    assert [(one.key, one.count) for one in found] == [("a", sum(ours)), ("b", sum(theirs))]
    assert {one.window_ends_at for one in found} == {NOW + HOUR}


def budget(key, used, verified=0, ends_at=NOW + HOUR):
    return BudgetRecord(key=key, used=used, verified=verified, base=7, window_ends_at=ends_at)


@given(counts, counts)
def test_a_budget_is_what_all_its_stripes_counted(used, verified):
    parts = [budget(*one) for one in zip(keys_of("a"), used, verified, strict=True)]
    assert stripes.whole_budgets(parts[::-1]) == [budget("a", sum(used), sum(verified))]


def test_a_stripe_of_a_window_before_or_without_the_first_one_does_not_count():
    first, second, *_ = keys_of("a")
    assert stripes.whole_budgets([budget(first, 5), budget(second, 3, 2, NOW)]) == [budget(first, 5)]
    assert stripes.whole_budgets([budget(second, 3)]) == []


def test_what_was_given_back_on_another_stripe_than_it_was_taken_from_leaves_no_budget_below_zero():
    first, second, *_ = keys_of("a")
    assert stripes.whole_budgets([budget(first, 2), budget(second, -1)]) == [budget(first, 1)]
    assert stripes.whole_budgets([budget(first, 0), budget(second, -1)]) == [budget(first, 0)]


def test_a_budget_whose_window_has_ended_is_none():
    assert stripes.whole_budget([budget("a", 5)], NOW) == budget("a", 5)
    assert stripes.whole_budget([budget("a", 5)], NOW + HOUR) is None
    assert stripes.whole_budget([], NOW) is None
