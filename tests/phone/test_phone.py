"""Numbers as people write them become one E.164 number, and are shown masked."""

from __future__ import annotations

import contextlib
import functools
import re
import subprocess
import sys
from typing import Any

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from otpcore.errors import InvalidArgument, InvalidPhoneNumber
from otpcore.phone.numbers import (
    PhoneNumber,
    is_whole_number,
    look_up_phone,
    parse_phone,
    reached_by_sms,
    same_phone,
    spellings_of,
)

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
    assume(separators[7] != "." or "." in separators[:7])  # one point before the last digit: a spreadsheet's decimal
    national = "".join(digit + separator for digit, separator in zip("871234567", separators, strict=True))
    assert parse_phone(f"+359{national}").e164 == NUMBER


UNSEEN = [
    *"\u00ad\u034f\u061c\u115f\u17b4\u180b\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202c\u202e\u2060\u2066\u2069",
    *"\u20e3\u3164\ufe00\ufe0f\ufeff\uffa0\ufff0\ufffc\ufffe\uffff\u2065\ud800\U000e0001\U000e0100",
]
SPACES = [
    *" \t\n\r\v\f\x1f\x85\u00a0\u1680\u2000\u2003\u2007\u2009\u200a\u2028\u2029\u202f\u205f\u2800\u3000",
]
AROUND = [*"'\"`.,;:!?()[]<>-\u201c\u201d\u00ab\u00bb\u2014\u2026=|", "\U0001f4de"]
MOBILES = [
    phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    if (example := phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE))
]


@given(st.sampled_from(MOBILES), st.data())
def test_what_nobody_sees_spaces_and_marks_around_it_do_not_matter(number, data):
    between = st.text([*UNSEEN, *SPACES, "-", "(", ")"], max_size=3)
    around = st.text([*UNSEEN, *SPACES, *AROUND], max_size=5)
    inside = "".join(character + data.draw(between) for character in number[:-1]) + number[-1]
    written = data.draw(around) + inside + data.draw(around)
    assume("(0)" not in re.sub(r"[^0-9()]", "", written))
    assert parse_phone(written).e164 == look_up_phone(written).e164 == number


@given(st.sampled_from(MOBILES), st.data())
def test_no_decoration_reaches_somebody_else(number, data):
    more = st.text([*UNSEEN, *SPACES, *AROUND, *"+*#/_~%&@$^xe"], max_size=4)
    at = data.draw(st.integers(0, len(number)))
    written = data.draw(more) + number[:at] + data.draw(more) + number[at:] + data.draw(more)
    assume(re.sub("[^0-9]", "", written) == number[1:])
    for read in (parse_phone, look_up_phone):
        with contextlib.suppress(InvalidPhoneNumber):
            assert read(written, default_region=data.draw(st.sampled_from(["US", "DE", "IT"]))).e164 == number


