"""Which numbers are valid, and what each policy refuses, beside libphonenumber."""

from __future__ import annotations

import contextlib

import hypothesis
import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from otpcore.errors import InvalidPhoneNumber
from otpcore.phone.numbers import look_up_phone, parse_phone


@pytest.mark.parametrize(
    "written",
    [
        "",
        "+",
        "hello",
        "+359 87",
        "+3598712345678901",
        "+999871234567",
        "+359871234567 now",  # letters would be dialled as 669
        "+1 202 555 0143 ext. 5",
        "+1 202 555 0143 #5",
        "+359871234567 / +359871234568",
        "+" + "1" * 10_000,
        "\x00",
    ],
)
@pytest.mark.parametrize("require_valid", [True, False])
def test_what_is_no_reachable_number_is_refused_without_quoting_it(written, require_valid):
    with pytest.raises(InvalidPhoneNumber) as refused:
        parse_phone(written, require_valid=require_valid)
    digits = "".join(character for character in written if character.isdigit())
    shown = f"{refused.value} {refused.value!r}"
    assert len(digits) < 4 or digits[:4] not in shown
    assert refused.value.__cause__ is None


def test_a_number_without_its_area_code_is_refused_even_by_the_loose_policy():
    with pytest.raises(InvalidPhoneNumber):
        parse_phone("+1 253 0000", require_valid=False)


def test_an_unassigned_range_is_refused_by_policy_only():
    with pytest.raises(InvalidPhoneNumber, match="not assigned"):
        parse_phone("+1 555 555 0143")
    assert parse_phone("+1 555 555 0143", require_valid=False).e164 == "+15555550143"


@pytest.mark.parametrize("written", ["+1 900 234 5678", "+44 909 012 3456", "+359 90 123 456"])
def test_a_premium_rate_number_is_refused_by_policy_only(written):
    with pytest.raises(InvalidPhoneNumber, match="premium-rate"):
        parse_phone(written)
    parse_phone(written, require_valid=False)


def test_no_country_has_its_mobile_numbers_taken_for_premium_rate_ones():
    regions = phonenumbers.SUPPORTED_REGIONS
    examples = [phonenumbers.example_number_for_type(one, phonenumbers.PhoneNumberType.MOBILE) for one in regions]
    numbers = [phonenumbers.format_number(one, phonenumbers.PhoneNumberFormat.E164) for one in examples if one]
    assert [parse_phone(number).e164 for number in numbers] == numbers
    assert len(numbers) > 200


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
@hypothesis.example("+44002000000000")
def test_a_valid_number_is_what_libphonenumber_calls_valid(e164):
    assume(not e164.startswith(("+52", "+55", "+84", "+225", "+229")))  # old numbers of these countries are today's
    said = outcome(e164)
    assert said in (("valid", "premium-rate", "twice") if is_valid(e164) else ("not valid",))


NOT_RENUMBERED = sorted(set(phonenumbers.COUNTRY_CODE_TO_REGION_CODE) - {52, 55, 84, 225, 229})


@given(st.sampled_from(NOT_RENUMBERED), st.from_regex(r"[018]?[0-9]{1,11}", fullmatch=True))
@hypothesis.example(39, "0612345678")  # the zero stays in Italy
@hypothesis.example(44, "02079460018")  # and goes in Britain
@hypothesis.example(54, "111512345678")  # the 15 of a mobile becomes its 9
def test_a_number_in_e164_is_what_libphonenumber_reads(code, national):
    written = f"+{code}{national}"
    read = read_by_libphonenumber(written)
    is_possible = read is not None and phonenumbers.is_possible_number_with_reason(read) == 0
    e164 = phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164) if is_possible else written
    assert look_up_phone(written).e164 == e164


def read_by_libphonenumber(e164):
    """Again and again, until nothing more is taken off; None: it is no number."""
    number = None
    with contextlib.suppress(phonenumbers.NumberParseException):
        while number is None or (again := phonenumbers.parse(e164)) != number:
            number = phonenumbers.parse(e164) if number is None else again
            e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return number


def outcome(e164):
    try:
        parse_phone(e164)
    except InvalidPhoneNumber as refused:
        return next((word for word in ("premium-rate", "twice") if word in str(refused)), "not valid")
    return "valid"


def is_valid(e164):
    """As its E.164 form is read in the end: libphonenumber takes off one zero after the country code at a time."""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return False
    form = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return phonenumbers.is_valid_number(number) if form == e164 else is_valid(form)
