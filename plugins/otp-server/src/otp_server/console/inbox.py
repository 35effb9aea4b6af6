"""Inbox: what people would have received from the sandbox, as it arrives; what went to anybody is never in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import person_of, read_form
from otp_server.console.desk import Desk
from otp_server.console.frame import at, bare, show
from otp_server.console.words import plural
from otp_server.received import received
from otp_server.server import Server
from otp_server.statuses import status_of
from otpcore import DeliveredMessage, InvalidPhoneNumber

__all__ = ["at_home", "routes"]

_AT_ONCE = 20
_EVERY = 2  # seconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ENDS = {"approved": "used", "expired": "expired", "canceled": "cancelled", "max_attempts": "no attempts left"}
_CHANNELS = {"sms": "text", "call": "call"}


@attrs.frozen(kw_only=True)
class Letter:
    """A message as it is shown.

    Args:
        id: Of its place on the page, the same as long as it is there.
        to: The number; whole where the whole server is a sandbox.
        how: Over which channel, for people.
        by: The instance that would have carried it.
        purpose: Of the code.
        at: When.
        code: Empty: a whole text was relayed.
        text: As it would have been read or heard.
        locale: Of the text.
        end: Why the code does not verify any more; empty: it does.
    """

    id: str
    to: str
    how: str
    by: str
    purpose: str
    at: datetime
    code: str = attrs.field(repr=False)
    text: str = attrs.field(repr=False)
    locale: str
    end: str


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Its address in the console."""

    async def shown(request: Request) -> Response:
        await person_of(desk, request)
        return await _page(desk, request, "")

    async def searched(request: Request) -> Response:
        person = await person_of(desk, request)
        form = await read_form(desk, request, person.binding)
        found = await _reference(desk.server, form.get("to", ""))
        return _to(request, found) if found is not None else await _page(desk, request, form.get("to", ""))

    return [Route("/inbox", shown), Route("/inbox", searched, methods=["POST"])]


async def at_home(server: Server, request: Request) -> Response:
    """The page of a sandbox for whoever sits at its machine, who needs no console for it."""
    desk = Desk(server=server)
    typed = dict(parse_qsl((await request.body()).decode(errors="replace"))).get("to", "")
    found = await _reference(server, typed) if typed else None
    if found is not None:
        return _to(request, found)
    is_fresh = request.query_params.get("refresh") != "off"
    api = f"{request.url.scheme}://{request.url.netloc}"
    values = {**await _values(server, request, typed), "api": api, "is_fresh": is_fresh and not typed, "is_live": True}
    status = 422 if typed else 200
    return bare(desk, request, "inbox_at_home.html", values, heading=_heading(values), status=status)


async def _page(desk: Desk, request: Request, typed: str) -> Response:
    values = await _values(desk.server, request, typed)
    status = 422 if typed else 200
    return await show(desk, request, "inbox.html", values, heading=_heading(values), status=status, is_live=not typed)


def _heading(values: Mapping[str, Any]) -> str:
    total = values["total"]
    return f"Inbox: {plural(total, 'message')}" if total else "Inbox: no message yet"


async def _values(server: Server, request: Request, typed: str) -> dict[str, Any]:
    """What the page shows, wherever it is."""
    every, query = await received(server), request.query_params
    wanted = query.get("of", "")
    meant = [one for one in every if not wanted or _reference_of(server, one) == wanted]
    older = _older(query.get("older", ""))
    rest = [one for one in meant if older is None or one.at < older]
    letters = [await _letter(server, one) for one in rest[:_AT_ONCE]]
    more = len(rest) > _AT_ONCE
    return {
        "letters": letters,
        "total": len(meant),
        "is_first": older is None,
        "cursor": str((letters[-1].at - _EPOCH) // _MICROSECOND) if more else None,
        "only": (letters[0].to if letters else "a number without a message") if wanted else "",
        "typed": typed,
        "every": _EVERY,
        "api": server.settings.public_url or f"http://{server.settings.host}:{server.settings.port}",
        "forgets": server.otp_settings.needs_throw_away_keys,
        "of": wanted,
    }


async def _letter(server: Server, message: DeliveredMessage) -> Letter:
    views = await server.sandbox.store.view(challenge_id=message.challenge_id)
    standing = "erased" if not views else _ENDS.get(status_of(views[0].challenge), "")
    channel = str(message.channel)
    moment = (message.at - _EPOCH) // _MICROSECOND
    return Letter(
        id=f"m{moment:x}-{message.challenge_id[-8:]}{'' if channel == 'sms' else channel}",
        to=message.phone.e164 if server.is_sandbox else message.phone.masked,
        how=_CHANNELS.get(channel, channel),
        by=message.instance,
        purpose=message.purpose,
        at=message.at,
        code=message.code,
        text=message.text,
        locale=message.locale,
        end=standing if not views or views[0].challenge.verifiable else "relayed",
    )


async def _reference(server: Server, typed: str) -> str | None:
    """What stands for a number in an address; None: it is none, or nothing was sent to it."""
    try:
        meant = await server.sandbox.operator.look_up(typed)
    except InvalidPhoneNumber:
        return None
    for one in await received(server):
        if await server.sandbox.operator.look_up(one.phone.e164) == meant:
            return _reference_of(server, one)
    return None


def _reference_of(server: Server, message: DeliveredMessage) -> str:
    return server.vault.digest("inbox", message.phone.e164)[:32]


def _older(text: str) -> datetime | None:
    return _EPOCH + int(text) * _MICROSECOND if text.isascii() and text.isdigit() and len(text) < 17 else None  # noqa: PLR2004 - microseconds of this age


def _to(request: Request, reference: str) -> Response:
    headers = {"Location": at(request, f"/inbox?of={reference}"), "Cache-Control": "no-store"}
    return Response(status_code=303, headers=headers)
