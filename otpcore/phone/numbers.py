"""Phone numbers: parse to E.164, say which country they are of, and show them masked."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import attrs

from otpcore.errors import InvalidArgument, InvalidPhoneNumber
from otpcore.phone.plans import ARGENTINA, RENUMBERED, TWO_SPELLINGS
from otpcore.phone.written import LOST_PLUS, Written, read_written, why_not_understood

if TYPE_CHECKING:
    import phonenumbers

__all__ = [
    "PhoneNumber",
    "begins_numbers",
    "calling_code_of",
    "is_region",
    "is_whole_number",
    "look_up_phone",
    "parse_phone",
    "reached_by_sms",
    "region_of",
    "same_phone",
    "spellings_of",
]

_NO_REGION = "001"  # libphonenumber's region of numbers without a country
_LONGEST = 15  # digits of E.164
_SHORTEST = 2  # digits of a number after its calling code, for libphonenumber
_E164 = re.compile(r"\+[1-9][0-9]{1,14}", re.ASCII)
_NEVER = r"(?!)"
_THEIR_BEGINNINGS = tuple(form.partition("{")[0] for *_, other, kept in TWO_SPELLINGS for form in (other, kept))


@attrs.frozen(repr=False)
class PhoneNumber:
    """A number in E.164. ``str()`` and ``repr()`` are masked; the full number is only ever in ``e164``."""

    e164: str

    @property
    def digits(self) -> str:
        """The number without the leading ``+``."""
        return self.e164[1:]

    @property
    def masked(self) -> str:
        """``+3598******67``: the beginning and the last two stay readable, five digits or more are hidden.

        A number too short for that shows less of its beginning, or nothing.
        """
        if len(self.e164) < len("+") + 5 + 2:
            return "+" + "*" * len(self.digits)
        head = min(5, len(self.e164) - 5 - 2)
        return f"{self.e164[:head]}{'*' * (len(self.e164) - head - 2)}{self.e164[-2:]}"

    @property
    def region(self) -> str:
        """The two letters of its country, such as ``BG``; of a number in no assigned range, the main one of its calling code.

        Empty where the calling code belongs to no country.
        """
        return region_of(self.e164)

    @property
    def kept_as(self) -> str:
        """One E.164 spelling for all of this phone: what an account is kept by. What is sent to is ``e164``."""
        return same_phone(self.e164)

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"<PhoneNumber {self.masked}>"


def parse_phone(text: str, *, default_region: str | None = None, require_valid: bool = True) -> PhoneNumber:
    """Parse what a person typed, to be sent to.

    What nobody sees, every kind of space, quotation marks around it, and hyphens, dots and brackets do not matter; other
    scripts' digits are understood. What could be two people's number is refused.

    Args:
        text: The number, with a leading ``+`` unless ``default_region`` is given.
        default_region: Two-letter region for numbers without ``+``, such as ``"BG"``.
        require_valid: Also refuse numbers that no operator has been assigned, and premium-rate ones, which are paid for by
            whoever sends there; impossible ones are always refused.

    Raises:
        InvalidPhoneNumber: It is not a number, or not one that could exist, or nobody can tell which. The message never
            quotes it.
        InvalidArgument: ``default_region`` is no region, and the number needs one.
    """
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    number, has_plus = _taken_apart(text), True
    if number is None:
        written = read_written(text)
        number, has_plus = _understood(written, default_region), written.has_plus
        if number is None:
            raise InvalidPhoneNumber(why_not_understood(written, default_region))
    # Not is_possible_number: that also takes a number without its area code, which nobody can dial from abroad.
    if not _is_possible(number):
        raise InvalidPhoneNumber(
            "not a possible phone number: its length does not fit its country" + ("" if has_plus else LOST_PLUS)
        )
    if require_valid:
        kind = phonenumbers.number_type(number)  # one look-up for both: not valid is what it calls unknown
        if kind == phonenumbers.PhoneNumberType.UNKNOWN:
            raise InvalidPhoneNumber("not a phone number in use: its country has not assigned this range")
        if kind == phonenumbers.PhoneNumberType.PREMIUM_RATE:
            raise InvalidPhoneNumber("a premium-rate number: whoever sends there pays for it")
    _check_country_code(number)
    return PhoneNumber(_e164(number))


def look_up_phone(text: str, *, default_region: str | None = None) -> PhoneNumber:
    """Read a number of which something may be kept: of any range, also of one that is no longer in use.

    The same text means the same phone as for ``parse_phone``. Whether it could be sent to does not matter.

    Args:
        text: The number: a leading ``+`` and 1 to 15 digits, or as ``default_region`` writes it.
        default_region: As for ``parse_phone``.

    Raises:
        InvalidPhoneNumber: It is not one number. The message never quotes it.
        InvalidArgument: ``default_region`` is no region, and the number needs one.
    """
    number = _taken_apart(text)
    if number is not None and _is_possible(number):
        return PhoneNumber(_e164(number))
    written = read_written(text)
    number = _understood(written, default_region)
    if number is not None:
        found = PhoneNumber(_e164(number))
        if _is_possible(number) or (not written.has_plus and len(found.digits) <= _LONGEST):
            return found
    if not written.has_plus:
        raise InvalidPhoneNumber(why_not_understood(written, default_region))
    if not 1 <= len(written.digits) <= _LONGEST or written.digits.startswith("0"):
        raise InvalidPhoneNumber("not a phone number: after the + stand 1 to 15 digits, and the first of them is not 0")
    return PhoneNumber(f"+{written.digits}")


def reached_by_sms(phone: PhoneNumber) -> PhoneNumber:
    """The number as an SMS finds it: in Argentina with the 9 of mobiles, however it was written."""
    _, plain, form, _ = ARGENTINA
    found = plain.fullmatch(phone.e164)
    return phone if found is None else PhoneNumber(form.format(found[1]))


def same_phone(e164: str) -> str:
    """One number for all spellings of one phone: what it is looked up and counted by."""
    return spellings_of(e164)[0]


def spellings_of(e164: str) -> tuple[str, ...]:
    """Every way to write this phone, first the one under which it is kept; almost always there is one."""
    if not e164.startswith(_THEIR_BEGINNINGS):  # every number comes here several times, and hardly any has two
        return (e164,)
    for other, kept, other_form, kept_form in TWO_SPELLINGS:
        found = other.fullmatch(e164) or kept.fullmatch(e164)
        if found is not None:
            return kept_form.format(found[1]), other_form.format(found[1])
    return (e164,)


def is_whole_number(prefix: str) -> bool:
    """Whether this beginning of numbers is somebody's number already: it has the length of a mobile one, or is in use."""
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    number = _libphonenumber(prefix, None)
    if number is None:
        return False
    number = _renumbered(number)
    mobile = phonenumbers.PhoneNumberType.MOBILE
    fits = phonenumbers.is_possible_number_for_type_with_reason(number, mobile)
    return fits == phonenumbers.ValidationResult.IS_POSSIBLE or _is_valid(number)


