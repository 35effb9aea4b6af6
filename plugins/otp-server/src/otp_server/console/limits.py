"""Limits: what one phone, client, prefix or region has used up, and giving it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import FormError, changing, person_of, read_form
from otp_server.console.desk import Desk
from otp_server.console.frame import done, show
from otp_server.console.outcomes import COUNTERS
from otp_server.console.references import Named, named_by, reference_of
from otp_server.console.words import clock, plural
from otpcore import InvalidArgument, InvalidPhoneNumber
from otpcore.operator import LimitsSeen, typed_prefix

__all__ = ["routes"]

_INVALID = 422
_PREFIX = "prefix"
_KINDS = {"phone": "phone", "client": "client", _PREFIX: "prefix or region"}
_SAID = {
    "phone": "This is not one whole number. Write it with + and its country.",
    "client": "This names nobody. Write an address, such as 203.0.113.9, or what your application passes.",
    _PREFIX: "This is no prefix and no region. Write + and a few digits, such as +35987, or two letters, such as BG.",
}

_READ: Mapping[str, Callable[[str], str]] = {"phone": str, "client": str.strip, _PREFIX: typed_prefix}


@attrs.frozen(kw_only=True)
class _Target:
    """Whose limits.

    Args:
        kind: ``phone``, ``client`` or ``prefix``.
        name: As the operator's methods take it.
    """

    kind: str
    name: str = attrs.field(repr=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """For the operator's methods."""
        return {self.kind: self.name}


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """The search, and one target with what gives back what it used up."""
    pages = _Pages(desk)
    return [
        Route("/limits", pages.search, methods=["GET"]),
        Route("/limits", pages.find, methods=["POST"]),
        Route("/limits/{kind}/{reference}", pages.target, methods=["GET"]),
        Route("/limits/{kind}/{reference}/reset", pages.reset, methods=["POST"]),
    ]


class _Pages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def search(self, request: Request) -> Response:
        await person_of(self._desk, request)
        return await self._search(request)

    async def find(self, request: Request) -> Response:
        """To the page of what was typed; numbers and clients go there as references."""
        person = await person_of(self._desk, request)
        form = await read_form(self._desk, request, person.binding)
        kind = next((one for one in _KINDS if form.get(one, "").strip()), None)
        if kind is None:
            return await self._search(request, {"phone": "Fill one of the three."})
        # The space before a phone stays: it may be the + that a form did not escape.
        target = _Target(kind=kind, name=_READ[kind](form[kind]))
        try:
            await self._desk.operator.limits.show(**target.arguments)
        except (InvalidArgument, InvalidPhoneNumber):
            return await self._search(request, {kind: _SAID[kind]}, form)
        return done(self._desk, request, self._address(target))

    async def target(self, request: Request) -> Response:
        await person_of(self._desk, request)
        return await self._target(request)

    async def reset(self, request: Request) -> Response:
        target = self._named(request)
        try:
            asked = await changing(self._desk, request)
        except FormError as error:
            return await self._target(request, error)
        if target is None:
            return await self._target(request)
        try:
            count = await self._desk.operator.limits.reset(**target.arguments, by=asked.by, reason=asked.reason)
        except (InvalidArgument, InvalidPhoneNumber):
            return await self._target(request)
        said = (
            f"Given back: {plural(count, 'counter was', 'counters were')} removed." if count else "Nothing was used up."
        )
        return done(self._desk, request, self._address(target), said)

    async def _search(
        self, request: Request, errors: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
    ) -> Response:
        values = {"errors": errors or {}, "form": form or {}, "sets": _sets(self._desk)}
        status = _INVALID if errors else 200
        heading = next(iter((errors or {}).values()), "Limits")
        return await show(self._desk, request, "limits.html", values, heading=heading, status=status)

    async def _target(self, request: Request, error: FormError | None = None) -> Response:
        target, limits = self._named(request), None
        if target is not None:
            try:
                limits = await self._desk.operator.limits.show(**target.arguments)
            except (InvalidArgument, InvalidPhoneNumber):
                limits = None
        if target is None or limits is None:
            said = {"phone": "The address of this page was older than a day. Look it up again."}
            return await self._search(request, said)
        values = {
            "kind": target.kind,
            "kind_name": _KINDS[target.kind],
            "limits": limits,
            "counters": COUNTERS,
            "address": f"/limits/{target.kind}/{request.path_params['reference']}",
            "is_used": bool(limits.sends or limits.failures),
            "form_errors": error.errors if error else {},
            "form": error.form if error else {},
            "is_prefix": target.kind == _PREFIX,
            "person_reference": request.path_params["reference"] if target.kind == Named.PHONE else "",
        }
        status = _INVALID if error else 200
        return await show(
            self._desk, request, "limits_of.html", values, heading=_heading(target, limits), status=status
        )

    def _named(self, request: Request) -> _Target | None:
        kind, reference = request.path_params["kind"], request.path_params["reference"]
        if kind == _PREFIX:
            return _Target(kind=kind, name=reference)
        if kind not in (Named.PHONE, Named.CLIENT):
            return None
        name = named_by(self._desk.server.vault, Named(kind), reference)
        return _Target(kind=kind, name=name) if name is not None else None

    def _address(self, target: _Target) -> str:
        if target.kind == _PREFIX:
            return f"/limits/{_PREFIX}/{target.name.upper()}"
        return f"/limits/{target.kind}/{reference_of(self._desk.server.vault, Named(target.kind), target.name)}"


def _heading(target: _Target, limits: LimitsSeen) -> str:
    whose = f"Client {limits.target}…" if target.kind == Named.CLIENT else limits.target
    full = [one for one in limits.sends if one.limit is not None and one.count >= one.limit]
    locked = [one for one in limits.failures if one.locked]
    if limits.barrier is not None:
        return f"{whose} is not sent to: {limits.barrier}."
    if locked:
        return f"{whose} is locked after wrong codes."
    if full:
        ends = max(one.window_ends_at for one in full)
        return f"{whose} has no sends left until {clock(datetime.now(UTC), ends)}."
    return f"{whose} has room under every limit." if limits.sends else f"{whose} has used up nothing."


def _sets(desk: Desk) -> list[tuple[str, str]]:
    """What the settings limit: whom, and how."""
    limits = desk.server.otp_settings.limits
    every: list[tuple[str, Any]] = [
        ("Each phone", limits.phone),
        ("Each client", limits.client),
        *((f"Prefix {prefix}", texts) for prefix, texts in limits.prefix.items()),
        ("Each country", limits.country),
        *((f"Region {region}", texts) for region, texts in limits.countries.items()),
        *((f"Channel {channel}", texts) for channel, texts in limits.channel.items()),
        ("Everybody together", limits.global_),
        ("Unverified, each country and rule prefix", limits.unverified),
    ]
    return [(whom, ", ".join(_limit(one) for one in texts)) for whom, texts in every]


_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}


def _limit(text: str) -> str:
    """3/10m as 3 in 10 minutes."""
    count, _, window = text.partition("/")
    number, unit = window[:-1] or "1", _UNITS.get(window[-1:], window[-1:])
    return f"{count} in {plural(int(number), unit)}" if number.isdigit() else text
