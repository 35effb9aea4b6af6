"""authentik's SMS stage with the provider "generic": a code and a text; what it is answered is shown to the person."""

from __future__ import annotations

from datetime import timedelta

from otp_server.relay.adapter import Adapter, Relayed, Theirs, To, Whole, digits_of, missing, parsed, tell_people
from otp_server.relay.proofs import bears_a_secret

__all__ = ["ADAPTER"]


class _Body(Theirs):
    To: To
    Body: str | None = None
    Message: Whole | None = None


def _read(body: bytes) -> Relayed:
    told = parsed(_Body, body)
    code = digits_of(told.Body)
    if code is None and told.Message is None:
        raise missing("/Message")
    return Relayed(to=told.To, code=code, text=told.Message)


ADAPTER = Adapter(
    name="authentik",
    patience=8.0,
    window=timedelta(seconds=30),  # it never repeats by itself, and a person who asks again is sent the same code
    prove=bears_a_secret,
    read=_read,
    refuse=tell_people,
)
