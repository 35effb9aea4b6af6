"""What a text costs as SMS: its encoding, its units and its parts, as networks count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore.messages.texts import segments

# 3GPP TS 23.038, read off the standard's two tables, apart from the code under test.
GSM_BASIC = (
    "@\u00a3$\u00a5\u00e8\u00e9\u00f9\u00ec\u00f2\u00c7\n\u00d8\u00f8\r\u00c5\u00e5"
    "\u0394_\u03a6\u0393\u039b\u03a9\u03a0\u03a8\u03a3\u0398\u039e\u00c6\u00e6\u00df\u00c9"
    " !\"#\u00a4%&'()*+,-./0123456789:;<=>?\u00a1ABCDEFGHIJKLMNOPQRSTUVWXYZ\u00c4\u00d6\u00d1\u00dc\u00a7"
    "\u00bfabcdefghijklmnopqrstuvwxyz\u00e4\u00f6\u00f1\u00fc\u00e0"
)
GSM_EXTENSION = "\f^{}\\[~]|\u20ac"


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),  # the escape pair moves to the second part as a whole
        ("a" * 151 + "€" + "a" * 153, "GSM-7", 306, 2),
        ("ç" * 70, "UCS-2", 70, 1),
        ("ç" * 71, "UCS-2", 71, 2),
        ("ç" * 134, "UCS-2", 134, 2),
        ("ç" * 135, "UCS-2", 135, 3),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
        ("ç" * 66 + "😀" + "ç" * 66, "UCS-2", 134, 3),
        ("ç" * 65 + "😀" + "ç" * 67, "UCS-2", 134, 2),
        ("€" * 35 + "ç" * 35, "UCS-2", 70, 1),  # no escapes in UCS-2
        ("\ud83d", "UCS-2", 1, 1),
    ],
)
def test_segments_are_counted_as_networks_do(text, encoding, units, count):
    counted = segments(text)
    assert (counted.encoding, counted.units, counted.count) == (encoding, units, count)


def test_the_gsm_alphabet_is_the_standards():
    everything = map(chr, range(0x3000))
    in_gsm = {character: cost.units for character in everything if (cost := segments(character)).encoding == "GSM-7"}
    assert in_gsm == dict.fromkeys(GSM_BASIC, 1) | dict.fromkeys(GSM_EXTENSION, 2)
    assert len(in_gsm) == 127 + 10


@given(st.text(st.sampled_from("a€ç😀"), max_size=400))
def test_segments_hold_all_units_and_waste_at_most_one_each(text):
    counted = segments(text)
    alone, joined = (160, 153) if counted.encoding == "GSM-7" else (70, 67)
    if counted.units <= alone:
        assert counted.count == 1
    else:
        assert counted.units <= counted.count * joined
        assert counted.units > (counted.count - 1) * (joined - 1)
