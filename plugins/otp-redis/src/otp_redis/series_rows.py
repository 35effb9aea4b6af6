"""Series: a hash for each span of minutes, by route, and how far they are counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from otp_redis.challenge_rows import PAGE
from otp_redis.limit_rows import LimitRows
from otp_redis.packing import microseconds, moment
from otpcore.stores import SPANS, SeriesKey

__all__ = ["SeriesRows"]

_FOLDED, _UNTIL = "folded", "until"


class SeriesRows(LimitRows):
    """The part of ``Rows`` about series."""

    def folded_until(self) -> datetime | None:
        text = self._unit.hash(_FOLDED).get(_UNTIL)
        return None if text is None else moment(text)

    def note_folded(self, before: datetime | None, until: datetime) -> bool:
        if self.folded_until() != before:
            return False
        self._unit.guard(_FOLDED, _UNTIL)
        self._unit.put(_FOLDED, _UNTIL, str(microseconds(until)))
        return True

    def recorded_after(self, since: datetime, skip: int) -> datetime | None:
        (reply,) = self._unit.ask(("scored", "ix:deliveries", str(microseconds(since)), "+inf", str(skip), "1"))
        return moment(int(float(reply[1]))) if reply else None

    def add_series(self, span: int, key: SeriesKey, counts: int) -> None:
        # Nobody else adds meanwhile: the unit has noted how far it is counted. The instance stands last; it may have spaces.
        name, field = _name(span, key.minute), f"{key.channel} {key.prefix} {key.instance}"
        kept = int(self._unit.hash(name).get(field, "0"), 16)
        self._unit.put(name, field, f"{kept + counts:x}")
        self._unit.call("ZADD", _index(span), str(key.minute), str(key.minute))
        self._unit.keep(name, self._milliseconds(self._unit.clock, self._keeping.of_series + timedelta(minutes=span)))

    def series(self, span: int, first: int, last: int) -> Iterator[tuple[int, str, str, str, int]]:
        (reply,) = self._unit.ask(("scored", _index(span), str(first), f"({last}", "0", "-1"))
        for minutes in _pages(reply[::2]):
            self._unit.load(*(_name(span, int(minute)) for minute in minutes))
            for minute in map(int, minutes):
                for field, counts in self._unit.hash(_name(span, minute)).items():
                    channel, prefix, instance = field.split(" ", 2)
                    yield minute, instance, prefix, channel, int(counts, 16)

    def purge_series(self, before: int, limit: int) -> int:
        total = 0
        for span in SPANS:
            (reply,) = self._unit.ask(("scored", _index(span), "-inf", f"({before}", "0", str(limit)))
            minutes = reply[::2]
            self._unit.load(*(_name(span, int(minute)) for minute in minutes))
            removed = 0
            for minute in minutes:
                if removed >= limit:
                    break
                removed += len(self._unit.hash(_name(span, int(minute))))
                self._unit.clear(_name(span, int(minute)))
                self._unit.call("ZREM", _index(span), minute)
            total += removed
        return total


def _name(span: int, minute: int) -> str:
    return f"sr:{span}:{minute}"


def _index(span: int) -> str:
    return f"ix:series:{span}"


def _pages(members: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(members), PAGE):
        yield members[first : first + PAGE]
