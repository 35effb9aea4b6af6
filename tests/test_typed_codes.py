"""What people type back: a code is read however it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore.codes import normalise_code


@pytest.mark.parametrize(
    "typed",
    [
        "123456",
        "123 456",
        " 123-456\n",
        "123\u2011456",  # non-breaking hyphen
        "123\u2212456",  # minus
        "123\u2014456",
        "1\u00a02\u20093\u30004\u200b5\ufeff6",
        "123\u30fc456",  # what a Japanese keyboard gives for a hyphen
        "\u202a123456\u202c",
        "\uff11\uff12\uff13\uff14\uff15\uff16",  # full width
        "\u0661\u0662\u0663\u0664\u0665\u0666",  # Arabic-Indic
        "\u06f1\u06f2\u06f3\u06f4\u06f5\u06f6",  # Persian
        "\u0967\u0968\u0969\u096a\u096b\u096c",  # Devanagari
        "123456.",
        "#123456",  # from the last line of our own texts
        "\u201c123456\u201d",
        "(123-456),",
        "\u2066123456\u2069!",
        "1\ufe0f\u20e32\ufe0f\u20e33\ufe0f\u20e3456",  # keycaps
        "12\u00ad3\u034f4\ufe0e56",
        "\u2800123456\u3164",
        "<123456>",
        "1, 2, 3, 4, 5, 6.",  # as our own calls say it
        "123.456",
        "12/34/56",
        "123\u2027456",
        "(123) 456",
        "\ufffc123\u2065456\uffff",
    ],
)
def test_a_code_is_recognised_however_it_is_typed(typed):
    assert normalise_code(typed) == "123456"


@given(st.data())
def test_what_surrounds_a_code_or_cannot_be_seen_does_not_matter(data):
    between = st.text("\u200b\u200e\ufeff\u00ad\ufe0f\u034f \t\n\u00a0\u3000\u2800-\u2013\u2212.,;/_\u00b7", max_size=4)
    around = st.text("\"'`.,;:!?#*()[]{}<>/\\|@_~=+\u00ab\u00bb\u201e\u2026\u3002 \u200b", max_size=6)
    inside = "".join(digit + data.draw(between) for digit in "163406")
    assert normalise_code(data.draw(around) + inside + data.draw(around)) == "163406"


@pytest.mark.parametrize("typed", ["12345O", "12e4", "\u2460\u2461", "1\u00b2", "", "abc"])
def test_what_is_no_digit_stays_and_makes_no_code(typed):
    assert normalise_code(typed) == typed


@given(st.text())
def test_normalising_twice_changes_nothing_more_and_invents_no_digits(typed):
    once = normalise_code(typed)
    assert normalise_code(once) == once
    assert sum(map(str.isdecimal, once)) == sum(map(str.isdecimal, typed))
