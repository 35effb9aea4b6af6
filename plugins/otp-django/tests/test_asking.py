"""Who asks: the address for which limits count."""

from __future__ import annotations

import pytest
from django.test import RequestFactory, override_settings
from django.utils import translation
from otp_django import about, client_of
from otp_django_settings import otpcore_settings


def asked(proxies, remote, forwarded=None):
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    request = RequestFactory().get("/", REMOTE_ADDR=remote, **headers)
    with override_settings(OTPCORE=otpcore_settings(trusted_proxies=proxies)):
        return client_of(request)


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "client"),
    [
        ([], "203.0.113.5", "198.51.100.1", "203.0.113.5"),  # which anybody may write
        (["127.0.0.1"], "127.0.0.1", "10.0.0.1, 198.51.100.1", "198.51.100.1"),
        (["127.0.0.1"], "127.0.0.1", None, "127.0.0.1"),
        (["unix"], "", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_nearest_address_that_is_no_proxy_of_ours(proxies, remote, forwarded, client):
    assert asked(proxies, remote, forwarded) == client


def test_what_a_request_says_of_a_send():
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.5")
    with translation.override("zh-hans"):
        assert about(request) == {"client": "203.0.113.5", "locale": "zh-Hans"}
    with translation.override(None):
        assert about(request)["locale"] is None
