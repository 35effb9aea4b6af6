"""Phones with two numbers, both of which are valid: one person, one key; pure."""

from __future__ import annotations

import re

__all__ = ["mobile_spelling", "same_phone", "spellings_of"]

# One spelling, the one under which the phone is kept, and how both are made of what they share.
_ARGENTINA = (  # from abroad a mobile is reached with a 9
    re.compile(r"\+549([0-9]{10})"),
    re.compile(r"\+54([0-9]{10})"),
    "+549{}",
    "+54{}",
)
_TWO_SPELLINGS = (
    _ARGENTINA,
    (re.compile(r"\+390549([0-9]{6})"), re.compile(r"\+3780549([0-9]{6})"), "+390549{}", "+3780549{}"),  # San Marino
    (re.compile(r"\+2410([2-7][0-9]{6})"), re.compile(r"\+241([2-7][0-9]{6})"), "+2410{}", "+241{}"),  # Gabon
)

_THEIR_BEGINNINGS = tuple(form.partition("{")[0] for *_, other, kept in _TWO_SPELLINGS for form in (other, kept))


def mobile_spelling(e164: str) -> str:
    """The number as an SMS finds it: in Argentina with the 9 of mobiles, however it was written."""
    _, plain, form, _ = _ARGENTINA
    found = plain.fullmatch(e164)
    return e164 if found is None else form.format(found[1])


def same_phone(e164: str) -> str:
    """One number for all spellings of one phone: what it is looked up and counted by."""
    return spellings_of(e164)[0]


def spellings_of(e164: str) -> tuple[str, ...]:
    """Every way to write this phone, first the one under which it is kept; almost always there is one."""
    if not e164.startswith(_THEIR_BEGINNINGS):  # every number comes here several times, and hardly any has two
        return (e164,)
    for other, kept, other_form, kept_form in _TWO_SPELLINGS:
        found = other.fullmatch(e164) or kept.fullmatch(e164)
        if found is not None:
            return kept_form.format(found[1]), other_form.format(found[1])
    return (e164,)
