"""Exit codes, and how each error is told: one line, and what to do."""

from __future__ import annotations

import enum
import re
from typing import Any

import attrs

from otpcore.errors import InvalidArgument, OTPConfigurationError, OTPError, RateLimited, known_as, shortened
from otpcore.operator.fixes import told_of

__all__ = ["MEANINGS", "CommandError", "ExitCode", "Explanation", "exit_code_of", "explain"]


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
    ExitCode.CONFIGURATION: "settings, keys, rules, plugins or packages need correcting",
    ExitCode.RATE_LIMITED: "refused by a limit, a pause or a denial",
    ExitCode.UNAVAILABLE: "the store or the providers did not do their work; they may later",
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
        self.message = shortened(message)
        self.fix = shortened(fix)
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


_CODES = {
    ("InvalidPhoneNumber", ""): ExitCode.USAGE,
    ("InvalidArgument", ""): ExitCode.USAGE,
    ("NoRouteError", "no_rules"): ExitCode.CONFIGURATION,
    ("NoRouteError", "cannot_carry"): ExitCode.CONFIGURATION,
    ("DeliveryError", "misconfigured"): ExitCode.CONFIGURATION,
}
"""Of those whose HTTP status does not say it."""
_CODES_BY_STATUS = {429: ExitCode.RATE_LIMITED, 503: ExitCode.UNAVAILABLE}
"""All else is a refusal; but whatever `RateLimited` says is a limit, though a web application tells a pause otherwise."""

_FACTS = ("reason", "retry_after", "try_channel", "provider", "provider_code", "kind", "column")


def explain(error: BaseException) -> Explanation:
    """What to tell about an error; what nobody foresaw is told without its text, which may quote a number or a code."""
    error = _innermost(error)
    name = type(error).__name__
    if isinstance(error, CommandError):
        return Explanation(code=error.code, type=name, message=error.message, fix=error.fix)
    if isinstance(error, OTPError | OTPConfigurationError):
        facts = {fact: getattr(error, fact) for fact in _FACTS if getattr(error, fact, None) is not None}
        message, fix = map(_as_typed, told_of(error)) if isinstance(error, InvalidArgument) else told_of(error)
        code = exit_code_of(error) if isinstance(error, OTPError) else ExitCode.CONFIGURATION
        return Explanation(code=code, type=name, message=message, fix=fix, facts=facts)
    return Explanation(
        code=ExitCode.BUG,
        type=name,
        message=f"bug: {name}{_place(error)}",
        fix="report it, with what --verbose shows",
    )


_OPTIONS = {
    **{
        name: f"--{name}"
        for name in ("after", "since", "until", "state", "outcome", "prefix", "client", "reason", "limit")
    },
    "apart_by": "--by",
    "app": "--of-app",
}
"""Arguments of a method, as the command line takes them."""
_METHOD = re.compile(r"\b(routes|challenges|retries)\.(list|show|history)\b")


def _as_typed(told: str) -> str:
    """What a method says of its arguments, in the words of the command line."""
    name, colon, rest = told.partition(": ")
    return _METHOD.sub(r"`otp \1 \2`", _OPTIONS[name] + colon + rest if name in _OPTIONS else told)


def exit_code_of(error: OTPError) -> ExitCode:
    """How a command ends that met this error."""
    if isinstance(error, RateLimited):
        return ExitCode.RATE_LIMITED
    return _CODES.get(known_as(error)) or _CODES_BY_STATUS.get(error.http_status, ExitCode.REFUSED)


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
