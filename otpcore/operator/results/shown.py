"""What every result for operators can do."""

from __future__ import annotations

import enum
from datetime import date
from decimal import Decimal
from typing import Any

import attrs

__all__ = ["Shown"]


class Shown:
    """The base of all of them."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: times and days as ISO 8601 in UTC, exact numbers as text, words instead of enums, lists for tuples."""
        plain: dict[str, Any] = attrs.asdict(self, value_serializer=_plain)  # type: ignore[arg-type] # each is an attrs class
        return plain


def _plain(_: Any, __: Any, value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else value
