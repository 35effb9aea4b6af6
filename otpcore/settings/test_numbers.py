"""Test numbers: numbers with a fixed code, such as an app store's reviewer uses, each with an end date."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

import attrs

from otpcore.errors import InvalidPhoneNumber, SettingsError
from otpcore.phone.numbers import parse_phone, same_phone
from otpcore.settings.fields import full_key, setting

__all__ = ["FixedNumber", "good_test_numbers", "known_test_numbers"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_CODE = re.compile(r"[0-9]{4,10}")


@attrs.frozen(kw_only=True)
class FixedNumber:
    """``sms.test_numbers.<name>``: no provider is called for this number, and its code is always the same.

    It works only while ``sms.test_numbers_on`` lists its name.
    """

    number: str = setting(attrs.NOTHING, "The test number, with a leading +.", secret=True)
    code: str = setting(attrs.NOTHING, "Its fixed code, of otp.length digits.", secret=True)
    until: date = setting(  # noqa: RUF009 - a field of attrs, like the others
        attrs.NOTHING, "Its last day (UTC), such as 2027-01-31; later it is an ordinary number."
    )

    @property
    def e164(self) -> str:
        """The number as it is compared: the same for every spelling of the phone."""
        return same_phone(parse_phone(self.number, require_valid=False).e164)

    def is_over(self, today: date) -> bool:
        """Its last day has passed."""
        return today > self.until


def good_test_numbers(instance: Any, attribute: attrs.Attribute[Any], value: Mapping[str, FixedNumber]) -> None:
    """Refuse names, numbers and codes that could not be used; no number and no code is quoted."""
    key = full_key(instance, attribute)
    named: dict[str, str] = {}
    for name, one in value.items():
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"{key}.{name}: a name is a lower-case letter, then lower-case letters, digits, - and _"
            )
        if not _CODE.fullmatch(one.code):
            raise SettingsError(f"{key}.{name}.code: must be 4 to 10 ASCII digits")
        try:
            e164 = one.e164
        except InvalidPhoneNumber as error:
            raise SettingsError(f"{key}.{name}.number: {error}") from None
        if e164 in named:
            raise SettingsError(f"{key}.{name}.number: is that of {named[e164]} too")
        named[e164] = name


def known_test_numbers(instance: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    """Refuse a name that stands for nothing."""
    known = list(instance.test_numbers)
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"
            raise SettingsError(f"{full_key(instance, attribute)}: there is no sms.test_numbers.{name}; {hint}")
