"""TLS with an authority of one's own, for servers and sentinels."""

from __future__ import annotations

import pytest
from redis_servers import redis_sentinel, redis_server

from otpcore.stores import StoreError

from .worlds import world_at

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def secured(certificates, tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("tls"), certificates=certificates) as server:
        yield server


async def test_a_server_with_a_certificate_of_ones_own_authority(secured, certificates):
    async with world_at(f"{secured.url}?ssl_ca_certs={certificates.authority}", patience=0.5) as world:
        await world.charge()
        assert await world.used() == 1


async def test_an_unknown_authority_and_a_server_without_tls_are_told_apart(secured, server):
    for url, told in {
        secured.url: r"its certificate is not trusted \(.*\); fix: name its CA, as in \?ssl_ca_certs=",
        server.url.replace("redis:", "rediss:"): "TLS failed|the connection broke off|it does not answer in time",
        secured.url.replace("rediss:", "redis:"): "the connection broke off|connection reset by peer",
        "redis://no-such-host.invalid/0": "its name cannot be resolved",
    }.items():
        with pytest.raises(StoreError, match=f"cannot be reached: ({told})"):
            async with world_at(url, patience=0.5):
                pass


async def test_sentinels_and_servers_are_both_reached_over_tls(secured, certificates, tmp_path):
    with redis_sentinel(tmp_path / "sentinel", secured) as sentinel:
        url = f"rediss+sentinel://127.0.0.1:{sentinel.port}/otp-main/1"
        async with world_at(f"{url}?ssl_ca_certs={certificates.authority}", patience=0.5) as world:
            await world.charge()
            assert await world.used() == 1
        with pytest.raises(StoreError, match=r"no sentinel answers \(.*its certificate is not trusted"):
            async with world_at(url, patience=0.5):
                pass
