"""Regions as settings and programs name them, such as ``BG``: whether there is one, and which one was meant."""

from __future__ import annotations

import re
from typing import Any

from otpcore.errors import SettingsError, quoted
from otpcore.phone.numbers import calling_code_of, is_region, region_of

__all__ = ["check_region", "quoted_target", "region_hint"]

_CALLING_CODE = re.compile(r"\+?([1-9][0-9]{0,2})", re.ASCII)
_MANY_DIGITS = 8  # a prefix has fewer; so many may be somebody's number
_OTHER_NAMES = {"UK": "the United Kingdom is GB", "EL": "Greece is GR"}


def check_region(value: Any, *, key: str) -> None:
    """See that numbers can belong to this region.

    Args:
        value: As it is written.
        key: The setting or argument that holds it, for the error.

    Raises:
        SettingsError: There is no such region; the message names the likely one where there is one.
    """
    if not (isinstance(value, str) and is_region(value)):
        raise SettingsError(
            f"{key}: must be a two-letter region in capitals like BG, not {quoted_target(value)}{region_hint(value)}"
        )


def quoted_target(written: Any) -> str:
    """What was written where a region or a prefix belongs, for an error; somebody's number is not shown."""
    if sum(character.isdigit() for character in str(written)) >= _MANY_DIGITS:
        return "a whole number"
    return quoted(written)


def region_hint(value: Any) -> str:
    """What was meant, to be put behind an error; empty: nobody can tell."""
    if not isinstance(value, str):
        return ""
    meant = value.strip().upper()
    if meant in _OTHER_NAMES:
        return f"; {_OTHER_NAMES[meant]}"
    if meant != value and is_region(meant):
        return f"; did you mean {meant}?"
    found = _CALLING_CODE.fullmatch(meant)
    code = f"+{found[1]}" if found else ""
    region = region_of(code) if code and calling_code_of(code) == code else ""
    return f"; did you mean {region}, whose numbers begin with {code}?" if region else ""
