"""The page's texts: every language says everything, and counts as its speakers do."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

import pytest
from otp_server.pages.texts import PLURALS, check, languages, read, words_for

from otpcore.messages.wordings import WORDINGS
from otpcore.runners import SettingsError

TEXTS = {
    language: tomllib.loads(files("otp_server").joinpath("texts", f"{language}.toml").read_text(encoding="utf-8"))
    for language in PLURALS
}


def test_it_speaks_all_languages_of_the_core() -> None:
    assert languages() == set(WORDINGS)
    check(TEXTS)


@pytest.mark.parametrize("language", sorted(PLURALS))
def test_every_language_is_a_translation(language: str) -> None:
    if language == "en":
        return
    same = {key for key, text in TEXTS[language].items() if text == TEXTS["en"][key]}
    assert same <= {"label", "error"}, same  # a word that both languages have


@pytest.mark.parametrize("language", sorted(PLURALS))
def test_plurals_are_those_of_cldr(language: str) -> None:
    babel = pytest.importorskip("babel", reason="babel, whose plural rules are the oracle, is not installed")
    rule = babel.Locale(language).plural_form
    categories, own = PLURALS[language]
    assert categories == rule.tags | {"other"}
    assert {n: own(n) for n in range(1000)} == {n: rule(n) for n in range(1000)}


def _without(key: str) -> dict[str, Any]:
    return {name: text for name, text in TEXTS["de"].items() if name != key}


@pytest.mark.parametrize(
    ("german", "problem"),
    [
        (_without("title"), "de.toml: title: is missing"),
        ({**TEXTS["de"], "more": "x"}, "de.toml: more: nothing asks for it"),
        ({**TEXTS["de"], "title": " "}, "de.toml: title: the text must have exactly the places"),
        (
            {**TEXTS["de"], "goes_sms": "Er kommt."},
            "de.toml: goes_sms: the text must have exactly the places ['number']",
        ),
        ({**TEXTS["de"], "title": "{code}"}, "de.toml: title: the text must have exactly the places []"),
        ({**TEXTS["de"], "digits": {"other": "{n}"}}, "de.toml: digits: needs the forms ['one', 'other']"),
        ({**TEXTS["de"], "digits": "{n} Ziffern"}, "de.toml: digits: is a text in one language and a table in another"),
    ],
)
def test_a_catalogue_that_cannot_say_everything_stops_the_start(german: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check({**TEXTS, "de": german})
    assert problem in str(caught.value)


def test_a_language_that_is_gone_stops_the_start() -> None:
    with pytest.raises(SettingsError, match=r"tr\.toml: is missing"):
        check({language: texts for language, texts in TEXTS.items() if language != "tr"})


@pytest.mark.parametrize(
    ("locales", "accepted", "language"),
    [
        (("pt-BR", "en"), "de", "pt"),
        (("zh_Hant_TW", "en"), "", "zh"),
        ((None, "bg"), "", "bg"),
        ((None, "bg"), "fr;q=0.2, it;q=0.8, *;q=0.1", "it"),
        ((None, "bg"), "xx, yy", "bg"),
        (("xx", "yy"), "", "en"),
        ((None, "en"), "de;q=0", "en"),
        ((None, "en"), "de;" * 1000, "en"),
    ],
)
def test_the_language_is_the_persons_if_it_is_known(locales: Any, accepted: str, language: str) -> None:
    assert words_for(*locales, accepted=accepted).language == language


def test_what_fills_a_text_in_is_escaped() -> None:
    assert "&lt;b&gt;" in read()["en"].say("secret", app="<b>")
