"""Settings are read from files and the environment once, checked as a whole, and every refusal names key and fix."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from sqlalchemy import make_url

from otpcore.errors import RoutingSyntaxError, SettingsError
from otpcore.service.assembly import make_store
from otpcore.settings.tree import (
    KeySettings,
    Limit,
    OtpSettings,
    Settings,
    SmsSettings,
    documented_keys,
    generate_keys,
    load_settings,
    parse_limit,
    starter_file,
)

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and nothing about otpcore in the environment."""
    for name in list(os.environ):
        if name.startswith("OTPCORE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(directory: Path) -> Write:
    def write_file(name: str, text: str) -> Path:
        file = directory / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return file

    return write_file


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value)


def from_mapping_refusal(**values: Any) -> str:
    return refusal(lambda: Settings.from_mapping(values))


# The tree


def test_nothing_said_is_a_valid_set_of_safe_defaults() -> None:
    settings = Settings.from_mapping({})
    assert settings == Settings()
    assert (settings.sms.retry, settings.sms.max_retries) == (False, 20)
    assert (settings.call.retry, settings.call.max_retries) == (False, 2)
    assert (settings.otp.length, settings.otp.life, settings.otp.attempts) == (6, 300.0, 5)
    assert settings.limits.of("phone") == (Limit(3, 600), Limit(10, 86_400))
    assert (settings.storage.store, settings.store_name) == (None, "sql")
    assert settings.keys.missing


def test_the_documents_settings_are_read() -> None:
    settings = Settings.from_mapping(
        {"otp_sms_provider": "Twilio;Mada:+35987,+35988;Sinch", "sms": {"retry": True, "max_retries": 20}}
    )
    assert settings.otp_sms_provider == "Twilio;Mada:+35987,+35988;Sinch"
    assert settings.sms == SmsSettings(retry=True, max_retries=20)


