"""How locales become Sinch's."""

from __future__ import annotations

import pytest
from otp_sinch.locales import SPEECH_REGIONS, accept_language, speech_locale


@pytest.mark.parametrize("locale", ["en", "pt-BR", "zh-Hans-CN"])
def test_an_sms_asks_for_the_language_in_a_header(locale):
    assert accept_language(locale) == {"Accept-Language": locale}


@pytest.mark.parametrize(("locale", "asked"), [("pt_BR", "pt-BR"), ("en-US,en;q=0.9", "en"), ("de-\r\nX: 1", "de")])
def test_a_locale_that_is_written_in_another_way_is_asked_for_all_the_same(locale, asked):
    assert accept_language(locale) == {"Accept-Language": asked}


@pytest.mark.parametrize("locale", ["", "en\r\nX: 1", "en US"])
def test_what_is_no_language_tag_never_gets_into_a_header(locale):
    assert accept_language(locale) == {}


@pytest.mark.parametrize(
    ("locale", "spoken"),
    [
        ("en", "en-US"),
        ("sv", "sv-SE"),
        ("PT", "pt-BR"),
        ("pt-PT", "pt-PT"),
        ("pt_PT", "pt-PT"),
        ("en-Latn-GB", "en-US"),
        ("bg", None),
        ("zh-Hans-CN", None),
        ("", None),
    ],
)
def test_a_call_names_a_language_with_region_or_leaves_it_to_sinch(locale, spoken):
    assert speech_locale(locale) == spoken


def test_every_region_belongs_to_its_language():
    assert all(locale.startswith(f"{language}-") for language, locale in SPEECH_REGIONS.items())
