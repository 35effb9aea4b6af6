"""Frozen values and enums that every part shares; no I/O.

What a provider plugin sees is in the first half (requests and answers), what a host sees in the second.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import attrs

from otpcore.errors import ErrorKind
from otpcore.phone import PhoneNumber

__all__ = [
    "CancelRequest",
    "Challenge",
    "ChallengeState",
    "Channel",
    "CheckRequest",
    "CheckResult",
    "CodeOwner",
    "DeliveryReceipt",
    "DeliveryRequest",
    "Outcome",
    "ProviderInfo",
    "Receipt",
    "ReceiptOutcome",
    "ReceiptRequest",
    "ReceiptResult",
    "ReceiptStatus",
    "RetryJob",
    "UnsendableReason",
    "Verification",
    "VerificationStatus",
]


class Channel(enum.StrEnum):
    """How the code travels."""

    SMS = "sms"
    CALL = "call"

    @property
    def other(self) -> Channel:
        """The channel to try when this one cannot reach a number."""
        return Channel.CALL if self is Channel.SMS else Channel.SMS


class CodeOwner(enum.StrEnum):
    """Who makes and checks the code."""

    CORE = "core"
    """otpcore makes it; the provider only carries text."""
    PROVIDER = "provider"
    """The vendor makes and checks it (Twilio Verify, Sinch Verification)."""


class Outcome(enum.StrEnum):
    """What became of one delivery: open until the provider answers, then accepted or an ``ErrorKind``.

    ``undelivered`` comes later: a receipt said that the message or call did not reach the person.
    """

    OPEN = "open"
    ACCEPTED = "accepted"
    UNDELIVERED = "undelivered"
    UNAVAILABLE = ErrorKind.UNAVAILABLE.value
    THROTTLED = ErrorKind.THROTTLED.value
    AMBIGUOUS = ErrorKind.AMBIGUOUS.value
    MISCONFIGURED = ErrorKind.MISCONFIGURED.value
    REJECTED_NUMBER = ErrorKind.REJECTED_NUMBER.value
    BLOCKED = ErrorKind.BLOCKED.value
    LIMIT_REACHED = ErrorKind.LIMIT_REACHED.value


class ChallengeState(enum.StrEnum):
    """Where a challenge stands (DESIGN §6). The first five are living states until ``expires_at``."""

    SENDING = "sending"
    SENT = "sent"
    UNDELIVERED = "undelivered"
    QUEUED = "queued"
    UNSENDABLE = "unsendable"
    APPROVED = "approved"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class UnsendableReason(enum.StrEnum):
    """Why sending ended without success."""

    MAX_RETRIES = "max_retries"
    EXPIRED = "expired"
    PERMANENT = "permanent"
    FAILED = "failed"
    MAX_ATTEMPTS = "max_attempts"
    INTERRUPTED = "interrupted"


@attrs.frozen(kw_only=True)
class ProviderInfo:
    """What one configured instance is and can do; the answer of the hook ``describe``.

    Args:
        display_name: For people.
        code_owner: Who makes and checks the code.
        channels: What it delivers. None: the channels whose hooks are implemented.
        code_scope: With ``CodeOwner.PROVIDER``, the account on which the vendor keys its codes, such as
            ``"twilio:VA…"``: two instances with one scope share one living verification a phone.
        code_lengths: With ``CodeOwner.PROVIDER``, the lengths a code from this vendor may have.
        start_replaces: Starting a new verification ends the old one for the same number by itself (Sinch).
        remembers_approval: ``check_code`` answers ``USED`` where an earlier check was approved (Sinch).
    """

    display_name: str
    code_owner: CodeOwner = CodeOwner.CORE
    channels: frozenset[Channel] | None = None
    code_scope: str = ""
    code_lengths: frozenset[int] = frozenset({4, 5, 6, 7, 8, 9, 10})
    start_replaces: bool = False
    remembers_approval: bool = False


@attrs.frozen(kw_only=True)
class DeliveryRequest:
    """One message or call to be handed to one provider.

    Args:
        delivery_id: This attempt; unguessable, URL-safe, at most 40 characters.
        challenge_id: The challenge it belongs to.
        recipient: To whom.
        channel: SMS or call.
        code: The code; None where the vendor owns it.
        text: What to send, or to speak (digits already apart and repeated); None where the vendor owns the code.
        locale: BCP 47 tag of the text, such as ``"en"`` or ``"pt-BR"``.
        purpose: What the code is for, such as ``"login"``.
        sender: Sender name or number set by the host, or None for the instance's own.
        template_id: Registered template set by the host, or None.
        deadline: Aware UTC. The code expires then; a message that arrives later is worthless.
        idempotency_key: The same for every try of this send at this instance.
        repeat: Delivery id of an earlier try at this instance of which nobody knows whether it was sent; ask the
            vendor first where it can be asked. Empty: there is none.
    """

    delivery_id: str
    challenge_id: str
    recipient: PhoneNumber
    channel: Channel
    code: str | None = attrs.field(default=None, repr=False)
    text: str | None = attrs.field(default=None, repr=False)
    locale: str = "en"
    purpose: str = "default"
    sender: str | None = None
    template_id: str | None = None
    deadline: datetime
    idempotency_key: str
    repeat: str = ""


@attrs.frozen(kw_only=True)
class DeliveryReceipt:
    """The provider took the message.

    Args:
        reference: The vendor's id of the message or verification, by which it can be checked or cancelled.
    """

    reference: str = ""


class CheckResult(enum.StrEnum):
    """A vendor's verdict on a code that it owns."""

    APPROVED = "approved"
    INCORRECT = "incorrect"
    GONE = "gone"
    """The vendor no longer has a verification to check against (expired, checks used up, replaced)."""
    USED = "used"
    """An earlier check of this verification was approved. It says nothing about the code of this one."""


