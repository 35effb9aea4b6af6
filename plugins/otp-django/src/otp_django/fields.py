"""Form fields: a phone number, and the code that was sent to it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from otp_django.running import service
from otpcore import InvalidArgument, InvalidPhoneNumber, parse_code
from otpcore.embedding import CODE_ATTRIBUTES, ENTER_CODE, ENTER_PHONE, PHONE_ATTRIBUTES, check_region, phone_typed

__all__ = ["OTPCodeField", "PhoneField"]

_TYPED = 32  # characters: a code that is pasted with what stands around it


class OTPCodeField(forms.CharField):
    """A code as a person types or pastes it: spaces and hyphens go, and digits of other scripts become those of ASCII.

    Browsers and phones offer the code of a message that has just arrived (``autocomplete="one-time-code"``), and show
    digits to type with.
    """

    default_error_messages = {"invalid": _(ENTER_CODE)}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", _("Code"))
        kwargs.setdefault("max_length", _TYPED)
        super().__init__(**kwargs)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Attributes of the input."""
        return {**super().widget_attrs(widget), **CODE_ATTRIBUTES}

    def to_python(self, value: Any) -> str:
        """Its digits.

        Raises:
            ValidationError: It is no code.
        """
        typed = super().to_python(value) or ""
        if not typed:
            return ""
        try:
            return parse_code(typed)
        except InvalidArgument:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None


class PhoneField(forms.CharField):
    """A phone number; its value is text in E.164, such as ``+359871234567``.

    Args:
        region: Of numbers without ``+``, such as ``BG``; None: ``otp.default_region``.

    Raises:
        SettingsError: There is no such region.
    """

    default_error_messages = {"invalid": _(ENTER_PHONE)}

    def __init__(self, *, region: str | None = None, **kwargs: Any) -> None:
        if region is not None:
            check_region(region.upper(), key="region")
        self.region = region
        kwargs.setdefault("label", _("Phone number"))
        kwargs.setdefault("max_length", 64)
        kwargs.setdefault(
            "strip", False
        )  # a space before it is a + that a form did not escape: not for us to take away
        super().__init__(**kwargs)
        self.widget.input_type = "tel"

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Attributes of the input."""
        return {**super().widget_attrs(widget), **PHONE_ATTRIBUTES}

    def to_python(self, value: Any) -> str:
        """The number in E.164.

        Raises:
            ValidationError: It is not one number, or one that cannot be sent to.
        """
        typed = super().to_python(value) or ""
        if not typed.strip():
            return ""
        try:
            return phone_typed(typed, service().settings, self.region)
        except InvalidPhoneNumber:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None
