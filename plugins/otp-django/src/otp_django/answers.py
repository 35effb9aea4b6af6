"""What a person is told when something cannot be done, in the active language; the text of an error is for the log."""

from __future__ import annotations

from django.utils import translation

from otpcore import OTPError, Verification, embedding

__all__ = ["said_of", "said_of_code"]


def said_of(error: OTPError) -> str:
    """One or two sentences; with when to try again, where that is known."""
    return embedding.said_of(error, translation)


def said_of_code(verification: Verification) -> str:
    """Of a code that is not right."""
    return embedding.said_of_code(verification, translation)