@attrs.frozen(kw_only=True)
class CheckRequest:
    """Ask the vendor whether a code is right.

    Args:
        reference: The vendor's id; empty when the start was never answered: then by recipient or ``delivery_id``.
    """

    challenge_id: str
    delivery_id: str
    recipient: PhoneNumber
    channel: Channel
    code: str = attrs.field(repr=False)
    reference: str = ""


@attrs.frozen(kw_only=True)
class CancelRequest:
    """End a vendor's verification so that it cannot verify anything any more. "Already gone" is success.

    Args:
        reference: The vendor's id; empty when the start was never answered: then by recipient or ``delivery_id``.
    """

    challenge_id: str
    delivery_id: str
    recipient: PhoneNumber
    channel: Channel
    reference: str = ""


def _lower_case_names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@attrs.frozen(kw_only=True)
class ReceiptRequest:
    """One HTTP request in which a vendor reports what became of a message; of no web framework. Its repr shows no contents.

    Args:
        method: HTTP verb.
        url: The whole public URL as the vendor called it, with scheme, host, path and query: vendors sign it. Behind
            a proxy that is not what the application sees.
        headers: Names in any case; kept in lower case.
        body: The raw bytes, as they arrived.
    """

    method: str = "POST"
    url: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False, converter=_lower_case_names)
    body: bytes = attrs.field(default=b"", repr=False)


class ReceiptStatus(enum.StrEnum):
    """How a message or call ended."""

    DELIVERED = "delivered"
    """It reached the person's phone. Final."""
    UNDELIVERED = "undelivered"
    """It did not."""


@attrs.frozen(kw_only=True)
class Receipt:
    """What a vendor reported, once its signature is proven; the answer of the hook ``parse_receipt``.

    Args:
        status: None: a report of progress, which changes nothing.
        reference: The vendor's id, as in ``DeliveryReceipt``; empty: unknown.
        delivery_id: Ours, where the vendor hands it back; then a report that overtakes the answer to the send still
            finds its delivery. Empty: unknown. One of the two is needed.
        provider_code: The vendor's error code, or empty.
        kind: With ``undelivered``, why. ``rejected_number`` and ``blocked`` end the send; with any other, or None, the
            next instance may try.
        answer: JSON text that the vendor waits for, or empty.
    """

    status: ReceiptStatus | None = attrs.field(default=None, converter=attrs.converters.optional(ReceiptStatus))
    reference: str = ""
    delivery_id: str = ""
    provider_code: str = ""
    kind: ErrorKind | None = attrs.field(default=None, converter=attrs.converters.optional(ErrorKind))
    answer: str = ""


