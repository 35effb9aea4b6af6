"""Settings in a framework's configuration."""

from __future__ import annotations

import json
import pprint
import re
import traceback

import pytest

from otpcore import Settings, SettingsError
from otpcore.embedding import Embedding, Hidden, Spelling, in_sandbox

SECRET = "s3cret-of-the-provider"
SHOP = Embedding(variable="SHOP_OTP", written='shop["SHOP_OTP"]', command="shop otp", own=("colour",))


def test_hidden_settings_are_read_and_changed_as_a_dictionary_and_shown_by_nothing():
    hidden = SHOP.hidden({"providers": {"twilio": {"auth_token": SECRET}}, "otp": {"length": 6}})
    assert isinstance(hidden, Hidden)
    hidden["otp"]["length"] = 8
    hidden["storage"] = {"url": SECRET}
    for shown in (hidden, hidden["providers"], hidden["storage"]):
        for text in (repr(shown), str(shown), pprint.pformat({"a": shown})):
            assert SECRET not in text
            assert "SHOP_OTP: hidden" in text
    assert SECRET not in str({**hidden})
    assert hidden["storage"]["url"] == SECRET
    del hidden["storage"]
    assert {*hidden} == {"providers", "otp"}
    assert (len(hidden), hidden["otp"]) == (2, {"length": 8})
    assert SHOP.settings(hidden).otp.length == 8
    assert SHOP.hidden(hidden) is hidden


@pytest.mark.parametrize("given", [None, "text", 7])
def test_what_is_no_dictionary_stays_what_it_is_and_is_refused(given):
    assert SHOP.hidden(given) is given
    for read in (SHOP.settings, SHOP.proxies, SHOP.checked):
        with pytest.raises(
            SettingsError, match=r"^SHOP_OTP: (is not set. Fix: shop\[\"SHOP_OTP\"\] = |must be a dict)"
        ):
            read(given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"color": "red"}, "SHOP_OTP: color: unknown; colour is meant?"),
        ({"trusted_proxy": []}, "SHOP_OTP: trusted_proxy: unknown; trusted_proxies is meant?"),
        ({"settings_file": 3}, "SHOP_OTP: settings_file: must be the path of a settings file"),
        ({"settings_file": "a.toml", "otp": {}}, "SHOP_OTP: settings_file names a file, and otp stand here. Fix: write"),
        ({"otp": {"lenght": 6}}, "otp.lenght"),
        ({"otp": {"length": 4}}, 'otherwise, in shop["SHOP_OTP"]: "otp": {"allow_noncompliant": True}'),
        ({"sms": {"http": {}}}, 'http is no part of shop["SHOP_OTP"]["sms"]: write it in shop["SHOP_OTP"]["http"]'),
        ({"sms": {"otp_sms_provider": "A"}}, 'write it directly in shop["SHOP_OTP"]'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_the_words_of_the_framework(given, told):
    with pytest.raises(SettingsError, match=re.escape(told)):
        SHOP.settings(given)


def test_no_frame_of_an_error_has_the_values():
    hidden = SHOP.hidden({"providers": {"a": {"auth_token": SECRET}}, "otp": {"length": 99}})
    with pytest.raises(SettingsError) as raised:
        SHOP.settings(hidden)
    below = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)][1:]
    assert [frame.f_code.co_name for frame in below] == ["settings"]
    assert SECRET not in repr(below[0].f_locals)
    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)


def test_keys_of_the_package_are_not_otpcores():
    assert SHOP.keys == ("colour", "settings_file", "trusted_proxies")
    given = {"colour": "red", "trusted_proxies": ["10.0.0.0/8", "unix"], "otp": {"length": 7}}
    assert SHOP.settings(given).otp.length == 7
    assert SHOP.proxies(given).unix
    with pytest.raises(SettingsError, match=r"^SHOP_OTP: trusted_proxies: an address or a network"):
        SHOP.proxies({"trusted_proxies": ["proxy"]})


def test_a_settings_file_has_the_rest_and_its_own_spelling(tmp_path, monkeypatch):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"otp": {"length": 7}}))
    monkeypatch.setenv("OTPCORE_OTP__LOCALE", "bg")
    given = {"settings_file": str(file), "colour": "red"}
    read = SHOP.settings(given)
    assert (read.otp.length, read.otp.locale) == (7, "bg")
    assert SHOP.spelling(given) == Spelling(command="shop otp")
    assert SHOP.spelling({}) == Spelling(command="shop otp", settings='shop["SHOP_OTP"]')


@pytest.mark.parametrize("none", [None, ""])
def test_a_settings_file_that_is_none_is_no_file_and_not_one_that_lies_about(tmp_path, monkeypatch, none):
    (tmp_path / "otpcore.toml").write_text("[otp]\nlength = 7\n")
    other = tmp_path / "other.toml"
    other.write_text("[otp]\nlength = 8\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTPCORE_SETTINGS_FILE", str(other))
    assert SHOP.settings({"settings_file": none}).otp.length == 6
    assert SHOP.settings({"settings_file": none, "otp": {"length": 9}}).otp.length == 9
    assert SHOP.spelling({"settings_file": none}).settings == SHOP.written


def test_in_tests_the_sandbox_stands_in_for_every_provider_but_not_in_production():
    refused = SettingsError("no")
    assert in_sandbox(Settings.from_mapping({}), refused=refused).sms.sandbox
    sandboxed = Settings.from_mapping({"sms": {"sandbox": True}})
    assert in_sandbox(sandboxed, refused=refused) is sandboxed
    with pytest.raises(SettingsError) as raised:
        in_sandbox(Settings.from_mapping({"environment": "production"}), refused=refused)
    assert raised.value is refused