@pytest.mark.parametrize(
    ("section", "key", "good", "bad"),
    [
        ("sms", "max_retries", [0, 100], [-1, 101]),
        ("call", "max_retries", [0, 100], [-1, 101]),
        ("otp", "length", [6, 10], [3, 4, 5, 11]),
        ("otp", "life", [30, 600], [29, 601, 86_400]),
        ("otp", "attempts", [1, 5], [0, 6, 20]),
        ("otp", "cooldown", [0, 300], [-1, 301]),
        ("otp", "provider_timeout", [0.01, 10], [0, 60.1]),
        ("otp", "send_timeout", [5, 120], [0, 4.9, 121]),
        ("otp", "default_region", ["BG", ""], ["bg", "Bulgaria", "XX"]),
        ("otp", "locale", ["en", "pt-BR"], ["", "english", "pt_BR"]),
        ("otp", "web_otp_host", ["example.com", ""], ["https://example.com"]),
        ("otp", "android_hash", ["FA+9qCX9VSu", ""], ["short"]),
        (
            "otp",
            "receipts_url",
            ["https://example.com/receipts", "https://example.com", "http://127.0.0.1:8000/r", "http://[::1]/r", ""],
            [
                *(
                    "example.com/receipts",
                    "ftp://example.com",
                    "https://",
                    "https://example.com:x/",
                    "https://bücher.example",
                ),
                *("http://example.com/receipts", "https://user:secret@example.com/receipts"),
                *("https://example.com/receipts/", "https://example.com/receipts?a=1", "https://example.com/#a"),
            ],
        ),
        ("otp", "verify_by", ["phone", "id"], ["mail"]),
        ("otp", "number_policy", ["valid", "possible"], ["any"]),
        ("otp", "templates", [{"login": {"en": "{code} it is"}}], [{"login": {"en": "no place"}}, {"login": "{code}"}]),
        ("limits", "phone", [[], ["1/30s", "5/2h"], ["0/1h"]], [["3"], ["-1/1h"], ["00/1h"], ["3/10"], ["3/h"], [3]]),
        ("limits", "lock_after", [1, 100], [0, 101]),
        ("retry", "jitter", [0, 0.5], [-0.1, 0.6, 20]),
        ("retry", "first_delay", [0.01, 30], [0, 31]),
        ("retry", "max_delay", [0.5, 3600], [0.4, 3601]),
        ("retry", "lease", [6, 600], [5, 601]),
        ("retry", "concurrency", [1, 1000], [0, 1001]),
        ("retry", "poll", [0.01, 60], [0, 61]),
        ("retry", "breaker_threshold", [1, 1000], [0]),
        ("retry", "runner", ["inline", "rabbitmq"], ["", "a b"]),
        ("routing", "reload_every", [0.1, 3600], [0]),
        ("plugins", "on_error", ["raise", "skip"], ["ignore"]),
        ("plugins", "thread_slots", [1, 1000], [0]),
        ("storage", "store", ["sql", "memory"], ["two words"]),
        ("storage", "synchronous", ["FULL", "NORMAL"], ["OFF"]),
        ("storage", "keep_challenges", [0, 86_400], [-1]),
        ("storage", "keep_deliveries", [86_400, 2_592_000], [0, 86_399]),
        ("storage", "keep_audit", [86_400, 31_536_000], [0, 86_399]),
    ],
)
def test_each_range_ends_where_it_says_and_errors_name_the_full_key(
    section: str, key: str, good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        Settings.from_mapping({section: {key: value}})
    for value in bad:
        message = refusal(lambda: Settings.from_mapping({section: {key: value}}))  # noqa: B023 - called at once
        assert f"{section}.{key}" in message or (key == "first_delay" and "retry.max_delay" in message)


def test_the_same_checks_hold_where_a_host_builds_the_tree_itself() -> None:
    assert refusal(lambda: OtpSettings(length=11)) == "otp.length: must be 6 to 10 digits, not 11"
    assert refusal(lambda: Settings(environment="prod")).startswith("environment: must be one of")  # type: ignore[arg-type] # on purpose
    assert "sms: must be SmsSettings, not a mapping" in refusal(lambda: Settings(sms={"retry": True}))  # type: ignore[arg-type] # on purpose


def test_weaker_codes_need_the_switch_and_the_error_says_so() -> None:
    weaker = {"length": 4, "life": 86_400, "attempts": 20}
    message = from_mapping_refusal(otp=weaker)
    assert message.count("in [otp]: allow_noncompliant = true") == 3
    assert Settings.from_mapping({"otp": {**weaker, "allow_noncompliant": True}}).otp.length == 4
    message = from_mapping_refusal(otp={"length": 3, "life": 86_401, "attempts": 21, "allow_noncompliant": True})
    assert message.startswith("3 settings are wrong")
    assert "allow_noncompliant" not in message


HASH = "FA+9qCX9VSu"


def test_texts_that_no_android_app_would_read_are_refused_with_their_language() -> None:
    lines = {"android_hash": HASH, "web_otp_host": "accounts.example.com"}
    Settings.from_mapping({"otp": {**lines, "app": "Acme", "length": 10}})
    with pytest.raises(SettingsError, match=r"otp\.android_hash: our shortest text in ar, bg, .*hi.*140 bytes") as ours:
        Settings.from_mapping({"otp": {**lines, "web_otp_host": f"{'a' * 60}.{'b' * 60}.example.com"}})
    assert "otp.web_otp_host" in str(ours.value)
    cyrillic = {**lines, "app": "\u041f\u044a\u0440\u0432\u0430 \u0431\u0430\u043d\u043a\u0430" * 4}
    with pytest.raises(SettingsError, match=r"otp\.android_hash: our shortest text in"):
        Settings.from_mapping({"otp": cyrillic})
    with pytest.raises(SettingsError, match=r"otp\.templates\.login\.bg: 2 SMS") as theirs:
        Settings.from_mapping(
            {"otp": {**lines, "templates": {"login": {"en": "{code}", "bg": "\u041a" * 40 + "{code}"}}}}
        )
    assert "shorten the text" in str(theirs.value)
    with pytest.raises(SettingsError, match=r"otp\.templates\.login\.fr.*'ç' \(U\+00E7\) alone"):
        Settings.from_mapping(
            {"otp": {"android_hash": HASH, "templates": {"login": {"fr": "ça, " + "a" * 60 + "{code}"}}}}
        )
    with pytest.raises(SettingsError, match=r"otp\.templates\.login\.de.*1 SMS of 14\d bytes"):
        Settings.from_mapping({"otp": {"android_hash": HASH, "templates": {"login": {"de": "a" * 125 + "{code}"}}}})
    Settings.from_mapping({"otp": {"templates": {"login": {"de": "a" * 300 + "{code}"}}}})  # long is no fault in itself


def test_languages_that_a_hosts_text_serves_are_not_measured_with_ours() -> None:
    host = f"{'a' * 60}.{'b' * 39}.example.com"
    otp = {"android_hash": HASH, "web_otp_host": host, "app": "A name of some length", "templates": {}}
    with pytest.raises(SettingsError, match=r"our shortest text"):
        Settings.from_mapping({"otp": otp})
    Settings.from_mapping({"otp": {**otp, "templates": {"default": {"en": "{code}"}}}})


def test_retries_that_could_never_start_are_refused() -> None:
    message = from_mapping_refusal(sms={"retry": True}, otp={"life": 30})
    assert message == "retry.min_useful_life: must be shorter than otp.life (30 s)"
    Settings.from_mapping({"otp": {"life": 30}})


def test_a_rule_that_cannot_be_read_is_refused_at_load_with_its_key_and_column(write: Write) -> None:
    with pytest.raises(RoutingSyntaxError, match="otp_sms_provider: ") as caught:
        Settings.from_mapping({"otp_sms_provider": "Twilio;Mada:35987"})
    assert (caught.value.column, caught.value.text) == (13, "Twilio;Mada:35987")
    file = write("otpcore.toml", 'otp_call_provider = "Twilio;;"')
    with pytest.raises(RoutingSyntaxError, match="otp_call_provider") as caught:
        load_settings()
    assert str(file) in caught.value.problem


@pytest.mark.parametrize(
    ("text", "limit"), [("3/10m", Limit(3, 600)), (" 1/1d ", Limit(1, 86_400)), ("20/1h", Limit(20, 3600))]
)
def test_limits_are_written_as_count_and_time(text: str, limit: Limit) -> None:
    assert parse_limit(text) == limit


def test_instance_names_know_no_case() -> None:
    settings = Settings.from_mapping({"providers": {"Twilio_EU": {"plugin": "twilio"}}})
    assert settings.providers == {"twilio_eu": {"plugin": "twilio"}}
    assert Settings(providers={"Mada": {}}).providers == {"mada": {}}
    assert from_mapping_refusal(providers={"mada": {}, "Mada": {}}) == (
        "providers: names must differ in more than case: mada, Mada"
    )
    assert from_mapping_refusal(providers={"2nd": {}}).startswith("providers.2nd: a name is")
    assert from_mapping_refusal(providers={"mada": {"plugin": 5}}).startswith("providers.mada.plugin: must be text")


def test_what_the_reader_fills_in_cannot_be_set() -> None:
    assert "directory: unknown key" in from_mapping_refusal(directory="/")
    assert "files: unknown key" in from_mapping_refusal(files=[])


def test_secrets_are_in_no_repr() -> None:
    settings = Settings.from_mapping(
        {
            "keys": {"index": "hush1", "code": {"k1": "hush2"}, "current": "k1"},
            "providers": {"mada": {"password": "hush3"}},
            "storage": {"url": "postgresql://user:hush4@db/otp"},
        }
    )
    assert "hush" not in repr(settings)


# Keys


def test_fresh_keys_are_good_and_named_after_the_day() -> None:
    keys = generate_keys(datetime(2026, 11, 22, tzinfo=UTC))
    keys.check()
    assert not keys.missing
    assert re.fullmatch("k20261122_[0-9a-f]{4}", keys.current)
    assert keys.index != keys.code[keys.current]
    assert generate_keys(datetime(2026, 11, 22, tzinfo=UTC)) != keys


GOOD = "A" * 43


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (KeySettings(), ["keys.index", "keys.code", "keys.current"]),
        (KeySettings(index=GOOD, code={"k1": GOOD}), ["keys.current"]),
        (KeySettings(index=GOOD, code={"k1": GOOD}, current="k2"), ["keys.current"]),
        (KeySettings(index="hush" * 5, code={"k1": GOOD}, current="k1"), ["keys.index"]),
        (KeySettings(index=GOOD, code={"k1": "hush" * 10 + "+/=="}, current="k1"), ["keys.code.k1"]),
        (KeySettings(index=GOOD, code={"k1": GOOD + "hu"}, current="k1"), ["keys.code.k1"]),
        (KeySettings(index=GOOD, code={"K:1": GOOD}, current="K:1"), ["keys.code.K:1"]),
    ],
)
def test_unusable_keys_are_named_with_the_fix_and_never_shown(keys: KeySettings, named: list[str]) -> None:
    message = refusal(keys.check)
    assert all(f"{key}: " in message for key in named)
    assert "Fix: " in message
    assert GOOD not in message
    assert "hush" not in message