@pytest.mark.parametrize(
    "zeros", [".0", ".00", ",0", ", 0", "\u066b0", " .0", ". 0", "\u00b70", "\u20220", "_0", ".5", ".000"]
)
def test_the_decimals_of_a_spreadsheet_are_refused_and_named(zeros):
    for number in ("+436641234567", "436641234567", "436,641,234,567" if "," not in zeros else "436641234567"):
        for region in (None, "AT"):
            with pytest.raises(InvalidPhoneNumber, match=r"spreadsheet|comma"):
                parse_phone(number + zeros, default_region=region)
    for number in ("4.36641234567E+11", "4,36641e11", "+4E11"):
        with pytest.raises(InvalidPhoneNumber, match="spreadsheet"):
            parse_phone(number, default_region="AT")
    assert parse_phone("+33.6.12.34.56.00").e164 == "+33612345600"
    assert parse_phone("+1.2025550123").e164 == "+12025550123"


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("+436641234567, +436641234568", "a \\+ stands inside"),
        ("06641234567;06641234568", "comma or a semicolon"),
        ("06641234567,,12", "comma or a semicolon"),
        ("+436641234567/8", "slash"),
        ("+436641234567/06641234568", "slash"),
        ("0664/123/4567", "slash"),
        ("+43 664 1234567 or +43 664 1234568", "letters"),
        ("+43 664 1234567 x12", "letters"),
        ("*31#06641234567", "\\* and #"),
        ("06641234567#12", "\\* and #"),
        ("%2B436641234567", "letters|characters"),
        ("%20436641234567", "characters"),
        ("+43436641234567", "twice|not assigned"),
        ("+49491711234567", "twice"),
        ("+39 (0)341 2345678", "zero in brackets"),
    ],
)
def test_what_could_be_two_numbers_or_none_says_why(written, why):
    with pytest.raises(InvalidPhoneNumber, match=why):
        parse_phone(written, default_region="AT")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+44 (0)20 7946 0018", "+442079460018"),
        ("+44(0) 7911 123456", "+447911123456"),
        ("+39 (0)6 69812345", "+390669812345"),
        ("+49 (0)171/1234567", "+491711234567"),
        ("0171/1234567", "+491711234567"),
        ("0043 664 1234567", "+436641234567"),
        ("++436641234567", "+436641234567"),
        ('="+436641234567"', "+436641234567"),
        ("tel://+43-664-1234567", "+436641234567"),
        ("+49 491 712345", "+49491712345"),  # Leer, whose area code begins as the country's does
    ],
)
def test_what_people_write_besides_is_understood(written, number):
    assert parse_phone(written, default_region="DE").e164 == number


# A form decodes an unescaped plus sign as a space, and many programs strip that.


@pytest.mark.parametrize("policy", [True, False])
@pytest.mark.parametrize("region", ["AR", "AU", "CN", "DE", "IT", "JP", "LU", "RU", "US"])
def test_a_number_whose_plus_sign_was_lost_is_nobody_elses(region, policy):
    for number in MOBILES[::2]:
        for written in (f" {number[1:]}", f"\u200e {number[1:]}", f"00{number[1:]}"):
            for read in (functools.partial(parse_phone, require_valid=policy), look_up_phone):
                assert understood(read, written, region) in (number, "leading +")


def understood(read, written, region):
    try:
        return read(written, default_region=region).e164
    except InvalidPhoneNumber as refused:
        return "leading +" if "leading +" in str(refused) else str(refused)


@pytest.mark.parametrize("written", [" 436641234567", "436641234567", "\u00a0436641234567"])
def test_the_hint_of_a_lost_plus_sign_says_what_happened(written):
    for read in (parse_phone, look_up_phone):
        with pytest.raises(InvalidPhoneNumber, match=r"with a \+ before them, and another one without.*%2B"):
            read(written, default_region="DE")
    assert parse_phone(written, default_region="AT").e164 == "+436641234567"


@pytest.mark.parametrize(
    ("written", "region", "number"),
    [
        ("479 234 5678", "US", "+14792345678"),  # +47 92345678 is a mobile in Norway
        ("134 0642 1234", "CN", "+8613406421234"),  # +1 340 642 1234 is one of the Virgin Islands
        ("0664 1234567", "AT", "+436641234567"),
    ],
)
def test_a_number_as_its_country_writes_it_is_taken_though_a_plus_would_make_it_another(written, region, number):
    assert parse_phone(written, default_region=region).e164 == number


# Numbers that were changed, and phones with two numbers.


