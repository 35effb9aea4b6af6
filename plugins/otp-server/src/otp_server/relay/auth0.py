"""Auth0's custom phone provider: an Action of ours, in docs/relay/auth0.md, signs what Auth0 tells it and passes it on."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from otp_server.api.schemas import Plain
from otp_server.relay.adapter import (
    Adapter,
    Relayed,
    Theirs,
    To,
    client_of,
    digits_of,
    locale_of,
    missing,
    parsed,
    purpose_of,
    tell_programs,
)
from otp_server.relay.proofs import is_signed_as_standard_webhooks

__all__ = ["ADAPTER"]

_VOICE = "voice"
_Text = Annotated[Plain, Field(max_length=1000)]


class _Notification(Theirs):
    recipient: To
    message_type: str | None = None
    delivery_method: str = "text"
    as_text: _Text | None = None
    as_voice: _Text | None = None
    code: str | None = None
    locale: str | None = None


class _Body(Theirs):
    notification: _Notification
    ip: str | None = None


def _read(body: bytes) -> Relayed:
    told = parsed(_Body, body)
    one = told.notification
    is_call = one.delivery_method == _VOICE
    text, code = (one.as_voice if is_call else one.as_text) or None, digits_of(one.code)
    if text is None and code is None:
        raise missing("/notification/as_voice" if is_call else "/notification/as_text")
    return Relayed(
        to=one.recipient,
        code=code,
        text=text,
        purpose=purpose_of(one.message_type),
        locale=locale_of(one.locale),
        client=client_of(told.ip),
        channel="call" if is_call else "sms",
    )


ADAPTER = Adapter(
    name="auth0",
    patience=8.0,  # of the ten seconds after which the Action gives up
    window=timedelta(minutes=10),
    prove=is_signed_as_standard_webhooks,
    read=_read,
    refuse=tell_programs,
)
