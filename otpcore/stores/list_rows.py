"""The primitives of lists, a part of ``Rows``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from otpcore.stores.lists import Filter, Place

__all__ = ["ListRows"]

R = TypeVar("R")


class ListRows(Protocol):
    """Rows of one kind, the newest first. The class of the filter says which kind; a world sees its own."""

    def listed(self, wanted: Filter[R], start: Place, end: Place, limit: int) -> Sequence[tuple[R, Place]]:
        """Those that fit, after ``start`` and as far as ``end``, each with its place."""

    def place(self, wanted: Filter[R], start: Place, skip: int) -> Place | None:
        """As far as a call may look: a place that so many rows that fit, or a few more, lie before. None: there are no more."""