def is_region(text: str) -> bool:
    """Whether this is a region that has numbers of its own, such as ``"BG"``."""
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    return text in phonenumbers.SUPPORTED_REGIONS


def begins_numbers(prefix: str) -> bool:
    """Whether numbers of some calling code begin so, or ``prefix`` is the beginning of a calling code: ``+35``, not ``+999``."""
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    digits = prefix.removeprefix("+")
    codes = map(str, phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    return any(digits.startswith(code) or code.startswith(digits) for code in codes)


def calling_code_of(e164: str) -> str:
    """The beginning with which all numbers of its country are dialled, such as ``+359``; ``+`` where there is none."""
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    for length in (2, 3, 4):
        if e164[1:length] and int(e164[1:length]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return e164[:length]
    return "+"


def region_of(e164: str) -> str:
    """The two-letter region of a number, such as ``"BG"``; of one in no assigned range, the main one of its calling code.

    Empty where the calling code belongs to no country (+800, satellites and the like).
    """
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    e164 = same_phone(e164)
    code = calling_code_of(e164)
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code[1:] or 0), (_NO_REGION,))
    main = "" if regions[0] == _NO_REGION else str(regions[0])
    national = e164[len(code) :]
    if len(regions) == 1 or not national:
        return main  # of most calling codes there is one region only; then the number itself need not be looked at
    return str(phonenumbers.region_code_for_number(_number(code, national)) or main)


def _taken_apart(text: str) -> phonenumbers.PhoneNumber | None:
    """A number in E.164, which need not be understood: the same at a small part of the cost; None: there is more to it.

    What is understood loses a zero, or whatever else may be dialled before a number within its country.
    """
    if not (isinstance(text, str) and _E164.fullmatch(text)):
        return None
    code = calling_code_of(text)
    national, prefix = text[len(code) :], _dialled_within(code)
    if prefix is None or len(national) < _SHORTEST or prefix.match(national):
        return None
    return _renumbered(_number(code, national))


def _understood(written: Written, default_region: str | None) -> phonenumbers.PhoneNumber | None:
    """The number that was meant; None: it is none.

    Raises:
        InvalidPhoneNumber: It could be two people's.
    """
    region = default_region.upper() if default_region else None
    if region and not written.has_plus and not is_region(region):
        raise InvalidArgument("default_region: there is no such region. Fix: write two letters, such as BG")
    number = _libphonenumber(f"+{written.digits}" if written.has_plus else written.digits, region)
    if written.without_zero is not None and written.has_plus:
        number = _zero_in_brackets(number, _libphonenumber(f"+{written.without_zero}", None))
    if number is not None and not written.has_plus:
        _check_national(written, number)
    if number is None:
        return None
    as_written = written.has_plus and _e164(number) == f"+{written.digits}"
    return _renumbered(number if as_written else _settled(number))


