"""A live database is upgraded by a later release while workers of this one write to it, on every database: nothing is lost."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import attrs
import pytest
from sqlalchemy import Engine, create_engine, make_url, text

import otpcore
from otpcore.errors import StoreError
from otpcore.models import ChallengeState, Outcome
from otpcore.stores.sql import schema as _schema
from otpcore.stores.sql.store import SqlStore, current, upgrade
from otpcore.testing.stores.contract import World

WRITERS = 4
MIGRATIONS = Path(otpcore.__file__).parent / "stores/sql/migrations"
NEXT = Path(__file__).parent / "next_release/0002_next.py"
UPGRADE = """
import sys
from otpcore.stores.sql import schema, store

schema._SCRIPTS, schema._REVISIONS, schema.HEAD = sys.argv[2], ("0001", "0002"), "0002"
store.upgrade(sys.argv[1])
"""


@pytest.fixture
def anyio_backend():
    return "asyncio"  # every unit runs in a worker thread, whichever event loop waits for it


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of this release."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'live.sqlite3'}"
        upgrade(url)
        yield url
        return
    server = make_url(request.getfixturevalue(f"{request.param}_url"))
    name = f"{server.database}_live"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with closing_engine(admin), admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            url = server.set(database=name).render_as_string(hide_password=False)
            upgrade(url)
            yield url
        finally:
            connection.execute(text(f"DROP DATABASE {name}"))


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The migrations of the release after this one."""
    copy = shutil.copytree(MIGRATIONS, tmp_path / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(NEXT, copy / "versions")
    return copy


@contextmanager
def closing_engine(engine: Engine) -> Iterator[Engine]:
    try:
        yield engine
    finally:
        engine.dispose()


def run_sql(url: str, statement: str) -> None:
    with closing_engine(create_engine(url)) as engine, engine.begin() as connection:
        connection.execute(text(statement))


def kept_revision(url: str) -> str | None:
    with closing_engine(create_engine(url)) as engine, engine.connect() as connection:
        return connection.execute(text("SELECT version_num FROM otp_alembic_version")).scalar()


def upgrade_in_a_process(url: str, scripts: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", UPGRADE, url, str(scripts)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@attrs.define
class Worker:
    """A worker of this release, which knew the database before: it sends until it is stopped."""

    url: str
    number: int
    stop: threading.Event
    sent: list[str] = attrs.field(factory=list)
    waiting: list[str] = attrs.field(factory=list)
    failures: list[str] = attrs.field(factory=list)

    def run(self) -> None:
        anyio.run(self.work)

    async def work(self) -> None:
        async with AsyncExitStack() as stack:
            store = SqlStore(self.url)
            await store.start(stack)
            numbers = itertools.count(self.number * 1_000_000)  # ids of its own
            world = World(store=store, now=datetime.now(UTC), numbers=numbers).with_retries()
            turn = 0
            while not self.stop.is_set():
                turn += 1
                challenge = world.challenge(phone=f"phone-{self.number}-{turn}")
                try:
                    failover = await world.send(world.new_send(challenge, world.core("mada")))
                    await failover.answer(Outcome.ACCEPTED if turn % 2 else Outcome.THROTTLED)
                except Exception as error:  # noqa: BLE001 - whatever it was, no worker may notice an upgrade
                    self.failures.append(repr(error))
                else:
                    (self.sent if turn % 2 else self.waiting).append(challenge.id)


@contextmanager
def workers(url: str) -> Iterator[list[Worker]]:
    stop = threading.Event()
    found = [Worker(url, number, stop) for number in range(WRITERS)]
    threads = [threading.Thread(target=worker.run) for worker in found]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def have_sent_more(found: list[Worker], than: list[int]) -> bool:
    return all(len(one.waiting) + len(one.failures) > count + 1 for one, count in zip(found, than, strict=True))


async def test_workers_write_on_while_the_tables_are_upgraded(url, scripts):
    with workers(url) as found:
        wait_until(lambda: have_sent_more(found, [0] * WRITERS))
        started = [upgrade_in_a_process(url, scripts) for _ in range(2)]  # at once, as two hosts do
        assert [(*one.communicate(timeout=120), one.returncode) for one in started] == [("", "", 0)] * 2
        before = [len(worker.waiting) for worker in found]
        wait_until(lambda: have_sent_more(found, before))  # they go on with what they knew
    assert kept_revision(url) == "0002"
    assert current(url) == _schema.HEAD, "its migration says that it serves this release"
    assert [worker.failures for worker in found] == [[]] * WRITERS
    async with AsyncExitStack() as stack:
        store = SqlStore(url)  # a worker that starts afterwards
        await store.start(stack)
        for worker in found:
            for one in worker.sent:
                (view,) = await store.view(challenge_id=one)
                assert (view.challenge.state, view.schedule) == (ChallengeState.SENT, ())
                assert [delivery.outcome for delivery in view.deliveries] == [Outcome.ACCEPTED]
            for one in worker.waiting:
                (view,) = await store.view(challenge_id=one)
                assert view.challenge.state is ChallengeState.QUEUED
                assert [row.lease_until for row in view.schedule] == [None]


@pytest.mark.parametrize(("said", "serves"), [("0001-9999", True), ("0002-9999", False), ("9999-9999", False)])
async def test_a_newer_database_is_worked_on_where_its_migration_says_so(url, said, serves):
    run_sql(url, f"UPDATE otp_alembic_version SET version_num = '9999', serves = '{said}'")
    async with AsyncExitStack() as stack:
        if serves:
            await SqlStore(url).start(stack)
            upgrade(url)
        else:
            with pytest.raises(StoreError, match="newer otpcore"):
                await SqlStore(url).start(stack)
    assert kept_revision(url) == "9999"


def test_a_migration_that_was_cut_off_goes_on_where_the_database_keeps_its_steps(url, scripts):
    run_sql(url, "ALTER TABLE otp_schedule ADD COLUMN note VARCHAR(20) NOT NULL DEFAULT ''")
    process = upgrade_in_a_process(url, scripts)
    assert (*process.communicate(timeout=120), process.returncode) == ("", "", 0)
    assert kept_revision(url) == "0002"
