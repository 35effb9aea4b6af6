"""What the admin's lists show: columns and rows of text, from what the operator answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

__all__ = [
    "CHALLENGES",
    "CHANGES",
    "DELIVERIES",
    "INSTANCES",
    "MOMENTS",
    "WAITING",
    "Cell",
    "Column",
    "Row",
    "rows_of",
    "shown",
]


@attrs.frozen(kw_only=True)
class Column:
    """One column.

    Args:
        title: Its head.
        value: What it shows of an item.
        leads_to: The id of the challenge that it leads to, of an item; None: it leads nowhere.
    """

    title: str | Promise
    value: Callable[[Any], Any]
    leads_to: Callable[[Any], str] | None = None


@attrs.frozen(kw_only=True)
class Cell:
    """One value, as text, and where it leads."""

    text: str
    url: str = ""


@attrs.frozen(kw_only=True)
class Row:
    """One row, and the id of the challenge that it leads to; empty: it leads nowhere."""

    cells: tuple[Cell, ...]
    of: str = ""


def shown(value: Any) -> str:
    """A value as the admin shows it: times in the active time zone and language."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if hasattr(value, "tzinfo"):
        here = timezone.localtime(value)
        return f"{date_format(here, 'SHORT_DATE_FORMAT')} {here:%H:%M:%S}"
    return str(value)


def rows_of(columns: Sequence[Column], items: Sequence[Any], site: str) -> tuple[Row, ...]:
    """A row for each item.

    Args:
        columns: What it shows.
        items: As the operator answers them.
        site: The name of the admin site, for its addresses.
    """
    return tuple(_row(columns, item, site) for item in items)


def _row(columns: Sequence[Column], item: Any, site: str) -> Row:
    leading = next((column.leads_to for column in columns if column.leads_to is not None), None)
    of = "" if leading is None else leading(item)
    url = reverse("admin:otp_challenge_show", args=[of], current_app=site) if of else ""
    cells = [Cell(text=shown(one.value(item)), url=url if one.leads_to is not None else "") for one in columns]
    return Row(cells=tuple(cells), of=of)


def _of(name: str, title: str | Promise) -> Column:
    return Column(title=title, value=lambda item: getattr(item, name))


_PROVIDER = _of("provider", _("provider"))
_CHANNEL = _of("channel", _("channel"))
_PURPOSE = _of("purpose", _("purpose"))

CHALLENGES = (
    Column(title=_("phone"), value=lambda one: one.phone, leads_to=lambda one: one.id),
    _of("state", _("state")),
    _of("reason", _("reason")),
    _PROVIDER,
    _PURPOSE,
    _of("attempts", _("attempts")),
    _of("first_sent_at", _("begun")),
    _of("expires_at", _("expires")),
)
DELIVERIES = (
    Column(title=_("phone"), value=lambda one: one.phone, leads_to=lambda one: one.challenge_id),
    _PROVIDER,
    _CHANNEL,
    _of("outcome", _("outcome")),
    _of("provider_code", _("vendor's code")),
    _of("is_retry", _("retry")),
    _of("recorded_at", _("handed over")),
    _of("delivered_at", _("arrived")),
)
WAITING = (
    Column(title=_("phone"), value=lambda one: one.phone, leads_to=lambda one: one.challenge_id),
    _CHANNEL,
    _of("provider", _("tried last")),
    _of("outcome", _("outcome")),
    _of("attempts", _("retries")),
    Column(title=_("due"), value=lambda one: _("under way") if one.under_way else one.due_at),
    _of("expires_at", _("expires")),
)
INSTANCES = (
    _of("instance", _("instance")),
    _of("accepted", _("accepted")),
    _of("failed", _("failed")),
    _of("verified", _("verified")),
    _of("queued", _("waiting")),
    Column(title=_("left out for failing"), value=lambda one: one.is_open),
    _of("misconfigured_since", _("misconfigured since")),
    _of("drained", _("out of use")),
)
CHANGES = (
    _of("at", _("when")),
    _of("by", _("who")),
    _of("action", _("what")),
    _of("target", _("to what")),
    _of("reason", _("why")),
)
MOMENTS = (
    _of("at", _("when")),
    _of("what", _("what")),
    _CHANNEL,
    _PROVIDER,
    _of("result", _("result")),
    _of("detail", _("detail")),
)
