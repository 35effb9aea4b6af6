"""The exceptions of otpcore.

::

    OTPError
    ├── ProviderError            a provider refused, failed or did not answer
    ├── DeliveryError            no provider of the route took the message
    ├── RateLimited              refused by a limit; try again later
    ├── NoRouteError             no provider serves this number and channel
    ├── InvalidPhoneNumber       (also ValueError)
    ├── InvalidArgument          (also ValueError)
    ├── ReceiptRefused           a delivery receipt is not what it claims to be
    └── StoreError               the store could not do its work

    OTPConfigurationError        outside OTPError, so that "ignore send failures" cannot swallow it
    ├── RoutingSyntaxError       (also ValueError)
    ├── UnknownProviderError     (also LookupError)
    ├── PluginLoadError
    └── SettingsError

No message, repr or argument holds a code, a token or a full phone number. ``ANSWERS`` says what each of the first tree means,
and what a web application answers to it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

__all__ = [
    "ANSWERS",
    "Answer",
    "DeliveryError",
    "ErrorKind",
    "InvalidArgument",
    "InvalidPhoneNumber",
    "NoRouteError",
    "OTPConfigurationError",
    "OTPError",
    "PluginLoadError",
    "ProviderError",
    "RateLimited",
    "ReceiptFault",
    "ReceiptRefused",
    "RoutingSyntaxError",
    "SettingsError",
    "StoreError",
    "UnknownProviderError",
    "known_as",
    "quoted",
    "shortened",
]


class ErrorKind(enum.StrEnum):
    """What a failed provider call means for the send: whether it may have left, and who is tried next."""

    UNAVAILABLE = "unavailable"
    """Certainly not sent, the provider is down or unreachable: next instance, retryable."""
    THROTTLED = "throttled"
    """Certainly not sent, too many requests: next instance, retryable after ``retry_after``."""
    AMBIGUOUS = "ambiguous"
    """Unknown whether it was sent (timeout after the request was written): next instance, one repeat at most."""
    MISCONFIGURED = "misconfigured"
    """Certainly not sent until an operator acts (URL, credentials, credit): next instance, not retried at this one."""
    REJECTED_NUMBER = "rejected_number"
    """The number cannot be reached over this channel: stop."""
    BLOCKED = "blocked"
    """Opt-out or fraud guard: stop, never routed around."""
    LIMIT_REACHED = "limit_reached"
    """The provider's own limit for this number: next instance, not retried at this one."""


_LONGEST = 2_000  # characters of one argument of an error
_AROUND = 60  # characters of a rule on either side of the place that is wrong
_QUOTED = 60  # characters of a value that an error quotes


def quoted(value: object) -> str:
    """A value as an error shows it: the whole of a short one, else how it begins and how long it is."""
    text = repr(value) if not isinstance(value, str) else repr(value[: _QUOTED + 1])
    if len(text) <= _QUOTED + 3:
        return text
    length = f"{len(value)} characters" if isinstance(value, str) else f"{len(text)} characters as text"
    return f"{text[:_QUOTED]}… ({length})"


def shortened(text: str) -> str:
    """A text that quotes more than anybody reads: how it begins and how it ends."""
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}… ({len(text) - _LONGEST} characters left out) …{text[-half:]}"


class Answer(NamedTuple):
    """What an error means, and what a web application answers to it.

    Args:
        http_status: Whose affair it is: 4xx the person's or the client's, 5xx the operator's or nobody's.
        waiting_helps: It may be tried again later; ``retry_after`` says when, where that is known.
        meaning: One line for people.
    """

    http_status: int
    waiting_helps: bool
    meaning: str


