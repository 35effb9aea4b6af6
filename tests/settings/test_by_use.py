"""One text of the settings for each instance, purpose and language: how it is written, and which of them counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otpcore.errors import SettingsError
from otpcore.settings.by_use import instances_named, text_for, texts_for
from otpcore.settings.tree import Settings, load_settings

FULL: dict[str, Any] = {
    "default": {"default": "Acme", "pay": {"bg": "PayBG", "default": "Pay"}},
    "Mada": {"login": {"pt_BR": "MadaBrazil", "pt": "MadaPortugal"}},
    "own": "",
    "one": "One",
}


def sender(value: Any) -> Any:
    """As it stands in the settings that were read."""
    return Settings.from_mapping({"otp": {"sender": value}}).otp.sender


@pytest.mark.parametrize(
    ("instance", "purpose", "locale", "text"),
    [
        ("twilio", "login", "en", "Acme"),
        ("twilio", "pay", "en", "Pay"),
        ("twilio", "pay", "bg-BG", "PayBG"),
        ("twilio", "Pay", "bg", "Acme"),
        ("mada", "login", "pt-BR", "MadaBrazil"),
        ("mada", "login", "PT_br", "MadaBrazil"),
        ("mada", "login", "pt-PT", "MadaPortugal"),
        ("mada", "login", "en", "Acme"),
        ("mada", "pay", "bg", "PayBG"),
        ("own", "pay", "bg", None),
        ("one", "pay", "bg", "One"),
    ],
)
def test_the_instance_counts_more_than_the_purpose_and_that_more_than_the_language(
    instance: str, purpose: str, locale: str, text: str | None
) -> None:
    assert text_for(sender(FULL), instance=instance, purpose=purpose, locale=locale) == text


@pytest.mark.parametrize(("value", "text"), [("Acme", "Acme"), ("", None), (None, None), ({}, None)])
def test_one_text_counts_everywhere(value: Any, text: str | None) -> None:
    assert text_for(sender(value), instance="mada", purpose="pay", locale="bg") == text


def test_what_may_count_for_an_instance_is_told_by_its_place() -> None:
    setting = sender(FULL)
    of_all = {".default.default": "Acme", ".default.pay.bg": "PayBG", ".default.pay.default": "Pay"}
    assert texts_for(setting, "twilio") == of_all
    assert texts_for(setting, "mada") == {
        ".Mada.login.pt_BR": "MadaBrazil",
        ".Mada.login.pt": "MadaPortugal",
        **of_all,
    }
    assert texts_for(setting, "one") == {".one": "One"}
    assert texts_for(setting, "own") == {}
    assert texts_for("Acme", "twilio") == {"": "Acme"}
    assert instances_named(setting) == ("Mada", "own", "one")
    assert instances_named("Acme") == ()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (12345, "otp.sender: must be text or a table of texts, but is a whole number; write it in quotes"),
        (["Acme"], "otp.sender: must be text or a table of texts, but is a list"),
        ({"mada": 12345}, "otp.sender.mada: must be text, not int; write it in quotes"),
        ({"mada": {"login": {False: "x"}}}, "otp.sender.mada.login.False: its name must be text, not bool"),
        ({"mada": {"login": {"en": ["x"]}}}, "otp.sender.mada.login.en: must be text, not list"),
        ({"mada": {"bg": {"login": "x"}}}, "otp.sender.mada.bg.login: is no language such as pt-BR, nor default"),
        ({"mada": {"login": {"en": {"sms": "x"}}}}, "otp.sender.mada.login.en: must be text; a table goes by instance"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_the_order(value: Any, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        sender(value)
    assert str(refused.value).startswith(told)


def test_files_and_the_environment_say_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "otpcore.toml"
    file.write_text('[otp.template_id]\nmada.Login.en = "1"\ndefault = "2"\n', encoding="utf-8")
    monkeypatch.setenv("OTPCORE_OTP__TEMPLATE_ID__TEXTS", "3")
    monkeypatch.setenv("OTPCORE_OTP__SENDER", '{ mada = "Acme" }')
    otp = load_settings(file).otp
    assert otp.template_id == {"mada": {"Login": {"en": "1"}}, "default": "2", "texts": "3"}
    assert otp.sender == {"mada": "Acme"}
