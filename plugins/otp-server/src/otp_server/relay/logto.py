"""Logto's connector "HTTP SMS": a code with its use; what it is answered is shown to the person."""

from __future__ import annotations

from datetime import timedelta

from otp_server.relay.adapter import (
    Adapter,
    Digits,
    Relayed,
    Theirs,
    To,
    client_of,
    locale_of,
    parsed,
    purpose_of,
    tell_people,
)
from otp_server.relay.proofs import bears_a_secret

__all__ = ["ADAPTER"]


class _Payload(Theirs):
    code: Digits
    locale: str | None = None


class _Body(Theirs):
    to: To
    type: str
    payload: _Payload
    ip: str | None = None


def _read(body: bytes) -> Relayed:
    told = parsed(_Body, body)
    return Relayed(
        to=told.to,
        code=told.payload.code,
        purpose=purpose_of(told.type),
        locale=locale_of(told.payload.locale),
        client=client_of(told.ip),
    )


ADAPTER = Adapter(
    name="logto",
    patience=8.0,
    window=timedelta(seconds=30),  # it never repeats by itself
    prove=bears_a_secret,
    read=_read,
    refuse=tell_people,
)