def _settled(number: phonenumbers.PhoneNumber) -> phonenumbers.PhoneNumber:
    """What its E.164 form is read as: libphonenumber takes off one zero that does not belong there, and then the next."""
    while (again := _libphonenumber(_e164(number), None)) is not None and _e164(again) != _e164(number):
        number = again
    return number


def _zero_in_brackets(
    kept: phonenumbers.PhoneNumber | None, dropped: phonenumbers.PhoneNumber | None
) -> phonenumbers.PhoneNumber | None:
    """Italy dials the zero from abroad, others leave it out: whichever of the two is a number."""
    read = [one for one in (kept, dropped) if one is not None]
    fits = [one for one in read if _is_valid(one)] or [one for one in read if _is_possible(one)]
    if len({_e164(one) for one in fits}) > 1:
        raise InvalidPhoneNumber(
            "nobody can tell which number is meant: write it without the zero in brackets, or with it"
        )
    return fits[0] if fits else kept


def _check_national(written: Written, number: phonenumbers.PhoneNumber) -> None:
    """Refuse what may have lost its plus sign, or begins as calls to other countries do elsewhere."""
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    if written.digits.startswith("00"):
        meant = _libphonenumber(f"+{written.digits[2:]}", None)
        if meant is None or _e164(meant) != _e164(number):
            raise InvalidPhoneNumber("numbers of other countries do not begin with 00 here; write it with a leading +")
        return
    international = _libphonenumber(f"+{written.digits}", None)
    if international is None or not _is_valid(international) or _e164(international) == _e164(number):
        return
    # A country that dials no zero before its numbers writes many that are somebody else's after a plus sign: about one in
    # ten of the United States. Where both are numbers that get SMS, only the space says that there was one.
    likelier = _is_valid(number) and _is_mobile(number) >= _is_mobile(international)
    usual = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    if written.begins_with_space or not likelier or not _is_written_so(written.digits, usual):
        raise InvalidPhoneNumber(f"these digits are a number with a + before them, and another one without{LOST_PLUS}")


def _is_written_so(digits: str, usual: str) -> bool:
    return digits == "".join(character for character in usual if character.isdigit())


def _check_country_code(number: phonenumbers.PhoneNumber) -> None:
    """Refuse a country code that stands there twice: what follows is a mobile's number, and the whole is none."""
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    code, national = str(number.country_code), phonenumbers.national_significant_number(number)
    if not national.startswith(code):
        return
    once = _libphonenumber(f"+{national}", None)
    if once is not None and _is_mobile(once) and not _is_mobile(number):
        raise InvalidPhoneNumber("the country code stands there twice; write it once")


def _renumbered(number: phonenumbers.PhoneNumber) -> phonenumbers.PhoneNumber:
    """What it is today."""
    if number.country_code not in RENUMBERED:
        return number
    e164 = _e164(number)
    changes = ((re.fullmatch(old, e164), form) for old, form in RENUMBERED[number.country_code])
    expanded = next((found.expand(form) for found, form in changes if found is not None), None)
    if expanded is None or _is_valid(number):
        return number
    today = _libphonenumber(expanded, None)
    return today if today is not None and _is_possible(today) else number


def _libphonenumber(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


@functools.cache
def _dialled_within(code: str) -> re.Pattern[str] | None:
    """What may be dialled before the numbers of a calling code within its country; None: nobody has this code."""
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code[1:] or 0))
    if regions is None:
        return None
    about = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code[1:]), regions[0])
    return None if about is None else re.compile(about.national_prefix_for_parsing or _NEVER)


def _number(code: str, national: str) -> phonenumbers.PhoneNumber:
    """The number of a calling code and the digits after it; zeros at their beginning are part of it, as in Italy."""
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    zeros = len(national) - len(str(int(national)))
    return phonenumbers.PhoneNumber(
        country_code=int(code[1:]),
        national_number=int(national),
        italian_leading_zero=zeros > 0 or None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


def _e164(number: phonenumbers.PhoneNumber) -> str:
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    return f"+{number.country_code}{phonenumbers.national_significant_number(number)}"


def _is_possible(number: phonenumbers.PhoneNumber) -> bool:
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    return phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE


def _is_valid(number: phonenumbers.PhoneNumber) -> bool:
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    return bool(phonenumbers.is_valid_number(number))


def _is_mobile(number: phonenumbers.PhoneNumber) -> bool:
    import phonenumbers  # noqa: PLC0415 - heavy: imported at first use

    kinds = phonenumbers.PhoneNumberType
    return phonenumbers.number_type(number) in (kinds.MOBILE, kinds.FIXED_LINE_OR_MOBILE)
