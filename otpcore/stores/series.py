"""Counts over time: what is asked, what is told, and how one minute of one route is kept in a single number; no I/O.

The number has a lane of 32 bits for each count, so that adding two of them adds all counts at once: what was accepted, what
failed and why, and how many messages were delivered and verified after how long, in ten buckets for each power of ten.
"""

from __future__ import annotations

import bisect
import itertools
import sys
from array import array
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import attrs

from otpcore.models import Channel, Outcome
from otpcore.stores.lifecycle import TAKEN

__all__ = [
    "BOUNDS",
    "DIMENSIONS",
    "SPANS",
    "SeriesKey",
    "SeriesPoint",
    "Told",
    "answered",
    "bucket_of",
    "delivered",
    "from_bytes",
    "minute_of",
    "point_of",
    "start_of",
    "to_bytes",
    "verified",
]

DIMENSIONS = ("instance", "prefix", "channel")
"""By what series may be told apart."""
SPANS = (1, 5, 60)
"""Minutes that one kept count may span: long steps read few rows."""
BOUNDS = tuple(round(10 ** (6 + tenth / 10)) for tenth in range(51))
"""Microseconds at which a bucket ends and the next one begins, from one second to a day and more."""

Told = tuple[str | None, str | None, Channel | None]
"""What a point is told apart by, in the order of ``DIMENSIONS``; None: not by this."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MINUTE = timedelta(minutes=1)

_BITS = 32
_MIDDLES = (0.5, *(round(10 ** ((bucket - 0.5) / 10), 3) for bucket in range(1, len(BOUNDS) + 1)))
# Their places are what is stored: append only, and before the first bucket.
_FAILURES = (
    Outcome.OPEN,
    Outcome.UNAVAILABLE,
    Outcome.THROTTLED,
    Outcome.AMBIGUOUS,
    Outcome.MISCONFIGURED,
    Outcome.REJECTED_NUMBER,
    Outcome.BLOCKED,
    Outcome.LIMIT_REACHED,
)
_ACCEPTED, _FIRST_FAILURE, _FIRST_BUCKET = 0, 1, 16
_DELIVERED, _VERIFIED = 0, 1  # they take turns, so that short waits make short numbers


@attrs.frozen
class SeriesKey:
    """What one number counts: a minute since 1970, and a route."""

    minute: int
    instance: str
    prefix: str
    channel: Channel


@attrs.frozen(kw_only=True)
class SeriesPoint:
    """What happened in one step of time. Nothing is told of steps in which nothing happened.

    A message counts as accepted or failed in the step in which it was handed over, by what was known 40 seconds later;
    as delivered when the first receipt said so; and a challenge as verified when it was, by the last message that was
    accepted. Waits are in seconds, half a second where it was less than one, and else off by an eighth at most; None: there
    were none.

    Args:
        starts_at: Of the step.
        instance: None where the series is not told apart by it.
        prefix: The rule prefix; None where the series is not told apart by it.
        channel: None where the series is not told apart by it.
        accepted: Messages that a provider took, whatever became of them.
        failed: Messages that were not accepted, by what became of them; OPEN: there was no answer 40 seconds later.
        delivered: Messages of which a receipt said that they arrived.
        verified: Challenges whose right code was typed.
        delivery_p50: From acceptance to the receipt, for half of those that were delivered.
        delivery_p95: For 95 of 100.
        verification_p50: From acceptance to the right code.
        verification_p95: For 95 of 100.
    """

    starts_at: datetime
    instance: str | None = None
    prefix: str | None = None
    channel: Channel | None = None
    accepted: int = 0
    failed: Mapping[Outcome, int] = attrs.field(factory=dict)
    delivered: int = 0
    verified: int = 0
    delivery_p50: float | None = None
    delivery_p95: float | None = None
    verification_p50: float | None = None
    verification_p95: float | None = None


def start_of(minute: int) -> datetime:
    """When this minute since 1970 begins."""
    return _EPOCH + minute * _MINUTE


def minute_of(moment: datetime) -> int:
    """Minutes since 1970."""
    return (moment - _EPOCH) // _MINUTE


def answered(outcome: Outcome) -> int:
    """One message that came to this."""
    return _one(_ACCEPTED if outcome in TAKEN else _FIRST_FAILURE + _FAILURES.index(outcome))


def delivered(bucket: int) -> int:
    """One message that arrived, by the bucket of its wait."""
    return _one(_FIRST_BUCKET + 2 * bucket + _DELIVERED)


def verified(bucket: int) -> int:
    """One challenge that was verified, by the bucket of its wait."""
    return _one(_FIRST_BUCKET + 2 * bucket + _VERIFIED)


def bucket_of(wait: timedelta) -> int:
    """The bucket of a wait."""
    return bisect.bisect_right(BOUNDS, wait // _MICROSECOND)


def to_bytes(counts: int) -> bytes:
    """The number as it is kept."""
    return counts.to_bytes((counts.bit_length() + 7) // 8, "little")


def from_bytes(kept: bytes) -> int:
    """The number again."""
    return int.from_bytes(kept, "little")


def point_of(counts: int, starts_at: datetime, told: Told = (None, None, None)) -> SeriesPoint:
    """What a number says of a step; ``told``: the instance, prefix and channel that it is told apart by."""
    lanes = _lanes(counts)
    failed = lanes[_FIRST_FAILURE:_FIRST_BUCKET]
    delivered_count, *delivery = _quantiles(lanes[_FIRST_BUCKET + _DELIVERED :: 2])
    verified_count, *verification = _quantiles(lanes[_FIRST_BUCKET + _VERIFIED :: 2])
    return SeriesPoint(
        starts_at=starts_at,
        instance=told[0],
        prefix=told[1],
        channel=told[2],
        accepted=lanes[_ACCEPTED],
        failed={outcome: count for outcome, count in zip(_FAILURES, failed, strict=False) if count}
        if any(failed)
        else {},
        delivered=delivered_count,
        verified=verified_count,
        delivery_p50=delivery[0],
        delivery_p95=delivery[1],
        verification_p50=verification[0],
        verification_p95=verification[1],
    )


def _one(lane: int) -> int:
    return 1 << (_BITS * lane)


def _lanes(counts: int) -> array[int]:
    """All counts, in order; at least one."""
    lanes = array("I")
    size = lanes.itemsize
    lanes.frombytes(counts.to_bytes(max(-(-counts.bit_length() // 8 // size) * size, size), sys.byteorder))
    if sys.byteorder == "big":
        lanes.reverse()
    return lanes


def _quantiles(buckets: array[int]) -> tuple[int, float | None, float | None]:
    """How many there are, and the waits that half of them and 95 of 100 did not exceed: the middle of a bucket, in seconds."""
    reached = list(itertools.accumulate(buckets))
    total = reached[-1] if reached else 0
    if not total:
        return 0, None, None
    half, most = bisect.bisect_left(reached, (total + 1) // 2), bisect.bisect_left(reached, (19 * total + 19) // 20)
    return total, _MIDDLES[half], _MIDDLES[most]
