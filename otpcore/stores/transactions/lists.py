"""The transaction that reads one page of a list, written once over the rows of any store."""

from __future__ import annotations

from typing import TypeVar

from otpcore.errors import InvalidArgument
from otpcore.stores.lists import EXAMINED, Filter, Page, Place
from otpcore.stores.rows import Rows

R = TypeVar("R")


def page(rows: Rows, wanted: Filter[R], after: str | None, limit: int) -> Page[R]:
    """One page, and where the next one begins."""
    if limit < 1:
        raise InvalidArgument("limit: must be at least 1")
    start = wanted.newest if after is None else min(wanted.newest, Place.read(after))
    edge = rows.place(wanted.indexed(), start, EXAMINED) if wanted.is_scanning else None
    found = rows.listed(wanted, start, wanted.oldest if edge is None else edge, limit + 1)
    if len(found) > limit:
        edge = found[limit - 1][1]
    return Page(items=tuple(record for record, _ in found[:limit]), cursor=None if edge is None else edge.cursor())
