"""ZITADEL's SMS provider over HTTP: a signed text with its arguments; what is not taken is tried again for minutes."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from otp_server.relay.adapter import (
    Adapter,
    Relayed,
    Theirs,
    To,
    Whole,
    digits_of,
    missing,
    parsed,
    purpose_of,
    tell_programs,
)
from otp_server.relay.proofs import is_signed_as_zitadel

__all__ = ["ADAPTER"]


class _Context(Theirs):
    to: To = Field(alias="recipientPhoneNumber")
    event: str | None = Field(default=None, alias="eventType")


class _Template(Theirs):
    text: Whole | None = None


class _Arguments(Theirs):
    code: str | None = None
    otp: str | None = Field(default=None, alias="oTP")  # it makes the first letter of OTP small


class _Body(Theirs):
    context: _Context = Field(alias="contextInfo")
    template: _Template | None = Field(default=None, alias="templateData")
    arguments: _Arguments | None = Field(default=None, alias="args")


def _read(body: bytes) -> Relayed:
    told = parsed(_Body, body)
    arguments = told.arguments or _Arguments()
    code, text = digits_of(arguments.code or arguments.otp), told.template.text if told.template is not None else None
    if code is None and text is None:
        raise missing("/templateData/text")
    return Relayed(to=told.context.to, code=code, text=text, purpose=purpose_of(told.context.event))


ADAPTER = Adapter(
    name="zitadel",
    patience=4.0,  # of its five seconds
    window=timedelta(minutes=10),
    prove=is_signed_as_zitadel,
    read=_read,
    refuse=tell_programs,
)
