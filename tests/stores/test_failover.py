"""A server that is there and does not serve: demoted to a standby, silent on open connections, lost at the commit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from contextlib import AsyncExitStack

import anyio
import pytest
from sqlalchemy import create_engine, make_url, text

from otpcore.errors import StoreError
from otpcore.models import ChallengeState, Outcome
from otpcore.stores.sql.store import SqlStore, upgrade

from ..own_servers import own_mariadb, own_postgres, standby_of  # noqa: TID252 - tests are no package that could be imported by name
from ..proxy import proxy_to  # noqa: TID252 - the same
from ..servers import empty  # noqa: TID252 - the same


@pytest.fixture
def anyio_backend():
    return "asyncio"  # a thread does the work


@contextlib.contextmanager
def as_given(url, by):
    """The store's argument: a URL, or a host's own engine."""
    if by == "url":
        yield url
        return
    engine = create_engine(url, pool_size=4)
    try:
        yield engine
    finally:
        engine.dispose()


def admin(url, *statements):
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            return [connection.execute(text(one)) for one in statements][-1]
    finally:
        engine.dispose()


@contextlib.contextmanager
def postgres_that_fails_over():
    """The URL of both nodes, and what makes the second the primary while connections to the first stay open."""
    with own_postgres() as old:
        upgrade(old.url)
        with standby_of(old) as new:
            first, second = (make_url(one.url) for one in (old, new))
            both = first.set(
                query={"host": (first.query["host"], second.query["host"]), "target_session_attrs": "read-write"}
            )

            def fail_over():
                admin(old.url, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
                admin(new.url, "SELECT pg_promote()")

            yield both.render_as_string(hide_password=False), fail_over


@contextlib.contextmanager
def mariadb_that_fails_over(new_url):
    """As above; an address that moves from one server to the other."""
    new = make_url(new_url)
    grant = (
        f"CREATE DATABASE IF NOT EXISTS {new.database}",
        "CREATE OR REPLACE USER failing IDENTIFIED BY 'over'",
        f"GRANT ALL ON {new.database}.* TO failing",  # root may write to a read-only server
    )
    with own_mariadb() as old, proxy_to(old.address) as proxy:
        old_url = make_url(old.url).set(database=new.database)
        admin(old.url, *grant)
        admin(new_url, *grant)
        upgrade(old_url.render_as_string(hide_password=False))
        url = old_url.set(username="failing", password="over", port=proxy.port)

        def fail_over():
            admin(old.url, "SET GLOBAL read_only = 1")
            proxy.target = (new.host, new.port)

        try:
            yield url.render_as_string(hide_password=False), fail_over
        finally:
            admin(new_url, "DROP USER failing")


async def sends_through_a_failover(given, fail_over, world):
    world.store = store = SqlStore(given, patience=10)
    async with AsyncExitStack() as stack:
        await store.start(stack)

        async def send(number):
            failover = await world.begin(subject=f"login {number}", phone=f"phone-{number}")
            await failover.answer(Outcome.ACCEPTED)
            assert (await world.view(failover.id)).challenge.state is ChallengeState.SENT

        async def send_many(numbers):
            async with anyio.create_task_group() as tasks:
                for number in numbers:
                    tasks.start_soon(send, number)

        await send_many(range(12))  # on as many connections as there are
        await anyio.to_thread.run_sync(fail_over)
        await send_many(range(12, 36))


@pytest.mark.parametrize("by", ["url", "engine"])
async def test_sends_go_on_when_a_standby_of_postgresql_is_promoted(new_world, by):
    with postgres_that_fails_over() as (url, fail_over), as_given(url, by) as given:
        await sends_through_a_failover(given, fail_over, new_world())


@pytest.mark.parametrize("by", ["url", "engine"])
async def test_sends_go_on_when_mariadb_becomes_read_only_and_its_address_moves(mariadb_url, new_world, by):
    empty(mariadb_url)
    with mariadb_that_fails_over(mariadb_url) as (url, fail_over), as_given(url, by) as given:
        await sends_through_a_failover(given, fail_over, new_world())


async def test_a_primary_that_does_not_come_is_named(postgres_url, caplog):
    url = make_url(postgres_url).update_query_dict({"options": "-c default_transaction_read_only=on"})
    store = SqlStore(url.render_as_string(hide_password=False), patience=0.5)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        with pytest.raises(StoreError, match=r"takes no writes \(25006\).*Fix: let the URL lead to the primary"):
            await store.write_setting("name", "value")
        with pytest.raises(StoreError, match="25006"):
            await store.write_setting("name", "value")
    warnings = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert len(warnings) == 1  # not one for each try
    assert "25006" in warnings[0]


@contextlib.contextmanager
def silent(url):
    """The server's processes that serve otpcore stand still; its machine, and whoever comes anew, notice nothing."""
    rows = admin(url, "SELECT pid FROM pg_stat_activity WHERE application_name IN ('otpcore', 'host')").all()
    waking = threading.Timer(15, _signal, (rows, signal.SIGCONT))  # else a test that fails would hang
    waking.start()
    _signal(rows, signal.SIGSTOP)
    try:
        yield
    finally:
        waking.cancel()
        _signal(rows, signal.SIGCONT)


def _signal(rows, number):
    for (pid,) in rows:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@pytest.mark.parametrize("by", ["url", "engine"])
