"""The one writer of an SQLite file: units share transactions, fail alone, and nobody hears "done" too early."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from sqlalchemy import text

from otpcore.errors import StoreError
from otpcore.stores.sql.sqlite.writer import raw_connection
from otpcore.stores.sql.store import SqlStore

INSERT = text("INSERT INTO otp_setting (name, value) VALUES (:name, 'x')")


def insert(name):
    """A unit that writes one row."""

    def unit(rows):
        rows._connection.execute(INSERT, {"name": name})
        return name

    return unit


def names(database):
    """What another connection sees."""
    connection = sqlite3.connect(database)
    try:
        return {name for (name,) in connection.execute("SELECT name FROM otp_setting")}
    finally:
        connection.close()


@pytest.fixture
async def writer(sql_world):
    return sql_world.store._opened()._writer


@asynccontextmanager
async def held(writer):
    """Hold the writer inside a unit, so that what is submitted meanwhile waits together; traces its statements."""
    begun, release, statements = threading.Event(), threading.Event(), []

    def hold(rows):
        raw_connection(rows._connection).set_trace_callback(statements.append)
        begun.set()
        assert release.wait(10)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run, hold)
        assert await anyio.to_thread.run_sync(begun.wait, 10)
        try:
            yield statements
            await wait_all_tasks_blocked()
            statements.clear()
        finally:
            release.set()


def transactions(statements):
    return [one for one in statements if one.startswith(("BEGIN", "COMMIT", "ROLLBACK")) and " TO " not in one]


async def test_units_that_wait_together_share_one_transaction(writer, database):
    async with anyio.create_task_group() as tasks, held(writer) as statements:
        for number in range(50):
            tasks.start_soon(writer.run, insert(f"n{number}"))
    assert transactions(statements) == ["COMMIT", "BEGIN IMMEDIATE", "COMMIT"]
    assert len(names(database)) == 50


async def test_whoever_hears_done_finds_it_in_the_file(writer, database):
    async def check(name):
        assert await writer.run(insert(name)) == name
        assert name in names(database)

    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(check, f"n{number}")


async def test_a_unit_that_fails_undoes_only_its_own_work(writer, database):
    await writer.run(insert("taken"))
    errors = []

    def fails(rows):
        rows._connection.execute(INSERT, {"name": "half"})
        raise LookupError("own error")

    async def expect(unit, error):
        with pytest.raises(error) as caught:
            await writer.run(unit)
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks, held(writer):
        tasks.start_soon(writer.run, insert("before"))
        tasks.start_soon(expect, fails, LookupError)
        tasks.start_soon(expect, insert("taken"), StoreError)
        tasks.start_soon(writer.run, insert("after"))
    assert names(database) == {"taken", "before", "after"}
    assert len(errors) == 2


async def test_a_unit_that_fails_alone_leaves_nothing(writer, database):
    def fails(rows):
        rows._connection.execute(INSERT, {"name": "half"})
        raise LookupError("own error")

    with pytest.raises(LookupError):
        await writer.run(fails)
    assert names(database) == set()


async def test_when_the_transaction_is_lost_each_unit_is_run_again_by_itself(writer, database):
    def loses(rows):
        raw_connection(rows._connection).execute("ROLLBACK")
        raise LookupError("it took the transaction with it")

    async def expect_error():
        with pytest.raises(LookupError):
            await writer.run(loses)

    async with anyio.create_task_group() as tasks, held(writer):
        tasks.start_soon(writer.run, insert("before"))
        tasks.start_soon(expect_error)
        tasks.start_soon(writer.run, insert("after"))
    assert names(database) == {"before", "after"}


async def test_a_refused_commit_hurts_only_the_guilty_unit(writer, database):
    def create(rows):
        rows._connection.exec_driver_sql(
            "CREATE TABLE child (name REFERENCES otp_setting (name) DEFERRABLE INITIALLY DEFERRED)"
        )

    def orphan(rows):
        rows._connection.exec_driver_sql("INSERT INTO child VALUES ('nobody')")

    await writer.run(create)
    writer._connection.exec_driver_sql("PRAGMA foreign_keys=ON")

    async def expect_error():
        with pytest.raises(StoreError, match="SQLITE_CONSTRAINT_FOREIGNKEY"):
            await writer.run(orphan)

    async with anyio.create_task_group() as tasks, held(writer):
        tasks.start_soon(writer.run, insert("before"))
        tasks.start_soon(expect_error)
        tasks.start_soon(writer.run, insert("after"))
    assert names(database) == {"before", "after"}


async def test_a_full_disk_is_an_error_that_passes(writer, database, monkeypatch):
    def full():
        connection = connect()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 5}")
        return connection

    def fill(rows):
        for number in range(2000):
            rows._connection.execute(INSERT, {"name": f"{number:0200}"})

    await writer.run(insert("first"))
    pages = writer._connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    connect = writer._link.connect
    monkeypatch.setattr(writer._link, "connect", full)
    writer.let_go()

    async def expect_error():
        with pytest.raises(StoreError, match="the disk is full") as caught:
            await writer.run(fill)
        assert str(database) in str(caught.value)

    async with anyio.create_task_group() as tasks, held(writer):
        tasks.start_soon(expect_error)
        tasks.start_soon(writer.run, insert("beside"))
    await writer.run(insert("small"))
    monkeypatch.undo()
    writer.let_go()
    await writer.run(fill)
    assert {"first", "beside", "small"} < names(database)


async def test_a_caller_that_gave_up_takes_its_unit_back(writer, database):
    async with held(writer):
        with anyio.move_on_after(0):
            await writer.run(insert("given up"))
        with anyio.move_on_after(0):
            await writer.run(insert("must happen"), even_if_cancelled=True)
    await writer.run(insert("later"))
    assert names(database) == {"must happen", "later"}


async def test_a_caller_whose_event_loop_has_ended_harms_nobody(writer, database):
    def abandon():
        async def submit():
            task = asyncio.ensure_future(writer.run(insert("from elsewhere"), even_if_cancelled=True))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(submit())

    async with held(writer):
        await anyio.to_thread.run_sync(abandon)
    await writer.run(insert("here"))
    assert names(database) == {"from elsewhere", "here"}


async def test_one_writer_serves_asyncio_and_trio_at_once(writer, database):
    def elsewhere(backend):
        async def write():
            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(writer.run, insert(f"{backend}-{number}"))

        anyio.run(write, backend=backend)

    async with anyio.create_task_group() as tasks:
        for backend in ("asyncio", "trio"):
            tasks.start_soon(anyio.to_thread.run_sync, elsewhere, backend)
        for number in range(20):
            tasks.start_soon(writer.run, insert(f"here-{number}"))
    assert len(names(database)) == 60


async def test_a_batch_wakes_an_event_loop_once(writer, anyio_backend_name, monkeypatch):
    if anyio_backend_name != "asyncio":
        pytest.skip("trio's entry queue cannot be watched")
    loop, calls = asyncio.get_running_loop(), []
    original = loop.call_soon_threadsafe
    async with anyio.create_task_group() as tasks, held(writer):
        for number in range(30):
            tasks.start_soon(writer.run, insert(f"n{number}"))
        await wait_all_tasks_blocked()
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *args: (calls.append(args), original(*args))[1])
    assert len(calls) == 2  # the unit that held the writer, then the thirty


async def test_a_reader_sees_what_it_wrote_itself(sql_world):
    async def check(number):
        await sql_world.store.write_setting(f"n{number}", "x")
        assert f"n{number}" in await sql_world.store.settings()

    async with anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(check, number)


async def test_a_reading_unit_cannot_write(sql_world):
    with pytest.raises(StoreError):
        await sql_world.store._read(lambda rows: rows.put_setting("a", "b"))
    assert await sql_world.store.settings() == {}


class TestLocked:
    """Another process holds the file."""

    async def test_it_waits_and_goes_on(self, writer, database):
        other = sqlite3.connect(database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(writer.run, insert(f"n{number}"))
            await wait_all_tasks_blocked()
            other.execute("COMMIT")
        other.close()
        assert len(names(database)) == 10

    async def test_it_gives_up_in_the_end_and_recovers(self, database):
        store = SqlStore(f"sqlite:///{database}", patience=0.05)
        async with AsyncExitStack() as stack:
            await store.start(stack)
            other = sqlite3.connect(database, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match=r"locked by another process for 0\.05 s"):
                await store.write_setting("a", "b")
            assert await store.settings() == {}
            other.execute("ROLLBACK")
            other.close()
            await store.write_setting("a", "b")
            assert await store.settings() == {"a": "b"}


class TestClosing:
    """What was handed over is written; nothing is left running."""

    async def test_what_waits_is_written_first(self, database):
        store = SqlStore(f"sqlite:///{database}")
        stack = AsyncExitStack()
        await store.start(stack)
        writer = store._opened()._writer
        release = threading.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.run, lambda _: release.wait(10))
            await wait_all_tasks_blocked()
            for number in range(300):
                tasks.start_soon(writer.run, insert(f"n{number}"))
            await wait_all_tasks_blocked()
            tasks.start_soon(stack.aclose)
            await wait_all_tasks_blocked()
            release.set()
        assert len(names(database)) == 300

    async def test_afterwards_it_refuses(self, database):
        store = SqlStore(f"sqlite:///{database}")
        with pytest.raises(StoreError, match="not open"):
            await store.settings()
        async with AsyncExitStack() as stack:
            await store.start(stack)
            writer = store._opened()._writer
        with pytest.raises(StoreError, match="not open"):
            await store.write_setting("a", "b")
        with pytest.raises(StoreError, match="closed"):
            await writer.run(insert("late"))

    async def test_no_thread_and_no_side_file_stays(self, database):
        before = {thread.name for thread in threading.enumerate()}
        for _ in range(3):
            async with AsyncExitStack() as stack:
                store = SqlStore(f"sqlite:///{database}")
                await store.start(stack)
                await store.write_setting("a", "b")
                await store.settings()
        assert "otpcore-writer" not in {thread.name for thread in threading.enumerate()} - before
        assert [path.name for path in database.parent.iterdir()] == [database.name]

    async def test_several_services_share_one_store_and_the_last_closes_it(self, database):
        store = SqlStore(f"sqlite:///{database}")
        async with AsyncExitStack() as first:
            await store.start(first)
            async with AsyncExitStack() as second:
                await store.start(second)
                await store.write_setting("a", "b")
            assert await store.settings() == {"a": "b"}
        async with AsyncExitStack() as again:
            await store.start(again)
            assert await store.settings() == {"a": "b"}


async def test_what_nobody_heard_of_is_followed_in_a_transaction_of_its_own(writer, database):
    begun, release, followed = threading.Event(), threading.Event(), threading.Event()

    def slow(rows):
        begun.set()
        assert release.wait(10)
        return insert("unheard")(rows)

    def otherwise(rows, result):
        insert(f"after {result}")(rows)
        followed.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: writer.run(slow, otherwise=otherwise))
        assert await anyio.to_thread.run_sync(begun.wait, 10)
        tasks.cancel_scope.cancel()
    release.set()
    assert await anyio.to_thread.run_sync(followed.wait, 10)
    assert await writer.run(lambda _: "heard", otherwise=otherwise) == "heard"  # and what was heard of is not
    assert names(database) == {"unheard", "after unheard"}


async def test_a_unit_taken_back_before_its_transaction_is_not_followed(writer, database):
    followed = []
    async with held(writer):
        with anyio.move_on_after(0):
            await writer.run(insert("never"), otherwise=lambda *_: followed.append(1))
    await writer.run(lambda _: None)
    assert (names(database), followed) == (set(), [])
