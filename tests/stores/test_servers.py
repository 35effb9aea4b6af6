"""What is particular about a database on a server: connections that break, clocks, migrations, a host's own engine."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from sqlalchemy import create_engine, make_url, text

from otpcore.errors import SettingsError, StoreError
from otpcore.models import ChallengeState, Outcome
from otpcore.stores.commands import CoolingDown
from otpcore.stores.lifecycle import failure_keys
from otpcore.stores.rows import OutrunError
from otpcore.stores.sql import schema
from otpcore.stores.sql.forking import ForkGate
from otpcore.stores.sql.schema import HEAD
from otpcore.stores.sql.store import SqlStore, current, upgrade
from otpcore.stores.steps import CallInstance

from ..servers import empty  # noqa: TID252 - tests are no package that could be imported by name

_KILL = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'otpcore'",
    "mariadb": "SELECT CONCAT('KILL ', id) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}


@pytest.fixture(params=["postgres", "mariadb"])
def server_url(request: pytest.FixtureRequest) -> str:
    """An empty, migrated database on a server of each kind."""
    url = request.getfixturevalue(f"{request.param}_url")
    empty(url)
    return url


@pytest.fixture
async def store(server_url: str) -> AsyncIterator[SqlStore]:
    store = SqlStore(server_url, patience=5)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        yield store


def run(url: str, *statements: str) -> list:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            results = [connection.execute(text(statement)) for statement in statements]
            return list(results[-1]) if results[-1].returns_rows else []
    finally:
        engine.dispose()


def break_connections(url: str) -> None:
    """As a restart of the server, or a firewall that forgets, does."""
    backend = make_url(url).get_backend_name()
    if backend == "postgresql":
        run(url, _KILL[backend])
    else:
        for (kill,) in run(url, _KILL[backend]):
            run(url, kill)


async def test_broken_connections_are_found_again_without_losing_anything(server_url, store, new_world):
    world = new_world()
    world.store = store
    failover = await world.begin()
    await anyio.to_thread.run_sync(break_connections, server_url)
    await failover.answer(Outcome.ACCEPTED, reference="SM1")
    await anyio.to_thread.run_sync(break_connections, server_url)
    (view,) = await store.view(challenge_id=failover.id)
    assert view.challenge.state is ChallengeState.SENT
    assert [one.reference for one in view.deliveries] == ["SM1"]


async def test_a_connection_lost_as_it_is_given_back_undoes_nothing(store, new_world):
    """Its transaction is committed: the unit is not run again, which would find its own challenge in the way."""
    await sends_whose_connections_are_lost_afterwards(store, store._opened()._engine, new_world())


async def test_a_connection_of_the_hosts_lost_as_it_is_given_back_undoes_nothing(mariadb_url, new_world):
    """As above; psycopg needs no word with the server to give one back."""
    empty(mariadb_url)
    engine = create_engine(mariadb_url, pool_size=2, max_overflow=0)
    store = SqlStore(engine, patience=5)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        await sends_whose_connections_are_lost_afterwards(store, engine, new_world())
    engine.dispose()


async def sends_whose_connections_are_lost_afterwards(store, engine, world):
    world.store = store
    roll_back = engine.dialect.do_rollback

    def roll_back_and_lose(raw):
        roll_back(raw)
        raw.dbapi_connection.close()

    engine.dialect.do_rollback = roll_back_and_lose
    for number in range(10):  # more than there are connections: none may be missing from the pool afterwards
        begun = await world.ask(world.limit("phone-1/send/600", 20), subject=f"login {number}", phone="phone-1")
        assert isinstance(begun.step, CallInstance)
    engine.dialect.do_rollback = roll_back
    (counted,) = await store.counters("phone-1/send/600", world.now)
    assert counted.count == 10
    assert len(await store.view(phone_key="phone-1")) == 10


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE", "READ COMMITTED"])
async def test_a_hosts_engine_keeps_its_level_and_ours_is_the_units(server_url, level):
    engine = create_engine(server_url, pool_size=1, max_overflow=0, isolation_level=level)
    store = SqlStore(engine, patience=5)
    async with AsyncExitStack() as stack:
        await store.start(stack)

        def unit(rows):
            rows.put_setting("level", "before")
            rows.settings()
            run(server_url, "INSERT INTO otp_setting (name, value) VALUES ('other', 'meanwhile')")
            return dict(rows.settings())

        assert await store._write(unit) == {"level": "before", "other": "meanwhile"}
    with engine.connect() as connection:
        assert connection.get_isolation_level() == level
    engine.dispose()


async def test_an_engine_that_commits_each_statement_is_refused_or_told_otherwise(server_url):
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    store = SqlStore(engine, patience=5)

    def unit(rows):
        rows.put_setting("undone", "yes")
        raise ValueError

    if engine.dialect.name == "postgresql":
        async with AsyncExitStack() as stack:
            await store.start(stack)
            with pytest.raises(ValueError):  # noqa: PT011 - the unit's own
                await store._write(unit)
            assert await store.settings() == {}
    else:
        with pytest.raises(SettingsError, match="AUTOCOMMIT"):
            await store.start(AsyncExitStack())
    engine.dispose()


async def test_the_servers_clock_decides_where_none_is_given(store, new_world):
    world = new_world()
    world.store = store
    before = datetime.now(UTC) - timedelta(seconds=5)
    world.now = None
    sent = world.new_send(world_challenge(new_world), world.core("mada"))
    begun = await store.begin(sent, None)
    assert before < begun.step.challenge.first_sent_at < before + timedelta(seconds=60)


def world_challenge(new_world):
    return new_world().challenge()


async def test_a_unit_that_lost_against_another_is_run_again(store):
    tries = []

    def unit(rows):
        tries.append(rows)
        rows.put_setting("tries", str(len(tries)))
        if len(tries) < 3:
            raise OutrunError("by the test")

    await store._write(unit)
    assert await store.settings() == {"tries": "3"}


async def test_units_that_lock_each_other_crosswise_both_end(store, new_world):
    world = new_world()
    world.store = store
    one, two = await world.begin(subject="one"), await world.begin(subject="two", phone="phone-2")
    both = threading.Barrier(2)

    def unit(first, second):
        def locked(rows):
            rows.challenge(first)
            with contextlib.suppress(threading.BrokenBarrierError):  # the one that lost runs again, alone
                both.wait(5)
            both.abort()
            rows.challenge(second)
            rows.update_challenge(first, locale="de")

        return locked

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store._write, unit(one.id, two.id))
        tasks.start_soon(store._write, unit(two.id, one.id))
    views = [(await store.view(challenge_id=failover.id))[0] for failover in (one, two)]
    assert [view.challenge.locale for view in views] == ["de", "de"]


@contextlib.asynccontextmanager
async def held(store: SqlStore, unit) -> AsyncIterator[None]:
    """Somebody else's unit has done its work and does not commit; what is done meanwhile must not wait for it."""
    done, end = threading.Event(), threading.Event()

    def holding(rows):
        unit(rows)
        done.set()
        end.wait(20)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store._write, holding)
        try:
            await anyio.to_thread.run_sync(done.wait)
            with anyio.fail_after(4):
                yield
        finally:
            end.set()


