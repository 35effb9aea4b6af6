"""Lists of what happened: which rows are asked for, where a page ended, and a page; frozen values, no I/O."""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Self, TypeVar

import attrs

from otpcore.errors import InvalidArgument
from otpcore.models import ChallengeState, Channel, Outcome
from otpcore.stores.lifecycle import FOREVER
from otpcore.stores.records import ChallengeRecord, DeliveryRecord

__all__ = ["EXAMINED", "ChallengeFilter", "DeliveryFilter", "Filter", "Page", "Place"]

R = TypeVar("R")

EXAMINED = 5_000
"""Rows that one call looks at where no index finds what is asked for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR = re.compile(r"([0-9a-f]{1,15})-([0-9a-f]{1,15})")
_LATEST = (FOREVER - _EPOCH) // _MICROSECOND


@attrs.frozen(order=True)
class Place:
    """Where a row stands in its list: by a time and, within the same microsecond, by a number; neither ever changes.

    Args:
        number: In the order in which rows were written, from 1; 0 is before all rows of that time.
    """

    time: datetime
    number: int = 0

    def cursor(self) -> str:
        """As an opaque text for those who want the next page."""
        return f"{(self.time - _EPOCH) // _MICROSECOND:x}-{self.number:x}"

    @classmethod
    def read(cls, cursor: str) -> Place:
        """The place of a cursor.

        Raises:
            InvalidArgument: It is none.
        """
        found = _CURSOR.fullmatch(cursor)
        microseconds, number = (int(part, 16) for part in found.groups()) if found else (-1, 0)
        if not 0 <= microseconds <= _LATEST:
            raise InvalidArgument("after: is no cursor that a page had")
        return cls(_EPOCH + microseconds * _MICROSECOND, number)


@attrs.frozen(kw_only=True)
class Page(Generic[R]):
    """Some rows of a list.

    Args:
        items: May be fewer than were asked for, or none, though more follow.
        cursor: What asks for those that follow; None: there are none.
    """

    items: tuple[R, ...] = ()
    cursor: str | None = None


@attrs.frozen(kw_only=True)
class Filter(abc.ABC, Generic[R]):
    """Which rows are listed; all that is said must hold. Times are those of the first field of a row's place.

    Args:
        since: Not those before; None: from the first on.
        until: Only those before; None: to the last.
        phone_key: Keyed look-up of a phone; empty: any.
    """

    since: datetime | None = None
    until: datetime | None = None
    phone_key: str = ""

    @abc.abstractmethod
    def conditions(self) -> Mapping[str, Any]:
        """What fields of a record must be, by name; times and the phone aside."""

    @abc.abstractmethod
    def indexed(self) -> Self:
        """As much of it as an index answers where no phone is named."""

    @property
    def is_scanning(self) -> bool:
        """Rows have to be looked at that may not fit. What is kept of one phone is little, whatever else is asked of it."""
        return not self.phone_key and self != self.indexed()

    @property
    def newest(self) -> Place:
        """The list begins before here."""
        return Place(self.until or FOREVER)

    @property
    def oldest(self) -> Place:
        """And ends here at the latest."""
        return Place(self.since or _EPOCH)

    def fits(self, record: R) -> bool:
        """Whether a record of this phone and time is meant."""
        return all(getattr(record, name) == value for name, value in self.conditions().items())


@attrs.frozen(kw_only=True)
class DeliveryFilter(Filter[DeliveryRecord]):
    """Which deliveries are listed, by when they were recorded; all that is said must hold.

    Args:
        since: Not those before; None: from the first on.
        until: Only those before; None: to the last.
        phone_key: Keyed look-up of a phone; empty: any.
        instance: Empty: any.
        prefix: The rule prefix by which the number came there; empty: by default; None: any.
        channel: None: any.
        outcome: None: any.
        provider_code: The vendor's error code; empty: any.
    """

    instance: str = ""
    prefix: str | None = None
    channel: Channel | None = None
    outcome: Outcome | None = None
    provider_code: str = ""

    def conditions(self) -> Mapping[str, Any]:
        """What fields of a record must be, by name; times and the phone aside."""
        return {
            **({"instance": self.instance} if self.instance else {}),
            **({"provider_code": self.provider_code} if self.provider_code else {}),
            **_given(prefix=self.prefix, channel=self.channel, outcome=self.outcome),
        }

    def indexed(self) -> Self:
        """As much of it as an index answers where no phone is named."""
        return attrs.evolve(self, prefix=None, channel=None, outcome=None, provider_code="")


@attrs.frozen(kw_only=True)
class ChallengeFilter(Filter[ChallengeRecord]):
    """Which challenges are listed, by when their first send began; all that is said must hold.

    Args:
        since: Not those before; None: from the first on.
        until: Only those before; None: to the last.
        phone_key: Keyed look-up of a phone; empty: any.
        instance: That was tried last; empty: any.
        purpose: None: any.
        app: Of the host's apps; empty: without one; None: any.
        state: None: any.
    """

    instance: str = ""
    purpose: str | None = None
    app: str | None = None
    state: ChallengeState | None = None

    def conditions(self) -> Mapping[str, Any]:
        """What fields of a record must be, by name; times and the phone aside."""
        return {
            **({"provider": self.instance} if self.instance else {}),
            **_given(purpose=self.purpose, app=self.app, state=self.state),
        }

    def indexed(self) -> Self:
        """As much of it as an index answers where no phone is named."""
        return attrs.evolve(self, instance="", purpose=None, app=None, state=None)


def _given(**conditions: Any) -> dict[str, Any]:
    return {name: value for name, value in conditions.items() if value is not None}
