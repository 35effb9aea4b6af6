"""`Rows` of lists over an SQL database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from otpcore.stores.lists import ChallengeFilter, DeliveryFilter, Filter, Place
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, made
from otpcore.stores.sql import list_statements as sql
from otpcore.stores.sql.unit import SqlUnit

__all__ = ["ListRows"]

R = TypeVar("R")


class ListRows(SqlUnit):
    """Part of `SqlRows`."""

    def listed(self, wanted: Filter[R], start: Place, end: Place, limit: int) -> Sequence[tuple[R, Place]]:
        record, time = _KINDS[type(wanted)]
        given = {**self._given(wanted, start, end), "most": limit}
        found = self._rows(_statement(sql.listed, wanted), given)
        pairs = ((made(record, values), number) for *values, number in found)
        return [(one, Place(getattr(one, time), number)) for one, number in pairs]

    def place(self, wanted: Filter[R], start: Place, skip: int) -> Place | None:
        given = {**self._given(wanted, start, wanted.oldest), "skip": skip - 1}
        found = self._rows(_statement(sql.place, wanted), given)
        return Place(*found[0]) if found else None

    def _given(self, wanted: Filter[Any], start: Place, end: Place) -> dict[str, Any]:
        return {
            **({"phone_key": wanted.phone_key} if wanted.phone_key else {}),
            **wanted.conditions(),
            "own_world": self.world,
            "start_time": start.time,
            "start_number": start.number,
            "end_time": end.time,
            "end_number": end.number,
        }


_KINDS: dict[Any, tuple[Any, str]] = {
    DeliveryFilter: (DeliveryRecord, "recorded_at"),
    ChallengeFilter: (ChallengeRecord, "first_sent_at"),
}


def _statement(build: Any, wanted: Filter[Any]) -> Any:
    return build(type(wanted), tuple(sorted(wanted.conditions())), of_phone=bool(wanted.phone_key))
