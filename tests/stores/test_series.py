"""The number in which counts are kept: adding two adds all counts, and it tells waits nearly as they were."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otpcore.models import Channel, Outcome
from otpcore.stores.lifecycle import TAKEN
from otpcore.stores.series import (
    BOUNDS,
    answered,
    bucket_of,
    delivered,
    from_bytes,
    minute_of,
    point_of,
    start_of,
    to_bytes,
    verified,
)

waits = st.lists(st.floats(min_value=1, max_value=99_999), max_size=40)
NEARLY = pytest.approx


def told(counts, *apart):
    """What the number says, once it was kept."""
    return point_of(from_bytes(to_bytes(counts)), start_of(0), *apart)


@given(st.lists(st.sampled_from(list(Outcome)), max_size=200))
def test_every_outcome_is_counted(outcomes):
    point = told(sum(map(answered, outcomes)))
    assert point.accepted == sum(one in TAKEN for one in outcomes)
    assert point.failed == Counter(one for one in outcomes if one not in TAKEN)


@given(waits, waits)
@example([1.0], [99_999.0])
def test_waits_are_told_nearly_as_they_were(receipts, codes):
    counts = sum(delivered(bucket_of(timedelta(seconds=one))) for one in receipts)
    counts += sum(verified(bucket_of(timedelta(seconds=one))) for one in codes)
    point = told(counts)
    assert (point.delivered, point.verified) == (len(receipts), len(codes))
    for found, sent, share in (
        (point.delivery_p50, receipts, 0.5),
        (point.delivery_p95, receipts, 0.95),
        (point.verification_p50, codes, 0.5),
        (point.verification_p95, codes, 0.95),
    ):
        exact = sorted(sent)[math.ceil(share * len(sent)) - 1] if sent else None
        assert found == (None if exact is None else NEARLY(exact, rel=0.125))


@pytest.mark.parametrize(
    ("seconds", "said"), [(-5, 0.5), (0, 0.5), (0.999999, 0.5), (1, 1.122), (1.258925, 1.413), (10**6, 112201.845)]
)
def test_waits_beyond_the_buckets_are_in_the_first_and_the_last(seconds, said):
    assert told(delivered(bucket_of(timedelta(seconds=seconds)))).delivery_p50 == said


@given(
    st.lists(st.tuples(st.sampled_from(list(Outcome)), st.integers(0, len(BOUNDS))), max_size=30), st.integers(0, 30)
)
def test_adding_two_numbers_adds_all_counts(happened, cut):
    numbers = [answered(outcome) + delivered(bucket) + verified(bucket) for outcome, bucket in happened]
    assert told(sum(numbers[:cut]) + sum(numbers[cut:])) == told(sum(numbers))
    assert told(sum(numbers)).delivered == told(sum(numbers)).verified == len(happened)


def test_a_busy_minute_overflows_into_no_other_count():
    many = 2**32 - 1
    point = told(many * answered(Outcome.ACCEPTED) + many * delivered(0) + verified(0))
    assert (point.accepted, point.failed, point.delivered, point.verified) == (many, {}, many, 1)


def test_what_it_is_told_apart_by_is_named():
    point = told(answered(Outcome.ACCEPTED), ("mada", None, Channel.CALL))
    assert (point.instance, point.prefix, point.channel) == ("mada", None, Channel.CALL)
    assert point.starts_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert minute_of(datetime(1970, 1, 1, 1, 0, 59, 999_999, tzinfo=UTC)) == 60
