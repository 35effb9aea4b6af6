"""Transactions of series: count what has happened, once, and read the counts; written once over the rows of any store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

import attrs

from otpcore.errors import InvalidArgument
from otpcore.models import Channel
from otpcore.stores.rows import Rows
from otpcore.stores.series import DIMENSIONS, SPANS, SeriesKey, SeriesPoint, minute_of, point_of, start_of

# What is recorded under an older time is there: units take no longer than a store is patient, which is 15 seconds, and most
# providers have answered.
_SETTLED = timedelta(seconds=40)
_MOST, _LONGEST = 5_000, timedelta(days=1)  # deliveries, and time, in one portion
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND, _MINUTE = timedelta(microseconds=1), timedelta(minutes=1)


_Step = tuple[
    int, str, str, str
]  # its first minute since 1970, instance, prefix and channel; empty: not told apart by it


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
    rows: Rows, since: datetime, until: datetime, step: timedelta | None, by: Collection[str]
) -> tuple[SeriesPoint, ...]:
    """What is told of each step."""
    if step is not None and (step < _MINUTE or step % _MINUTE):
        raise InvalidArgument("step: must be a number of whole minutes")
    if unknown := set(by) - set(DIMENSIONS):
        raise InvalidArgument(f"by: must be some of {', '.join(DIMENSIONS)}; {len(unknown)} are not")
    first = minute_of(since)
    length = None if step is None else step // _MINUTE
    span = max(one for one in SPANS if (length or first) % one == 0)
    first, width = (first, span) if length is None else (first // length * length, length)
    last = -(-minute_of(until + _MINUTE - _MICROSECOND) // width) * width
    by_instance, by_prefix, by_channel = (name in by for name in DIMENSIONS)
    sums: dict[_Step, int] = {}
    for minute, instance, prefix, channel, counts in rows.series(span, first, last):
        step_of = (
            first if length is None else minute // length * length,
            instance if by_instance else "",
            prefix if by_prefix else "",
            channel if by_channel else "",
        )
        sums[step_of] = sums.get(step_of, 0) + counts
    starts = {minute: start_of(minute) for minute in {one[0] for one in sums}}
    channels = {word: Channel(word) if by_channel else None for word in {one[3] for one in sums}}
    return tuple(
        point_of(
            sums[one],
            starts[one[0]],
            (one[1] if by_instance else None, one[2] if by_prefix else None, channels[one[3]]),
        )
        for one in sorted(sums)
    )
