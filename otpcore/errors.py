"""The exceptions of otpcore.

::

    OTPError
    ├── ProviderError            a provider refused, failed or did not answer
    ├── DeliveryError            no provider of the route took the message
    ├── RateLimited              refused by a limit; try again later
    ├── NoRouteError             no provider serves this number and channel
    ├── InvalidPhoneNumber       (also ValueError)
    ├── ReceiptRefused           a delivery receipt is not what it claims to be
    └── StoreError               the store could not do its work

    OTPConfigurationError        outside OTPError, so that "ignore send failures" cannot swallow it
    ├── RoutingSyntaxError       (also ValueError)
    ├── UnknownProviderError     (also LookupError)
    ├── PluginLoadError
    └── SettingsError

No message, repr or argument holds a code, a token or a full phone number.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

__all__ = [
    "DeliveryError",
    "ErrorKind",
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
]


class ErrorKind(enum.StrEnum):
    """What a failed provider call means for the send (DESIGN §5)."""

    UNAVAILABLE = "unavailable"
    """Certainly not sent, the provider is down or unreachable: next instance, retryable."""
    THROTTLED = "throttled"
    """Certainly not sent, too many requests: next instance, retryable after ``retry_after``."""
    AMBIGUOUS = "ambiguous"
    """Unknown whether it was sent (timeout after the request was written): next instance, one repeat at most."""
    MISCONFIGURED = "misconfigured"
    """Certainly not sent until an operator acts (credentials, credit): next instance, not retried at this one."""
    REJECTED_NUMBER = "rejected_number"
    """The number cannot be reached over this channel: stop."""
    BLOCKED = "blocked"
    """Opt-out or fraud guard: stop, never routed around."""
    LIMIT_REACHED = "limit_reached"
    """The provider's own limit for this number: next instance, not retried at this one."""


class OTPError(Exception):
    """Base of everything that can go wrong with one send or one verification."""


class ProviderError(OTPError):
    """One provider call that did not succeed.

    Args:
        kind: What it means for the send.
        summary: A short fixed text in our words. Never the vendor's text, which may quote the number or the code.
        retry_after: Seconds the provider asked to wait, if it said so.
        provider_code: The vendor's error code, such as ``"20429"``.
        provider: Instance name; filled in by the core.
    """

    def __init__(
        self,
        kind: ErrorKind,
        summary: str = "",
        retry_after: float | None = None,
        provider_code: str = "",
        provider: str = "",
    ) -> None:
        super().__init__(kind, summary, retry_after, provider_code, provider)
        self.kind = ErrorKind(kind)
        self.summary = summary
        self.retry_after = retry_after
        self.provider_code = provider_code
        self.provider = provider

    def with_provider(self, instance: str) -> ProviderError:
        """The same error under the name of the instance that raised it."""
        named = type(self)(self.kind, self.summary, self.retry_after, self.provider_code, instance)
        named.__cause__ = self.__cause__
        return named

    def __str__(self) -> str:
        code = f" ({self.provider_code})" if self.provider_code else ""
        wait = f", retry after {self.retry_after:g} s" if self.retry_after is not None else ""
        summary = f": {self.summary}" if self.summary else ""
        return f"{self.provider or 'provider'}: {self.kind}{code}{wait}{summary}"


class DeliveryError(OTPError):
    """Sending ended without success and nothing more will be tried.

    Args:
        reason: ``permanent``, ``failed``, ``expired``, ``max_attempts``, ``max_retries`` or ``breaker_open``.
        attempts: What each provider said, in order.
        try_channel: The other channel, where it may reach a number that this one cannot; else None.
    """

    def __init__(self, reason: str, attempts: Sequence[ProviderError] = (), try_channel: str | None = None) -> None:
        super().__init__(reason, tuple(attempts), try_channel)
        self.reason = reason
        self.attempts = tuple(attempts)
        self.try_channel = try_channel

    def __str__(self) -> str:
        said = "; ".join(str(attempt) for attempt in self.attempts)
        hint = f" (try a {self.try_channel})" if self.try_channel else ""
        return f"not sent: {self.reason}{hint}" + (f" [{said}]" if said else "")


class RateLimited(OTPError):  # noqa: N818 - the field's word for it
    """Refused by a limit before anything was sent or compared.

    Args:
        reason: ``phone``, ``client``, ``prefix``, ``country``, ``global``, ``denied``, ``unverified``, ``paused``,
            ``renewal``, ``max_attempts``, ``locked`` or ``provider_busy``.
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
    """No configured provider serves this number and channel."""


class InvalidPhoneNumber(OTPError, ValueError):  # noqa: N818 - the standard term, and a ValueError
    """The text is not a phone number that could exist. The message never quotes it."""


class ReceiptFault(enum.StrEnum):
    """What is wrong with a delivery receipt."""

    SIGNATURE = "signature"
    """It is not signed, or not by this vendor account: answer HTTP 403."""
    STALE = "stale"
    """Its signed time is too far from now: answer HTTP 403."""
    MALFORMED = "malformed"
    """It is signed, and still not a receipt of this vendor: answer HTTP 400."""


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
    """Base of what an operator or developer must mend before anything can be sent."""


class RoutingSyntaxError(OTPConfigurationError, ValueError):
    """A routing rule that cannot be read.

    Args:
        problem: What is wrong, without a trailing full stop.
        text: The whole rule text.
        column: 1-based column of the first wrong character.
    """

    def __init__(self, problem: str, text: str = "", column: int = 1) -> None:
        super().__init__(problem, text, column)
        self.problem = problem
        self.text = text
        self.column = column

    def __str__(self) -> str:
        return f"column {self.column}: {self.problem}\n  {self.text}\n  {' ' * (self.column - 1)}^"


class UnknownProviderError(OTPConfigurationError, LookupError):
    """A rule or a caller names an instance that is neither configured nor installed."""


class PluginLoadError(OTPConfigurationError):
    """A plugin could not be loaded; the message names distribution, version and cause."""


class SettingsError(OTPConfigurationError):
    """A setting is wrong; the message names the key, where it was read, and the fix."""
