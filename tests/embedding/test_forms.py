"""What is typed into forms."""

from __future__ import annotations

import pytest

from otpcore import InvalidPhoneNumber, Settings
from otpcore.embedding import phone_typed


def test_a_number_is_read_by_the_settings():
    settings = Settings.from_mapping({"otp": {"default_region": "BG"}})
    assert phone_typed("087 123 4567", settings) == "+359871234567"
    assert phone_typed("0151 12345678", settings, "DE") == "+4915112345678"
    with pytest.raises(InvalidPhoneNumber):
        phone_typed("087 123 4567", Settings.from_mapping({}))


def test_whether_it_must_be_valid_is_said_by_the_settings():
    odd = "+359800000"
    lenient, strict = (Settings.from_mapping({"otp": {"number_policy": policy}}) for policy in ("possible", "valid"))
    assert phone_typed(odd, lenient) == odd
    with pytest.raises(InvalidPhoneNumber):
        phone_typed(odd, strict)
