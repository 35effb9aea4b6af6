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
    # Most pages are full within a tenth of what may be examined, and then look no further.
    for examined in (EXAMINED // 10, EXAMINED) if wanted.is_scanning else (None,):
        edge = None if examined is None else rows.place(wanted.indexed(), start, examined)
        found = rows.listed(wanted, start, wanted.oldest if edge is None else edge, limit + 1)
        if edge is None or len(found) > limit:
            break
    if len(found) > limit:
        edge = found[limit - 1][1]
    return Page(items=tuple(record for record, _ in found[:limit]), cursor=None if edge is None else edge.cursor())
