"""Transactions of series: count what has happened, once, and read the counts; written once over the rows of any store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import attrs

from otpcore.errors import InvalidArgument
from otpcore.stores.rows import Rows
from otpcore.stores.series import DIMENSIONS, SPANS, SeriesKey, SeriesPoint, minute_of, point_of

# What is recorded under an older time is there: units take no longer than a store is patient, which is 15 seconds, and most
# providers have answered.
_SETTLED = timedelta(seconds=40)
_MOST, _LONGEST = 5_000, timedelta(days=1)  # deliveries, and time, in one portion
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND, _MINUTE = timedelta(microseconds=1), timedelta(minutes=1)


@attrs.frozen(kw_only=True)
class Portion:
    """What happened in a time that is not counted yet.

    Args:
        before: As far as was counted when it was read.
        until: As far as is counted once it is added.
        is_cut: More has happened since.
    """

    before: datetime | None
    until: datetime
    counts: Mapping[SeriesKey, int]
    is_cut: bool


def gather(rows: Rows, now: datetime | None) -> Portion | None:
    """What is to be counted next; None: nothing."""
    settled, before = rows.now(now) - _SETTLED, rows.folded_until()
    since = rows.recorded_after(_FIRST, 0) if before is None else before
    if since is None or since >= settled:
        return None
    full = rows.recorded_after(since, _MOST)
    until = min(settled, since + _LONGEST, settled if full is None else max(full, since + _MICROSECOND))
    counts = rows.happened(since, until)
    is_cut = until < settled
    return Portion(before=before, until=until, counts=counts, is_cut=is_cut) if counts or is_cut else None


def add(rows: Rows, portion: Portion) -> bool:
    """Add it; False: somebody else did."""
    if not rows.note_folded(portion.before, portion.until):
        return False
    for span in SPANS:
        sums: Counter[SeriesKey] = Counter()
        for key, counts in portion.counts.items():
            sums[attrs.evolve(key, minute=key.minute // span * span)] += counts
        for key, counts in sums.items():
            rows.add_series(span, key, counts)
    return True


def points(
    rows: Rows, since: datetime, until: datetime, step: timedelta, by: Collection[str]
) -> tuple[SeriesPoint, ...]:
    """What is told of each step."""
    if step < _MINUTE or step % _MINUTE:
        raise InvalidArgument("step: must be a number of whole minutes")
    if unknown := set(by) - set(DIMENSIONS):
        raise InvalidArgument(f"by: must be some of {', '.join(DIMENSIONS)}; {len(unknown)} are not")
    length = step // _MINUTE
    span = max(one for one in SPANS if length % one == 0)
    first, last = minute_of(since) // length, -(-minute_of(until + _MINUTE - _MICROSECOND) // length)
    names = [name for name in DIMENSIONS if name in by]
    told_of = _picker([1 + DIMENSIONS.index(name) for name in names])
    sums: dict[tuple[int, tuple[str, ...]], int] = {}
    for row in rows.series(span, first * length, last * length):
        key = (row[0] // length, told_of(row))
        sums[key] = sums.get(key, 0) + row[4]
    return tuple(
        point_of(sums[number, told], number * length, dict(zip(names, told, strict=True)))
        for number, told in sorted(sums)
    )


def _picker(places: Sequence[int]) -> Callable[[Any], tuple[str, ...]]:
    """What takes these places out of a row, always as a tuple."""
    if len(places) == 1:
        (place,) = places
        return lambda row: (row[place],)
    return itemgetter(*places) if places else lambda _: ()
