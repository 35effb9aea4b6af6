"""Settings of channels besides SMS and calls: their keys are made of the channel's word."""

from __future__ import annotations

from pathlib import Path

import pytest

from otpcore.errors import RoutingSyntaxError, SettingsError
from otpcore.models import Channel
from otpcore.settings.tree import Settings, load_settings

RULES = {"otp_sms_provider": "Twilio", "otp_whatsapp_provider": "Mada:+359;Twilio", "otp_viber_provider": " "}


def test_rules_are_read_from_a_file_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "otpcore.toml"
    file.write_text('otp_sms_provider = "Twilio"\notp_whatsapp_provider = "Mada"\n[channels.whatsapp]\nretry = true\n')
    monkeypatch.setenv("OTPCORE_OTP_TELEGRAM_PROVIDER", "Twilio")
    monkeypatch.setenv("OTPCORE_CHANNELS__TELEGRAM__MAX_RETRIES", "3")
    settings = load_settings(file)
    assert settings.rule_texts == {
        "otp_sms_provider": "Twilio",
        "otp_whatsapp_provider": "Mada",
        "otp_telegram_provider": "Twilio",
    }
    assert settings.retrying(Channel("whatsapp")).is_retried
    assert settings.retrying(Channel("telegram")).max_retries == 3
    assert settings.retrying(Channel("viber")) is settings.sms


def test_blank_rules_are_as_if_they_were_not_set() -> None:
    settings = Settings.from_mapping(RULES)
    assert list(settings.rule_texts) == ["otp_sms_provider", "otp_whatsapp_provider"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"otp_whatsapp_provider": 5}, "otp_whatsapp_provider: must be text"),
        ({"otp_WhatsApp_provider": "Mada"}, "otp_WhatsApp_provider: unknown key"),
        ({"otp_whatsapp_providr": "Mada"}, "otp_whatsapp_providr: unknown key"),
        ({"otp_channel_providers": {"x": "Mada"}}, "otp_channel_providers: unknown key"),
        ({"channels": {"sms": {"retry": True}}}, "channels.sms: is written under [sms]"),
        ({"channels": {"Viber": {}}}, "channels.Viber: a channel is a lower-case letter"),
        ({"channels": {"viber": {"retri": True}}}, "channels.viber.retri: unknown key; did you mean"),
        ({"channels": {"viber": {"max_retries": 101}}}, "channels.viber.max_retries: must be 0 to 100"),
        (
            {"channels": {"viber": {"retry": True}}, "retry": {"min_useful_life": 300}},
            "retry.min_useful_life: must be shorter",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_key(values: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_mapping(values)
    assert str(refused.value).startswith(said)


def test_rules_that_cannot_be_read_are_shown_with_their_key(tmp_path: Path) -> None:
    file = tmp_path / "otpcore.toml"
    file.write_text('otp_whatsapp_provider = "Mada:35987"\n')
    with pytest.raises(RoutingSyntaxError, match=r"otp_whatsapp_provider \(.*otpcore\.toml\): a prefix is expected"):
        load_settings(file)
