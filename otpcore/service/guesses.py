"""What a person typed, and whether it is about the challenge that it is compared with."""

from __future__ import annotations

import hmac

import attrs

from otpcore.codes import is_bound
from otpcore.messages.payments import Payment
from otpcore.phone.numbers import PhoneNumber
from otpcore.service.service import Service
from otpcore.stores.records import ChallengeRecord

__all__ = ["Guess", "is_of_this_payment", "subject_of"]


@attrs.frozen(kw_only=True)
class Guess:
    """What a person typed, and where it should fit. ``code`` is normalised."""

    phone: PhoneNumber | None
    challenge_id: str | None
    purpose: str
    app: str
    client: str | None = attrs.field(repr=False)
    code: str = attrs.field(repr=False)
    payment: Payment | None = None


def subject_of(service: Service, guess: Guess, phone: PhoneNumber) -> str:
    """The subject of the challenge that is meant, where it is this phone's."""
    if guess.payment is None:
        return service.keys.subject(phone.e164, guess.purpose, guess.app)
    return service.keys.bound_subject(phone.e164, guess.purpose, guess.app, *guess.payment.said)


def is_of_this_payment(service: Service, guess: Guess, challenge: ChallengeRecord) -> bool:
    """Whether the code of a challenge is for the payment that is guessed, or for none where none is.

    Raises:
        SettingsError: The key of the challenge is missing here.
    """
    if guess.payment is None or not is_bound(challenge.subject):
        return guess.payment is None and not is_bound(challenge.subject)
    return hmac.compare_digest(subject_of(service, guess, service.phone_of(challenge)), challenge.subject)
