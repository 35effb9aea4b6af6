"""Settings are refused at the door, by name, and never quoted where they are secret."""

from __future__ import annotations

import pytest
from otp_sinch import Auth, create_provider

from otpcore.providers import CodeOwner, ProviderContext, SettingsError

SECRET = "bXkta2V5LXNlY3JldA=="


def make(**settings):
    values = {"application_key": "my-key", "application_secret": SECRET, **settings}
    return create_provider(ProviderContext(instance="sinch_eu", settings=values))


def test_key_and_secret_are_enough():
    provider = make()
    assert provider.settings.auth is Auth.APPLICATION
    assert provider.base_url == "https://verification.api.sinch.com"


def test_it_declares_whose_codes_they_are():
    info = make().describe()
    assert info.code_owner is CodeOwner.PROVIDER
    assert info.code_scope == "sinch:my-key"
    assert info.code_lengths == frozenset({4, 5, 6, 7, 8, 9, 10})
    assert info.start_replaces


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"application_secret": "not base64!"}, "application_secret"),
        ({"application_secret": ""}, "application_secret"),
        ({"application_key": ""}, "application_key"),
        ({"application_key": "a:b"}, "application_key"),
        ({"application_key": "a\r\nx: y"}, "application_key"),
        ({"auth": "public"}, "auth"),
        ({"base_url": "http://verification.api.sinch.com"}, "base_url"),
        ({"base_url": "https://verification.api.sinch.com/verification/v1"}, "base_url"),
        ({"aplication_key": "x"}, "aplication_key"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_full_name(settings, key):
    with pytest.raises(SettingsError, match=rf"providers\.sinch_eu\.{key}"):
        make(**settings)


def test_a_malformed_secret_is_never_quoted():
    with pytest.raises(SettingsError) as refusal:
        make(application_secret="hunter2-hunter2!")
    assert "hunter2" not in str(refusal.value)


def test_the_secret_stays_out_of_repr():
    assert SECRET not in repr(make())


def test_plain_http_is_allowed_by_name_and_on_loopback():
    assert make(base_url="http://127.0.0.1:8080/").base_url == "http://127.0.0.1:8080"
    assert make(base_url="http://gateway.internal", allow_plain_http=True).base_url == "http://gateway.internal"


def test_a_secret_without_padding_works():
    assert make(application_secret=SECRET.rstrip("=")).settings.secret == b"my-key-secret"
