"""Form fields for WTForms: a phone number, and the code that was sent to it; ``pip install otp-flask[forms]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    from wtforms.fields import StringField
    from wtforms.validators import ValidationError
    from wtforms.widgets import TelInput, TextInput
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("otp_flask.forms needs WTForms. Fix: pip install 'otp-flask[forms]'") from missing

from otp_flask.extension import current_otp
from otpcore import InvalidArgument, InvalidPhoneNumber, parse_code
from otpcore.embedding import CODE_ATTRIBUTES, ENTER_CODE, ENTER_PHONE, PHONE_ATTRIBUTES, check_region, phone_typed

__all__ = ["OTPCodeField", "PhoneField"]


class PhoneField(StringField):
    """A phone number; its ``data`` is text in E.164, such as ``+359871234567``.

    Args:
        region: Of numbers without ``+``, such as ``BG``; None: ``otp.default_region``.

    Raises:
        SettingsError: There is no such region.
    """

    widget = TelInput()

    def __init__(self, label: str = "Phone number", *args: Any, region: str | None = None, **kwargs: Any) -> None:
        kwargs["render_kw"] = {**PHONE_ATTRIBUTES, **(kwargs.get("render_kw") or {})}
        super().__init__(label, *args, **kwargs)
        if region is not None:
            check_region(region.upper(), key="region")
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
        try:
            self.data = phone_typed(typed, current_otp.service.settings, self.region)
        except InvalidPhoneNumber:
            raise ValidationError(ENTER_PHONE) from None


class OTPCodeField(StringField):
    """A code as a person types or pastes it: spaces and hyphens go, and digits of other scripts become those of ASCII.

    Browsers and phones offer the code of a message that has just arrived (``autocomplete="one-time-code"``), and show
    digits to type with. What was typed is not shown again.
    """

    widget = TextInput()

    def __init__(self, label: str = "Code", *args: Any, **kwargs: Any) -> None:
        kwargs["render_kw"] = {**CODE_ATTRIBUTES, **(kwargs.get("render_kw") or {})}
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
        try:
            self.data = parse_code(typed)
        except InvalidArgument:
            raise ValidationError(ENTER_CODE) from None

    def _value(self) -> str:
        return ""
