"""The two forms of a verification."""

from __future__ import annotations

from django import forms

from otp_django.fields import OTPCodeField, PhoneField

__all__ = ["CodeForm", "PhoneForm"]


class PhoneForm(forms.Form):
    """Which phone."""

    phone = PhoneField()


class CodeForm(forms.Form):
    """What was sent to it."""

    code = OTPCodeField()
