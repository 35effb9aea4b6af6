"""What is promised when the server, or the connection to it, goes away in the middle."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import anyio
import pytest
from redis_servers import redis_server

from otpcore.stores import Outcome, StoreError

from .proxies import name_of, proxy_to
from .worlds import world_at

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


def commit_name():
    """What a commit is asked for by, once the server knows the script."""
    return name_of("commit.lua").encode()


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_commit_whose_answer_was_lost_takes_place_once(server, anyio_backend):
    with proxy_to(server.port, commit_name()) as proxy:
        async with world_at(f"redis://127.0.0.1:{proxy.port}/0") as world:
            failover = await world.begin()
            await failover.answer(Outcome.ACCEPTED)
            before = proxy.seen
            proxy.lose = 2
            reservation = await world.reserve()
            assert proxy.lose == 0
            assert proxy.seen == before + 3  # asked for again twice, each time known by its id
            assert reservation.challenge.attempts == 1
            assert (await failover.view()).challenge.attempts == 1
            proxy.lose = 1
            assert await world.store.approve(reservation, settled=(), now=world.now)  # True, though it is done already


async def test_a_charge_whose_answer_was_lost_counts_once(server):
    with proxy_to(server.port, commit_name()) as proxy:
        async with world_at(f"redis://127.0.0.1:{proxy.port}/0") as world:
            await world.charge()
            proxy.lose = 1
            await world.charge()
            assert await world.used() == 2


async def test_a_commit_that_nobody_answers_for_ends_as_a_store_error(server):
    with proxy_to(server.port, commit_name()) as proxy:
        async with world_at(f"redis://127.0.0.1:{proxy.port}/0", patience=0.5) as world:
            await world.charge()
            proxy.lose = 10_000
            with pytest.raises(StoreError, match="nobody knows whether it took place"):
                await world.charge()


async def test_a_cut_is_waited_out_and_a_longer_one_is_an_error(server):
    with proxy_to(server.port, commit_name()) as proxy:
        async with world_at(f"redis://127.0.0.1:{proxy.port}/0", patience=3) as world:
            failover = await world.begin()
            proxy.cut()

            async def mend():
                await anyio.sleep(0.3)
                proxy.mend()

            async with anyio.create_task_group() as group:
                group.start_soon(mend)
                step = await failover.answer(Outcome.ACCEPTED)
            assert step.challenge.state == "sent"
        async with world_at(f"redis://127.0.0.1:{proxy.port}/0", patience=0.2) as world:
            proxy.cut()
            with pytest.raises(StoreError, match="cannot be reached"):
                await world.store.settings()


async def test_a_killed_server_comes_back_with_everything_and_work_goes_on(tmp_path):
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_server(tmp_path / "aof", *options) as server:
        async with world_at(server.url) as world:
            world.with_retries()
            sent = [await world.begin(phone=f"phone-{number}") for number in range(5)]
            for failover in sent[:3]:
                await failover.answer(Outcome.UNAVAILABLE)
            server.kill()

            async def restart():
                await anyio.sleep(0.2)
                await anyio.to_thread.run_sync(server.start)

            async with anyio.create_task_group() as group:
                group.start_soon(restart)
                await sent[3].answer(
                    Outcome.UNAVAILABLE
                )  # begun while there is no server, and no script on the next one
            views = [(await failover.view()).challenge.state for failover in sent]
            assert views == ["queued"] * 4 + ["sending"]
            world.later(20)
            claims = (await world.claim()).claims
            assert {claim.challenge.id for claim in claims} == {failover.id for failover in sent}


async def test_an_erased_person_leaves_the_append_only_file_too(tmp_path):
    options = ("--appendonly", "yes", "--appendfsync", "always")  # else a write may come seconds after its answer
    with redis_server(tmp_path / "aof", *options) as server:
        async with world_at(server.url) as world:
            begun = await world.begin(phone="phone-of-somebody")
            recalls = world.store._server._recalls.values()
            assert any(recall.hash(f"ch:{begun.id}") for recall in recalls)
            kept = b"phone-of-somebody"
            assert kept in written(tmp_path)
            await world.store.purge(
                challenges_before=world.now, deliveries_before=world.now, phone_key="phone-of-somebody", now=world.now
            )
            with anyio.fail_after(10):
                while kept in written(tmp_path):
                    await anyio.sleep(0.02)
            assert not any(recall.hash(f"ch:{begun.id}") for recall in recalls)


def written(directory):
    return b"".join(path.read_bytes() for path in directory.rglob("*aof*") if path.is_file())


async def test_a_commit_waits_for_a_replica_and_says_when_there_is_none(server, tmp_path, caplog):
    with redis_server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(server.port)) as replica:
        async with world_at(f"{server.url}?wait_replicas=1") as world:
            with anyio.fail_after(10), contextlib.closing(server.client()) as client:
                while client.info("replication").get("slave0", {}).get("state") != "online":
                    await anyio.sleep(0.02)
            caplog.clear()
            failover = await world.begin()
            assert f"otp:{{otp}}:ch:{failover.id}" in replica.all_keys()
            assert "replicas" not in caplog.text
            replica.kill()
            await failover.answer(Outcome.ACCEPTED)
            assert "only 0 of 1 replicas have the last change" in caplog.text
            assert (await failover.view()).challenge.state == "sent"


async def test_a_node_of_a_cluster_is_told_from_a_server(cluster):
    refusals = []
    for node in cluster:
        try:
            async with world_at(node.url):
                pass
        except StoreError as error:
            refusals.append(str(error))
    assert len(refusals) == 2  # the third holds the slot
    assert all("is a node of a cluster; write redis+cluster:// in storage.url" in told for told in refusals)


async def test_a_cluster_waits_for_replicas_too(cluster, caplog):
    nodes = ",".join(f"127.0.0.1:{node.port}" for node in cluster)
    for node in cluster:
        node.empty()
    async with world_at(f"redis+cluster://{nodes}?wait_replicas=1") as world:
        await world.charge()
        assert await world.used() == 1
    assert "only 0 of 1 replicas have the last change" in caplog.text


async def test_a_server_that_forgot_the_scripts_is_told_them_again(server):
    async with world_at(server.url) as world:
        await world.charge()
        with contextlib.closing(server.client()) as client:
            client.script_flush()
        await world.charge()
        assert await world.used() == 2


async def test_two_workers_fight_over_one_lease_and_one_has_it(server):
    async with world_at(server.url) as world, world_at(server.url) as other:
        world.with_retries()
        for number in range(10):
            await (await world.begin(phone=f"phone-{number}")).answer(Outcome.THROTTLED)
        other.now = world.later(2)
        claimed = []

        async def work(one, name):
            for turn in range(10):
                claimed.extend((await one.claim(limit=3, token=f"{name}-{turn}")).claims)

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(work, (world, other)[number % 2], f"worker-{number}")
        assert len(claimed) == len({claim.challenge.id for claim in claimed}) == 10
        loser = claimed[0]
        other.now = world.later(16)
        (taken,) = [one for one in (await other.claim(token="late")).claims if one.challenge.id == loser.challenge.id]
        stale = await world.store.begin_retry(loser.ref, world.plan(world.core("mada"), is_retry=True), world.now)
        fresh = await other.store.begin_retry(taken.ref, other.plan(other.core("mada"), is_retry=True), other.now)
        assert (type(stale).__name__, type(fresh).__name__) == ("Stopped", "CallInstance")


async def test_a_hot_counter_lets_every_sender_through_at_the_first_try(server):
    async with world_at(server.url) as world:
        limit = world.limit("all/global/60", 10_000)
        with contextlib.closing(server.client()) as client:
            await world.ask(limit)
            client.config_resetstat()

            async def charge():
                for _ in range(25):
                    await world.ask(limit)

            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(charge)
            calls = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        assert await world.used("all/global/60") == 201
        assert calls == 200  # one commit for each: nobody lost to anybody


def test_a_child_after_a_fork_has_connections_of_its_own(server):
    program = """
import itertools, os, sys
from contextlib import AsyncExitStack
import anyio
from otp_redis import RedisStore
from otpcore.testing.stores.contract import World

store, stack = RedisStore(sys.argv[1]), AsyncExitStack()

async def charge(times):
    world = World(store=store, numbers=itertools.count(os.getpid() * 1000 + times))
    for _ in range(times):
        await world.charge(limit=1000)

async def begin():
    await store.start(stack)
    await charge(1)

anyio.run(begin)
child = os.fork()
anyio.run(charge, 50)
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert anyio.run(World(store=store).used) == 101
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", program, server.url], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
