"""The Redis store keeps the contract of stores, on one server and on a cluster."""

from __future__ import annotations

import os

import pytest
from otp_redis import RedisStore

from otpcore.testing.store import CrashFactory, StoreContract


class RedisContract(StoreContract):
    """Every unit runs in a worker thread: one event loop is enough."""

    event_loops = ("asyncio",)
    examples = int(os.environ.get("OTPCORE_EQUIVALENCE_EXAMPLES", "4"))

    @pytest.fixture
    def new_store(self, new_stores):
        return new_stores()

    @pytest.fixture
    def new_stores(self, url, servers):
        def make():
            for server in servers:
                server.empty()
            return RedisStore(url)

        return make

    @pytest.fixture
    def reopen(self, url):
        return lambda: RedisStore(url)

    @pytest.fixture
    def crash_factory(self, url):
        return CrashFactory("otp_redis:RedisStore", (url,))

    @pytest.fixture
    def raw_contents(self, servers):
        return lambda: b"\n".join(server.dump() for server in servers)

    @pytest.fixture
    def unreachable(self):
        return RedisStore("redis://otp:pa55word-of-otp@127.0.0.1:9/0", patience=0.1), "pa55word-of-otp"


class TestRedis(RedisContract):
    @pytest.fixture
    def servers(self, shared_server):
        return [shared_server]

    @pytest.fixture
    def url(self, shared_server):
        return shared_server.url


class TestCluster(RedisContract):
    @pytest.fixture
    def servers(self, cluster):
        return cluster

    @pytest.fixture
    def url(self, cluster):
        return f"redis+cluster://{','.join(f'127.0.0.1:{server.port}' for server in cluster)}"