ANSWERS: Mapping[tuple[str, str], Answer] = MappingProxyType(
    {
        ("OTPError", ""): Answer(503, False, "something else went wrong"),
        ("InvalidPhoneNumber", ""): Answer(422, False, "this is not a phone number that could exist"),
        ("InvalidArgument", ""): Answer(422, False, "an argument is no text, or one that cannot be sent or stored"),
        ("ProviderError", ""): Answer(503, True, "a provider refused, failed or did not answer"),
        ("StoreError", ""): Answer(503, False, "the store could not do its work"),
        ("NoRouteError", "no_route"): Answer(422, False, "no provider of the rules serves this number and channel"),
        ("NoRouteError", "no_rules"): Answer(503, False, "there are no routing rules for this channel"),
        ("NoRouteError", "drained"): Answer(
            503, False, "an operator has drained the providers that serve this number and channel"
        ),
        ("NoRouteError", "cannot_carry"): Answer(
            503,
            False,
            "the providers that serve this number cannot carry the text, the language or the code that was asked for",
        ),
        ("DeliveryError", "permanent"): Answer(
            422, False, "a provider said that the number cannot be reached, or that the person or a fraud guard refused"
        ),
        ("DeliveryError", "failed"): Answer(503, True, "no provider took the message, and one of them may later"),
        ("DeliveryError", "limit_reached"): Answer(429, True, "the provider's own limit for this number is reached"),
        ("DeliveryError", "misconfigured"): Answer(
            503,
            False,
            "no provider works until an operator acts: URL, credentials, credit, a country that is switched off",
        ),
        ("DeliveryError", "expired"): Answer(503, True, "the next try would come too late in the life of the code"),
        ("DeliveryError", "max_attempts"): Answer(429, True, "the code was guessed at too often meanwhile"),
        ("DeliveryError", "breaker_open"): Answer(
            503, True, "every provider of the route has failed again and again just now"
        ),
        ("RateLimited", "phone"): Answer(429, True, "this phone has got enough messages for now (`limits.phone`)"),
        ("RateLimited", "client"): Answer(
            429, True, "this client has asked for enough messages for now (`limits.client`)"
        ),
        ("RateLimited", "prefix"): Answer(
            429, True, "numbers that begin so have got enough messages for now (`limits.prefix`)"
        ),
        ("RateLimited", "country"): Answer(
            429, True, "this country has got enough messages for now (`limits.country`, `limits.countries`)"
        ),
        ("RateLimited", "channel"): Answer(
            429, True, "enough messages went out over this channel for now (`limits.channel`)"
        ),
        ("RateLimited", "global"): Answer(429, True, "everybody has got enough messages for now (`limits.global`)"),
        ("RateLimited", "denied"): Answer(403, True, "the settings or an operator deny this number"),
        ("RateLimited", "unverified"): Answer(
            429, True, "too many sends to this country and rule prefix were never verified (`limits.unverified`)"
        ),
        ("RateLimited", "paused"): Answer(503, True, "an operator has paused all sending"),
        ("RateLimited", "renewal"): Answer(429, True, "another message would come too late in the life of this code"),
        ("RateLimited", "max_attempts"): Answer(
            429, True, "the code was guessed at too often; a new one comes when it has expired"
        ),
        ("RateLimited", "locked"): Answer(429, True, "too many wrong codes in a row on this phone"),
        ("RateLimited", "provider_busy"): Answer(
            429, True, "the vendor's one verification of this number is held by another purpose"
        ),
        ("ReceiptRefused", "signature"): Answer(
            403, False, "nothing proves that it is from this vendor account: no signature, or its address"
        ),
        ("ReceiptRefused", "stale"): Answer(403, False, "its signed time is too far from now"),
        ("ReceiptRefused", "malformed"): Answer(400, False, "it is proven, and still not a receipt of this vendor"),
        ("ReceiptRefused", "contradiction"): Answer(
            403, False, "its delivery id and its reference do not name one message of this instance"
        ),
    }
)
"""By the name of the class and its ``reason`` (``fault`` of a receipt), which is empty where a class has none.

The reference's tables and the ``http_status`` of every error are these.
"""


class OTPError(Exception):
    """Base of everything that can go wrong with one send or one verification.

    Attributes:
        retry_after: Seconds until it may be tried again; None: unknown, or waiting does not help. For HTTP's ``Retry-After``.
    """

    retry_after: float | None = None

    def __init__(self, *arguments: object) -> None:
        """Long arguments are cut: an error quotes the place, not the whole."""
        super().__init__(*(shortened(one) if isinstance(one, str) else one for one in arguments))

    @property
    def http_status(self) -> int:
        """What a web application answers."""
        return ANSWERS[known_as(self)].http_status


def known_as(error: OTPError) -> tuple[str, str]:
    """The row of ``ANSWERS`` that tells about this error; that of a class above it, where there is none of its own."""
    reason = str(getattr(error, "reason", "") or getattr(error, "fault", ""))
    rows = [(kind.__name__, one) for kind in type(error).__mro__ for one in (reason, "")]
    return next(row for row in rows if row in ANSWERS)


class ProviderError(OTPError):
    """One provider call that did not succeed.

    Args:
        kind: What it means for the send.
        summary: A short fixed text in our words. Never the vendor's text, which may quote the number or the code.
        retry_after: Seconds the provider asked to wait, if it said so.
        provider_code: The vendor's error code, such as ``"20429"``.
        provider: Instance name; filled in by the core.
        fix: What an operator can do about it, in fixed words of ours like the summary; empty: what its kind says.
    """

    def __init__(
        self,
        kind: ErrorKind,
        summary: str = "",
        retry_after: float | None = None,
        provider_code: str = "",
        provider: str = "",
        fix: str = "",
    ) -> None:
        super().__init__(kind, summary, retry_after, provider_code, provider, fix)
        self.kind = ErrorKind(kind)
        self.summary = summary
        self.retry_after = retry_after
        self.provider_code = provider_code
        self.provider = provider
        self.fix = fix

    def __str__(self) -> str:
        code = f" ({self.provider_code})" if self.provider_code else ""
        wait = f", retry after {self.retry_after:g} s" if self.retry_after is not None else ""
        summary = f": {self.summary}" if self.summary else ""
        return f"{self.provider or 'provider'}: {self.kind}{code}{wait}{summary}"


