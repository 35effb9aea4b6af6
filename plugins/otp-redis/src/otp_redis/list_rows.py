"""Lists of what happened: sorted sets by time, of all deliveries, of those of one instance, and of all challenges.

Rows of the same microsecond are told apart by the number that the server gave them. Those of one phone are read from the
challenges of the phone, which are few.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from otp_redis.challenge_rows import PAGE, doc_key
from otp_redis.limit_rows import LimitRows
from otp_redis.packing import microseconds, moment
from otpcore.stores import ChallengeRecord, DeliveryFilter, DeliveryRecord, Filter, Place

__all__ = ["ListRows"]

R = TypeVar("R")


class ListRows(LimitRows):
    """The part of ``Rows`` about lists."""

    def listed(self, wanted: Filter[R], start: Place, end: Place, limit: int) -> Sequence[tuple[R, Place]]:
        found = self._of_phone(wanted) if wanted.phone_key else self._back(wanted, start, end, min(limit, PAGE))
        fitting = ((one, place) for one, place in found if end <= place < start and wanted.fits(one))
        return list(itertools.islice(fitting, limit))

    def place(self, wanted: Filter[Any], start: Place, skip: int) -> Place | None:
        # Of the same microsecond all are looked at: how many come before is counted without them.
        (reply,) = self._unit.ask(
            ("score_back", _index(wanted), _below(start), _score(wanted.oldest), str(skip - 1)),
        )
        return Place(moment(int(float(reply)))) if reply else None

    def _of_phone(self, wanted: Filter[Any]) -> Sequence[tuple[Any, Place]]:
        found = [pair for one in self._ids_of(wanted.phone_key) for pair in self._records(wanted, one)]
        return sorted(found, key=_place, reverse=True)

    def _back(self, wanted: Filter[Any], start: Place, end: Place, page: int) -> Iterator[tuple[Any, Place]]:
        """All in a span of time, the newest first."""
        same: list[tuple[Any, Place]] = []
        for member in self._members(_index(wanted), _below(start), _score(end), page):
            challenge_id, _, delivery_id = member.partition(" ")
            for pair in self._records(wanted, challenge_id, delivery_id.partition(" ")[0]):
                if same and same[0][1].time != pair[1].time:
                    yield from sorted(same, key=_place, reverse=True)
                    same.clear()
                same.append(pair)
        yield from sorted(same, key=_place, reverse=True)

    def _members(self, index: str, most: str, least: str, page: int) -> Iterator[str]:
        """Each once, though others are written between two looks: a look begins with the score at which the last one ended."""
        seen: dict[str, str] = {}
        while True:
            offset = sum(score == most for score in seen.values())
            (reply,) = self._unit.ask(("docs_back", index, most, least, str(offset), str(page)))
            for member, score, doc in reply:
                self._learn_doc(member.split()[0], doc)
                if member not in seen:
                    yield member
                seen[member] = most = score
            if len(reply) < page:
                return

    def _records(
        self, wanted: Filter[Any], challenge_id: str, delivery_id: str = ""
    ) -> Iterator[tuple[ChallengeRecord | DeliveryRecord, Place]]:
        """A challenge, or its deliveries, as far as they are still there."""
        doc = self._unit.hash(doc_key(challenge_id))
        if not isinstance(wanted, DeliveryFilter):
            if "c" in doc:
                challenge = self._unit.parsed(ChallengeRecord, doc["c"])
                yield challenge, Place(challenge.first_sent_at, int(doc["n"].partition(":")[0]))
            return
        names = [f"d:{delivery_id}"] if delivery_id else [name for name in doc if name.startswith("d:")]
        for name in names:
            number, _, text = doc.get(name, "").partition(":")
            if text:
                delivery = self._unit.parsed(DeliveryRecord, text)
                yield delivery, Place(delivery.recorded_at, int(number))


def _index(wanted: Filter[Any]) -> str:
    if not isinstance(wanted, DeliveryFilter):
        return "ix:begun"
    return f"ix:deliveries:{wanted.instance}" if wanted.instance else "ix:deliveries"


def _score(place: Place) -> str:
    return str(microseconds(place.time))


def _below(place: Place) -> str:
    """As the bound of a range: those of the same microsecond may lie before it, unless it is before them all."""
    return _score(place) if place.number else f"({_score(place)}"


def _place(pair: tuple[Any, Place]) -> Place:
    return pair[1]