@pytest.mark.parametrize(
    ("written", "region", "number"),
    [
        ("+5215512345678", None, "+525512345678"),
        ("+52 044 55 1234 5678", None, "+525512345678"),
        ("044 55 1234 5678", "MX", "+525512345678"),
        ("+551187654321", None, "+5511987654321"),
        ("(11) 8765-4321", "BR", "+5511987654321"),
        ("011 15 2345-6789", "AR", "+5491123456789"),
        ("+22997123456", None, "+2290197123456"),
        ("97 12 34 56", "BJ", "+2290197123456"),
        ("+22501234567", None, "+2250101234567"),
        ("+22545123456", None, "+2250545123456"),
        ("+22507123456", None, "+2250707123456"),
        ("+84 0168 123 4567", None, "+84381234567"),
        ("0120 123 4567", "VN", "+84701234567"),
        ("+841211234567", None, "+84791234567"),
        ("+841221234567", None, "+84771234567"),
        ("+841281234567", None, "+84781234567"),
        ("+841241234567", None, "+84841234567"),
        ("+841271234567", None, "+84811234567"),
        ("+841291234567", None, "+84821234567"),
        ("+841881234567", None, "+84581234567"),
        ("+841991234567", None, "+84591234567"),
    ],
)
def test_a_number_from_before_a_change_is_the_one_of_today(written, region, number):
    for policy in (True, False):
        assert parse_phone(written, default_region=region, require_valid=policy).e164 == number
    assert look_up_phone(written, default_region=region).e164 == number


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+5491123456789", "+541123456789"),
        ("+390549886377", "+3780549886377"),
        ("+24106195005", "+2416195005"),
    ],
)
def test_two_spellings_of_a_phone_are_one(one, other):
    assert parse_phone(one).e164 != parse_phone(other).e164
    assert same_phone(one) == same_phone(other)
    assert set(spellings_of(one)) == set(spellings_of(other)) == {one, other}
    assert parse_phone(one).kept_as == parse_phone(other).kept_as in (one, other)
    assert same_phone(same_phone(one)) == same_phone(one)


def test_an_sms_to_argentina_goes_to_the_mobile():
    written = parse_phone("+54 11 2345-6789")
    assert reached_by_sms(written).e164 == reached_by_sms(reached_by_sms(written)).e164 == "+5491123456789"
    assert reached_by_sms(PhoneNumber(NUMBER)) == PhoneNumber(NUMBER)


def test_nearly_every_phone_has_one_spelling():
    several = {number for number in MOBILES if len(spellings_of(number)) > 1}
    assert {number[:4] for number in several} <= {"+549", "+241"}


# Looking up.


@given(st.from_regex(r"\+[1-9][0-9]{0,14}", fullmatch=True))
def test_any_digits_can_be_looked_up_and_mean_what_sending_meant(e164):
    found = look_up_phone(e164)
    for policy in (True, False):
        try:
            sent = parse_phone(e164, require_valid=policy)
        except InvalidPhoneNumber:
            continue
        assert found == sent
    assert look_up_phone(found.e164) == found


@pytest.mark.parametrize("number", ["+999871234567", "+13575550131", "+3598", "+1", "+999999999999999", "+23799123456"])
def test_a_number_of_no_assigned_range_can_be_looked_up(number):
    assert look_up_phone(f" {number[:2]}-{number[2:]}", default_region="DE").e164 == number


@pytest.mark.parametrize(
    "written", ["", "+", "abc", "+0123", "+1234567890123456", "0871234567", "+359 87 or so", "+1,0"]
)
def test_what_is_no_number_cannot_be_looked_up_and_says_why(written):
    with pytest.raises(InvalidPhoneNumber) as refused:
        look_up_phone(written)
    assert "not assigned" not in str(refused.value)


@pytest.mark.parametrize("number", [NUMBER, "+13575550131", "+5215512345678", "+80012345678", "+390669812345"])
def test_a_whole_number_is_known_as_such(number):
    assert is_whole_number(number)


@pytest.mark.parametrize("prefix", ["+", "+1", "+359", "+35987", "+35987123", "+1876", "+1357555", "+4915", "+999123"])
def test_a_prefix_is_no_whole_number(prefix):
    assert not is_whole_number(prefix)


@pytest.mark.parametrize("region", ["BG", "bg"])
def test_a_national_number_takes_the_default_region(region):
    assert parse_phone("087 123 4567", default_region=region).e164 == NUMBER


def test_the_default_region_does_not_change_an_international_number():
    assert parse_phone(NUMBER, default_region="US").e164 == NUMBER


def test_a_national_number_without_region_says_how_to_write_it():
    with pytest.raises(InvalidPhoneNumber, match="leading \\+"):
        parse_phone("0871234567")


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


@pytest.mark.parametrize("read", [parse_phone, look_up_phone])
def test_a_default_region_that_is_none_is_the_programs_fault_and_not_the_persons(read: Any) -> None:
    with pytest.raises(InvalidArgument, match="default_region: there is no such region"):
        read("0871234567", default_region="XX")
