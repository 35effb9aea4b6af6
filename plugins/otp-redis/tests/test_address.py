from __future__ import annotations

import pytest
from otp_redis import RedisStore, create_store
from otp_redis.address import Address
from redis.connection import SSLConnection, UnixDomainSocketConnection

from otpcore.settings.tree import Settings
from otpcore.stores import SettingsError


@pytest.mark.parametrize(
    ("url", "place", "arguments"),
    [
        ("redis://localhost", "redis://localhost", {"host": "localhost"}),
        ("redis://localhost:7000/3", "redis://localhost:7000/3", {"host": "localhost", "port": 7000, "db": 3}),
        (
            "valkey://otp:pa55word%2F@cache.example.com/0",
            "valkey://cache.example.com/0",
            {"host": "cache.example.com", "db": 0, "username": "otp", "password": "pa55word/"},
        ),
        ("redis://[::1]:7000/0", "redis://[::1]:7000/0", {"host": "::1", "port": 7000, "db": 0}),
        (
            "rediss://:pa55word@cache/0?ssl_ca_certs=/etc/ca.pem",
            "rediss://cache/0",
            {
                "host": "cache",
                "db": 0,
                "password": "pa55word",
                "ssl_ca_certs": "/etc/ca.pem",
                "connection_class": SSLConnection,
            },
        ),
        (
            "unix:///run/redis.sock?db=2",
            "unix:///run/redis.sock",
            {"path": "/run/redis.sock", "db": 2, "connection_class": UnixDomainSocketConnection},
        ),
    ],
)
def test_a_url_is_a_server_and_its_place_shows_no_password(url, place, arguments):
    address = Address.parse(url)
    assert (address.place, dict(address.arguments), address.nodes) == (place, arguments, ())
    assert address.base == "otp:{otp}:"
    assert "pa55word" not in repr(address)


@pytest.mark.parametrize(("scheme", "ssl"), [("redis+cluster", False), ("rediss+cluster", True)])
def test_a_cluster_is_named_by_some_of_its_nodes(scheme, ssl):
    address = Address.parse(f"{scheme}://otp:pa55word@one:7000,two:7001,three?tag=shop&wait_replicas=1")
    assert address.nodes == (("one", 7000), ("two", 7001), ("three", 6379))
    assert address.place == f"{scheme}://one:7000,two:7001,three:6379"
    assert address.arguments == {"username": "otp", "password": "pa55word", "ssl": ssl}
    assert (address.base, address.wait_replicas) == ("otp:{shop}:", 1)


def test_a_service_is_named_after_its_sentinels():
    address = Address.parse(
        "rediss+sentinel://otp:pa55word@one,two:26380/my-main/2"
        "?tag=shop&sentinel_username=watch&sentinel_password=pa55word2&ssl_ca_certs=/etc/ca.pem&socket_timeout=2"
    )
    assert address.sentinels == (("one", 26379), ("two", 26380))
    assert (address.service, address.nodes, address.base) == ("my-main", (), "otp:{shop}:")
    assert address.place == "rediss+sentinel://one:26379,two:26380/my-main/2"
    shared = {"connection_class": SSLConnection, "ssl_ca_certs": "/etc/ca.pem", "socket_timeout": 2.0}
    assert address.arguments == {"username": "otp", "password": "pa55word", "db": 2, **shared}
    assert address.sentinel_arguments == {"username": "watch", "password": "pa55word2", **shared}
    assert "pa55word" not in repr(address)
    assert Address.parse("redis+sentinel://one/main").arguments == {"db": 0}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis+sentinel://:pa55word@one,two", "there must be the name of the service that they watch"),
        ("redis+sentinel://:pa55word@one/main/zero", "there must be the name of the service that they watch"),
        ("redis+sentinel://:pa55word@one:port/main", "after '@' there must be a host"),
        (
            "redis+sentinel://one/main?sentinel_user=pa55word",
            "an option is not known, or cannot be read: sentinel_user",
        ),
        (
            "redis://one?decode_responses=no&max_connections=3",
            "an option that otp-redis chooses itself: decode_responses, max",
        ),
        ("http://pa55word@host", "not the URL of a Redis or Valkey server"),
        ("redis://:pa55word@[::1", "not the URL of a Redis or Valkey server"),
        ("redis://:pa55word@host/0?tag=a{b", "tag must be letters"),
        ("redis://:pa55word@host/0?wait_replicas=many", "wait_replicas must be a number"),
        (
            "redis://:pa55word@host/0?no_such_option=pa55word",
            "an option is not known, or cannot be read: no_such_option",
        ),
        (
            "redis://:pa55word@host/0?socket_timeout=pa55word",
            "an option is not known, or cannot be read: socket_timeout",
        ),
        ("redis://:pa55word@host/zero", "the path must be the number of a database"),
        ("redis://:pa55word@host:port/0", "after '@' there must be a host"),
        ("redis+cluster://:pa55word@one:7000,:7001", "after '@' there must be a host"),
        ("redis+cluster://:pa55word@one:99999", "after '@' there must be a host"),
        ("redis+cluster://:pa55word@one/2", "a cluster has no numbered databases"),
        ("unix://", "unix:// needs the path of a socket"),
    ],
)
def test_what_cannot_be_used_is_refused_without_its_password(url, problem):
    with pytest.raises(SettingsError) as refused:
        RedisStore(url)
    assert str(refused.value).startswith("storage.url: ")
    assert problem in str(refused.value)
    assert "pa55word" not in f"{refused.value!r} {refused.value.__context__!r} {refused.value.__cause__!r}"


def test_a_store_named_without_a_url_says_what_to_set():
    with pytest.raises(SettingsError, match=r'storage.url: must be set, for example "redis://localhost:6379/0"'):
        create_store(Settings.from_mapping({"storage": {"store": "redis"}}))
