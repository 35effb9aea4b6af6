"""Settings from files and the environment: which are read, which win, and how their errors read."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from otpcore.errors import SettingsError
from otpcore.settings.tree import Settings, SmsSettings, load_settings

from .reading import Write, refusal


def test_without_any_file_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTPCORE_OTP_SMS_PROVIDER", "Twilio")
    monkeypatch.setenv("OTPCORE_SMS__RETRY", "true")
    monkeypatch.setenv("OTPCORE_SMS__MAX_RETRIES", "7")
    monkeypatch.setenv("OTPCORE_OTP__LIFE", "1e2")
    settings = load_settings()
    assert settings.otp_sms_provider == "Twilio"
    assert settings.sms == SmsSettings(retry=True, max_retries=7)
    assert settings.otp.life == 100.0
    assert (settings.files, settings.directory) == ((), None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("otpcore.toml", 'otp_sms_provider = "Mada"\n[sms]\nretry = true\n[providers.Mada]\nSender = "+359"\n'),
        ("otpcore.yaml", "otp_sms_provider: Mada\nsms:\n  retry: true\nproviders:\n  Mada:\n    Sender: '+359'\n"),
        (
            "otpcore.json",
            '{"otp_sms_provider": "Mada", "sms": {"retry": true}, "providers": {"Mada": {"Sender": "+359"}}}',
        ),
    ],
)
def test_each_file_format_is_found_in_the_current_directory(write: Write, name: str, text: str) -> None:
    file = write(name, text)
    settings = load_settings()
    assert settings.otp_sms_provider == "Mada"
    assert settings.sms.retry is True
    assert settings.providers == {"mada": {"sender": "+359"}}
    assert settings.files == (str(file),)
    assert settings.directory == str(file.parent)
    assert settings.database_url == f"sqlite:///{file.parent}/otpcore.sqlite3"


def test_the_toml_file_comes_first(write: Write) -> None:
    write("otpcore.yaml", "otp_sms_provider: Sinch\n")
    write("otpcore.toml", 'otp_sms_provider = "Mada"')
    assert load_settings().otp_sms_provider == "Mada"


def test_a_path_wins_over_the_variable_which_wins_over_the_current_directory(
    write: Write, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "other [1]").mkdir()
    write("otpcore.toml", 'otp_sms_provider = "one"')
    write("other [1]/two.yaml", "otp_sms_provider: two\n")
    three = write("other [1]/three.toml", 'otp_sms_provider = "three"')
    write("other [1]/.otpcore.secrets.toml", '[providers.two]\ntoken = "x"')
    monkeypatch.setenv("OTPCORE_SETTINGS_FILE", "other [1]/two.yaml")
    settings = load_settings()
    assert settings.otp_sms_provider == "two"
    assert settings.providers == {"two": {"token": "x"}}
    assert load_settings(three).otp_sms_provider == "three"
    monkeypatch.setenv("OTPCORE_SETTINGS_FILE", "")
    assert load_settings().otp_sms_provider == "one"


def test_a_file_that_was_asked_for_must_be_there(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(directory / "missing.toml")
    assert missing in refusal(lambda: load_settings("missing.toml"))
    assert "must end in" in refusal(lambda: load_settings("otpcore.ini"))
    monkeypatch.setenv("OTPCORE_SETTINGS_FILE", "missing.toml")
    message = refusal(load_settings)
    assert missing in message
    assert "OTPCORE_SETTINGS_FILE asks for it" in message


def test_secrets_beside_the_file_are_merged_and_the_environment_wins(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("otpcore.toml", '[providers.Twilio]\nregion = "us"\nmode = "verify"\nsid = "a"\n[limits]\nphone = ["1/1m"]')
    write(".otpcore.secrets.toml", '[providers.twilio]\ntoken = "t"\nmode = "messaging"\n[limits]\nphone = ["2/1m"]')
    monkeypatch.setenv("OTPCORE_PROVIDERS__TWILIO__SID", "b")
    monkeypatch.setenv("OTPCORE_PROVIDERS__MADA__PASSWORD", "p")
    settings = load_settings()
    assert settings.providers == {
        "twilio": {"region": "us", "mode": "messaging", "sid": "b", "token": "t"},
        "mada": {"password": "p"},
    }
    assert settings.limits.phone == ("2/1m",)


def test_lists_from_the_environment_replace_and_are_not_appended(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("otpcore.toml", '[limits]\nphone = ["1/1m"]')
    for text, limits in [("2/1m,9/1h", ("2/1m", "9/1h")), ('["2/1m"]', ("2/1m",)), ("", ())]:
        monkeypatch.setenv("OTPCORE_LIMITS__PHONE", text)
        assert load_settings().limits.phone == limits


def test_regions_are_taken_from_files_and_the_environment_in_any_case(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("otpcore.toml", '[limits]\nallow = ["us", "+359"]\ndeny = ["CN"]\n[limits.countries]\nJM = ["0/1d"]')
    limits = load_settings().limits
    assert (limits.allow, limits.deny, limits.countries) == (("US", "+359"), ("CN",), {"JM": ("0/1d",)})
    monkeypatch.setenv("OTPCORE_LIMITS__ALLOW", "bg,+35988")
    monkeypatch.setenv("OTPCORE_LIMITS__DENY", '["cn", "NO"]')
    monkeypatch.setenv("OTPCORE_LIMITS__COUNTRIES__JM", "0/1h")
    limits = load_settings().limits
    assert (limits.allow, limits.deny, limits.countries["JM"]) == (("BG", "+35988"), ("CN", "NO"), ("0/1h",))


@pytest.mark.parametrize(
    ("limits", "hint"),
    [
        ('allow = ["UK"]', "the United Kingdom is GB"),
        ('deny = ["uk"]', "the United Kingdom is GB"),
        ('countries.UK = ["1/1h"]', "the United Kingdom is GB"),
        ('allow = ["+999"]', r"no country's numbers begin with '\+999'"),
        ('deny = ["+21099"]', r"no country's numbers begin with '\+21099'"),
        ('prefix."+999" = ["1/1h"]', r"no country's numbers begin with '\+999'"),
        ('countries."+359" = ["1/1h"]', r"did you mean BG, whose numbers begin with \+359\?"),
        ('prefix.bg = ["1/1h"]', "a country has limits.countries"),
    ],
)
def test_a_region_that_is_none_or_stands_elsewhere_is_told_its_place(write: Write, limits: str, hint: str) -> None:
    write("otpcore.toml", f"[limits]\n{limits}")
    with pytest.raises(SettingsError, match=hint):
        load_settings()


@pytest.mark.parametrize(
    "text", ["+15005550006", "0123e5", "123456", "1e3", "2026-01-01", "true", "@int 5", '"x"', "{a=1}"]
)
def test_text_from_the_environment_arrives_as_it_was_written(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OTPCORE_OTP__SENDER", text)
    monkeypatch.setenv("OTPCORE_PROVIDERS__TWILIO__TOKEN", text)
    settings = load_settings() if not text.startswith("{") else None
    monkeypatch.delenv("OTPCORE_OTP__SENDER")
    assert settings is None or settings.otp.sender == text
    assert load_settings().providers["twilio"]["token"] == text


def test_a_whole_table_may_come_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("otpcore.toml", '[sms]\nretry = true\n[providers.Mada]\nuser = "u"')
    monkeypatch.setenv("OTPCORE_SMS", "{ max_retries = 3 }")
    monkeypatch.setenv("OTPCORE_PROVIDERS__MADA", '{ Password = "p" }')
    settings = load_settings()
    assert settings.sms == SmsSettings(retry=True, max_retries=3)
    assert settings.providers == {"mada": {"user": "u", "password": "p"}}


def test_names_that_are_data_keep_their_case(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        "otpcore.toml",
        '[OTP.templates.Login]\npt-BR = "{code} a"\n[providers.mada.headers]\nX-Team = "b"\n[keys.code]\nk1 = "c"',
    )
    monkeypatch.setenv("OTPCORE_PROVIDERS__MADA__HEADERS__X-TEAM", "d")
    settings = load_settings()
    assert settings.otp.templates == {"Login": {"pt-BR": "{code} a"}}
    assert settings.providers["mada"]["headers"] == {"X-Team": "d"}


def test_nothing_in_yaml_is_as_if_the_line_were_not_there(write: Write) -> None:
    write("otpcore.yaml", "otp_sms_provider:\nsms:\n  max_retries: null\n")
    assert load_settings().sms == SmsSettings()


def test_variables_for_the_start_are_no_settings(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTPCORE_APP", "shop.otp:service")
    monkeypatch.setenv("OTPCORE_SETTINGS_FILE", str(write("otpcore.toml", "")))
    assert attrs.evolve(load_settings(), files=(), directory=None) == Settings()


def test_an_error_names_the_key_the_place_and_the_fix(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    main = write("otpcore.toml", '[otp]\nlength = 3\n[limits]\nphone = ["x", "y"]\n[smss]\nretry = true')
    secrets = write(".otpcore.secrets.toml", "[keys]\nindex = 5\n")
    monkeypatch.setenv("OTPCORE_SMS__RETRIES", "5")
    message = refusal(load_settings)
    assert f"otp.length ({main}): must be 6 to 10 digits, not 3" in message
    assert f"limits.phone ({main}): must be written like 3/10m" in message
    assert f"smss ({main}): unknown key; did you mean sms?" in message
    assert f"keys.index ({secrets}): must be text, but is a whole number; write it in quotes" in message
    assert "sms.retries (environment variable OTPCORE_SMS__RETRIES): unknown key" in message


@pytest.mark.parametrize(
    ("variable", "right", "text"),
    [
        ("OTPCORE_SMS_RETRY", "OTPCORE_SMS__RETRY", "true"),
        ("OTPCORE_SMS.RETRY", "OTPCORE_SMS__RETRY", "true"),
        ("OTPCORE_OTP_PROVIDER_TIMEOUT", "OTPCORE_OTP__PROVIDER_TIMEOUT", "3"),
        ("OTPCORE_LIMITS_GLOBAL", "OTPCORE_LIMITS__GLOBAL", "3/1h"),
        ("OTPCORE_OTP__SMS_PROVIDER", "OTPCORE_OTP_SMS_PROVIDER", "Mada"),
    ],
)
def test_a_variable_with_the_wrong_underscores_is_told_its_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, right: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    assert refusal(load_settings).endswith(f" is {right}")
    monkeypatch.delenv(variable)
    monkeypatch.setenv(right, text)
    assert load_settings() != Settings()


def test_a_wrong_type_in_the_environment_is_found_also_below_a_plain_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTPCORE_SMS", "yes")
    assert "sms (environment variable OTPCORE_SMS): must be a table" in refusal(load_settings)
    monkeypatch.setenv("OTPCORE_SMS__RETRY__NOW", "yes")
    assert "sms.retry (environment variable OTPCORE_SMS__RETRY__NOW): must be true or false" in refusal(load_settings)


@pytest.mark.parametrize("name", ["otpcore.local.toml", ".otpcore.secrets.local.toml"])
def test_local_overrides_that_dynaconf_would_merge_are_refused_by_name(write: Write, name: str) -> None:
    write("otpcore.toml", "[sms]\nretry = true\n")
    write(".otpcore.secrets.toml", "")
    local = write(name, "[sms]\nretry = false\n")
    assert str(local) in refusal(load_settings)


def test_the_files_read_are_logged_and_no_value_is(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    main = write("otpcore.toml", "[providers.mada]\npassword = 'hush'")
    secrets = write(".otpcore.secrets.toml", "[keys]\nindex = 'hush'")
    with caplog.at_level(logging.DEBUG, logger="otpcore.config"):
        load_settings()
    assert caplog.record_tuples == [("otpcore.config", logging.INFO, f"settings read from {main}, {secrets}")]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_secrets_that_others_can_read_are_warned_about(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    secrets = write(".otpcore.secrets.toml", "")
    load_settings()
    assert not caplog.records
    secrets.chmod(0o640)
    load_settings()
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert str(secrets) in record.getMessage()


def test_a_host_that_uses_dynaconf_itself_keeps_its_settings_to_itself(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dynaconf import Dynaconf, default_settings  # noqa: PLC0415 - what this test is about

    strange = write("host.toml", 'otp_sms_provider = "leaked"')
    write("dynaconf_hooks.py", "def post(settings):\n    return {'leaked': 1}\n")
    write("otpcore.toml", "[sms]\nretry = true\n")
    for name in ("SETTINGS_FILE", "INCLUDES", "PRELOAD", "SECRETS"):
        monkeypatch.setenv(f"{name}_FOR_DYNACONF", str(strange))
    monkeypatch.setenv("ENCODING_FOR_DYNACONF", "latin-1")
    monkeypatch.setenv("DYNACONF_OTP_SMS_PROVIDER", "leaked")
    monkeypatch.setenv("OTPCORE_OTP__APP", "Шоп")
    default_settings.reload()
    before = dict(os.environ)
    settings = load_settings()
    assert settings.otp_sms_provider == ""
    assert settings.sms.retry is True
    assert dict(os.environ) == before
    assert default_settings.ENCODING_FOR_DYNACONF == "latin-1"
    assert Dynaconf().otp_sms_provider == "leaked"


@pytest.fixture(autouse=True)
def dynaconf_as_it_was() -> Iterator[None]:
    yield
    from dynaconf import default_settings  # noqa: PLC0415 - the host's part of the test above

    default_settings.reload()


def test_a_variable_that_dynaconf_calls_outdated_disturbs_nobody() -> None:
    program = "import otpcore.settings.tree as config; assert config.load_settings() == config.Settings()"
    environment = {**os.environ, "SETTINGS_MODULE": "shop.settings", "PROJECT_ROOT": "/srv/shop"}
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, env=environment)


def test_the_environment_of_the_process_is_never_changed(write: Write) -> None:
    write("otpcore.toml", "[sms]\nretry = true\n")
    write("host.toml", "[sms]\nretry = false\n")
    program = (
        "import sys, dynaconf\n"
        "changes = []\n"
        "sys.addaudithook(lambda event, arguments: changes.append(event) if event in ('os.putenv', 'os.unsetenv') else None)\n"
        "import os; os.environ['PROBE'] = 'noticed'\n"
        "from otpcore.settings.tree import load_settings\n"
        "assert load_settings().sms.retry\n"
        "assert changes == ['os.putenv'], changes"
    )
    host = {"SETTINGS_FILE_FOR_DYNACONF": "host.toml", "DYNACONF_SMS": "leaked", "SETTINGS_MODULE": "host"}
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, **host})


def test_a_current_directory_that_is_gone_is_named_where_it_matters(tmp_path: Path, monkeypatch) -> None:
    settings = tmp_path / "otpcore.toml"
    settings.write_text("[sms]\nretry = true\n")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load_settings(settings).sms.retry
    assert "current directory" in refusal(load_settings)
    assert "current directory" in refusal(lambda: load_settings("otpcore.toml"))
    assert Settings.from_mapping({}) == Settings()


def test_the_reader_is_not_hooked_by_includes_in_the_file(write: Write) -> None:
    write("strange.toml", "[sms]\nretry = true\n")
    write("otpcore.toml", "dynaconf_include = ['strange.toml']")
    assert "dynaconf_include" in refusal(load_settings)