class DeliveryError(OTPError):
    """Sending ended without success and nothing more will be tried.

    Args:
        reason: ``permanent``, ``failed``, ``limit_reached``, ``misconfigured``, ``expired``, ``max_attempts`` or
            ``breaker_open``. Of several providers one that may recover decides (``failed``), then a limit.
        attempts: What each provider said, in order.
        try_channel: Another channel, where it may reach a number that this one cannot and a provider serves it there; else
            None. Of several, SMS or a call comes first.
        retry_after: The shortest wait in seconds that a provider asked for; None: nobody did, or waiting does not help.
    """

    def __init__(
        self,
        reason: str,
        attempts: Sequence[ProviderError] = (),
        try_channel: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason, tuple(attempts), try_channel, retry_after)
        self.reason = reason
        self.attempts = tuple(attempts)
        self.try_channel = try_channel
        self.retry_after = retry_after if ANSWERS[known_as(self)].waiting_helps else None

    def __str__(self) -> str:
        said = "; ".join(str(attempt) for attempt in self.attempts)
        hint = f" (try by {self.try_channel})" if self.try_channel else ""
        return f"not sent: {self.reason}{hint}" + (f" [{said}]" if said else "")


class RateLimited(OTPError):  # noqa: N818 - the field's word for it
    """Refused by a limit before anything was sent or compared.

    Args:
        reason: ``phone``, ``client``, ``prefix``, ``country``, ``channel``, ``global``, ``denied``, ``unverified``,
            ``paused``, ``renewal``, ``max_attempts``, ``locked`` or ``provider_busy``.
        retry_after: Seconds until it may be tried again; None when waiting does not help.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason, retry_after)
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        wait = f"; retry after {self.retry_after:.0f} s" if self.retry_after is not None else ""
        return f"refused by limit {self.reason!r}{wait}"


class NoRouteError(OTPError):
    """No configured provider serves this number and channel.

    Args:
        message: What to do about it.
        reason: ``no_route``, ``no_rules``, ``drained`` or ``cannot_carry``.
    """

    def __init__(self, message: str = "", *, reason: str = "no_route") -> None:
        super().__init__(message)
        self.reason = reason


class InvalidPhoneNumber(OTPError, ValueError):  # noqa: N818 - the standard term, and a ValueError
    """The text is not a phone number that could exist. The message never quotes it."""


class InvalidArgument(OTPError, ValueError):  # noqa: N818 - like InvalidPhoneNumber
    """What a method was given is no text, or a text that it cannot take. The message names the argument and never quotes it."""


class ReceiptFault(enum.StrEnum):
    """What is wrong with a delivery receipt."""

    SIGNATURE = "signature"
    """It is not signed by this vendor account, or came to no address that was given out."""
    STALE = "stale"
    """Its signed time is too far from now."""
    MALFORMED = "malformed"
    """It is proven, and still not a receipt of this vendor."""
    CONTRADICTION = "contradiction"
    """Its address, delivery id and reference do not name one message of this instance; it changed nothing."""


class ReceiptRefused(OTPError):  # noqa: N818 - says what became of the receipt
    """A delivery receipt that must not be believed; nothing was changed.

    Args:
        fault: What is wrong with it.
        summary: A short fixed text in our words. Never a piece of the request.
        provider: Instance name; filled in by the core.
    """

    def __init__(self, fault: ReceiptFault, summary: str = "", provider: str = "") -> None:
        super().__init__(fault, summary, provider)
        self.fault = ReceiptFault(fault)
        self.summary = summary
        self.provider = provider

    def __str__(self) -> str:
        summary = f": {self.summary}" if self.summary else ""
        return f"{self.provider or 'provider'}: receipt refused ({self.fault}){summary}"


class StoreError(OTPError):
    """The store could not do its work; nothing was half done."""


class OTPConfigurationError(Exception):
    """Base of what an operator or developer must correct before anything can be sent. It quotes the place, not the whole."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(shortened(one) if isinstance(one, str) else one for one in arguments))


class RoutingSyntaxError(OTPConfigurationError, ValueError):
    """A routing rule that cannot be read.

    Args:
        problem: What is wrong, without a trailing full stop.
        text: The whole rule text.
        column: 1-based column of the first wrong character.
    """

    def __init__(self, problem: str, text: str = "", column: int = 1) -> None:
        super().__init__(problem, text, column)
        self.problem = shortened(problem)
        self.text = text
        self.column = column

    def __str__(self) -> str:
        at = self.column - 1
        begin, end = max(at - _AROUND, 0), at + _AROUND
        before, after = "…" * (begin > 0), "…" * (end < len(self.text))
        shown, blanks = f"{before}{self.text[begin:end]}{after}", " " * (len(before) + at - begin)
        return f"column {self.column}: {self.problem}\n  {shown}\n  {blanks}^"


class UnknownProviderError(OTPConfigurationError, LookupError):
    """A rule or a caller names an instance that is neither configured nor installed."""


class PluginLoadError(OTPConfigurationError):
    """A plugin could not be loaded; the message names distribution, version and cause."""


class SettingsError(OTPConfigurationError):
    """A setting is wrong; the message names the key, where it was read, and the fix."""
