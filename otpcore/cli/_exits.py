"""Exit codes, and how each error is told: one line, and what to do."""

from __future__ import annotations

import enum
from typing import Any

import attrs

from otpcore.errors import (
    DeliveryError,
    InvalidPhoneNumber,
    NoRouteError,
    OTPConfigurationError,
    OTPError,
    ProviderError,
    RateLimited,
    StoreError,
)

__all__ = ["MEANINGS", "CommandError", "ExitCode", "Explanation", "explain"]


class ExitCode(enum.IntEnum):
    """How a command ends."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    CONFIGURATION = 3
    RATE_LIMITED = 4
    UNAVAILABLE = 5
    BUG = 70
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "done: sent or queued, code right, nothing wrong",
    ExitCode.REFUSED: "the answer is no: code not right, nothing sent, nothing found, a check failed",
    ExitCode.USAGE: "wrong usage: an option, an argument or a phone number",
    ExitCode.CONFIGURATION: "settings, keys, rules, plugins or packages need mending",
    ExitCode.RATE_LIMITED: "refused by a limit; try again later",
    ExitCode.UNAVAILABLE: "the store or a provider did not do its work",
    ExitCode.BUG: "a bug in otpcore, a plugin or the host's module",
    ExitCode.INTERRUPTED: "interrupted from the keyboard",
}


class CommandError(Exception):
    """A command cannot go on.

    Args:
        message: What is wrong.
        fix: What to do about it.
        code: How the process ends.
    """

    def __init__(self, message: str, fix: str, code: ExitCode) -> None:
        super().__init__(message, fix, code)
        self.message = message
        self.fix = fix
        self.code = code

    def __str__(self) -> str:
        return self.message


@attrs.frozen(kw_only=True)
class Explanation:
    """One error, ready to be shown.

    Args:
        facts: What programs may want besides, such as ``retry_after``.
    """

    code: ExitCode
    type: str
    message: str
    fix: str
    facts: dict[str, Any] = attrs.field(factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "error": {
                "type": self.type,
                "message": self.message,
                "fix": self.fix,
                "exit_code": int(self.code),
                **self.facts,
            }
        }


# The first type that fits decides. An empty fix: the message says it.
_KINDS: tuple[tuple[type[Exception], ExitCode, str], ...] = (
    (InvalidPhoneNumber, ExitCode.USAGE, "correct the number"),
    (RateLimited, ExitCode.RATE_LIMITED, "wait; `otp limits show PHONE` says what is used up"),
    (NoRouteError, ExitCode.REFUSED, "`otp routes explain PHONE` says why; `otp routes set` changes the rules"),
    (DeliveryError, ExitCode.REFUSED, "`otp doctor` checks providers and rules"),
    (ProviderError, ExitCode.UNAVAILABLE, "try again; `otp doctor` checks the provider's settings"),
    (StoreError, ExitCode.UNAVAILABLE, "try again; `otp doctor` checks the store"),
    (OTPError, ExitCode.UNAVAILABLE, "try again; `otp doctor` checks everything"),
    (OTPConfigurationError, ExitCode.CONFIGURATION, ""),
)

_FACTS = ("reason", "retry_after", "try_channel", "provider", "provider_code", "kind", "column")


def explain(error: BaseException) -> Explanation:
    """What to tell about an error; what nobody foresaw is told without its text, which may quote a number or a code."""
    error = _innermost(error)
    name = type(error).__name__
    if isinstance(error, CommandError):
        return Explanation(code=error.code, type=name, message=error.message, fix=error.fix)
    for kind, code, fix in _KINDS:
        if isinstance(error, kind):
            facts = {fact: getattr(error, fact) for fact in _FACTS if getattr(error, fact, None) is not None}
            return Explanation(code=code, type=name, message=str(error), fix=fix, facts=facts)
    return Explanation(
        code=ExitCode.BUG,
        type=name,
        message=f"bug: {name}{_place(error)}",
        fix="report it, with what --verbose shows",
    )


def _innermost(error: BaseException) -> BaseException:
    """A task group wraps even a single error."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