async def test_a_refusal_waits_for_nobody_who_holds_the_challenge(store, new_world):
    """Whoever holds it may be about to give back what it was charged, and would wait for the refusal in turn."""
    world = new_world()
    world.store = store
    failover = await world.begin()
    await world.charge(limit=1)
    async with held(store, lambda rows: rows.challenge(failover.id)):
        refused = await world.ask(world.limit("phone-1/send/600", 1), subject="login", phone="phone-1")
    assert refused == CoolingDown(challenge=refused.challenge)
    assert refused.challenge.id == failover.id


async def test_a_send_waits_for_nobody_who_counts_failures(store, new_world):
    """Whoever verifies holds the challenge that the send may have to wait for."""
    world = new_world()
    world.store = store
    await world.begin()
    await world.reserve()
    keys = failure_keys("phone-1", "")
    assert await store._read(lambda rows: rows.failures(keys))
    async with held(store, lambda rows: rows.failures(keys)):
        failover = await world.begin(subject="another")
    assert isinstance(failover.step, CallInstance)


async def test_a_database_without_tables_is_only_checked_at_start(server_url, forked):
    bare = make_url(server_url).set(database=f"{make_url(server_url).database}_bare")
    admin = create_engine(server_url, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {bare.database}"))
        shown = bare.render_as_string(hide_password=False)
        with pytest.raises(StoreError, match="otp db upgrade"):
            await SqlStore(shown).start(AsyncExitStack())
        assert current(shown) is None
        code = f"from otpcore.stores.sql.store import upgrade\nupgrade({shown!r})"
        started = [subprocess.Popen([forked.python, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(3)]
        assert [(process.communicate(timeout=60)[1], process.returncode) for process in started] == [("", 0)] * 3
        assert current(shown) == HEAD
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {bare.database}"))
        admin.dispose()


async def test_a_hosts_engine_is_used_as_it_is_and_never_closed(server_url, new_world):
    engine = create_engine(server_url, pool_size=2)
    world = new_world()
    world.store = SqlStore(engine)
    async with AsyncExitStack() as stack:
        await world.store.start(stack)
        failover = await world.begin()
        assert (await failover.answer(Outcome.ACCEPTED)).challenge.state is ChallengeState.SENT
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM otp_challenge")).scalar() == 1
    engine.dispose()


async def test_no_more_units_run_than_a_hosts_pool_has_connections(server_url):
    engine = create_engine(server_url, pool_size=2, max_overflow=0, pool_timeout=0.001)
    store = SqlStore(engine)
    running, most = 0, []

    def unit(rows):
        nonlocal running
        running += 1
        most.append(running)
        rows.settings()
        time.sleep(0.02)
        running -= 1

    async with AsyncExitStack() as stack:
        await store.start(stack)
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(store._write, unit)
    assert len(most) == 12
    assert max(most) == 2
    engine.dispose()


async def test_a_server_that_is_away_is_named_without_the_password(server_url):
    away = make_url(server_url).set(host="127.0.0.1", port=1, username="otp", password="secret", query={})
    store = SqlStore(away.render_as_string(hide_password=False), patience=0.5)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/.* cannot be reached") as caught:
        await store.start(AsyncExitStack())
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("number", "is_tried_again"),
    [(1205, True), (1213, True), (1290, True), (2013, True), (1040, True), (1045, False), (1049, False), (1146, False)],
)
def test_what_mariadb_answers_decides_whether_a_unit_is_tried_again(number, is_tried_again):
    pymysql = pytest.importorskip("pymysql")
    database = SqlStore("mariadb://h/db")._opening._make(ForkGate())
    error = pymysql.err.OperationalError(number, "told by the server")
    error.sqlstate = "HY000"  # as newer versions of the driver have it beside the number
    assert database._faults.passes(error) is is_tried_again


async def test_a_lock_that_others_hold_for_too_long_is_told(postgres_url):
    empty(postgres_url)
    run(postgres_url, "INSERT INTO otp_setting (name, value) VALUES ('held', 'before')")
    holder = create_engine(postgres_url)
    store = SqlStore(postgres_url, patience=0.5)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        with holder.begin() as connection:
            connection.execute(text("UPDATE otp_setting SET value = 'meanwhile'"))
            with pytest.raises(StoreError, match=r"others held what was asked for, or it was too slow.*Fix: try again"):
                await store.write_setting("held", "mine")
    holder.dispose()


async def test_what_the_server_refuses_is_told_without_values(store):
    def unit(rows):
        rows._connection.exec_driver_sql("SELECT 'readable' FROM no_such_table")

    with pytest.raises(StoreError, match="refused") as caught:
        await store._write(unit)
    assert "readable" not in "".join(traceback.format_exception(caught.value))


def test_another_driver_is_refused_by_name():
    with pytest.raises(SettingsError, match=r"psycopg: postgresql\+psycopg"):
        upgrade("postgresql+asyncpg://u:p@h/db")


async def test_doctors_facts_name_the_server(store):
    facts = await store.diagnose()
    assert facts["schema"] == HEAD
    assert facts["server"].split()[0] in ("postgresql", "mysql", "mariadb")


def test_who_migrates_while_another_process_does_is_told_so(server_url):
    engine = create_engine(server_url)
    told = pytest.raises(StoreError, match=r"another process has been migrating for 1 s\. Fix: wait for it")
    with engine.connect() as first, engine.connect() as second, schema.lock(first, 1), told, schema.lock(second, 1):
        pytest.fail("two at once")
    engine.dispose()


def test_who_migrates_while_a_transaction_holds_a_table_is_told_so(postgres_url):
    empty(postgres_url)
    engine = create_engine(postgres_url)
    with engine.connect() as careless, engine.connect() as connection:
        careless.execute(text("LOCK TABLE otp_challenge IN ACCESS SHARE MODE"))
        with pytest.raises(StoreError, match="has held a lock on otpcore's tables for 1 s"), schema.lock(connection, 1):
            connection.execute(text("LOCK TABLE otp_challenge IN ACCESS EXCLUSIVE MODE"))
    engine.dispose()