def test_keys_written_with_padding_are_good() -> None:
    KeySettings(index=GOOD + "=", code={"k1": GOOD + "="}, current="k1").check()


# Files and environment


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


def test_a_wrong_type_in_the_environment_is_found_also_below_a_plain_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTPCORE_SMS", "yes")
    assert "sms (environment variable OTPCORE_SMS): must be a table" in refusal(load_settings)
    monkeypatch.setenv("OTPCORE_SMS__RETRY__NOW", "yes")
    assert "sms.retry (environment variable OTPCORE_SMS__RETRY__NOW): must be true or false" in refusal(load_settings)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("otpcore.toml", '[sms]\nretry = true\ntoken = "hush\n', "line 3 is not valid TOML"),
        ("otpcore.yaml", "sms: retry: true\nhush: [\n", "line 1 is not valid YAML"),
        (
            "otpcore.yaml",
            "token: hush1\ntoken: hush2\n",
            "line 2: token is there already in this table. Fix: keep one of the two, with all that both say",
        ),
        (
            "otpcore.json",
            '{"hush": "a",\n"token": {"b": 1,\n"b": "hush"}}',
            'line 3: "b" is there already in this table. Fix: keep one of the two, with all that both say',
        ),
        (
            "otpcore.toml",
            "[sms]\nretry = true\n[call]\n[sms]\nsandbox = false\n",
            "line 4: [sms] is there already, since line 1. Fix: put the keys of both under one [sms]",
        ),
        (
            "otpcore.toml",
            "sms.retry = true\n\n[ sms ]  # again\n",
            "line 3: [sms] is there already, since line 1. Fix: put the keys of both under one [sms]",
        ),
        (
            "otpcore.toml",
            '[providers.mada]\npassword = "hush1"\n"password" = "hush2"\n',
            "line 3: password is there already in [providers.mada], since line 2. Fix: keep one of the two",
        ),
        (
            "otpcore.toml",
            'environment = "hush"\nenvironment = """\nhush"""\n',
            "line 2: environment is there already, since line 1. Fix: keep one of the two",
        ),
        ("otpcore.json", '{"hush": 1,\n  hush}', "line 2 is not valid JSON"),
        ("otpcore.json", '["hush"]', "is not a table of settings in valid JSON"),
        ("otpcore.yaml", "hush", "is not a table of settings in valid YAML"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_named_with_the_line_and_not_quoted(
    write: Write, name: str, text: str, problem: str
) -> None:
    file = write(name, text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == f"{file}: {problem}"
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '[sms]\notp_sms_provider = "Mada"\n',
            "otp_sms_provider is no part of [sms]: write it above the first [section]",
        ),
        ("[sms]\nlimits.phone = []\n", "limits is no part of [sms]: write it under a [limits] of its own"),
        ("[sms]\nsms.retry = true\n", "below [sms] write its keys without sms. before them"),
    ],
)
def test_what_was_pasted_into_another_section_is_told_where_it_belongs(write: Write, text: str, told: str) -> None:
    write("otpcore.toml", text)
    assert told in refusal(load_settings)


