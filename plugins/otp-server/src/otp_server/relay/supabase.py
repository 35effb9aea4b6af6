"""Supabase Auth's Send-SMS hook: Standard Webhooks, five seconds, and an answer that it passes on to the person."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import JSONResponse, Response

from otp_server.problems import Problem
from otp_server.relay.adapter import (
    Adapter,
    Digits,
    Relayed,
    Theirs,
    client_of,
    missing,
    parsed,
    purpose_of,
    tell_programs,
    words_for,
)
from otp_server.relay.proofs import is_signed_as_standard_webhooks

__all__ = ["ADAPTER"]

_OF_THE_OPERATOR = {"unauthorized", "stale", "malformed", "invalid", "not_this_app", "bug"}
_AT_ONCE = 5.0  # seconds; it waits for none of them, and tries three times within its five
_UNAVAILABLE = 503


class _User(Theirs):
    phone: str | None = None


class _Sms(Theirs):
    otp: Digits
    phone: str | None = None
    sms_type: str | None = None


class _Metadata(Theirs):
    ip_address: str | None = None


class _Body(Theirs):
    sms: _Sms
    user: _User | None = None
    metadata: _Metadata | None = None


def _read(body: bytes) -> Relayed:
    """``sms.phone`` is where it goes: of a number that is being changed, ``user.phone`` is the former one."""
    told = parsed(_Body, body)
    to = told.sms.phone or (told.user.phone if told.user is not None else "") or ""
    if not to:
        raise missing("/sms/phone")
    return Relayed(
        to=f"+{to.removeprefix('+')}",  # it keeps numbers without
        code=told.sms.otp,
        purpose=purpose_of(told.sms.sms_type),
        client=client_of(told.metadata.ip_address if told.metadata is not None else None),
    )


def _refuse(problem: Problem) -> Response:
    """What its operator must see by its status; what another try may cure by 503 with a time; the rest as an error that it passes on.

    Any other status would reach the application as a 500 without a word.
    """
    if problem.reason in _OF_THE_OPERATOR:
        return tell_programs(problem)
    if problem.status >= _UNAVAILABLE and problem.retry_after is not None and problem.retry_after <= _AT_ONCE:
        return tell_programs(problem)
    error = {"http_code": problem.status, "message": words_for(problem)}
    return JSONResponse({"error": error}, headers={"Cache-Control": "no-store"})


ADAPTER = Adapter(
    name="supabase",
    patience=4.0,
    window=timedelta(minutes=10),
    prove=is_signed_as_standard_webhooks,
    read=_read,
    refuse=_refuse,
)
