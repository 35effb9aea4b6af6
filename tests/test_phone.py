"""Numbers as people write them become one E.164 number, and are shown masked."""

from __future__ import annotations

import subprocess
import sys

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore.errors import InvalidPhoneNumber
from otpcore.phone import PhoneNumber, parse_phone

NUMBER = "+359871234567"


@pytest.mark.parametrize(
    "written",
    [
        NUMBER,
        " +359 87 123 4567 ",
        "+359-87-123-4567",
        "+359 (0)87 123 4567",
        "tel:+359-87-123-4567",
        "\uff0b\uff13\uff15\uff19\uff18\uff17\uff11\uff12\uff13\uff14\uff15\uff16\uff17",  # full width
        "+\u0663\u0665\u0669\u0668\u0667\u0661\u0662\u0663\u0664\u0665\u0666\u0667",  # Arabic-Indic digits
        "\u202a+359 87 123 4567\u202c",  # pasted from a contact, direction marks included
    ],
)
def test_differently_written_numbers_are_one_number(written):
    assert parse_phone(written).e164 == NUMBER


@given(st.lists(st.sampled_from(["", " ", "-", ".", "\u00a0"]), min_size=9, max_size=9))
def test_separators_between_the_digits_do_not_matter(separators):
    national = "".join(digit + separator for digit, separator in zip("871234567", separators, strict=True))
    assert parse_phone(f"+359{national}").e164 == NUMBER


@pytest.mark.parametrize("region", ["BG", "bg"])
def test_a_national_number_takes_the_default_region(region):
    assert parse_phone("087 123 4567", default_region=region).e164 == NUMBER


def test_the_default_region_does_not_change_an_international_number():
    assert parse_phone(NUMBER, default_region="US").e164 == NUMBER


def test_a_national_number_without_region_says_how_to_write_it():
    with pytest.raises(InvalidPhoneNumber, match="leading \\+"):
        parse_phone("0871234567")


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
def test_a_valid_number_is_what_libphonenumber_calls_valid(e164):
    assert outcome(e164) in (("valid", "premium-rate") if is_valid(e164) else ("not valid",))


def outcome(e164):
    try:
        parse_phone(e164)
    except InvalidPhoneNumber as refused:
        return "premium-rate" if "premium-rate" in str(refused) else "not valid"
    return "valid"


def is_valid(e164):
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(e164))
    except phonenumbers.NumberParseException:
        return False


def test_bytes_and_numbers_are_refused_as_such():
    with pytest.raises(InvalidPhoneNumber, match="not int"):
        parse_phone(359871234567)


@given(st.text())
def test_any_text_is_a_number_or_refused(text):
    try:
        number = parse_phone(text, default_region="BG", require_valid=False)
    except InvalidPhoneNumber:
        return
    assert number.e164.startswith("+")
    assert number.digits.isascii()
    assert number.digits.isdigit()


def test_masking_keeps_the_operator_and_the_end():
    phone = PhoneNumber(NUMBER)
    assert str(phone) == f"{phone}" == phone.masked == "+3598******67"
    assert repr(phone) == "<PhoneNumber +3598******67>"


@given(st.from_regex(r"\+[1-9][0-9]{0,14}", fullmatch=True))
def test_masking_hides_at_least_five_digits_of_any_number(e164):
    masked = PhoneNumber(e164).masked
    assert len(masked) == len(e164)
    assert masked.count("*") >= min(5, len(e164) - 1)
    assert all(shown in ("*", original) for shown, original in zip(masked, e164, strict=True))


def test_importing_the_pure_modules_loads_no_heavy_library():
    program = (
        "import sys, otpcore.phone, otpcore.routing, otpcore.messages\n"
        "print({'phonenumbers', 'cryptography', 'httpx', 'sqlalchemy', 'dynaconf', 'typer'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