@pytest.mark.parametrize("verb", ["read", "write"])
async def test_a_server_that_stops_answering_is_given_up_within_the_patience(postgres_url, by, verb):
    url = (
        make_url(postgres_url).update_query_dict({"application_name": "host"})
        if by == "engine"
        else make_url(postgres_url)
    )
    with as_given(url.render_as_string(hide_password=False), by) as given:
        store = SqlStore(given, patience=1)
        async with AsyncExitStack() as stack:
            await store.start(stack)
            ask = store.settings if verb == "read" else lambda: store.write_setting("name", "value")
            await ask()
            with silent(postgres_url):
                with pytest.raises(StoreError, match="does not answer"):
                    await ask()
                await ask()  # on a new connection: all that might be silent too are dropped


async def test_a_server_that_falls_silent_at_the_commit_leaves_it_unknown(postgres_url):
    store = SqlStore(postgres_url, patience=1)
    async with AsyncExitStack() as stack, contextlib.AsyncExitStack() as quiet:
        await store.start(stack)

        def unit(rows):
            rows.put_setting("name", "value")
            quiet.enter_context(silent(postgres_url))

        with pytest.raises(StoreError, match=r"nobody knows whether it took place.*does not answer"):
            await store._write(unit)


@pytest.mark.parametrize("by", ["url", "engine"])
@pytest.mark.parametrize("server", ["postgres", "mariadb"])
async def test_a_network_that_falls_silent_is_given_up_within_the_patience(request, server, by):
    """Also on a host's engine, whose own connections have no limit; a fork waits for the unit."""
    url = make_url(request.getfixturevalue(f"{server}_url"))
    address = f"{url.query['host']}/.s.PGSQL.5432" if server == "postgres" else (url.host, url.port)
    with proxy_to(address) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port, query=url.query if server == "mariadb" else {})
        with as_given(through.render_as_string(hide_password=False), by) as given:
            store = SqlStore(given, patience=1)
            async with AsyncExitStack() as stack:
                await store.start(stack)
                proxy.halt()
                mending = threading.Timer(15, proxy.mend)  # else a test that fails would hang
                mending.start()
                with pytest.raises(StoreError, match=r"does not answer|timed out"):
                    await store.write_setting("name", "value")
                mending.cancel()
                proxy.mend()
                await store.write_setting("name", "value")


FORK = """
import os, signal, sys, threading
from contextlib import AsyncExitStack
import anyio
from otpcore.stores import SqlStore

async def main():
    store = SqlStore(sys.argv[1], patience=1)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        pid = await store._read(lambda rows: rows._raw.info.backend_pid)
        os.kill(pid, signal.SIGSTOP)
        asking = threading.Event()

        def unit(rows):
            asking.set()
            return rows.settings()

        async def ask():
            try:
                await store._read(unit)
            except Exception as error:
                print(type(error).__name__)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.to_thread.run_sync(asking.wait)
            child = os.fork()
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
            print("forked")
        os.kill(pid, signal.SIGCONT)

anyio.run(main)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_waits_no_longer_than_the_patience_for_a_server_that_is_silent(postgres_url, forked):
    done = subprocess.run(
        [forked.python, "-c", FORK, postgres_url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert sorted(done.stdout.split()) == ["StoreError", "forked"], done.stderr


LOST = """
import logging, sys
from contextlib import AsyncExitStack
import anyio
from sqlalchemy import create_engine, event
from otpcore.errors import StoreError
from otpcore.stores import SqlStore

url, by = sys.argv[1:]
told = []
logging.getLogger("otpcore").addHandler(type("Keep", (logging.Handler,), {"emit": lambda self, one: told.append(one)})())
killer = create_engine(url)
kills = 0

def kill(rows):
    global kills
    if kills:
        kills -= 1
        with killer.begin() as connection:
            if killer.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_terminate_backend({rows._raw.info.backend_pid}, 5000)")
            else:
                connection.exec_driver_sql(f"KILL {rows._raw.thread_id()}")

def reading(rows):
    rows.settings()
    kill(rows)

def writing(rows):
    rows.put_setting("name", "value")
    rows.settings()  # it has been sent: a server that hung up before would have got nothing
    kill(rows)

def given_back(rows):
    rows.put_setting("name", "value")
    engine = store._opened()._engine
    event.listen(engine, "rollback", lambda _: kill(rows))  # neither is told of a commit
    event.listen(engine, "reset", lambda *_: kill(rows))

async def main():
    global kills, store
    store = SqlStore(create_engine(url) if by == "engine" else url, patience=5)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        for run, unit in ((store._read, reading), (store._write, writing), (store._write, given_back)):
            kills = 1
            try:
                await run(unit)
            except StoreError as error:
                print(unit.__name__, error)
            kills = 0
            await store.write_setting("name", "value")
            for one in told:
                if one.levelno >= logging.WARNING:
                    print(unit.__name__, one.getMessage())
            told.clear()

anyio.run(main)
"""


@pytest.mark.parametrize("by", ["url", "engine"])
@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_a_connection_that_dies_at_the_end_of_a_unit_is_told_in_one_line(request, server, by, forked):
    """The host has set up no logging: what SQLAlchemy logs of it would be forty lines on standard error."""
    url = request.getfixturevalue(f"{server}_url")
    done = subprocess.run([forked.python, "-c", LOST, url, by], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = {name: [] for name in ("reading", "writing", "given_back")}
    for line in done.stdout.splitlines():
        told[line.partition(" ")[0]].append(line)
    error, warning = told["writing"]
    assert "nobody knows whether it took place" in error
    assert "connecting anew" in warning
    assert len(told["reading"]) <= 1
    assert len(told["given_back"]) <= 1
