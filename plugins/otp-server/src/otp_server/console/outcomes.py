"""What the core's words for outcomes, states and reasons are called in the console, and by which mark they are known."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from otpcore import ChallengeState
from otpcore.operator import ChallengeListed, ChallengeSeen, DeliveryListed, DeliverySeen
from otpcore.stores import Outcome

__all__ = [
    "COUNTERS",
    "OUTCOMES",
    "REASONS",
    "REFUSALS",
    "STATES",
    "WHY_REFUSED",
    "Word",
    "end_of",
    "outcome_of",
    "way",
]


@attrs.frozen
class Word:
    """A state for people.

    Args:
        word: By which the mark is known, such as ``Accepted``.
        text: As it is told.
        told: The same as a sentence about the instance, which stands for ``{}``.
        meaning: What it means for the person, a sentence; empty: nothing more.
    """

    word: str
    text: str
    told: str = ""
    meaning: str = ""


OUTCOMES: Mapping[str, Word] = {
    Outcome.ACCEPTED: Word("Accepted", "Accepted", "{} accepted"),
    Outcome.OPEN: Word("Unclear", "No answer yet", "{} has not answered yet", "It may have left."),
    Outcome.UNDELIVERED: Word("Undelivered", "Undelivered", "{} did not deliver", "It did not reach the phone."),
    Outcome.AMBIGUOUS: Word("Unclear", "Unclear", "{} gave no clear answer", "It may have left; its code verifies."),
    Outcome.UNAVAILABLE: Word("Refused", "Unavailable", "{} was not available", "Nothing was sent."),
    Outcome.THROTTLED: Word(
        "Refused", "Throttled", "{} refused for now", "It was asked for too much. Nothing was sent."
    ),
    Outcome.MISCONFIGURED: Word(
        "Refused", "Misconfigured", "{} refused our account", "It does so until somebody acts. Nothing was sent."
    ),
    Outcome.REJECTED_NUMBER: Word(
        "Refused", "Number rejected", "{} rejected the number", "It says that the number cannot be reached."
    ),
    Outcome.BLOCKED: Word("Refused", "Blocked", "{} blocked it", "The person or a fraud guard refused."),
    Outcome.LIMIT_REACHED: Word(
        "Refused",
        "Limit reached",
        "{} had reached its limit",
        "The vendor's own limit for this number. Nothing was sent.",
    ),
}

DELIVERED = Word("Delivered", "Delivered", "{} delivered")

STATES: Mapping[str, Word] = {
    ChallengeState.SENDING: Word("Waiting", "Sending"),
    ChallengeState.SENT: Word("Accepted", "Sent"),
    ChallengeState.UNDELIVERED: Word("Undelivered", "Undelivered"),
    ChallengeState.QUEUED: Word("Waiting", "Waiting"),
    ChallengeState.UNSENDABLE: Word("Failed", "Not sent"),
    ChallengeState.APPROVED: Word("Verified", "Verified"),
    ChallengeState.EXPIRED: Word("Expired", "Expired"),
    ChallengeState.CANCELLED: Word("Canceled", "Cancelled"),
}

REASONS: Mapping[str, str] = {
    "permanent": "the number cannot be reached, or the person refused",
    "failed": "no instance took it",
    "limit_reached": "the vendors' own limits for this number are reached",
    "misconfigured": "no instance works until somebody acts",
    "denied": "the number is denied",
    "max_retries": "all retries are used up",
    "expired": "the next try would have come too late",
    "max_attempts": "the code was guessed at too often",
    "interrupted": "the process that was sending died",
}

WHY_REFUSED: Mapping[str, str] = {
    "phone": "too many sends to this phone",
    "client": "too many sends for one client",
    "prefix": "too many sends to the prefix",
    "country": "too many sends to the country",
    "channel": "too many sends over the channel",
    "global": "too many sends in all",
    "denied": "denied",
    "unverified": "too many sends that nobody verified",
    "paused": "sending was paused",
    "neighbours": "neighbouring numbers",
    "max_attempts": "no attempts left on the code",
    "renewal": "too late to send the code again",
    "locked": "locked after wrong codes",
    "provider_busy": "the vendor still had an earlier code",
    "breaker_open": "every instance was left out",
}
"""Of one send, by the reason that `RateLimited` or a recorded refusal gives."""
REFUSALS: Mapping[str, str] = {
    "phone": "Too many for a phone",
    "client": "Too many by a client",
    "prefix": "Too many to a prefix",
    "country": "Too many to a country",
    "channel": "Too many over a channel",
    "global": "Too many in all",
    "denied": "Denied number",
    "unverified": "Too few were verified",
    "paused": "Sending is paused",
    "neighbours": "Neighbouring numbers",
    "renewal": "Too late for this code",
    "max_attempts": "Guessed too often",
    "locked": "Locked phone",
    "provider_busy": "Held by another purpose",
    "breaker_open": "All are left out",
}
"""Of many sends that were refused alike, by the same reasons."""


COUNTERS: Mapping[str, str] = {
    "phone": "Sends",
    "client": "Sends",
    "prefix": "Sends to its prefix",
    "country": "Sends to its country",
    "channel": "Sends over one channel",
    "global": "All sends",
}
"""Limits by the reason that `RateLimited` gives for them."""


def outcome_of(one: DeliveryListed | DeliverySeen) -> Word:
    """What became of a delivery, by what is known now."""
    if one.outcome == Outcome.ACCEPTED and one.delivered_at is not None:
        return DELIVERED
    return OUTCOMES[one.outcome]


def end_of(one: ChallengeListed | ChallengeSeen, *, spent: bool = False) -> Word:
    """Where a verification stands.

    Args:
        one: Which.
        spent: It lives, and has no attempts left.
    """
    if spent:
        return Word("No attempts left", "No attempts left")
    is_over = one.living or one.state in (ChallengeState.APPROVED, ChallengeState.CANCELLED)
    if not one.verifiable and one.state == ChallengeState.SENT:
        return Word("Accepted", "Relayed")
    return STATES[one.state] if is_over or one.state == ChallengeState.UNSENDABLE else STATES[ChallengeState.EXPIRED]


def way(prefix: str) -> str:
    """By which rule prefix a number came there."""
    return prefix or "default"
