"""``-`` for a phone number, a prefix, an id or a code: it is asked for, or read from standard input, and stands in no process list."""

from __future__ import annotations

import getpass
import sys

from otpcore.cli.exits import CommandError, ExitCode

__all__ = ["STANDARD_INPUT", "typed_code", "typed_id", "typed_phone", "typed_prefix"]

STANDARD_INPUT = "-"


def typed_phone(value: str | None) -> str | None:
    """A phone number, or a challenge's id."""
    return _ask("phone") if value == STANDARD_INPUT else value


def typed_id(value: str | None) -> str | None:
    """A challenge's id."""
    return _ask("id") if value == STANDARD_INPUT else value


def typed_prefix(value: str | None) -> str | None:
    """The beginning of numbers, or a region."""
    return _ask("prefix") if value == STANDARD_INPUT else value


def typed_code(value: str | None) -> str | None:
    """A code; it is not shown while it is typed."""
    return _ask("code") if value == STANDARD_INPUT else value


def _ask(what: str) -> str:
    """One line: the next one of standard input, or what a person types at the terminal."""
    try:
        line = getpass.getpass(f"{what}: ") if sys.stdin.isatty() else sys.stdin.readline()
    except EOFError:
        line = ""
    if not line.strip():
        raise CommandError(f"standard input holds no {what}", f"give the {what} on a line of its own", ExitCode.USAGE)
    return line.strip()
