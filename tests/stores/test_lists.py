"""Cursors: what a page gave is read again exactly, in an order of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore.errors import InvalidArgument
from otpcore.stores.lists import Place
from otpcore.stores.memory.challenges import Timeline

moments = st.integers(0, 253_000_000_000_000_000).map(
    lambda since: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=since)
)
places = st.builds(Place, moments, st.integers(0, 2**60 - 1))


@given(places)
def test_a_cursor_is_read_as_it_was_given_and_is_short(place):
    cursor = place.cursor()
    assert Place.read(cursor) == place
    assert len(cursor) <= 31
    assert cursor.isascii()


@given(places, places)
def test_places_are_in_the_order_of_time_and_then_of_number(one, other):
    assert (one < other) == ((one.time, one.number) < (other.time, other.number))


@given(st.text(max_size=40))
def test_any_other_text_is_refused_or_read_as_what_it_says(text):
    try:
        place = Place.read(text)
    except InvalidArgument:
        return
    assert Place.read(place.cursor()) == place


def test_what_no_store_could_compare_is_refused():
    assert Place.read("0-fffffffffffffff").number < 2**63
    for text in ("fffffffffffffff-1", "0-1000000000000000", "-1-1"):
        with pytest.raises(InvalidArgument, match="cursor"):
            Place.read(text)


START = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.lists(st.integers(-3, 3), max_size=20), st.data())
def test_a_timeline_is_in_order_whatever_the_clock_does(seconds, data):
    timeline, times = Timeline(), [START + timedelta(seconds=one) for one in seconds]
    for number, time in enumerate(times):
        timeline.add(time, str(number))
    gone = data.draw(st.sets(st.sampled_from(range(len(times))))) if times else set()
    for number in gone:
        timeline.remove(str(number))
    kept = sorted((time, number) for number, time in enumerate(times) if number not in gone)
    first, last = (START + timedelta(seconds=data.draw(st.integers(-4, 4))) for _ in range(2))
    within = [(str(number), Place(time, number + 1)) for time, number in kept if first <= time < last]
    assert list(timeline.back(Place(last), Place(first))) == within[::-1]
    later = [time for time, _ in kept if time >= first]
    assert [timeline.later(first, skip) for skip in range(len(later) + 1)] == [*later, None]
