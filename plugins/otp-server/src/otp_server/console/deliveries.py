"""Deliveries: what left, through whom, and what came back; and the verifications that they were for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import person_of
from otp_server.console.desk import Desk
from otp_server.console.filters import Read
from otp_server.console.frame import show
from otp_server.console.outcomes import OUTCOMES, STATES, Word, end_of, outcome_of, way
from otp_server.console.timeline import exact
from otpcore import InvalidArgument
from otpcore.operator import ChallengePage, DeliveryPage

__all__ = ["routes"]

_ROWS = 50
_SUMMED = 5_000  # deliveries whose prices are added up for a page
_INVALID = 422
_PREFIX = re.compile(r"\+[0-9]{1,9}")  # what is longer may be somebody's number, which belongs into no address
_DELIVERIES = ("from", "until", "instance", "prefix", "outcome", "channel", "code")
_VERIFICATIONS = ("from", "until", "instance", "purpose", "app", "state")
_BY_DEFAULT = "default"
_NO_APP = "none"
_FIELDS = {"since": "from", "provider_code": "code", "after": "from"}
_SAID = {
    "channel": "Write its word, such as sms.",
    "prefix": "Write +35987, with a few digits of the number, or default.",
    "from": "This page of the list is not there. Go back to the newest.",
}


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Both lists."""

    async def deliveries(request: Request) -> Response:
        await person_of(desk, request)
        asked = Read.of(request.query_params, _DELIVERIES)
        wanted = _wanted(asked)
        page = await _deliveries(desk, asked, wanted, request.query_params.get("after"))
        values = {
            **_common(asked, page, request),
            "items": [(one, outcome_of(one)) for one in page.items],
            "summary": _summary([outcome_of(one) for one in page.items]),
            "outcomes": {str(word): told.text for word, told in OUTCOMES.items()},
            "instances": await _instances(desk, asked),
            "cost": await _cost(desk, wanted, page),
            "way": way,
            "exact": partial(exact, datetime.now(UTC)),
        }
        return await _shown(desk, request, "deliveries.html", values, asked, "delivery")

    async def verifications(request: Request) -> Response:
        await person_of(desk, request)
        asked = Read.of(request.query_params, _VERIFICATIONS)
        page = await _verifications(desk, asked, request.query_params.get("after"))
        values = {
            **_common(asked, page, request),
            "items": [(one, end_of(one)) for one in page.items],
            "summary": _summary([end_of(one) for one in page.items]),
            "states": {str(state): told.text for state, told in STATES.items()},
            "instances": await _instances(desk, asked),
        }
        return await _shown(desk, request, "verifications.html", values, asked, "verification")

    return [
        Route("/deliveries", deliveries, methods=["GET"]),
        Route("/deliveries/verifications", verifications, methods=["GET"]),
    ]


def _wanted(asked: Read) -> dict[str, Any]:
    prefix = asked.prefix()
    if prefix not in (None, _BY_DEFAULT) and not _PREFIX.fullmatch(prefix or ""):
        asked.errors["prefix"] = _SAID["prefix"]
    return {
        "since": asked.time("from"),
        "until": asked.time("until"),
        "instance": asked.typed["instance"],
        "prefix": "" if prefix == _BY_DEFAULT else prefix,
        "channel": asked.given("channel"),
        "outcome": asked.given("outcome"),
        "provider_code": asked.typed["code"],
    }


async def _deliveries(desk: Desk, asked: Read, wanted: Mapping[str, Any], after: str | None) -> DeliveryPage:
    if not asked.errors:
        try:
            return await desk.operator.deliveries.list(**wanted, after=after, limit=_ROWS)
        except InvalidArgument as error:
            _note(asked, error)
    return DeliveryPage(items=(), cursor=None)


async def _cost(desk: Desk, wanted: Mapping[str, Any], page: DeliveryPage) -> str:
    """What all that fits the filter cost, in a sentence; empty: the vendors of those on the page say no prices."""
    if not any(one.price for one in page.items):
        return ""
    found = await desk.operator.deliveries.cost(**wanted, limit=_SUMMED)
    total = " and ".join(f"{amount:f} {currency}" for one in found.items for currency, amount in one.sums.items())
    unpriced = sum(one.unpriced for one in found.items)
    of = "all that fit the filter" if found.is_whole else f"the newest {_SUMMED:,} that fit the filter"
    without = f", and {unpriced:,} have no price" if unpriced else ""
    more = "" if found.is_whole else " otp deliveries cost sums all."
    return f"Cost of {of}: {total or 'unknown'}{without}.{more}"


async def _verifications(desk: Desk, asked: Read, after: str | None) -> ChallengePage:
    app = asked.given("app")
    wanted: dict[str, Any] = {
        "since": asked.time("from"),
        "until": asked.time("until"),
        "instance": asked.typed["instance"],
        "purpose": asked.given("purpose"),
        "app": "" if app == _NO_APP else app,
        "state": asked.given("state"),
    }
    if not asked.errors:
        try:
            return await desk.operator.challenges.list(**wanted, after=after, limit=_ROWS)
        except InvalidArgument as error:
            _note(asked, error)
    return ChallengePage(items=(), cursor=None)


def _note(asked: Read, error: InvalidArgument) -> None:
    """An argument that cannot be meant, by the field that it came from."""
    argument = str(error).partition(":")[0]
    field = _FIELDS.get(argument, argument)
    name = field if field in asked.typed else "from"
    asked.errors.setdefault(name, _SAID.get(name, "This cannot be looked for. Take it out, or write another."))


async def _instances(desk: Desk, asked: Read) -> list[tuple[str, str]]:
    """The names to choose from; one that is asked for is among them, whatever has become of it."""
    known = {one.instance for one in await desk.operator.instances.status(window=60)}
    return [(name, name) for name in sorted(known | ({asked.typed["instance"]} - {""}))]


def _common(asked: Read, page: DeliveryPage | ChallengePage, request: Request) -> dict[str, Any]:
    return {
        "asked": asked,
        "cursor": page.cursor,
        "is_first": "after" not in request.query_params,
    }


async def _shown(
    desk: Desk, request: Request, template: str, values: Mapping[str, Any], asked: Read, noun: str
) -> Response:
    is_live = not asked.errors and values["is_first"]
    heading = next(iter(asked.errors.values()), "") or _heading(asked, noun)
    status = _INVALID if asked.errors else 200
    return await show(desk, request, template, values, heading=heading, status=status, is_live=is_live)


def _summary(found: Sequence[Word]) -> str:
    """What has become of those on the page, in a sentence."""
    counted = Counter(one.text.lower() for one in found)
    told = ", ".join(f"{count} {text}" for text, count in counted.most_common())
    return f"{len(found)}, newest first: {told}." if found else ""


def _heading(asked: Read, noun: str) -> str:
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{many.capitalize()}, filtered" if asked.is_narrow else many.capitalize()
