"""How long whoever tries again waits."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from otpcore.retrying import backoff

SECONDS = st.floats(min_value=0.0001, max_value=60)


@given(first=SECONDS, longest=SECONDS, growth=st.floats(min_value=1, max_value=10))
@example(first=0.01, longest=0.01, growth=2.0)
def test_each_wait_is_longer_until_the_longest(first, longest, growth):
    longest = max(first, longest)
    waits = list(itertools.islice(backoff(first, longest, growth=growth, chance=lambda: 0.5), 200))
    assert waits[0] == first
    assert all(one <= other <= longest for one, other in itertools.pairwise(waits))
    assert all(other in (one * growth, longest) for one, other in itertools.pairwise(waits))


@given(chances=st.lists(st.floats(min_value=0, max_value=1, exclude_max=True), min_size=1, max_size=30))
def test_chance_makes_a_wait_by_half_shorter_or_longer(chances):
    drawn = iter(chances)
    waits = itertools.islice(backoff(1.0, 8.0, chance=lambda: next(drawn)), len(chances))
    for wait, chance, usual in zip(waits, chances, (1.0, 2.0, 4.0, *[8.0] * 27), strict=False):
        assert wait == usual * (0.5 + chance)


def test_two_that_were_in_each_others_way_do_not_wait_alike():
    waits = [tuple(itertools.islice(backoff(1.0, 8.0), 4)) for _ in range(20)]
    assert len(set(waits)) == len(waits)
