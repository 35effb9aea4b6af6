"""Filters of lists: what stands in the address, read and checked, so that a list can be passed on as a link."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

import attrs
from starlette.datastructures import QueryParams

from otpcore.operator import typed_prefix

__all__ = ["Read", "read_time"]

_LONGEST = 200
_AGO = re.compile(r"([0-9]{1,4})([mhd])")
_OF_TODAY = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}


@attrs.frozen(kw_only=True)
class Read:
    """What was asked for.

    Args:
        typed: Every field as it stands in the address; empty: any.
        errors: By field, what is wrong with it, a sentence for people.
    """

    typed: Mapping[str, str]
    errors: dict[str, str] = attrs.field(factory=dict)

    @classmethod
    def of(cls, query: QueryParams, fields: Collection[str]) -> Read:
        """The fields of a filter in an address; what is too long to be meant is left out."""
        return cls(typed={name: query.get(name, "").strip()[:_LONGEST] for name in fields})

    @property
    def is_narrow(self) -> bool:
        """Something was asked for."""
        return any(self.typed.values())

    def given(self, name: str) -> str | None:
        """A field; None: any."""
        return self.typed[name] or None

    def prefix(self, name: str = "prefix") -> str | None:
        """A field that is the beginning of numbers, as it was typed or pasted; a word stays as it is. None: any."""
        typed = self.typed[name]
        return (typed_prefix(typed) if any(character.isdigit() for character in typed) else typed) or None

    def time(self, name: str) -> datetime | None:
        """A field that is a time in UTC; None: it is empty, or none, which is noted."""
        moment = read_time(self.typed[name])
        if moment is None and self.typed[name]:
            self.errors[name] = "Write a time such as 2026-11-12 13:41, 13:41 or 2h (two hours ago)."
        return moment


def read_time(text: str) -> datetime | None:
    """A time in UTC: with its day, of today, or how long ago; None: it is none."""
    now = datetime.now(UTC)
    if found := _AGO.fullmatch(text):
        return now - timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
    if _OF_TODAY.fullmatch(text):
        text = f"{now:%Y-%m-%d} {text}"
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # in UTC it may lie before the year 1, or after 9999
        return None
