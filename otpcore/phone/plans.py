"""What numbering plans do to a number that libphonenumber does not say: numbers that have changed, and phones that have two."""

from __future__ import annotations

import re

__all__ = ["ARGENTINA", "RENUMBERED", "TWO_SPELLINGS"]

# What was dialled before a country changed its numbers, and is dialled now; nobody else has either of them.
RENUMBERED = {
    52: ((r"\+52(?:1|01|044|045)([0-9]{10})", r"+52\1"),),  # Mexico, 2019: prefixes of mobiles were dropped
    55: ((r"\+55([0-9]{2})([6-9][0-9]{7})", r"+55\g<1>9\2"),),  # Brazil, 2016: every mobile has a ninth digit
    84: (  # Vietnam, 2018: mobiles of eleven digits have ten
        (r"\+8416([2-9][0-9]{7})", r"+843\1"),
        (r"\+841(?:8([68][0-9]{7})|9(9[0-9]{7}))", r"+845\1\2"),
        (r"\+8412([68][0-9]{7})", r"+847\1"),
        (r"\+8412([345][0-9]{7})", r"+848\1"),
        (r"\+84120([0-9]{7})", r"+8470\1"),
        (r"\+84121([0-9]{7})", r"+8479\1"),
        (r"\+84122([0-9]{7})", r"+8477\1"),
        (r"\+84127([0-9]{7})", r"+8481\1"),
        (r"\+84129([0-9]{7})", r"+8482\1"),
    ),
    225: (  # Ivory Coast, 2021: mobiles have two digits more before them, by their operator
        (r"\+225([04-9][0-3][0-9]{6})", r"+22501\1"),
        (r"\+225([04-9][4-6][0-9]{6})", r"+22505\1"),
        (r"\+225([04-9][7-9][0-9]{6})", r"+22507\1"),
    ),
    229: ((r"\+229([0-9]{8})", r"+22901\1"),),  # Benin, 2024: every number has 01 before it
}

# Phones with two numbers, both of which are valid: one person. One spelling, the one under which the phone is kept, and how
# both are made of what they share.
ARGENTINA = (  # from abroad a mobile is reached with a 9
    re.compile(r"\+549([0-9]{10})"),
    re.compile(r"\+54([0-9]{10})"),
    "+549{}",
    "+54{}",
)
TWO_SPELLINGS = (
    ARGENTINA,
    (re.compile(r"\+390549([0-9]{6})"), re.compile(r"\+3780549([0-9]{6})"), "+390549{}", "+3780549{}"),  # San Marino
    (re.compile(r"\+2410([2-7][0-9]{6})"), re.compile(r"\+241([2-7][0-9]{6})"), "+2410{}", "+241{}"),  # Gabon
)
