"""Ory Kratos' courier over HTTP: a whole text and the data of its template; what is not taken is tried again."""

from __future__ import annotations

from datetime import timedelta

from otp_server.relay.adapter import Adapter, Relayed, Theirs, To, Whole, digits_of, parsed, purpose_of, tell_programs
from otp_server.relay.proofs import bears_a_secret

__all__ = ["ADAPTER"]


class _Data(Theirs):
    login_code: str | None = None
    registration_code: str | None = None
    verification_code: str | None = None  # of a recovery too


class _Body(Theirs):
    recipient: To
    body: Whole
    template_type: str | None = None
    template_data: _Data | None = None


def _read(body: bytes) -> Relayed:
    told = parsed(_Body, body)
    data = told.template_data or _Data()
    code = data.login_code or data.registration_code or data.verification_code
    return Relayed(to=told.recipient, code=digits_of(code), text=told.body, purpose=purpose_of(told.template_type))


ADAPTER = Adapter(
    name="kratos",
    patience=8.0,  # of its ten seconds
    window=timedelta(minutes=10),
    prove=bears_a_secret,
    read=_read,
    refuse=tell_programs,
)
