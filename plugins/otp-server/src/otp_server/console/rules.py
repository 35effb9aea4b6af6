"""Rules: what is in force, what others would move before they are, and the way back."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import Asked, Form, FormError, changing, person_of, read_form
from otp_server.console.desk import Desk
from otp_server.console.frame import done, show
from otp_server.console.rules_view import CutOut, Effect, InPlace, clauses, cut_out, effect_of, in_place, name_of
from otp_server.problems import ProblemError
from otpcore import InvalidArgument, InvalidPhoneNumber, OTPConfigurationError, RoutingSyntaxError
from otpcore.operator import typed_rules

__all__ = ["routes"]

_SAMPLES = 10
_BETWEEN = re.compile(r"[,;\n]+")
_KEPT = "console samples"
_FILE = "file"
_WHOLE = "These rules hold a whole number. A prefix leaves out some of its last digits."


@attrs.define(kw_only=True)
class _Draft:
    """Rules that somebody thinks of, and what became of looking at them.

    Args:
        text: As they were typed.
        back: The change of the history, or ``file``, that they go back to; empty: they were typed.
        phones: Samples that were given.
        errors: By field, what is wrong.
        cut: Where they cannot be read; None: they can.
        effect: What they would change; None: it is not known.
        newer: Others were stored while somebody looked at these.
        reason: As it was typed.
    """

    text: str
    back: str = ""
    phones: Sequence[str] = attrs.field(default=(), repr=False)
    errors: dict[str, str] = attrs.field(factory=dict)
    cut: CutOut | None = None
    effect: Effect | None = None
    newer: bool = False
    reason: str = ""

    @property
    def removes(self) -> bool:
        """The stored rules go, and there are no others."""
        return bool(self.back) and not self.text


def routes(desk: Desk) -> Sequence[BaseRoute]:
    """Its addresses."""

    async def first(request: Request) -> Response:
        await person_of(desk, request)
        return await _shown(desk, request, "sms")

    async def shown(request: Request) -> Response:
        await person_of(desk, request)
        return await _shown(desk, request, request.path_params["channel"])

    async def posted(request: Request) -> Response:
        person = await person_of(desk, request)
        place = await _place(desk, request.path_params["channel"])
        form = await read_form(desk, request, person.binding)
        if form.get("do") != "save":
            return await _page(desk, request, place, await _tried(desk, place, form))
        try:
            return await _save(desk, request, place, await changing(desk, request))
        except FormError as error:
            draft = await _tried(desk, place, form)
            draft.errors.update(error.errors)
            return await _page(desk, request, place, draft)

    return [
        Route("/rules", first, methods=["GET"]),
        Route("/rules/{channel:str}", shown, methods=["GET"]),
        Route("/rules/{channel:str}", posted, methods=["POST"]),
    ]


async def _place(desk: Desk, channel: str) -> InPlace:
    found = await in_place(desk, channel)
    if found is None:
        raise ProblemError("not_found")
    return found


async def _shown(desk: Desk, request: Request, channel: str) -> Response:
    """What is in force, or the way back to something in the history."""
    place = await _place(desk, channel)
    back = request.query_params.get("to", "")
    if not back:
        return await _page(desk, request, place, None)
    draft = _Draft(text=_rules_of(place, back), back=back)
    await _look(desk, place, draft)
    return await _page(desk, request, place, draft)


async def _tried(desk: Desk, place: InPlace, form: Form) -> _Draft:
    """What the rules of a form would change."""
    back = form.get("back", "")
    text = _rules_of(place, back) if back else typed_rules(form.get("rules", ""))
    typed = [one.strip() for one in _BETWEEN.split(form.get("samples", "")) if one.strip()]
    draft = _Draft(
        text=text, back=back, phones=typed or _opened(desk, form.get("kept", "")), reason=form.get("reason", "")
    )
    if len(draft.phones) > _SAMPLES:
        draft.errors["samples"] = f"These are more than {_SAMPLES} numbers."
        draft.phones = ()
    await _look(desk, place, draft)
    return draft


async def _look(desk: Desk, place: InPlace, draft: _Draft) -> None:
    """Find out what the draft would change, or what is wrong with it."""
    if draft.removes:
        return
    try:
        draft.effect = await effect_of(desk, place, draft.text, draft.phones)
    except RoutingSyntaxError as error:
        draft.cut = cut_out(error)
        draft.errors["rules"] = f"Column {draft.cut.column}: {draft.cut.problem}."
    except InvalidPhoneNumber:
        draft.errors["samples"] = "One of these is not a phone number. Write each with + and its country code."
        draft.phones = ()
    except InvalidArgument:
        draft.errors["rules"] = _WHOLE
    except OTPConfigurationError as error:
        draft.errors["rules"] = _sentence(str(error))


async def _save(desk: Desk, request: Request, place: InPlace, asked: Asked) -> Response:
    """Put them in force, unless somebody else has put others there meanwhile."""
    form, back = asked.form, asked.form.get("back", "")
    who: dict[str, Any] = {"replaces": form.get("seen") or None, "by": asked.by, "reason": asked.reason}
    operator = desk.operator
    try:
        if back and back != _FILE:
            _rules_of(place, back)
            await operator.routes.restore(int(back), **who)
        else:
            await operator.routes.set(None if back else typed_rules(form.get("rules", "")), place.channel, **who)
    except (InvalidArgument, OTPConfigurationError):
        place = await _place(desk, place.channel)
        draft = await _tried(desk, place, form)
        draft.newer = (form.get("seen") or None) != place.stored
        if not draft.newer and not draft.errors:
            draft.errors["rules"] = "These rules cannot be put in force. The old ones stay."
        return await _page(desk, request, place, draft)
    within = desk.server.otp_settings.routing.reload_every
    return done(
        desk,
        request,
        f"/rules/{place.channel}",
        f"The rules for {name_of(place.channel)} are stored. Every process follows within {within:g} s.",
    )


async def _page(desk: Desk, request: Request, place: InPlace, draft: _Draft | None) -> Response:
    heading = place.sentence
    if draft is not None:
        heading = draft.effect.sentence if draft.effect is not None else "This change was not looked through."
        if draft.removes:
            heading = "This change removes the stored rules."
        if draft.errors:
            heading = "Nothing was saved."
        if draft.newer:
            heading = "Somebody else was faster. Nothing was saved."
    values = {
        "place": place,
        "draft": draft,
        "name": name_of(place.channel),
        "names": {word: name_of(word) for word in place.channels},
        "kept": _sealed(desk, draft.phones) if draft is not None and draft.phones else "",
        "old": clauses(place.rules, draft.text) if draft is not None and place.rules is not None else [],
    }
    status = 200 if draft is None or not (draft.errors or draft.newer) else 409 if draft.newer else 422
    return await show(desk, request, "rules.html", values, heading=heading.rstrip("."), status=status)


def _rules_of(place: InPlace, back: str) -> str:
    """What is gone back to; empty: there would be no rules."""
    if back == _FILE:
        return place.otherwise
    for version in place.history:
        if str(version.number) == back:
            return version.rules or place.otherwise
    raise ProblemError("not_found")


def _sealed(desk: Desk, phones: Sequence[str]) -> str:
    """Samples as a form can carry them without showing them."""
    return base64.urlsafe_b64encode(desk.server.vault.seal(_KEPT, {"phones": list(phones)})).decode()


def _opened(desk: Desk, kept: str) -> Sequence[str]:
    try:
        phones: Sequence[str] = desk.server.vault.open(_KEPT, base64.urlsafe_b64decode(kept))["phones"] if kept else ()
    except (ValueError, OTPConfigurationError):
        return ()
    return phones


def _sentence(text: str) -> str:
    """An error's own words as they stand above a field."""
    plain = " ".join(text.split())
    return plain[:1].upper() + plain[1:] + ("" if plain.endswith(".") else ".")
