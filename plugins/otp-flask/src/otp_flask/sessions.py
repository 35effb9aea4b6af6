"""Codes that belong to a session: who asked for one, and which number was verified."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import attrs
from flask import current_app, jsonify, redirect, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from otp_flask.errors import wants_page
from otpcore import Challenge

__all__ = ["Asked", "asked", "asked_for", "confirmed", "verified", "verified_phone"]

P = ParamSpec("P")
R = TypeVar("R", bound=ResponseReturnValue)

_SESSION = "otp_flask"
_WITHIN = 300.0  # seconds


@attrs.frozen(kw_only=True)
class Asked:
    """What a session asked for."""

    challenge: str
    phone: str = attrs.field(repr=False)
    app: str


def asked(challenge: Challenge) -> None:
    """Keep whose code it is; what was verified before for this purpose is so no more."""
    _keep(challenge.purpose, {"challenge": challenge.id, "phone": challenge.phone.e164, "app": challenge.app})


def asked_for(purpose: str) -> Asked | None:
    """What was asked for and not yet confirmed; None: nothing."""
    kept = _kept(purpose)
    if "challenge" not in kept:
        return None
    return Asked(challenge=str(kept["challenge"]), phone=str(kept["phone"]), app=str(kept["app"]))


def confirmed(purpose: str, phone: str) -> None:
    """Keep that the number was verified now."""
    _keep(purpose, {"verified": phone, "at": time.time()})


def verified_phone(purpose: str = "default", *, within: float | None = None) -> str | None:
    """The number, in E.164, that this session has verified for the purpose; None: none.

    Args:
        purpose: What the code was for.
        within: Seconds since it was verified; None: as long as the session lasts.
    """
    kept = _kept(purpose)
    phone, at = kept.get("verified"), kept.get("at")
    if not isinstance(phone, str) or not isinstance(at, int | float):
        return None
    return phone if within is None or time.time() - at <= within else None


def verified(
    purpose: str = "default", *, within: float = _WITHIN, or_else: str = ""
) -> Callable[[Callable[P, R]], Callable[P, R | ResponseReturnValue]]:
    """A decorator: the view answers only a session that has just verified a number for this purpose.

    Any other gets 403, as JSON or the app's page. Whose number it is the view compares by itself, with
    ``verified_phone(purpose)``: who confirms a number of his own has verified one too.

    Args:
        purpose: What the code was for.
        within: Seconds since it was verified.
        or_else: The endpoint that asks for a number, to which a browser is led instead.
    """

    def only_verified(view: Callable[P, R]) -> Callable[P, R | ResponseReturnValue]:
        @functools.wraps(view)
        def answer(*args: P.args, **kwargs: P.kwargs) -> R | ResponseReturnValue:
            if verified_phone(purpose, within=within) is not None:
                return cast("R", current_app.ensure_sync(view)(*args, **kwargs))
            if not wants_page():
                return jsonify(error="NotVerified", reason=purpose), 403
            if or_else:
                return redirect(url_for(or_else), 303)
            raise Forbidden("This needs a phone number that was confirmed just now.")

        return answer

    return only_verified


def _kept(purpose: str) -> dict[str, object]:
    every = session.get(_SESSION)
    kept = every.get(purpose) if isinstance(every, dict) else None
    return kept if isinstance(kept, dict) else {}


def _keep(purpose: str, values: dict[str, object]) -> None:
    session[_SESSION] = {**session.get(_SESSION, {}), purpose: values}
