"""Form fields for WTForms: a phone number, and the code that was sent to it; ``pip install otp-flask[forms]``."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

try:
    from wtforms.fields import StringField
    from wtforms.validators import ValidationError
    from wtforms.widgets import TelInput, TextInput
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("otp_flask.forms needs WTForms. Fix: pip install 'otp-flask[forms]'") from missing

from otp_flask.extension import current_otp
from otpcore import InvalidPhoneNumber, parse_phone

__all__ = ["OTPCodeField", "PhoneField"]

_SHORTEST, _LONGEST = 4, 10  # digits of a code, whatever the settings or a vendor make of it
_PHONE_ATTRIBUTES = {"autocomplete": "tel", "inputmode": "tel"}
_CODE_ATTRIBUTES = {
    "autocomplete": "one-time-code",
    "inputmode": "numeric",
    "autocapitalize": "off",
    "spellcheck": "false",
}


class PhoneField(StringField):
    """A phone number; its ``data`` is text in E.164, such as ``+359871234567``.

    Args:
        region: Of numbers without ``+``, such as ``BG``; None: ``otp.default_region``.
    """

    widget = TelInput()

    def __init__(self, label: str = "Phone number", *args: Any, region: str | None = None, **kwargs: Any) -> None:
        kwargs["render_kw"] = {**_PHONE_ATTRIBUTES, **(kwargs.get("render_kw") or {})}
        super().__init__(label, *args, **kwargs)
        self.region = region

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        """What was typed, as E.164; what is no number stays as it was typed, with an error.

        Raises:
            ValidationError: It is not one number, or one that cannot be sent to.
        """
        typed = str(valuelist[0]) if valuelist else ""
        self.data = typed
        if not typed:
            return
        said = current_otp.service.settings.otp
        try:
            found = parse_phone(
                typed,
                default_region=self.region or said.default_region,
                require_valid=said.number_policy == "valid",
            )
        except InvalidPhoneNumber:
            raise ValidationError("Enter a phone number, with + and the country code.") from None
        self.data = found.e164


class OTPCodeField(StringField):
    """A code as a person types or pastes it: spaces and hyphens go, and digits of other scripts become those of ASCII.

    Browsers and phones offer the code of a message that has just arrived (``autocomplete="one-time-code"``), and show
    digits to type with. What was typed is not shown again.
    """

    widget = TextInput()

    def __init__(self, label: str = "Code", *args: Any, **kwargs: Any) -> None:
        kwargs["render_kw"] = {**_CODE_ATTRIBUTES, **(kwargs.get("render_kw") or {})}
        super().__init__(label, *args, **kwargs)

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        """Its digits.

        Raises:
            ValidationError: It is no code.
        """
        typed = str(valuelist[0]) if valuelist else ""
        self.data = ""
        if not typed:
            return
        # Spaces, unseen marks and hyphens go.
        plain = "".join(one for one in typed if unicodedata.category(one)[0] not in "ZCP")
        digits = "".join(str(unicodedata.decimal(one, "x")) for one in plain)
        if not (digits.isdecimal() and _SHORTEST <= len(digits) <= _LONGEST):
            raise ValidationError("Enter the code that was sent to you: digits only.")
        self.data = digits

    def _value(self) -> str:
        return ""