def test_the_broken_one_of_two_files_is_named(write: Write) -> None:
    write("otpcore.toml", "[sms]\nretry = true\n")
    secrets = write(".otpcore.secrets.toml", "[keys\n")
    assert refusal(load_settings) == f"{secrets}: line 1 is not valid TOML"


def test_a_file_that_is_not_text_is_named(directory: Path) -> None:
    (directory / "otpcore.toml").write_bytes(b"\xff\xfe[sms]")
    assert refusal(load_settings) == f"{directory / 'otpcore.toml'}: is not UTF-8 text"


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


def test_a_database_needs_a_place() -> None:
    assert Settings.from_mapping({"storage": {"url": "sqlite://"}}).database_url == "sqlite://"
    assert refusal(lambda: Settings.from_mapping({}).database_url).startswith("storage.url: must be set")
    assert refusal(lambda: Settings.from_mapping({"storage": {"url": ""}}).database_url).startswith("storage.url")


# What people read


def test_the_first_files_load_cleanly_and_say_what_the_document_says(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = generate_keys(datetime(2026, 11, 22, tzinfo=UTC))
    main, secrets = starter_file(keys)
    assert "retry = false\n" in main
    assert "max_retries = 20\n" in main
    assert keys.index not in main
    write("otpcore.toml", main)
    write(".otpcore.secrets.toml", secrets)
    settings = load_settings()
    settings.keys.check()
    assert attrs.evolve(settings, files=(), directory=None) == attrs.evolve(Settings(), keys=keys)


def test_every_key_is_documented_with_its_default() -> None:
    rows = {row.key: row for row in documented_keys()}
    assert {"otp_sms_provider", "sms.retry", "keys.code.<id>", "providers.<instance>"} <= rows.keys()
    assert not {"files", "directory", "section"} & rows.keys()
    assert (rows["otp.life"].kind, rows["otp.life"].default) == ("number", "300.0")
    assert all(row.meaning for row in rows.values())
    for key, row in rows.items():
        if row.default and "<" not in key:
            tree = tomllib.loads(f"{key} = {row.default}")
            assert Settings.from_mapping(tree) == Settings(), key


def test_importing_it_imports_nothing_heavy() -> None:
    heavy = "{'cattrs', 'dynaconf', 'phonenumbers', 'sqlalchemy', 'cryptography', 'httpx', 'typer'}"
    program = f"import sys, otpcore.settings.tree; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("storage", "name"),
    [
        ({}, "sql"),
        ({"url": "sqlite:////var/lib/otp.sqlite3"}, "sql"),
        ({"url": "postgresql+psycopg://otp:secret@db/otp"}, "sql"),
        ({"url": "MariaDB://otp:secret@db/otp"}, "sql"),
        ({"url": "redis://:secret@cache/0"}, "redis"),
        ({"url": "redis+cluster://:secret@cache/0"}, "redis+cluster"),
        ({"url": "redis://:secret@cache/0", "store": "acme"}, "acme"),
        ({"store": "memory"}, "memory"),
        ({"url": "postgres://otp@db/otp"}, "sql"),
        ({"url": "not a url"}, "sql"),  # which says so
    ],
)
def test_the_url_alone_chooses_the_store(storage, name):
    assert Settings.from_mapping({"storage": storage}).store_name == name


@pytest.mark.parametrize("url", ["postgre://otp:pa55word@db/otp", "acme+fast://otp:pa55word@db", "otp pa55word:@db"])
def test_a_url_that_nothing_keeps_data_at_is_refused_without_its_password(url):
    told = refusal(lambda: make_store(Settings.from_mapping({"storage": {"url": url}}), None))
    assert told.startswith("storage.url: nothing that is installed keeps data at")
    assert "Fix: " in told
    assert "pa55word" not in told
    assert ("postgre://" in told) == url.startswith("postgre:")


def test_the_database_lies_beside_the_file_whatever_the_directory_is_called(tmp_path):
    directory = tmp_path / "100%25 sure?"
    directory.mkdir()
    (directory / "otpcore.toml").write_text("")
    url = load_settings(directory / "otpcore.toml").database_url
    assert make_url(url).database == (directory / "otpcore.sqlite3").as_posix()