class ReceiptOutcome(enum.StrEnum):
    """What became of a receipt. Each of them is an answer of 2xx for the vendor."""

    APPLIED = "applied"
    """It is recorded with its delivery; where that matters, the challenge has changed."""
    EARLY = "early"
    """The call whose end it reports is still under way; it is applied when that call is answered."""
    REPLAYED = "replayed"
    """It was here before; nothing is changed."""
    IGNORED = "ignored"
    """It changes nothing: a report of progress, or of a failure after the message has arrived."""
    UNKNOWN = "unknown"
    """No delivery of ours is known by it. Where one is later recorded under its reference, it is applied then."""


@attrs.frozen(kw_only=True)
class ReceiptResult:
    """The answer of ``handle_receipt``.

    Args:
        outcome: What became of the receipt.
        answer: JSON text to send back to the vendor with status 200 (Sinch asks whether it may go on). Empty: 204 is enough.
    """

    outcome: ReceiptOutcome
    answer: str = ""


@attrs.frozen(kw_only=True)
class RetryJob:
    """A retry that is due, by name; holds no code and no number.

    Args:
        challenge_id: Whose.
        channel: Which of its channels.
        due_at: Not before; aware UTC.
    """

    challenge_id: str
    channel: Channel
    due_at: datetime


@attrs.frozen(kw_only=True)
class Challenge:
    """One started verification, as the host sees it.

    Args:
        id: Unguessable; give it to the session that asked.
        phone: To whom; masked when shown.
        channel: The channel of this call.
        purpose: What it is for.
        state: Where it stands.
        confirmed: A provider said that it took the message.
        provider: The instance that took it, or the last one tried.
        expires_at: Aware UTC.
        resend_at: Before then the same call sends nothing new. None: it may be sent again at once.
        code: The code, once a provider carried a code that otpcore made; else None. Never in repr, JSON or pickle.
    """

    id: str
    phone: PhoneNumber
    channel: Channel
    purpose: str
    state: ChallengeState
    confirmed: bool
    provider: str | None
    expires_at: datetime
    resend_at: datetime | None
    code: str | None = attrs.field(default=None, repr=False, eq=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything that may be shown, ready for JSON: the number masked, no code."""
        return {
            "id": self.id,
            "phone": self.phone.masked,
            "channel": str(self.channel),
            "purpose": self.purpose,
            "state": str(self.state),
            "confirmed": self.confirmed,
            "provider": self.provider,
            "expires_at": self.expires_at.isoformat(),
            "resend_at": self.resend_at.isoformat() if self.resend_at else None,
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**{field.name: getattr(self, field.name) for field in attrs.fields(type(self))}, "code": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


class VerificationStatus(enum.StrEnum):
    """The answer of ``verify``; the comment says what it unpacks to."""

    APPROVED = "approved"  # (True, True)
    INCORRECT = "incorrect"  # (True, False)
    EXPIRED = "expired"  # (False, False)
    NOT_FOUND = "not_found"  # (False, False)
    MAX_ATTEMPTS = "max_attempts"  # (False, False)


@attrs.frozen(kw_only=True)
class Verification:
    """Whether a typed code is right. True only when approved; unpacks as ``(request_valid, code_valid)``.

    Args:
        status: What was found.
        attempts_left: How many more codes may be tried; None where no challenge lives.
        challenge_id: The challenge that was tried, if there is one.
    """

    status: VerificationStatus
    attempts_left: int | None = None
    challenge_id: str | None = None

    @property
    def request_valid(self) -> bool:
        """A living challenge with attempts left was there to be checked."""
        return self.status in (VerificationStatus.APPROVED, VerificationStatus.INCORRECT)

    @property
    def code_valid(self) -> bool:
        """The code was right; tell a client only this."""
        return self.status is VerificationStatus.APPROVED

    def __bool__(self) -> bool:
        return self.code_valid

    def __iter__(self) -> Iterator[bool]:
        return iter((self.request_valid, self.code_valid))
