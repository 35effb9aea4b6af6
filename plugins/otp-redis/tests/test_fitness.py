"""A server that may lose data is refused, with the fix; what cannot be known is said."""

from __future__ import annotations

import contextlib
import logging
from contextlib import AsyncExitStack

import pytest
from otp_redis import RedisStore
from otp_redis.fitness import Fitness
from redis_servers import redis_server

from otpcore.stores import SettingsError, StoreError

pytestmark = pytest.mark.anyio

USUAL = {"role": "master", "maxmemory_policy": "noeviction", "aof_enabled": 1}


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def start(url):
    async with AsyncExitStack() as stack:
        store = RedisStore(url, patience=0.5)
        await store.start(stack)
        return await store.diagnose()


async def use(url):
    async with AsyncExitStack() as stack:
        store = RedisStore(url, patience=0.5)
        await store.start(stack)
        await store.write_setting("paused", "on")


@pytest.fixture
def configured(server):
    """Changes settings of the server for one test."""
    with contextlib.closing(server.client()) as client:
        kept = {}

        def change(name, value):
            kept.setdefault(name, client.config_get(name)[name])
            client.config_set(name, value)

        yield change
        for name, value in kept.items():
            client.config_set(name, value)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "volatile-lru", "allkeys-random"])
async def test_a_server_that_evicts_is_refused(server, configured, policy):
    configured("maxmemory-policy", policy)
    with pytest.raises(SettingsError, match=f"maxmemory-policy {policy}.*Fix: CONFIG SET maxmemory-policy noeviction"):
        await start(server.url)


async def test_a_replica_is_refused(server, tmp_path):
    with redis_server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(server.port)) as replica:
        refused = pytest.raises(SettingsError, match="is a replica and takes no changes; name the primary")
        with refused:
            await start(replica.url)


async def test_a_server_that_keeps_nothing_is_warned_about(server, configured, caplog):
    facts = await start(server.url)
    assert "neither AOF nor RDB is on" in caplog.text
    assert facts["persistence"] == "none: a restart of the server forgets everything"
    caplog.clear()
    configured("save", "3600 1")
    facts = await start(server.url)
    assert facts["persistence"] == "RDB (3600 1)"
    configured("appendonly", "yes")
    facts = await start(server.url)
    assert facts["persistence"] == "AOF (everysec)"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_what_may_not_be_asked_is_said_and_not_refused(server, caplog):
    with contextlib.closing(server.client()) as client:
        client.acl_setuser(
            "managed",
            enabled=True,
            passwords=["+pa55word"],
            keys=["otp:{otp}:*"],
            categories=["+@all", "-@admin", "-@dangerous"],
            reset=True,
        )
        try:
            facts = await start(f"redis://managed:pa55word@127.0.0.1:{server.port}/0")
            with pytest.raises(StoreError, match="are user and password right"):
                await start(f"redis://managed:other-pa55word@127.0.0.1:{server.port}/0")
            client.acl_setuser("managed", enabled=True, commands=["+info"])
            caplog.clear()
            await start(f"redis://managed:pa55word@127.0.0.1:{server.port}/0")
        finally:
            client.acl_deluser("managed")
    assert facts["store"] == "redis"
    assert "whether it writes snapshots may not be read" in caplog.text
    assert "pa55word" not in caplog.text


async def test_info_that_may_not_be_asked_is_said(server, caplog):
    with contextlib.closing(server.client()) as client:
        client.acl_setuser(
            "small", enabled=True, nopass=True, keys=["otp:{otp}:*"], categories=["+@all", "-@dangerous"], reset=True
        )
        try:
            facts = await start(f"redis://small:any@127.0.0.1:{server.port}/0")
        finally:
            client.acl_deluser("small")
    assert "INFO is not allowed" in caplog.text
    assert facts["server"] == "not known"


@pytest.mark.parametrize("rights", [["-evalsha", "-eval"], ["-hset"]])
async def test_a_user_without_a_needed_right_is_told_so(server, rights):
    with contextlib.closing(server.client()) as client:
        client.execute_command("ACL", "SETUSER", "poor", "reset", "on", ">pa55word", "~otp:{otp}:*", "+@all", *rights)
        try:
            told = pytest.raises(StoreError, match=r"lets us in, but forbids a command or a key.*README of otp-redis")
            with told as refused:
                await use(f"redis://poor:pa55word@127.0.0.1:{server.port}/0")
        finally:
            client.acl_deluser("poor")
    assert "pa55word" not in str(refused.value)


async def test_databases_of_one_server_do_not_see_each_other(server):
    async with AsyncExitStack() as stack:
        stores = [RedisStore(f"redis://127.0.0.1:{server.port}/{number}") for number in (0, 5)]
        for store in stores:
            await store.start(stack)
        await stores[1].write_setting("paused", "on")
        assert [await store.settings() for store in stores] == [{}, {"paused": "on"}]


async def test_what_the_url_says_of_a_connection_stands(server):
    with contextlib.closing(server.client()) as client:
        async with AsyncExitStack() as stack:
            store = RedisStore(f"{server.url}?client_name=otp-of-shop&protocol=3&socket_timeout=9")
            await store.start(stack)
            await store.write_setting("paused", "on")
            assert await store.settings() == {"paused": "on"}
            (ours,) = [one for one in client.client_list() if one["name"] == "otp-of-shop"]
    assert ours.get("resp", "3") == "3"  # Redis 6.2 does not say


async def test_data_of_another_format_are_left_alone(server):
    with contextlib.closing(server.client()) as client:
        client.set("otp:{otp}:format", "9")
    with pytest.raises(StoreError, match="of format 9, this version works with 1"):
        await start(server.url)
    await start(f"{server.url}?tag=other")


async def test_a_server_out_of_memory_refuses_and_says_so(server, configured):
    async with AsyncExitStack() as stack:
        store = RedisStore(server.url, patience=0.5)
        await store.start(stack)
        configured("maxmemory", "1000")
        with pytest.raises(StoreError, match=r"out of memory \(maxmemory\)"):
            await store.write_setting("paused", "on")


@pytest.mark.parametrize("version", ["6.0.16", "5.0.14", "2.8"])
def test_a_server_that_is_too_old_is_refused(version):
    fitness = Fitness("redis://old/0", lambda *command: {"redis_version": version})
    with pytest.raises(SettingsError, match=f"redis://old/0 is Redis {version}; Redis 6.2 or newer, or Valkey"):
        fitness.check()


@pytest.mark.parametrize("said", [{"redis_version": "6.2.0"}, {"redis_version": "7.2.4", "valkey_version": "8.1.1"}])
def test_a_server_that_is_new_enough_is_not(said):
    fitness = Fitness("redis://new/0", lambda name, *_: {**said, **USUAL} if name == "INFO" else {})
    fitness.check()
    assert fitness.facts()["server"] in ("Redis 6.2.0", "Valkey 8.1.1")
