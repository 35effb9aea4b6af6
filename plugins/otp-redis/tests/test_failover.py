"""Another server is the primary now: behind the same address, or named by sentinels."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from functools import partial

import anyio
import anyio.to_thread
import pytest
from redis.exceptions import MovedError, ResponseError
from redis_servers import cluster_replica, free_port, redis_cluster, redis_sentinel, redis_server, wait_until

from otpcore.stores import Outcome, SettingsError, StoreError

from .proxies import proxy_to
from .worlds import world_at

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@contextlib.contextmanager
def pair(directory):
    """A primary and its replica, in step."""
    directory.mkdir()
    with (
        redis_server(directory / "first") as first,
        redis_server(directory / "second", "--replicaof", "127.0.0.1", str(first.port)) as second,
    ):
        wait_until(lambda: is_in_step(second) and replicas_of(first) == 1, "the replica did not come")
        yield first, second


def is_in_step(replica):
    """Whether it has got everything for the first time."""
    with contextlib.closing(replica.client()) as client:
        return client.info("replication").get("master_link_status") == "up"


def replicas_of(server):
    with contextlib.closing(server.client()) as client:
        return client.wait(1, 100) if client.info("replication")["connected_slaves"] else 0


def role_of(server):
    with contextlib.closing(server.client()) as client:
        return client.info("replication")["role"]


def promote(new, old, *, link=True):
    """As an operator or a managed service does it; ``link``: the old one follows the new one from now on."""
    with contextlib.closing(new.client()) as client:
        client.replicaof("NO", "ONE")
    with contextlib.closing(old.client()) as client:
        client.replicaof("127.0.0.1", new.port if link else free_port())


async def many(world, count=8):
    """So many connections are open afterwards."""
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(partial(world.charge, limit=1000))


@pytest.mark.parametrize("options", ["", "?wait_replicas=1"])
async def test_connections_to_a_demoted_server_are_dropped_and_nothing_is_lost(tmp_path, options):
    with pair(tmp_path / "pair") as (first, second), proxy_to(first.port, b"no such bytes") as proxy:
        async with world_at(f"redis://127.0.0.1:{proxy.port}/0{options}") as world:
            failover = await world.begin()
            await many(world)
            before = await world.used()
            wait_until(lambda: replicas_of(first) == 1, "the replica is behind")
            promote(second, first)
            proxy.target = second.port  # new connections arrive at the new primary; the old ones stay open
            await failover.answer(Outcome.ACCEPTED)
            await many(world)
            assert await world.used() == before + 8
            assert (await failover.view()).challenge.state == "sent"


async def test_a_demoted_server_that_still_answers_is_not_read(tmp_path):
    with pair(tmp_path / "pair") as (first, second), proxy_to(first.port, b"no such bytes") as proxy:
        async with (
            world_at(f"redis://127.0.0.1:{proxy.port}/0") as world,
            world_at(f"redis://127.0.0.1:{first.port}/0"),
        ):
            await world.store.write_setting("paused", "")
            assert await world.store.settings() == {"paused": ""}
            wait_until(lambda: replicas_of(first) == 1, "the replica is behind")
            promote(second, first, link=False)  # it keeps what it had, and hears of nothing
            proxy.target = second.port
            async with world_at(second.url) as other:
                await other.store.write_setting("paused", "on")
            assert await world.store.settings() == {"paused": "on"}


async def test_a_failover_is_waited_for_and_one_that_does_not_come_is_told(tmp_path):
    with pair(tmp_path / "pair") as (first, second):
        async with (
            world_at(first.url, patience=10) as world,
            world_at(first.url, patience=0.3) as hasty,
        ):
            failover = await world.begin()
            promote(second, first)
            with pytest.raises(StoreError, match="is a replica now and takes no changes"):
                await hasty.charge()  # certainly not charged: nobody has to say that it is unknown

            async def come_back():
                await anyio.sleep(0.2)
                await anyio.to_thread.run_sync(promote, first, second)

            async with anyio.create_task_group() as group:
                group.start_soon(come_back)
                await failover.answer(Outcome.ACCEPTED)
            assert (await failover.view()).challenge.state == "sent"


async def test_too_few_replicas_are_waited_for_and_told(server):
    async with world_at(server.url, patience=10) as world, world_at(server.url, patience=0.3) as hasty:
        with contextlib.closing(server.client()) as client:
            client.config_set("min-replicas-to-write", 1)
            try:
                with pytest.raises(StoreError, match="fewer replicas than its min-replicas-to-write wants"):
                    await hasty.charge()

                async def mend():
                    await anyio.sleep(0.2)
                    client.config_set("min-replicas-to-write", 0)

                async with anyio.create_task_group() as group:
                    group.start_soon(mend)
                    await world.charge()
            finally:
                client.config_set("min-replicas-to-write", 0)
        assert await world.used() == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_server_that_stops_answering_holds_nobody_for_ever(tmp_path, anyio_backend):
    with redis_server(tmp_path / "one") as server:
        async with world_at(server.url, patience=1) as world:
            failover = await world.begin()
            await many(world)
            silent = {"does not answer in time", "connections were busy"}
            in_doubt = silent | {
                "nobody knows whether it took place"
            }  # a commit that went out, for which nothing came back
            told = []

            async def hear(words, verb, *arguments):
                with pytest.raises(StoreError) as refused:
                    await verb(*arguments)
                told.append((str(refused.value), words))

            os.kill(server.process.pid, signal.SIGSTOP)
            os.waitpid(server.process.pid, os.WUNTRACED)  # noqa: ASYNC222 - until it has stopped, and answers no half
            try:
                with anyio.fail_after(30):
                    async with anyio.create_task_group() as group:
                        for _ in range(10):  # more than there are connections
                            group.start_soon(hear, silent, world.store.settings)
                            group.start_soon(hear, in_doubt, world.charge)
                        group.start_soon(hear, in_doubt, failover.answer, Outcome.ACCEPTED)
                        group.start_soon(hear, silent, world.store.diagnose)
            finally:
                os.kill(server.process.pid, signal.SIGCONT)
            assert len(told) == 22
            assert [text for text, words in told if not any(one in text for one in words)] == []
            await world.store.settings()


# Sentinel.


@contextlib.contextmanager
def watched(directory, *lines):
    with pair(directory) as (first, second), redis_sentinel(directory / "sentinel", first, *lines) as sentinel:

        def knows_both():
            with contextlib.closing(sentinel.client()) as client:
                return client.sentinel_master("otp-main")["num-slaves"] == 1

        wait_until(knows_both, "the sentinel did not find the replica")
        yield first, second, sentinel


def is_ordered_to_fail_over(sentinel):
    with contextlib.closing(sentinel.client()) as client:
        try:
            return client.execute_command("SENTINEL FAILOVER", "otp-main")
        except ResponseError:  # NOGOODSLAVE: it has not looked at the replica for a while
            return False


@pytest.mark.parametrize("how", ["kill", "order"])
async def test_a_real_failover_of_sentinels_is_gone_through(tmp_path, how):
    with watched(tmp_path / "watched") as (first, second, sentinel):
        nobody = free_port()
        url = f"redis+sentinel://127.0.0.1:{nobody},127.0.0.1:{sentinel.port}/otp-main/3"
        async with world_at(url, patience=30) as world:
            facts = await world.store.diagnose()
            assert (facts["primary"], facts["sentinels"]) == (f"127.0.0.1:{first.port}", "1 of 2 answer")
            world.with_retries()
            failover = await world.begin()
            await many(world)
            used = await world.used()
            wait_until(lambda: replicas_of(first) == 1, "the replica is behind")
            if how == "kill":
                first.kill()
            else:  # the old primary lives on, and for seconds as a primary; alone, it refuses
                with contextlib.closing(first.client()) as alone:
                    alone.config_set("min-replicas-to-write", 1)
                wait_until(
                    lambda: is_ordered_to_fail_over(sentinel), "the sentinel did not think the replica good enough"
                )
                wait_until(lambda: role_of(second) == "master", "it was not promoted")
            await failover.answer(Outcome.ACCEPTED)  # waits for the promotion
            await many(world)
            assert await world.used() == used + 8
            assert (await failover.view()).challenge.state == "sent"
            assert (await world.store.diagnose())["primary"] == f"127.0.0.1:{second.port}"


async def test_what_is_wrong_with_sentinels_is_told_apart(server, tmp_path):
    silent, other = free_port(), free_port()
    with redis_sentinel(tmp_path / "sentinel", server) as sentinel:
        at = f"127.0.0.1:{sentinel.port}"
        for url, told in {
            f"redis+sentinel://127.0.0.1:{silent},127.0.0.1:{other}/otp-main": (
                rf"no sentinel answers \(127.0.0.1:{silent}: connection refused; 127.0.0.1:{other}: connection refused\)"
            ),
            f"redis+sentinel://{at}/shop": r"the sentinels know no service 'shop'; they know: otp-main. Fix: ",
            f"redis+sentinel://{server_at(server)}/otp-main": rf"no sentinel answers \({server_at(server)} is no sentinel\)",
        }.items():
            with pytest.raises(StoreError, match=told):
                async with world_at(url, patience=0.3):
                    pass
        with pytest.raises(SettingsError, match=r"is a sentinel, which keeps no data; write redis\+sentinel://"):
            async with world_at(f"redis://{at}/0", patience=0.3):
                pass
    with redis_server(tmp_path / "gone") as gone, redis_sentinel(tmp_path / "sentinel2", gone) as sentinel:
        gone.kill()
        with pytest.raises(
            StoreError, match=f"the primary that the sentinels name, 127.0.0.1:{gone.port}: connection refused"
        ):
            async with world_at(f"redis+sentinel://127.0.0.1:{sentinel.port}/otp-main", patience=0.3):
                pass


def server_at(server):
    return f"127.0.0.1:{server.port}"


async def test_sentinels_and_servers_have_passwords_of_their_own(tmp_path):
    with (
        redis_server(tmp_path / "locked", "--requirepass", "pa55word-of-data") as locked,
        redis_sentinel(
            tmp_path / "sentinel",
            locked,
            "sentinel auth-pass otp-main pa55word-of-data",
            "requirepass pa55word-of-sentinels",
        ) as sentinel,
    ):
        at = f"127.0.0.1:{sentinel.port}/otp-main"
        url = f"redis+sentinel://:pa55word-of-data@{at}?sentinel_password=pa55word-of-sentinels"
        async with world_at(url, patience=2) as world:
            await world.charge()
            assert await world.used() == 1
        for wrong, told in {
            url.replace("=pa55word", "=wrong-pa55word"): "are sentinel_username and sentinel_password right",
            url.partition("?")[0]: "are sentinel_username and sentinel_password right",
            url.replace(":pa55word", ":wrong-pa55word"): "refused to let us in; are user and password right",
            url.replace(":pa55word-of-data@", ""): "refused to let us in; are user and password right",
        }.items():
            with pytest.raises(StoreError, match=told) as refused:
                async with world_at(wrong, patience=0.3):
                    pass
            assert "pa55word" not in f"{refused.value!r} {refused.value.__context__!r} {refused.value.__cause__!r}"


# Cluster.


async def test_a_cluster_whose_primary_hands_over_loses_nothing_that_was_answered(tmp_path):
    """By ``CLUSTER FAILOVER``; with ``TAKEOVER`` the old primary answers for a while what nobody keeps."""
    with redis_cluster(tmp_path) as nodes:
        owner = next(node for node in nodes if holds_our_slot(node))
        with cluster_replica(tmp_path / "replica", owner, nodes) as replica:
            url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in (*nodes, replica))
            async with world_at(url, patience=30) as world:
                begun, enough = [], anyio.Event()

                async def keep_sending(one):
                    while not enough.is_set():
                        begun.append(await world.begin(phone=f"phone-{one}-{len(begun)}"))

                async def until(there_are):
                    while len(begun) < there_are:
                        await anyio.sleep(0.01)

                async with anyio.create_task_group() as group:
                    for one in range(4):
                        group.start_soon(keep_sending, one)
                    await until(20)
                    await anyio.to_thread.run_sync(hand_over, replica)
                    await until(len(begun) + 20)
                    enough.set()
                assert role_of(owner) == "slave"
                kept = set(replica.all_keys())
                assert [walk.id for walk in begun if f"otp:{{otp}}:ch:{walk.id}" not in kept] == []


def holds_our_slot(node):
    with contextlib.closing(node.client()) as client:
        try:
            client.get("otp:{otp}:format")
        except MovedError:
            return False
        return True


def hand_over(replica):
    """Ordered again where the servers gave up: they do after five seconds, on a machine with much else to do."""
    orders = itertools.count()

    def is_done():
        if next(orders) % 300 == 0:
            with contextlib.closing(replica.client()) as client, contextlib.suppress(ResponseError):
                client.execute_command("CLUSTER FAILOVER")
        return role_of(replica) == "master"

    wait_until(is_done, "no hand-over")
