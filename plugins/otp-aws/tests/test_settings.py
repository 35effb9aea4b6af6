"""The settings: how each mistake is named, where the requests go, and where the credentials come from."""

from __future__ import annotations

import pytest
from otp_aws import create_provider
from otp_aws.simulator.topic import certificate_of

from otpcore.providers import ProviderContext, SettingsError

KEYS = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfi"}
GOOD = {"region": "eu-west-1", "origination_identity": "Acme", **KEYS}
TOPIC = "arn:aws:sns:eu-west-1:123456789012:otp"


def make(**values):
    return create_provider(ProviderContext(instance="aws_eu", settings={**GOOD, **values}))


@pytest.mark.parametrize(
    ("values", "key", "hint"),
    [
        ({"region": ""}, "region", "eu-west-1"),
        ({"region": "Ireland"}, "region", "eu-west-1"),
        ({"region": "eu-west-1.evil.example/"}, "region", "eu-west-1"),
        ({"origination_identity": "Acme Ltd."}, "origination_identity", "sender ID"),
        ({"origination_identity": ""}, "origination_identity", "sender ID"),
        ({"voice_identity": "+1 206"}, "voice_identity", "a number"),
        ({"access_key_id": "AKIA"}, "access_key_id", "access key"),
        ({"secret_access_key": ""}, "secret_access_key", "access_key_id"),
        ({"access_key_id": ""}, "access_key_id", "secret_access_key"),
        ({"secret_access_key": "two words"}, "secret_access_key", "visible ASCII"),
        ({"session_token": "two words"}, "session_token", "visible ASCII"),
        ({**dict.fromkeys(KEYS, ""), "session_token": "x"}, "session_token", "access_key_id"),
        ({"configuration_set": "otp set"}, "configuration_set", "ARN"),
        ({"protect_configuration": "a b"}, "protect_configuration", "ARN"),
        ({"max_price": "0,10"}, "max_price", "point"),
        ({"max_price": "1"}, "max_price", "point"),
        ({"max_price_per_minute": "$0.10"}, "max_price_per_minute", "point"),
        ({"voices": {"en": "Matthew"}}, "voices", "VoiceId"),
        ({"voices": {"english": "MATTHEW"}}, "voices", "for each language"),
        ({"india_template_id": "1107"}, "india_template_id", "india_entity_id"),
        ({"india_entity_id": "11 01"}, "india_entity_id", "without spaces"),
        ({"sns_topic_arn": "otp", "sns_certificates": ["x"]}, "sns_topic_arn", "arn:aws:sns"),
        ({"sns_topic_arn": TOPIC}, "sns_topic_arn", "sns_certificates"),
        ({"sns_certificates": [certificate_of("sns")]}, "sns_certificates", "sns_topic_arn"),
        ({"sns_topic_arn": TOPIC, "sns_certificates": [certificate_of("sns"), "sns.pem"]}, "sns_certificates", "PEM"),
        ({"base_url": "https://sms-voice.eu-west-1.amazonaws.com/v2"}, "base_url", "scheme and host"),
        ({"base_url": "http://proxy.example"}, "base_url", "https"),
        ({"regoin": "eu-west-1"}, "regoin", "region"),
    ],
)
def test_a_mistake_is_refused_with_its_key_and_the_fix(values, key, hint):
    with pytest.raises(SettingsError) as caught:
        make(**values)
    assert f"providers.aws_eu.{key}" in str(caught.value)
    assert hint in str(caught.value)
    assert KEYS["secret_access_key"] not in str(caught.value)


@pytest.mark.parametrize(
    "identity", ["+12065550100", "Acme", "pool-0123456789", "arn:aws:sms-voice:eu-west-1:1:pool/x"]
)
def test_a_sender_may_be_a_number_a_name_a_pool_or_an_arn(identity):
    assert make(origination_identity=identity).settings.origination_identity == identity


def test_nothing_secret_is_shown():
    shown = repr(make(session_token="t0ken"))
    assert KEYS["secret_access_key"] not in shown
    assert "t0ken" not in shown


async def test_the_port_is_signed_where_it_is_not_the_usual_one():
    hosts = {
        "https://sms-voice.example.com": "sms-voice.example.com",
        "https://SMS-voice.example.com:443": "sms-voice.example.com",
        "https://sms-voice.example.com:8443": "sms-voice.example.com:8443",
        "http://127.0.0.1:80": "127.0.0.1",
        "http://127.0.0.1:443": "127.0.0.1:443",
    }
    for url, host in hosts.items():
        assert make(base_url=url).client.host == host


def test_credentials_may_come_from_the_environment(monkeypatch):
    nothing = dict.fromkeys(KEYS, "")
    with pytest.raises(SettingsError, match=r"providers\.aws_eu\.access_key_id: is required"):
        make(**nothing)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT00000")
    with pytest.raises(SettingsError, match=r"AWS_SECRET_ACCESS_KEY is not"):
        make(**nothing)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-environment")
    fixed = make(**nothing).client.source.fixed
    assert fixed.access_key_id == "AKIAENVIRONMENT00000"
    assert fixed.secret_access_key == "of-the-environment"
    assert fixed.session_token == "token-of-the-environment"
    assert make().client.source.fixed.access_key_id == KEYS["access_key_id"], "the settings go before"
