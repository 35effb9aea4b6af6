"""Settings: each mistake is refused before anything is sent, and the error names the key."""

from __future__ import annotations

import pytest
from otp_mada import MadaSettings, UnicodePolicy, create_provider

from otpcore.providers import CodeOwner, ProviderContext, SettingsError

GOOD = {
    "url": "https://gateway.example.com:8065/acme",
    "username": "acme",
    "password": "hunter2-hunter2",
    "source_name": "Acme",
}


def create(**changes):
    settings = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    return create_provider(ProviderContext(instance="mada_bg", settings=settings))


def test_what_is_left_out_is_what_customers_of_the_gateway_send():
    settings = create().settings
    assert settings == MadaSettings(
        **GOOD,
        source_ton=5,
        source_npi=1,
        destination_ton=1,
        destination_npi=1,
        registered_delivery=1,
        unicode=UnicodePolicy.REFUSE,
        validity_period=False,
        allow_plain_http=False,
    )


def test_the_core_owns_the_code_and_there_are_no_calls():
    provider = create()
    assert provider.describe().code_owner is CodeOwner.CORE
    assert not hasattr(provider, "call")


@pytest.mark.parametrize("key", sorted(GOOD))
def test_what_is_needed_is_asked_for_by_its_full_key(key):
    with pytest.raises(SettingsError, match=rf"providers\.mada_bg\.{key}"):
        create(**{key: None})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("url", "gateway.example.com"),
        ("url", "http://gateway.example.com/acme"),
        ("url", "https://acme:hunter2@gateway.example.com/acme"),
        ("url", "https://gateway.example.com/acme?x=1"),
        ("username", ""),
        ("username", "ac:me"),
        ("username", "ac\nme"),
        ("username", " acme"),
        ("username", "acme\n"),
        ("password", "hunter2 "),
        ("password", "hunter2\n"),
        ("password", "hunter\u200b2"),
        ("password", ""),
        ("password", "hunter\n2"),
        ("source_name", ""),
        ("source_name", " Acme"),
        ("source_name", "TwelveLetter"),
        ("source_name", "Acme[]€€€€"),
        ("source_name", "Акме"),
        ("source_name", "Ac\nme"),
        ("source_name", "+359871234567"),
        ("source_name", "359871234567"),
        ("source_ton", 7),
        ("source_ton", -1),
        ("source_npi", 2),
        ("destination_ton", 9),
        ("destination_npi", 5),
        ("registered_delivery", 3),
        ("unicode", "maybe"),
        ("source", "Acme"),
    ],
)
def test_a_mistake_is_refused_by_its_full_key(key, value):
    with pytest.raises(SettingsError, match=rf"providers\.mada_bg\.{key}") as refused:
        create(**{key: value})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "ton"), [("Acme Bank24", 5), ("Elevenchars", 5), ("12345", 5), ("359871234567", 1), ("12345", 3)]
)
def test_senders_that_networks_know_are_taken(name, ton):
    source = create(source_name=name, source_ton=ton).settings.source
    assert (source.addr, source.ton) == (name, ton)


def test_a_long_number_as_sender_is_told_its_type():
    with pytest.raises(SettingsError, match="source_ton = 1"):
        create(source_name="359871234567")


def test_a_name_is_no_sender_of_a_numeric_type():
    with pytest.raises(SettingsError, match=r"source_name.*digits"):
        create(source_ton=1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8065/acme", "http://localhost/acme", "https://gateway.example.com"])
def test_urls_that_keep_the_password_private_need_no_permission(url):
    assert create(url=url).settings.url == url


def test_plain_http_must_be_asked_for_by_name():
    with pytest.raises(SettingsError, match="allow_plain_http"):
        create(url="http://gateway.example.com/acme")
    assert create(url="http://gateway.example.com/acme", allow_plain_http=True)


def test_the_password_is_in_no_repr():
    assert "hunter2" not in repr(create()) + repr(create().settings)
