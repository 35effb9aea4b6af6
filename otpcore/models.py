"""Frozen values and enums that every part shares, and what a host is answered; no I/O."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self, cast
from weakref import WeakValueDictionary

import attrs

from otpcore.errors import ErrorKind
from otpcore.phone.numbers import PhoneNumber
from otpcore.prices import Price

__all__ = [
    "TEST_INSTANCE",
    "Challenge",
    "ChallengeState",
    "Channel",
    "CodeOwner",
    "EarlierTry",
    "Outcome",
    "Receipt",
    "ReceiptOutcome",
    "ReceiptResult",
    "ReceiptStatus",
    "RetryDue",
    "RetryElsewhere",
    "RetryJob",
    "RetryOver",
    "UnsendableReason",
    "Verification",
    "VerificationStatus",
    "World",
    "instance_of",
]


class Channel(str):
    """How the code travels: a word such as ``sms``, ``call`` or ``whatsapp``.

    It is a lower-case letter, then at most 19 lower-case letters, digits and ``_``. It is text: it equals its word, and in
    JSON, in a database and in a pickle it is nothing but the word. ``Channel.SMS`` and ``Channel.CALL`` have hooks and methods
    of their own, and are one object each. There is no list of all channels.

    Raises:
        ValueError: It is no such word.
    """

    __slots__ = ("__weakref__",)

    SMS: ClassVar[Channel]
    CALL: ClassVar[Channel]

    def __new__(cls, word: str) -> Self:
        """The channel of this word."""
        known = _CHANNELS.get(word) if isinstance(word, str) else None
        if known is None:
            if not isinstance(word, str) or not _CHANNEL.fullmatch(word):
                raise ValueError("a channel is a lower-case letter, then at most 19 lower-case letters, digits and _")
            plain = str.__str__(word)
            known = _CHANNELS.setdefault(plain, super().__new__(cls, plain))
        return cast("Self", known)

    def __reduce__(self) -> tuple[type[Channel], tuple[str]]:
        return Channel, (str.__str__(self),)


_CHANNEL = re.compile(r"[a-z][a-z0-9_]{0,19}")
_CHANNELS: WeakValueDictionary[str, Channel] = (
    WeakValueDictionary()
)  # a host's users may choose words: none is kept for them

Channel.SMS = Channel("sms")
Channel.CALL = Channel("call")


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


class World(enum.StrEnum):
    """Whom a service reaches: people, or nobody (``sms.sandbox``). Neither knows the challenges and limits of the other."""

    REAL = "real"
    SANDBOX = "sandbox"

    def mark(self, key: str) -> str:
        """A key that both worlds have, as this one's; the real world's are as they are."""
        return key if self is World.REAL else f"{self}:{key}"

    def own(self, marked: str) -> str | None:
        """The key that ``mark`` marked; None: it is another world's."""
        if self is World.REAL:
            return None if any(marked.startswith(f"{world}:") for world in World) else marked
        return marked.removeprefix(f"{self}:") if marked.startswith(f"{self}:") else None


class ChallengeState(enum.StrEnum):
    """Where a challenge stands. The first five are living states until ``expires_at``."""

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

    PERMANENT = "permanent"
    """A provider said that the number cannot be reached, or that the person or a fraud guard refused."""
    FAILED = "failed"
    """No provider took it, one of them may later, and nothing is retried; or an operator dropped it."""
    LIMIT_REACHED = "limit_reached"
    """The providers' own limits for the number are reached."""
    MISCONFIGURED = "misconfigured"
    """No provider works until an operator acts, or the rules leave none."""
    DENIED = "denied"
    """The number is denied by now, or a limit of it is 0."""
    MAX_RETRIES = "max_retries"
    """All retries are used up."""
    EXPIRED = "expired"
    """The next try would come too late in the life of the code."""
    MAX_ATTEMPTS = "max_attempts"
    """The code was guessed at too often meanwhile."""
    INTERRUPTED = "interrupted"
    """The process that was sending died, and nothing is retried."""


