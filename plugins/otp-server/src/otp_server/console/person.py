"""What happened to one person: the search, the story of a verification, and what an operator may do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import Asked, FormError, Role, changing, person_of, read_form
from otp_server.console.desk import Desk
from otp_server.console.frame import done, show
from otp_server.console.outcomes import COUNTERS, WHY_REFUSED, end_of
from otp_server.console.references import Named, named_by, reference_of
from otp_server.console.revealing import reveal
from otp_server.console.standing import again_of, again_told, is_spent, lead_of
from otp_server.console.timeline import exact, steps_of, took
from otp_server.console.words import lasting, plural
from otp_server.problems import ProblemError
from otpcore import InvalidArgument, InvalidPhoneNumber, SettingsError
from otpcore.operator import ChallengeSeen

__all__ = ["routes"]

_ID = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{16,64}")
_REFUSALS = 20
_EARLIER = 50
_CONFIRMED_BY = "erase"
_INVALID = 422


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """The search, one person, one verification, and the changes of each."""
    pages = _Pages(desk)
    return [
        Route("/person", pages.search, methods=["GET"]),
        Route("/person", pages.find, methods=["POST"]),
        Route("/person/{reference}", pages.person, methods=["GET"]),
        Route("/person/{reference}/reset", pages.reset, methods=["POST"]),
        Route("/person/{reference}/reveal", pages.reveal, methods=["POST"]),
        Route("/person/{reference}/erase", pages.erase, methods=["POST"]),
        Route("/verification/{id}", pages.verification, methods=["GET"]),
        Route("/verification/{id}/cancel", pages.cancel, methods=["POST"]),
    ]


@attrs.frozen(kw_only=True)
class _Wrong:
    """A form that is shown again.

    Args:
        action: The last step of its address.
        errors: By field.
        form: What was typed.
    """

    action: str
    errors: Mapping[str, str]
    form: Mapping[str, str] = attrs.field(repr=False)


class _Pages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def search(self, request: Request) -> Response:
        await person_of(self._desk, request)
        return await self._search(request)

    async def find(self, request: Request) -> Response:
        """To the page of what was typed. A number goes there as a reference, and is kept nowhere."""
        person = await person_of(self._desk, request)
        form = await read_form(self._desk, request, person.binding)
        typed = form.get("q", "")  # the space before a number may be the + that a form did not escape
        if not typed.strip():
            return await self._search(request, "Type a whole number, or the id of a verification.")
        if _ID.fullmatch(wanted := typed.strip()):
            if await self._desk.operator.challenges.show(wanted):
                return done(self._desk, request, f"/verification/{wanted}")
            return await self._search(request, "No verification with this id is kept.", typed)
        try:
            await self._desk.operator.limits.show(typed)
        except (InvalidArgument, InvalidPhoneNumber):
            return await self._search(request, "This is not one whole number. Write it with + and its country.", typed)
        return done(self._desk, request, f"/person/{reference_of(self._desk.server.vault, Named.PHONE, typed)}")

    async def person(self, request: Request) -> Response:
        await person_of(self._desk, request)
        return await self._person(request)

    async def verification(self, request: Request) -> Response:
        await person_of(self._desk, request)
        return await self._verification(request)

    async def cancel(self, request: Request) -> Response:
        seen = await self._one(request)
        try:
            asked = await changing(self._desk, request)
        except FormError as error:
            return await self._verification(request, _Wrong(action="cancel", errors=error.errors, form=error.form))
        ended = await self._desk.operator.challenges.cancel(seen.id, by=asked.by, reason=asked.reason)
        said = "Cancelled: nothing more is sent, and its code no longer verifies."
        return done(self._desk, request, f"/verification/{seen.id}", said if ended else "It was over already.")

    async def reset(self, request: Request) -> Response:
        async def change(phone: str, asked: Asked) -> Response:
            count = await self._desk.operator.limits.reset(phone, by=asked.by, reason=asked.reason)
            said = f"Given back: {plural(count, 'counter was', 'counters were')} removed."
            return self._back(request, said if count else "Nothing was used up.")

        return await self._change(request, "reset", Role.OPERATOR, change)

    async def reveal(self, request: Request) -> Response:
        async def change(phone: str, asked: Asked) -> Response:
            number = await reveal(self._desk, phone, asked)
            return await self._person(request, whole=number)

        return await self._change(request, "reveal", Role.OPERATOR, change)

    async def erase(self, request: Request) -> Response:
        async def change(phone: str, asked: Asked) -> Response:
            if asked.form.get("confirmed", "").strip().lower() != _CONFIRMED_BY:
                raise FormError(
                    {"confirmed": f"Type {_CONFIRMED_BY} to confirm that nothing brings it back."}, asked.form
                )
            erased = await self._desk.operator.erase(phone, by=asked.by, reason=asked.reason)
            rows = sum(attrs.asdict(erased).values())
            said = f"Erased: {plural(erased.challenges, 'verification')}, {plural(rows, 'row')} in all."
            return done(self._desk, request, "/person", said if rows else "Nothing was kept of this person.")

        return await self._change(request, "erase", Role.ADMIN, change)

    async def _change(self, request: Request, action: str, role: Role, change: Any) -> Response:
        phone = self._phone(request)
        try:
            asked = await changing(self._desk, request, role, reveals=action == "reveal")
            if phone is None:
                return await self._too_old(request)
            response: Response = await change(phone, asked)
        except FormError as error:
            return await self._person(request, _Wrong(action=action, errors=error.errors, form=error.form))
        return response

    async def _search(self, request: Request, error: str = "", typed: str = "") -> Response:
        values = {"error": error, "typed": typed}
        heading = error or "Find a person or a verification."
        return await show(
            self._desk, request, "person_search.html", values, heading=heading, status=_INVALID if error else 200
        )

    async def _too_old(self, request: Request) -> Response:
        error = "The address of this person was older than a day. Find them again."
        return await show(
            self._desk, request, "person_search.html", {"error": error, "typed": ""}, heading=error, status=404
        )

    async def _person(self, request: Request, wrong: _Wrong | None = None, whole: str = "") -> Response:
        phone = self._phone(request)
        if phone is None:
            return await self._too_old(request)
        now, operator = datetime.now(UTC), self._desk.operator
        found = await operator.challenges.show(phone)
        limits = await operator.limits.show(phone)
        latest = found[0] if found else None
        lead = lead_of(latest, now) if latest else None
        again = again_of(limits, latest, self._desk.server.otp_settings, now)
        values = {
            **_story(latest, now),
            "reference": request.path_params["reference"],
            "limits": limits,
            "again": again,
            "again_told": again_told(again, now),
            "refusals": await operator.refusals(phone, limit=_REFUSALS),
            "earlier": [(one, end_of(one, spent=is_spent(one))) for one in found[1 : _EARLIER + 1]],
            "kept": lasting(self._desk.server.otp_settings.storage.keep_challenges),
            "count_of_all": len(found),
            "why": WHY_REFUSED,
            "counters": COUNTERS,
            "whole": whole,
            "wrong": wrong,
        }
        heading = f"{limits.target} {lead.heading}" if lead else f"{limits.target}: no verification is kept."
        status = _INVALID if wrong else 200
        live = wrong is None and not whole
        return await show(self._desk, request, "person.html", values, heading=heading, status=status, is_live=live)

    async def _verification(self, request: Request, wrong: _Wrong | None = None) -> Response:
        seen, now = await self._one(request), datetime.now(UTC)
        reference = await self._reference(seen)
        values = {**_story(seen, now), "reference": reference, "wrong": wrong, "path": "/person"}
        heading = f"{seen.phone} {lead_of(seen, now).heading}"
        status = _INVALID if wrong else 200
        return await show(
            self._desk, request, "verification.html", values, heading=heading, status=status, is_live=wrong is None
        )

    async def _one(self, request: Request) -> ChallengeSeen:
        await person_of(self._desk, request)
        wanted = request.path_params["id"]
        found = await self._desk.operator.challenges.show(wanted) if _ID.fullmatch(wanted) else ()
        if not found:
            raise ProblemError("not_found")
        return found[0]

    async def _reference(self, seen: ChallengeSeen) -> str:
        """To the page of its person; empty: the key that sealed the number is not here, or it has just been removed."""
        try:
            found = await self._desk.operator.challenges.show(seen.id, reveal=True)
        except SettingsError:
            found = ()
        return reference_of(self._desk.server.vault, Named.PHONE, found[0].phone) if found else ""

    def _phone(self, request: Request) -> str | None:
        return named_by(self._desk.server.vault, Named.PHONE, request.path_params["reference"])

    def _back(self, request: Request, said: str) -> Response:
        return done(self._desk, request, f"/person/{request.path_params['reference']}", said)


def _story(seen: ChallengeSeen | None, now: datetime) -> dict[str, Any]:
    """What the templates tell of one verification."""
    if seen is None:
        return {"seen": None, "lead": None, "steps": (), "end": None, "took": took, "exact": partial(exact, now)}
    return {
        "seen": seen,
        "lead": lead_of(seen, now),
        "steps": steps_of(seen, now),
        "end": end_of(seen, spent=is_spent(seen)),
        "took": took,
        "exact": partial(exact, now),
    }
