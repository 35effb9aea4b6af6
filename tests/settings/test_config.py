"""Settings are read from files and the environment once, checked as a whole, and every refusal names key and fix."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
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

from .reading import Write, refusal


def from_mapping_refusal(**values: Any) -> str:
    return refusal(lambda: Settings.from_mapping(values))


# The tree


def test_nothing_said_is_a_valid_set_of_safe_defaults() -> None:
    settings = Settings.from_mapping({})
    assert settings == Settings()
    assert (settings.sms.retry, settings.sms.max_retries) == (False, 20)
    assert (settings.call.retry, settings.call.max_retries) == (False, 2)
    assert (settings.otp.length, settings.otp.life, settings.otp.attempts) == (6, 300.0, 5)
    assert settings.limits.lists["phone"] == (Limit(3, 600), Limit(10, 86_400))
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
                    "https://example.com:0/r",
                    "https://example.com:65536/r",
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
    longest = "m" * 64  # as in rules
    assert Settings(providers={longest: {}}, otp_sms_provider=longest).providers == {longest: {}}
    assert from_mapping_refusal(providers={f"{longest}m": {}}).startswith(f"providers.{longest}m: a name is")
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


def test_wrong_keys_of_a_start_and_of_one_that_has_data_have_their_fix_each() -> None:
    message = refusal(KeySettings(index="abc").check)
    assert "restore the keys that were used" in message
    assert "if nothing is stored yet, remove them and run `otp keys new`" in message


def test_keys_written_with_padding_are_good() -> None:
    KeySettings(index=GOOD + "=", code={"k1": GOOD + "="}, current="k1").check()


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