@attrs.frozen(kw_only=True)
class EarlierTry:
    """A message or call that may have gone out for the same challenge, at the same instance and over the same channel.

    Args:
        delivery_id: Which.
        reference: The vendor's id; empty: its answer was lost, or has not come yet.
        age: How long ago it began, by one clock: compare it with nothing that another clock says.
    """

    delivery_id: str
    reference: str = ""
    age: timedelta


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
        denial: Not empty: the vendor asks whether it may send this delivery at all. ``answer`` is leave to, this the JSON
            text that says no; otpcore chooses, by the barriers that stand before a send.
        price: What the vendor charges for the message or call; it replaces what was said before. None: it does not say.
    """

    status: ReceiptStatus | None = attrs.field(default=None, converter=attrs.converters.optional(ReceiptStatus))
    reference: str = ""
    delivery_id: str = ""
    provider_code: str = ""
    kind: ErrorKind | None = attrs.field(default=None, converter=attrs.converters.optional(ErrorKind))
    answer: str = ""
    denial: str = ""
    price: Price | None = None


class ReceiptOutcome(enum.StrEnum):
    """What became of a receipt. Each of them is an answer of 2xx for the vendor."""

    APPLIED = "applied"
    """It is recorded with its delivery; where that matters, the challenge has changed."""
    EARLY = "early"
    """The call whose end it reports is still under way; it is applied when that call is answered."""
    REPLAYED = "replayed"
    """It was here before; nothing is changed."""
    IGNORED = "ignored"
    """It changes nothing: a question or progress without a new price, or a failure after the message has arrived."""
    UNKNOWN = "unknown"
    """No delivery of ours is known by it. Where one is later recorded under its reference, it is applied then."""


@attrs.frozen(kw_only=True)
class ReceiptResult:
    """The answer of ``handle_receipt``: what became of each receipt, and what the host answers the vendor as it is.

    Args:
        outcomes: Of every receipt in the request, in their order; empty: there was none, as where a vendor proves an address.
        status: HTTP status.
        text: The body; it may be empty.
        content_type: Of the body, with its charset; empty where the answer has no body.
    """

    outcomes: tuple[ReceiptOutcome, ...]
    status: int
    text: str = attrs.field(default="", repr=False)
    content_type: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        return {"Content-Type": self.content_type} if self.content_type else {}


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
class RetryDue:
    """The send goes on: ``job`` is due next, or again when the lease of somebody else runs out, since its holder may die."""

    job: RetryJob


@attrs.frozen
class RetryElsewhere:
    """The job is due, and this process cannot take it, mostly as it has not its key or its instances: leave it to another."""


@attrs.frozen
class RetryOver:
    """Nothing is left of this job: the send is over, or further on, and whoever brought it there has its next job."""


@attrs.frozen(kw_only=True)
class Challenge:
    """One started verification, as the host sees it.

    Args:
        id: Unguessable; give it to the session that asked.
        phone: To whom; masked when shown.
        channel: The channel of this call.
        purpose: What it is for.
        app: For which of the host's apps, or empty.
        verifiable: False: the message was only relayed, and nothing of it is verified.
        state: Where it stands.
        confirmed: A provider said that it took the message.
        provider: The instance that took it, or the last one tried; never one that is still to be tried. So while it is
            ``queued`` one that did not take it, and None where none was tried: every one was left out.
        expires_at: Aware UTC.
        resend_at: Before then the same request sends nothing new. None: it may be sent again at once.
        code: The code, once a provider carried a code that otpcore or the host made; else None. Never in repr, JSON or pickle.
    """

    id: str
    phone: PhoneNumber
    channel: Channel
    purpose: str
    app: str = ""
    verifiable: bool = True
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
            "app": self.app,
            "verifiable": self.verifiable,
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


TEST_INSTANCE = "test:"
"""How the name of what stands for a provider begins in the deliveries to a test number; no rule could name it, for the colon."""


def instance_of(name: str) -> str:
    """What stands for a provider in the deliveries to a test number."""
    return f"{TEST_INSTANCE}{name}"
