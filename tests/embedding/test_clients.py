"""Who asks, behind proxies of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore import SettingsError
from otpcore.embedding import TrustedProxies

PROXIES = ["10.0.0.0/8", "127.0.0.1", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        ([], "203.0.113.5", "", "203.0.113.5"),
        ([], "203.0.113.5", "198.51.100.1", "203.0.113.5"),  # which anybody may write
        (PROXIES, "203.0.113.7", "192.0.2.1", "203.0.113.7"),
        (PROXIES, "127.0.0.1", "198.51.100.1", "198.51.100.1"),
        (PROXIES, "127.0.0.1", "10.0.0.1, 198.51.100.1", "198.51.100.1"),  # what the client wrote is not reached
        (PROXIES, "127.0.0.1", "198.51.100.1, 10.2.3.4", "198.51.100.1"),
        (PROXIES, "::ffff:10.1.1.1", "198.51.100.1", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "203.0.113.7, 10.0.0.2:4711, [2001:db8::1]:80", "203.0.113.7"),
        (["::ffff:10.0.0.0/104"], "::ffff:10.1.1.1", "198.51.100.1", "198.51.100.1"),  # as a socket for both tells it
        (["::ffff:10.1.1.1"], "10.1.1.1", "198.51.100.1, ::ffff:10.1.1.1", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "unknown", "unknown"),
        (PROXIES, "127.0.0.1", "", "127.0.0.1"),
        (PROXIES, "2001:db8::1", "2001:db9::7", "2001:db9::7"),
        (PROXIES, "", "198.51.100.1", ""),  # over a Unix socket, which is not trusted
        (["unix"], "", "198.51.100.1", "198.51.100.1"),
        (["unix"], "", "", ""),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy_of_ours(trusted, peer, forwarded, client):
    assert TrustedProxies.of(trusted).client_of(peer, forwarded) == client


@given(st.text(max_size=40))
def test_what_a_client_writes_before_a_proxys_word_changes_nothing(written):
    trusted = TrustedProxies.of(PROXIES)
    assert trusted.client_of("10.0.0.1", f"{written},203.0.113.7") == "203.0.113.7"


@pytest.mark.parametrize("texts", ["10.0.0.0/8", ["10.0.0.0/8", 7], 7, None])
def test_a_list_of_texts_is_needed(texts):
    with pytest.raises(SettingsError, match=r"^mine: must be a list of texts$"):
        TrustedProxies.of(texts, "mine")


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.1/8", ""])
def test_what_is_no_network_is_refused_with_an_example(text):
    with pytest.raises(SettingsError, match=r"^trusted_proxies: .*such as 10\.0\.0\.0/8, or 'unix'$"):
        TrustedProxies.of([text])
