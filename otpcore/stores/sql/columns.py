"""How values are kept in columns: times, words, lists and charges, the same in every database."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Dialect, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

from otpcore.models import Channel
from otpcore.prices import Price
from otpcore.stores.records import Charged, Mark

__all__ = [
    "ChannelWord",
    "Charges",
    "Cooldowns",
    "Key",
    "MarkText",
    "Moment",
    "Names",
    "PriceText",
    "Stored",
    "Word",
    "from_microseconds",
    "read_charges",
    "to_microseconds",
]

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC, as every time is stored."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The aware UTC time."""
    return _EPOCH + timedelta(microseconds=value)


def Key(length: int) -> String:  # noqa: N802 - reads as the type that it makes
    """ASCII text that is compared byte by byte in every database: ids, keyed look-ups, names."""
    return (
        String(length)
        .with_variant(String(length, collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
    )


class Stored(TypeDecorator[T]):
    """A type that Python and the database write differently; NULL is None in both.

    ``into`` and ``out_of`` take one value into the database and out of it.
    """

    cache_ok = True
    into: Any
    out_of: Any

    def process_bind_param(self, value: T | None, dialect: Dialect) -> Any:  # noqa: ARG002 - its signature
        """For SQLAlchemy."""
        return None if value is None else self.into(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> T | None:  # noqa: ARG002 - its signature
        """For SQLAlchemy."""
        found: T | None = None if value is None else self.out_of(value)
        return found


class Moment(Stored[datetime]):
    """A time as BIGINT microseconds UTC: the same in every database, exact, and cheap to compare."""

    impl = BigInteger
    cache_ok = True
    into = staticmethod(to_microseconds)
    out_of = staticmethod(from_microseconds)


class Word(Stored[enum.StrEnum]):
    """A member of a string enum, by its value."""

    impl = String
    cache_ok = True
    into = staticmethod(str.__str__)

    def __init__(self, words: type[enum.StrEnum]) -> None:
        super().__init__(20)
        self.words = words
        self.out_of = {word.value: word for word in words}.__getitem__  # calling the enum costs ten times as much


class ChannelWord(Stored[Channel]):
    """A channel, by its word."""

    impl = String(20)
    cache_ok = True
    into = staticmethod(str.__str__)
    out_of = Channel


class Cooldowns(Stored[Mapping[Channel, datetime]]):
    """Times by channel, as JSON text."""

    impl = Text
    cache_ok = True

    def into(self, value: Mapping[Channel, datetime]) -> str:
        """Into the database."""
        return json.dumps({channel: to_microseconds(until) for channel, until in value.items()})

    def out_of(self, value: str) -> Mapping[Channel, datetime]:
        """Out of the database."""
        return {Channel(word): from_microseconds(until) for word, until in json.loads(value).items()}


class Names(Stored[tuple[str, ...]]):
    """An ordered list of names as JSON text."""

    impl = Text
    cache_ok = True

    def into(self, value: tuple[str, ...]) -> str:
        """Into the database."""
        return json.dumps(value) if value else "[]"

    def out_of(self, value: str) -> tuple[str, ...]:
        """Out of the database."""
        return tuple(json.loads(value)) if value != "[]" else ()


def read_charges(text: str) -> tuple[Charged, ...]:
    """What `Charges` wrote."""
    return tuple(Charged(key=key, window_ends_at=from_microseconds(ends)) for key, ends in json.loads(text))


class Charges(Stored[tuple[Charged, ...]]):
    """What a send was charged to, as JSON text."""

    impl = Text
    cache_ok = True
    out_of = staticmethod(read_charges)

    def into(self, value: tuple[Charged, ...]) -> str:
        """Into the database."""
        return json.dumps([(one.key, to_microseconds(one.window_ends_at)) for one in value])


class PriceText(Stored[Price]):
    """A price as text, amount and currency: SQLite has no exact decimals."""

    impl = String(40)
    cache_ok = True
    into = staticmethod(str)

    def out_of(self, value: str) -> Price:
        """Out of the database."""
        amount, currency = value.split()
        return Price(amount=Decimal(amount), currency=currency)


class MarkText(Stored[Mark]):
    """An old verification to cancel, as JSON text."""

    impl = Text
    cache_ok = True

    def into(self, value: Mark) -> str:
        """Into the database."""
        return json.dumps([value.scope, value.challenge_id, value.delivery_id, value.channel, value.reference])

    def out_of(self, value: str) -> Mark:
        """Out of the database."""
        scope, challenge_id, delivery_id, channel, reference = json.loads(value)
        return Mark(
            scope=scope,
            challenge_id=challenge_id,
            delivery_id=delivery_id,
            channel=Channel(channel),
            reference=reference,
        )
