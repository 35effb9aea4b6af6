"""`verified`: a dependency for a host's own addresses that lets through who has just confirmed a number, once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import attrs
from fastapi import Depends, Header, HTTPException, Request

from otp_server.embedding import STATE
from otp_server.server import Server
from otpcore import ChallengeState, InvalidPhoneNumber
from otpcore.stores import ChallengeRecord

__all__ = ["Verified", "verified"]

_NAMESPACE = "proofs"
_WITHIN = 300.0  # seconds
_LONGEST_ID = 64


@attrs.frozen(kw_only=True)
class Verified:
    """What was proven.

    Args:
        id: Of the verification.
        phone: The number that was confirmed, E.164.
        purpose: What for.
        approved_at: When; aware UTC.
    """

    id: str
    phone: str = attrs.field(repr=False)
    purpose: str
    approved_at: datetime


def _anybody() -> None:
    """No number is expected."""


def verified(
    purpose: str, *, phone: Callable[..., Any] = _anybody, app: str = "", within: float = _WITHIN
) -> Callable[..., Coroutine[Any, Any, Verified]]:
    """A dependency: ``Depends(verified("pay", phone=number_of_the_account))``.

    The request names an approved verification in the header ``OTP-Verification``. It must be of this purpose and app, not older
    than ``within``, of a number that ``phone`` expects, and was never accepted here before: the first request that comes with it
    uses it up, whatever becomes of that request. Anything else is 403, and nothing is said of why.

    Args:
        purpose: Of the verification.
        phone: A dependency of the host's that gives the number which must have been confirmed, as a person writes it: that of
            the account that asks. Not given: any number is as good, and the host compares ``Verified.phone`` by itself.
        app: Of the verification; empty: the one without a name.
        within: Seconds since the right code was typed.
    """

    async def proven(
        request: Request,
        otp_verification: Annotated[str, Header(max_length=_LONGEST_ID)] = "",
        expected: Any = Depends(phone),  # noqa: B008 - an annotation could not name what this function was given
    ) -> Verified:
        server: Server | None = getattr(request.app.state, STATE, None)
        if server is None:
            raise RuntimeError("verified() finds no server: include otp_server.router(service) in this application")
        found = await _approved(server, otp_verification)
        now, lasts = datetime.now(UTC), timedelta(seconds=within)
        if found is None or (found.purpose, found.app) != (purpose, app):
            raise _refused()
        at = found.approved_at
        if at is None or not now - lasts <= at or (phone is not _anybody and not await _is_of(server, found, expected)):
            raise _refused()
        (whole,) = await server.service.operator.challenges.show(found.id, reveal=True) or (None,)
        until = at + lasts + timedelta(hours=1)  # what is refused as too old needs no note; clocks may differ
        value = {"at": now.isoformat()}
        is_first = await server.records.put(
            _NAMESPACE, found.id, value, expires_at=until, expect=0, about=found.phone_key
        )
        if whole is None or is_first is None:
            raise _refused()
        return Verified(id=found.id, phone=whole.phone, purpose=purpose, approved_at=at)

    return proven


async def _approved(server: Server, verification_id: str) -> ChallengeRecord | None:
    """What was approved under this id, by a service that reaches people unless all of it is a sandbox."""
    if not verification_id or not verification_id.isascii() or not verification_id.isprintable():
        return None
    views = await server.service.store.view(challenge_id=verification_id)
    found = views[0].challenge if views else None
    return found if found is not None and found.verifiable and found.state is ChallengeState.APPROVED else None


async def _is_of(server: Server, found: ChallengeRecord, expected: Any) -> bool:
    try:
        return isinstance(expected, str) and await server.service.operator.look_up(expected) == found.phone_key
    except InvalidPhoneNumber:
        return False


def _refused() -> HTTPException:
    return HTTPException(403, "this needs a number that was confirmed for it just now")
