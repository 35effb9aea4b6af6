"""A live database is upgraded while workers of the first revision write to it, on every database: nothing is lost."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

from otpcore.errors import StoreError
from otpcore.models import ChallengeState, Outcome
from otpcore.stores import _schema
from otpcore.stores._tables import to_microseconds
from otpcore.stores.sql import SqlStore, current, upgrade
from otpcore.walks import BreakerRule, StepKind

FIRST = json.loads((Path(__file__).parent / "revision_0001.json").read_text())
"""The statements of a worker of revision 0001 for one send, as it had them; what differs from one database to another is listed."""

WRITERS = 4


@pytest.fixture
def anyio_backend():
    return "asyncio"  # every unit runs in a worker thread, whichever event loop waits for it


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database at the first revision."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'live.sqlite3'}"
        to_first_revision(url)
        yield url
        return
    server = make_url(request.getfixturevalue(f"{request.param}_url"))
    name = f"{server.database}_live"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with closing_engine(admin), admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            url = server.set(database=name).render_as_string(hide_password=False)
            to_first_revision(url)
            yield url
        finally:
            connection.execute(text(f"DROP DATABASE {name}"))


@contextmanager
def closing_engine(engine: Engine) -> Iterator[Engine]:
    try:
        yield engine
    finally:
        engine.dispose()


def to_first_revision(url: str) -> None:
    config = Config()
    config.set_main_option("script_location", "otpcore.stores:migrations")
    config.set_main_option("path_separator", "os")
    with closing_engine(create_engine(url)) as engine, engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    if url.startswith("sqlite"):
        import sqlite3  # noqa: PLC0415 - beside its one use

        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
            raw.execute("PRAGMA journal_mode = WAL")


def old_engine(url: str) -> Engine:
    """As a worker of the first revision connects."""
    if not url.startswith("sqlite"):
        return create_engine(url, isolation_level="READ COMMITTED")
    engine = create_engine(url, connect_args={"timeout": 20, "isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


@attrs.define
class OldWorker:
    """Writes sends as a worker of the first revision does, one transaction after the other, until it is stopped."""

    url: str
    number: int
    stop: threading.Event
    sent: list[str] = attrs.field(factory=list)
    waiting: list[str] = attrs.field(factory=list)
    failures: list[str] = attrs.field(factory=list)

    def run(self) -> None:
        with closing_engine(old_engine(self.url)) as engine:
            for turn in itertools.count():
                if self.stop.is_set():
                    return
                one = f"old-{self.number}-{turn}"
                try:
                    self.send(engine, one, accepted=turn % 2 == 0)
                except DBAPIError as error:  # a lock was waited for too long: nothing was promised
                    self.failures.append(type(error.orig).__name__)
                    continue
                (self.waiting if turn % 2 else self.sent).append(one)

    def send(self, engine: Engine, one: str, *, accepted: bool) -> None:
        """A first send whose answer comes: it is sent, or a retry is due."""
        self.in_transaction(engine, "begin", one)
        self.in_transaction(engine, "accepted" if accepted else "failed", one)

    def in_transaction(self, engine: Engine, name: str, one: str) -> None:
        for pause in (0.02, 0.1, 0.5, 1.0, None):  # as its store runs a unit again that lost against another
            try:
                with engine.begin() as connection:
                    self.run_all(connection, name, one)
            except DBAPIError:
                if pause is None:
                    raise
                time.sleep(pause)
            else:
                return

    def run_all(self, connection: Connection, name: str, one: str) -> None:
        now = time.time_ns() // 1000
        values = {
            "id": one,
            "phone": f"phone-{one}",
            "now": now,
            "expires": now + 300_000_000,
            "due": now + 500_000,
            "sealed": b"sealed",
        }
        for statement in FIRST[name]:
            sql = statement if isinstance(statement, str) else statement[connection.dialect.name]
            result = connection.execute(text(sql), values)
            if result.returns_rows:
                assert result.one()
            else:
                assert result.rowcount >= 1


def upgrade_in_a_process(url: str) -> subprocess.Popen:
    code = f"from otpcore.stores.sql import upgrade\nupgrade({url!r})"
    return subprocess.Popen([sys.executable, "-W", "error", "-c", code], stderr=subprocess.PIPE, text=True)


@contextmanager
def old_workers(url: str) -> Iterator[list[OldWorker]]:
    stop = threading.Event()
    workers = [OldWorker(url, number, stop) for number in range(WRITERS)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield workers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def more(workers: list[OldWorker], than: list[int]) -> bool:
    return all(len(worker.waiting) > count + 1 for worker, count in zip(workers, than, strict=True))


async def test_old_workers_write_on_while_the_tables_are_upgraded(url, new_world):
    with old_workers(url) as workers:
        wait_until(functools.partial(more, workers, [0] * WRITERS))
        started = [upgrade_in_a_process(url) for _ in range(2)]  # at once, as two hosts do
        assert [(one.communicate(timeout=60)[1], one.returncode) for one in started] == [("", 0)] * 2
        before = [len(worker.waiting) for worker in workers]
        wait_until(functools.partial(more, workers, before))  # they go on with what they knew
        assert current(url) == _schema.HEAD
        await new_workers_go_on(url, new_world())
    assert [worker.failures for worker in workers] == [[]] * WRITERS
    async with AsyncExitStack() as stack:
        store = SqlStore(url)
        await store.start(stack)
        for worker in workers:
            for one in worker.sent:
                (view,) = await store.view(challenge_id=one)
                assert (view.challenge.state, view.schedule) == (ChallengeState.SENT, ())
                assert [delivery.outcome for delivery in view.deliveries] == [Outcome.ACCEPTED]
            for one in worker.waiting:
                (view,) = await store.view(challenge_id=one)
                assert view.challenge.state is ChallengeState.QUEUED
                assert [(row.leased, row.waits_for) for row in view.schedule] == [(False, None)]


async def new_workers_go_on(url: str, world) -> None:
    """A worker of this version sends, and takes up what an old one left."""
    world.with_retries().now = datetime.now(UTC)
    world.store = SqlStore(url)
    async with AsyncExitStack() as stack:
        await world.store.start(stack)
        walk = await world.begin()
        assert (await walk.answer(Outcome.ACCEPTED)).kind is StepKind.ACCEPTED


async def test_what_an_old_worker_left_is_taken_up(url, new_world):
    world = new_world()
    worker = OldWorker(url, 1, threading.Event())
    with closing_engine(old_engine(url)) as engine:
        worker.send(engine, "old-1", accepted=False)
    upgrade(url)
    world.with_retries().now = datetime.now(UTC) + timedelta(seconds=1)
    world.store = SqlStore(url)
    async with AsyncExitStack() as stack:
        await world.store.start(stack)
        (claim,) = (await world.claim()).claims
        retry = await world.begin_retry(claim)
        assert (await retry.answer(Outcome.ACCEPTED)).kind is StepKind.ACCEPTED


async def test_an_old_worker_takes_up_what_waits_for_a_breaker_and_nothing_is_lost(url, new_world):
    world = new_world()
    upgrade(url)
    world.with_retries().now = datetime.now(UTC)
    world.breaker = BreakerRule(threshold=1)
    world.store = SqlStore(url)
    async with AsyncExitStack() as stack:
        await world.store.start(stack)
        walk = await world.begin()
        await walk.answer(Outcome.UNAVAILABLE)
        waiting = await world.begin(phone="phone-2")
        with closing_engine(old_engine(url)) as engine, engine.begin() as connection:  # its lease, then its backoff
            put = FIRST["begin"][-1][connection.dialect.name]
            due = to_microseconds(world.now + timedelta(seconds=30))
            connection.execute(text(put), {"id": waiting.id, "expires": due})
        assert await world.store.wake("mada", world.breaker, world.now) == 0  # it is open
        world.later(1)
        probe = await world.begin(phone="phone-3")
        assert (await probe.answer(Outcome.ACCEPTED)).closed == "mada"
        assert await world.store.wake("mada", world.breaker, world.now) == 1  # the old worker's lease is left alone
        (row,) = (await waiting.view()).schedule
        assert (row.leased, to_microseconds(row.due_at)) == (True, due)


@pytest.mark.parametrize(("said", "serves"), [("0001-9999", True), ("0002-9999", True), ("9999-9999", False)])
async def test_a_newer_database_is_worked_on_where_its_migration_says_so(url, said, serves):
    upgrade(url)
    with closing_engine(create_engine(url)) as engine, engine.begin() as connection:
        connection.execute(text(f"UPDATE otp_alembic_version SET version_num = '9999', serves = '{said}'"))
    async with AsyncExitStack() as stack:
        if serves:
            await SqlStore(url).start(stack)
            upgrade(url)
        else:
            with pytest.raises(StoreError, match="newer otpcore"):
                await SqlStore(url).start(stack)
    with closing_engine(create_engine(url)) as engine, engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM otp_alembic_version")).scalar() == "9999"


def test_a_migration_that_was_cut_off_goes_on_where_the_database_keeps_its_steps(url):
    with closing_engine(create_engine(url)) as engine, engine.begin() as connection:
        connection.execute(text("ALTER TABLE otp_schedule ADD COLUMN waits_for VARCHAR(255)"))
    assert upgrade(url) == _schema.HEAD
