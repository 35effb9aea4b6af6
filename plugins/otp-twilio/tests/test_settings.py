"""The settings: which go together, how each mistake is named, and where the requests go."""

from __future__ import annotations

import pytest
from otp_twilio import MessagingProvider, VerifyProvider, create_provider
from otp_twilio.settings import TwilioSettings

from otpcore.providers import ProviderContext, SettingsError

ACCOUNT, SERVICE, KEY, POOL = ("AC" + "0" * 32, "VA" + "0" * 32, "SK" + "0" * 32, "MG" + "0" * 32)
VERIFY = {"account_sid": ACCOUNT, "auth_token": "tok-en-1", "service_sid": SERVICE}
MESSAGING = {"mode": "messaging", "account_sid": ACCOUNT, "auth_token": "tok-en-1", "from_number": "+15005550006"}


def make(values):
    return create_provider(ProviderContext(instance="twilio_eu", settings=values))


def test_verify_is_the_mode_unless_messaging_is_named():
    assert isinstance(make(VERIFY), VerifyProvider)
    assert isinstance(make(MESSAGING), MessagingProvider)


@pytest.mark.parametrize("sender", ["+15005550006", "12345", "Acme", "ACME 24-7"])
def test_numbers_short_codes_and_names_can_send(sender):
    assert make({**MESSAGING, "from_number": sender}).settings.from_number == sender


