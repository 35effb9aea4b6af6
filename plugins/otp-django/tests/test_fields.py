"""The form fields."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from otp_django import OTPCodeField, PhoneField
from otp_django.forms import CodeForm, PhoneForm

from otpcore import SettingsError


@pytest.mark.parametrize(
    ("typed", "digits"),
    [
        ("123456", "123456"),
        (" 123 456 ", "123456"),
        ("12-34-56", "123456"),
        ("12\u200b3456", "123456"),
        ("\u0661\u0662\u0663\u0664", "1234"),
        ("0123456789", "0123456789"),
        ("`123456`", "123456"),  # marks of every kind, and what nobody sees, as `verify` takes them
        ("\u3164123456=", "123456"),
    ],
)
def test_a_code_is_read_as_it_is_typed(typed, digits):
    assert OTPCodeField().clean(typed) == digits


@pytest.mark.parametrize("typed", ["123", "12345678901", "12a456", "code", "--", "1" * 40])
def test_what_is_no_code_is_refused(typed):
    with pytest.raises(ValidationError):
        OTPCodeField().clean(typed)


def test_an_empty_code_is_missing_where_it_is_required():
    assert OTPCodeField(required=False).clean("  ") == ""
    with pytest.raises(ValidationError, match="required"):
        OTPCodeField().clean("")


def test_browsers_are_told_what_the_fields_are_for():
    code, phone = CodeForm().as_div(), PhoneForm().as_div()
    assert 'autocomplete="one-time-code"' in code
    assert 'inputmode="numeric"' in code
    assert 'type="tel"' in phone
    assert 'autocomplete="tel"' in phone


@pytest.mark.parametrize("typed", ["+359 87 123 4567", "+359871234567", "(+359) 87-123-4567"])
def test_a_phone_becomes_e164(typed):
    assert PhoneField().clean(typed) == "+359871234567"


@pytest.mark.parametrize("typed", [" 6463092483", "\u00a06598586168"])
def test_a_plus_that_a_form_did_not_escape_leads_to_nobody_else(typed):
    """It is read as a space; without that these would be two numbers of the United States."""
    with pytest.raises(ValidationError, match="country code"):
        PhoneField(region="US").clean(typed)


def test_a_region_serves_numbers_without_a_country_code():
    assert PhoneField(region="BG").clean("087 123 4567") == "+359871234567"
    with pytest.raises(ValidationError, match="country code"):
        PhoneField().clean("087 123 4567")


@pytest.mark.parametrize("typed", ["+35987", "nonsense", "+1 555"])
def test_what_is_no_phone_is_refused_without_being_quoted(typed):
    with pytest.raises(ValidationError) as refused:
        PhoneField().clean(typed)
    assert typed not in str(refused.value)


@pytest.mark.parametrize(("region", "hint"), [("XX", "two-letter region"), ("uk", "the United Kingdom is GB")])
def test_a_region_that_is_none_is_told_where_the_form_is_written(region: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=f"region: .*{hint}"):
        PhoneField(region=region)
