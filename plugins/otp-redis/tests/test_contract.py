"""The Redis store keeps the contract of stores, on one server; on a cluster, the parts that use every script and each way to a node."""

from __future__ import annotations

import os

import pytest
from otp_redis import RedisStore

from otpcore.testing import CrashFactory, StoreContract
from otpcore.testing.stores.crash import CrashTests
from otpcore.testing.stores.equivalence import EquivalenceTests
from otpcore.testing.stores.erasing import PurgingTests
from otpcore.testing.stores.leases import ClaimingTests
from otpcore.testing.stores.limits import CounterTests
from otpcore.testing.stores.races import RaceTests
from otpcore.testing.stores.receipts import DeliveredTests
from otpcore.testing.stores.retries import RetryTests
from otpcore.testing.stores.sending import SendingTests
from otpcore.testing.stores.verifying import VerifyingTests


class OnRedis:
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


class TestRedis(OnRedis, StoreContract):
    @pytest.fixture
    def servers(self, shared_server):
        return [shared_server]

    @pytest.fixture
    def url(self, shared_server):
        return shared_server.url


class TestCluster(
    OnRedis,
    SendingTests,
    RetryTests,
    ClaimingTests,
    VerifyingTests,
    DeliveredTests,
    CounterTests,
    PurgingTests,
    RaceTests,
    CrashTests,
    EquivalenceTests,
):
    """All keys of a store lie in one slot, and each unit is the same two scripts: what differs is how a node is found and asked."""

    @pytest.fixture
    def servers(self, cluster):
        return cluster

    @pytest.fixture
    def url(self, cluster):
        return f"redis+cluster://{','.join(f'127.0.0.1:{server.port}' for server in cluster)}"
