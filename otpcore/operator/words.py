"""What an operator says of a change, kept without the numbers of people in it; and what it changed, in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from otpcore.errors import InvalidArgument
from otpcore.phone.characters import plain
from otpcore.phone.written import read_prefix
from otpcore.service.arguments import check_storable, check_text
from otpcore.service.switches import PAUSED, drain_setting, drained, prefix_setting, stored_switches

__all__ = [
    "LONGEST_NAME",
    "LONGEST_REASON",
    "checked_name",
    "checked_reason",
    "setting_in_words",
    "typed_prefix",
    "typed_rules",
]

LONGEST_NAME = 100
"""Characters of who made a change."""

LONGEST_REASON = 500
"""Characters of why."""

_DRAINED = drain_setting("")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d:\d\d")
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


def typed_prefix(text: str) -> str:
    """A prefix or a region as it was typed or pasted, ready to be looked at: what nobody sees and what divides digits is gone.

    As numbers are read: ``+359 87`` is ``+35987``, and ``bg`` is ``BG``. Whether it is either is not looked at.
    """
    return read_prefix(text)


def typed_rules(text: str) -> str:
    """Routing rules as they were typed or pasted: what nobody sees is gone, and each space or line break is a space."""
    return plain(text).strip()


def _checked(name: str, text: object, longest: int) -> str:
    check_text(**{name: text})
    check_storable(**{name: text})
    one_line = " ".join(str(text).split())
    if len(one_line) > longest:
        raise InvalidArgument(f"{name}: has {len(one_line)} characters; it may have {longest} at most")
    return _DIGITS.sub(_masked, one_line)


def _masked(found: re.Match[str]) -> str:
    """What may be somebody's number, but for its last digits; dates and short numbers of tickets stay."""
    digits = re.sub(r"[^0-9]", "", found[2])
    if _DATE.match(found[2]) or (len(digits) < _SHORTEST_NUMBER and not found[1]):
        return found[0]
    return f"{found[1]}…{digits[-_TOLD:]}"


def setting_in_words(name: str, value: str | None, moment: Callable[[datetime], str]) -> str:
    """A stored setting as the trail tells what it was and is.

    Args:
        name: Of the setting, as in ``Change.detail``.
        value: As it is stored; None: it was not, or is not.
        moment: How a time is written.
    """
    if name.startswith(_DRAINED):
        if value is None:
            return "in use"
        since = drained({name: value})[name.removeprefix(_DRAINED)]
        return f"drained since {moment(since)}" if since is not None else "drained"
    is_switch = name == PAUSED or name.startswith(prefix_setting(""))
    if is_switch and value is None:
        return "not paused" if name == PAUSED else "left to the settings"
    found = stored_switches({name: value}) if is_switch and value is not None else ()
    for switch in found:
        word = "paused" if name == PAUSED else "allowed" if switch.allows else "denied"
        end = "until it is switched again" if switch.until is None else f"until {moment(switch.until)}"
        return f"{word} {end}"
    return "none" if value is None else _MOMENT.sub(lambda at: moment(datetime.fromisoformat(at[0])), value)
