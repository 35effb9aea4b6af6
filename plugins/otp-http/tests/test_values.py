"""What each placeholder stands for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from otp_http.sections import Life, NumberFormat
from otp_http.values import VALUES, language_of, values_of, written
from sendings import NOW, sending

from otpcore.providers import PhoneNumber


@pytest.mark.parametrize(
    ("number", "how", "said"),
    [
        ("+359871234567", NumberFormat(), "+359871234567"),
        ("+359871234567", NumberFormat(format="digits"), "359871234567"),
        ("+359871234567", NumberFormat(format="zeros"), "00359871234567"),
        ("+359871234567", NumberFormat(format="national"), "0871234567"),
        ("+989121234567", NumberFormat(format="national"), "09121234567"),
        ("+989121234567", NumberFormat(format="zeros", prefixes={"+98": "0"}), "09121234567"),
        ("+359871234567", NumberFormat(format="zeros", prefixes={"+98": "0"}), "00359871234567"),
        ("+5491123456789", NumberFormat(format="digits", prefixes={"+54": "x", "+549": "54"}), "541123456789"),
    ],
)
def test_a_number_is_written_as_the_table_says(number, how, said):
    assert written(PhoneNumber(number), how) == said


@pytest.mark.parametrize(
    ("left", "life", "said"),
    [
        (300, None, {"life": "300", "life_ms": "300000", "life_minutes": "5", "life_hhmm": "00:05"}),
        (299.2, None, {"life": "300", "life_minutes": "5"}),
        (61, None, {"life_minutes": "2", "life_hhmm": "00:02"}),
        (7260, None, {"life_hhmm": "02:01"}),
        (300, Life(max=200), {"life": "200", "expires_unix": str(int(NOW.timestamp()) + 200)}),
        (29, Life(min=30), {"life": "", "life_ms": "", "life_minutes": "", "life_hhmm": "", "expires_iso": ""}),
        (30, Life(min=30), {"life": "30", "expires_iso": "2026-03-01T12:00:30Z"}),
        (0, None, {"life": "", "expires_unix": ""}),
        (-5, None, {"life": "", "expires_unix": ""}),
    ],
)
def test_the_life_is_rounded_up_cut_or_not_told(request_to, left, life, said):
    request = request_to(deadline=NOW + timedelta(seconds=left))
    assert values_of(sending(request, life=life), said) == said


def test_a_host_goes_before_the_settings(request_to):
    own = {"sender": "Acme", "template_id": "t1", "token": "secret"}
    names = ("sender", "template_id", "token")
    assert values_of(sending(request_to(), settings=own), names) == own
    request = request_to(sender="Other", template_id="t2")
    assert values_of(sending(request, settings=own), names) == {
        "sender": "Other",
        "template_id": "t2",
        "token": "secret",
    }


def test_only_what_is_asked_for_is_worked_out(request_to):
    request = request_to(metadata={"order": "4711"}, client="[2001:db8::1]:443")
    values = values_of(sending(request), ("metadata.order", "metadata.none", "client"))
    assert values == {"metadata.order": "4711", "metadata.none": "", "client": "2001:db8::1"}


def test_a_text_beyond_gsm_is_said_to_be_unicode(request_to):
    assert values_of(sending(request_to(text="Код 482913")), ("unicode",)) == {"unicode": "unicode"}
    assert values_of(sending(request_to(text="Code 482913")), ("unicode",)) == {"unicode": ""}


def test_every_value_can_be_worked_out(request_to):
    values = values_of(sending(request_to(locale="pt-BR")), VALUES)
    assert values["region"] == "BG"
    assert values["calling_code"] == "359"
    assert values["receipt_url"] == "https://otp.example/r"
    assert all(isinstance(value, str) for value in values.values())


@pytest.mark.parametrize(
    ("locale", "languages", "name"),
    [
        ("pt-BR", {"pt-BR": "pt_BR", "pt": "pt_PT"}, "pt_BR"),
        ("pt-AO", {"pt-BR": "pt_BR", "pt": "pt_PT"}, "pt_PT"),
        ("PT_br", {"pt-br": "x"}, "x"),
        ("de", {"pt": "x"}, ""),
        ("de-AT", {}, "de"),
    ],
)
def test_a_language_is_looked_up(locale, languages, name):
    assert language_of(locale, languages) == name