@pytest.mark.parametrize(
    ("values", "key", "hint"),
    [
        ({**VERIFY, "account_sid": "AC1"}, "account_sid", "32 hexadecimal"),
        ({**VERIFY, "account_sid": ""}, "account_sid", "SID of the account"),
        ({**VERIFY, "service_sid": ""}, "service_sid", "is required"),
        ({**VERIFY, "service_sid": "VA1/../x"}, "service_sid", "Verify service"),
        ({**VERIFY, "auth_token": ""}, "auth_token", "api_key"),
        ({**VERIFY, "api_key": KEY, "api_key_secret": "s"}, "auth_token", "not both"),
        ({**VERIFY, "auth_token": "", "api_key": KEY}, "api_key", "api_key_secret"),
        ({**VERIFY, "auth_token": "", "api_key_secret": "s"}, "api_key_secret", "api_key"),
        ({**VERIFY, "auth_token": "", "api_key": "key", "api_key_secret": "s"}, "api_key", "API key"),
        ({**VERIFY, "from_number": "+15005550006"}, "from_number", "messaging"),
        ({**VERIFY, "messaging_service_sid": POOL}, "messaging_service_sid", "messaging"),
        ({**MESSAGING, "service_sid": SERVICE}, "service_sid", "verify"),
        ({**MESSAGING, "channels": ["whatsapp"]}, "channels", "verify"),
        ({**MESSAGING, "custom_codes": True}, "custom_codes", "verify"),
        ({**VERIFY, "channels": ["sms", "telegram"]}, "channels", "sms, call, whatsapp"),
        ({**VERIFY, "channels": []}, "channels", "at least one"),
        ({**MESSAGING, "from_number": ""}, "from_number", "messaging_service_sid"),
        ({**MESSAGING, "from_number": "0888 123"}, "from_number", "leading +"),
        ({**MESSAGING, "from_number": "A name too long"}, "from_number", "11 characters"),
        ({**MESSAGING, "messaging_service_sid": "MG1"}, "messaging_service_sid", "messaging service"),
        ({**VERIFY, "region": "ie1"}, "region", "edge"),
        ({**VERIFY, "edge": "dublin"}, "edge", "region"),
        ({**VERIFY, "region": "ie1", "edge": "evil.example/"}, "edge", "lower-case"),
        (
            {**VERIFY, "region": "ie1", "edge": "dublin", "verify_base_url": "https://x.example"},
            "region",
            "base URLs",
        ),
        ({**VERIFY, "verify_base_url": "http://x.example"}, "verify_base_url", "allow_plain_http"),
        ({**MESSAGING, "api_base_url": "x.example"}, "api_base_url", "https://"),
        ({**VERIFY, "status_callback_url": "https://x.example/"}, "status_callback_url", "messaging"),
        ({**VERIFY, "callback_auth_token": "t"}, "callback_auth_token", "auth_token"),
        ({**MESSAGING, "callback_auth_token": "t"}, "callback_auth_token", "api_key"),
        (
            {
                **MESSAGING,
                "auth_token": "",
                "api_key": KEY,
                "api_key_secret": "s",
                "status_callback_url": "https://x.example/",
            },
            "status_callback_url",
            "callback_auth_token",
        ),
        ({**MESSAGING, "status_callback_url": "https://a_b.example/"}, "status_callback_url", "underscore"),
        ({**MESSAGING, "status_callback_url": "https://x.example/?a=1"}, "status_callback_url", "query"),
        ({**MESSAGING, "status_callback_url": "http://x.example/"}, "status_callback_url", "allow_plain_http"),
        ({**MESSAGING, "status_callback_url": "https://x.example/#"}, "status_callback_url", "#rc=5"),
        ({**MESSAGING, "status_callback_url": "https://x.example/#rc=6"}, "status_callback_url", "0 to 5"),
        ({**MESSAGING, "status_callback_url": "https://x.example/#ct=99"}, "status_callback_url", "100 to 10000"),
        ({**MESSAGING, "status_callback_url": "https://x.example/#rc=5&pr=all"}, "status_callback_url", "rp"),
        ({**MESSAGING, "status_callback_url": "https://x.example/#rp=5xx;ct"}, "status_callback_url", "commas"),
        ({**MESSAGING, "status_callback_url": "https://x.example/#sni=1"}, "status_callback_url", "y or n"),
        ({**MESSAGING, "status_callback_url": "https://x.example/?a=1#rc=5"}, "status_callback_url", "query"),
        ({**VERIFY, "risk_check": "maybe"}, "risk_check", "enable, disable"),
        ({**VERIFY, "tags": ["t"] * 11}, "tags", "10 "),
        ({**MESSAGING, "tags": ["campaign"]}, "tags", "verify"),
        ({**MESSAGING, "rate_limits": {"ip": "client"}}, "rate_limits", "verify"),
        ({**MESSAGING, "substitutions": ["name"]}, "substitutions", "verify"),
        ({**MESSAGING, "device_ip": False}, "device_ip", "verify"),
        ({**MESSAGING, "psd2": True}, "psd2", "verify"),
        ({**VERIFY, "mode": "fax"}, "mode", "verify"),
        ({**VERIFY, "servce_sid": SERVICE}, "servce_sid", "service_sid"),
    ],
)
def test_a_wrong_setting_is_named_with_its_full_key_and_the_fix(values, key, hint):
    with pytest.raises(SettingsError) as caught:
        make(values)
    named = [line for line in str(caught.value).splitlines() if line.strip().startswith(f"providers.twilio_eu.{key}: ")]
    assert named, caught.value
    assert hint in named[0]
    assert "tok-en-1" not in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    ["rc=5&rp=all", "rc=0", "ct=100&rt=15000&tt=15000&rp=ct,rt,5xx&e=ashburn,sao-paulo&sni=y", "rp=4xx"],
)
def test_connection_overrides_may_stand_behind_the_callback_url(overrides):
    url = f"https://x.example/receipts/twilio#{overrides}"
    assert make({**MESSAGING, "status_callback_url": url}).settings.status_callback_url == url


def test_both_ways_to_log_in():
    assert TwilioSettings(**VERIFY).credentials == (ACCOUNT, "tok-en-1")
    keyed = {"account_sid": ACCOUNT, "service_sid": SERVICE, "api_key": KEY, "api_key_secret": "s"}
    assert TwilioSettings(**keyed).credentials == (KEY, "s")


@pytest.mark.parametrize(
    ("extra", "url"),
    [
        ({}, "https://verify.twilio.com"),
        ({"region": "ie1", "edge": "dublin"}, "https://verify.dublin.ie1.twilio.com"),
        ({"verify_base_url": "https://gateway.example/twilio"}, "https://gateway.example/twilio"),
    ],
)
def test_region_and_edge_or_a_base_url_say_where_requests_go(extra, url):
    assert TwilioSettings(**VERIFY, **extra).base_url("verify")[0] == url


def test_no_repr_shows_a_secret():
    provider = make({**VERIFY, "auth_token": "", "api_key": KEY, "api_key_secret": "s3cret"})
    assert "s3cret" not in repr(provider)
    assert "tok-en-1" not in repr(make(MESSAGING))
