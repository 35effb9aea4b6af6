"""What an operator says of a change: free text, kept without the numbers of people in it."""

from __future__ import annotations

import re

from otpcore.errors import InvalidArgument
from otpcore.service.arguments import check_storable, check_text

__all__ = ["LONGEST_NAME", "LONGEST_REASON", "checked_name", "checked_reason"]

LONGEST_NAME = 100
"""Characters of who made a change."""

LONGEST_REASON = 500
"""Characters of why."""

_SHORTEST_NUMBER = 9  # digits; with a plus sign before them, seven
_DIGITS = re.compile(r"(?<![\w+])(\+?)([0-9](?:[ \-./()]{0,2}[0-9]){6,17})(?!\w)")
_DATE = re.compile(r"[0-9]{4}[-./][0-9]{1,2}[-./][0-9]{1,2}")
_TOLD = 2  # last digits of a number that are left


def checked_name(by: object) -> str:
    """Who makes a change, ready to be kept.

    Raises:
        InvalidArgument: It is no text, empty, too long, or cannot be stored.
    """
    name = _checked("by", by, LONGEST_NAME)
    if not name:
        raise InvalidArgument("by: says nobody. Fix: name who makes the change, such as by=request.user.username")
    return name


def checked_reason(reason: object) -> str:
    """Why, ready to be kept; it may be empty.

    Raises:
        InvalidArgument: It is no text, too long, or cannot be stored.
    """
    return _checked("reason", reason, LONGEST_REASON)


def _checked(name: str, text: object, longest: int) -> str:
    check_text(**{name: text})
    check_storable(**{name: text})
    plain = " ".join(str(text).split())
    if len(plain) > longest:
        raise InvalidArgument(f"{name}: has {len(plain)} characters; it may have {longest} at most")
    return _DIGITS.sub(_masked, plain)


def _masked(found: re.Match[str]) -> str:
    """What may be somebody's number, but for its last digits; dates and short numbers of tickets stay."""
    digits = re.sub(r"[^0-9]", "", found[2])
    if _DATE.match(found[2]) or (len(digits) < _SHORTEST_NUMBER and not found[1]):
        return found[0]
    return f"{found[1]}…{digits[-_TOLD:]}"
