"""Lists of messages and calls: filters and pages, as the API of 2010 has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

from otp_twilio.simulator.answers import error
from otpcore.http import parse_date
from otpcore.simulators import SimulatedAnswer

__all__ = ["listed", "number"]

_PAGE_SIZE, _LARGEST_PAGE = 50, 1000
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LENGTHS = {True: timedelta(days=1), False: timedelta(seconds=1)}
# What each filter looks at. Those of times mean a day (GMT), and with ``<`` or ``>`` behind the name until or since then, both included.
_SAME: Mapping[str, Mapping[str, str]] = {
    "messages": {"To": "to", "From": "from"},
    "calls": {"To": "to", "From": "from", "Status": "status"},
}
_TIMES: Mapping[str, Mapping[str, str]] = {
    "messages": {"DateSent": "date_sent"},
    "calls": {"StartTime": "start_time", "EndTime": "end_time"},
}


def listed(name: str, known: list[dict[str, Any]], path: str, query: str) -> SimulatedAnswer:
    """One page of a list, newest first.

    Args:
        name: ``messages`` or ``calls``.
        known: All of them, oldest first.
        path: Of the list, for the links.
        query: Of the request.
    """
    asked = {key: values[-1] for key, values in parse_qs(query).items()}
    found = [one for one in reversed(known) if _is_same(name, one, asked)]
    for filtered, field in _TIMES[name].items():
        for sign in ("", "<", ">"):
            if text := asked.get(f"{filtered}{sign}"):
                moment = _moment(text)
                if moment is None:
                    return error(400, 20001, f"Parameter '{filtered}' is not valid")
                length = _LENGTHS[_DAY.fullmatch(text) is not None]
                found = [one for one in found if _is_at(one[field], sign, moment, length)]
    size = min(number(asked.get("PageSize", "")) or _PAGE_SIZE, _LARGEST_PAGE)
    return SimulatedAnswer.json(200, _page(name, found, path, asked, size))


def number(text: str) -> int:
    """A decimal number, or 0."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


def _page(name: str, found: list[dict[str, Any]], path: str, asked: dict[str, str], size: int) -> dict[str, Any]:
    page = number(asked.get("Page", ""))
    last = asked.get("PageToken", "").removeprefix("PA")  # pages do not move when something new comes in
    start = next((place + 1 for place, one in enumerate(found) if one["sid"] == last), page * size)
    shown = found[start : start + size]
    common = {key: value for key, value in asked.items() if key not in ("Page", "PageToken")} | {"PageSize": str(size)}

    def link(**more: str) -> str:
        return f"{path}?{urlencode({**common, **more}, errors='surrogateescape')}"

    more = {"Page": str(page + 1), "PageToken": f"PA{shown[-1]['sid']}"} if found[start + size :] else {}
    return {
        name: shown,
        "page": page,
        "page_size": size,
        "start": start,
        "end": max(start + len(shown) - 1, start),
        "uri": f"{path}?{urlencode(asked, errors='surrogateescape')}",
        "first_page_uri": link(Page="0"),
        "next_page_uri": link(**more) if more else None,
        "previous_page_uri": link(Page=str(page - 1)) if page else None,
    }


def _is_same(name: str, one: dict[str, Any], asked: dict[str, str]) -> bool:
    return all(asked.get(filtered) in (None, one[field]) for filtered, field in _SAME[name].items())


def _is_at(text: str | None, sign: str, moment: datetime, length: timedelta) -> bool:
    """A time that something has not got yet is none that was asked for."""
    at = parse_date(text) if text else None
    if at is None:
        return False
    if not sign:
        return at.date() == moment.date()
    return at >= moment if sign == ">" else at < moment + length


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
