"""The SQLite file: where it may be, how it is made, and what an operator reads when something is wrong with it."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import stat
import tempfile
import traceback
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from otpcore.errors import SettingsError, StoreError
from otpcore.models import Outcome
from otpcore.operator.fixes import FIXES, told_of
from otpcore.stores.sql import statements as sql
from otpcore.stores.sql.prepared import prepared_for
from otpcore.stores.sql.schema import HEAD
from otpcore.stores.sql.sqlite.database import _MEANING
from otpcore.stores.sql.sqlite.writer import raw_connection
from otpcore.stores.sql.store import SqlStore, create_store
from otpcore.testing.stores.world import CHANNELS


@pytest.fixture
def public():
    """A directory that other users can reach; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


def remove(database):
    """Remove the file and what SQLite keeps beside it."""
    for side in ("", "-wal", "-shm"):
        Path(f"{database}{side}").unlink(missing_ok=True)


async def start_error(url):
    """What a start raises."""
    with pytest.raises((SettingsError, StoreError)) as caught:
        await SqlStore(url).start(AsyncExitStack())
    return caught.value


async def test_a_new_file_is_made_for_its_owner_only_and_its_absolute_path_is_logged(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "otpcore.stores.sql")
    async with AsyncExitStack() as stack:
        await SqlStore("sqlite:///otp.sqlite3").start(stack)
        assert stat.S_IMODE((tmp_path / "otp.sqlite3").stat().st_mode) == 0o600
    assert str(tmp_path / "otp.sqlite3") in caplog.text


async def test_the_settings_say_where_and_how(tmp_path):
    settings = SimpleNamespace(
        database_url=f"sqlite:///{tmp_path / 'otp.sqlite3'}",
        storage=SimpleNamespace(synchronous="NORMAL", outbox=False),
    )
    store = create_store(settings)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        pragmas = await store._opened().write(
            lambda rows: tuple(
                rows._connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("synchronous", "journal_mode", "busy_timeout")
            ),
            even_if_cancelled=False,
        )
    assert pragmas == (1, "wal", 0)


async def test_by_default_a_power_cut_loses_nothing(sql_world, database):
    store = SqlStore(f"sqlite:///{database}")
    async with AsyncExitStack() as stack:
        await store.start(stack)
        synchronous = await store._opened().write(
            lambda rows: rows._connection.exec_driver_sql("PRAGMA synchronous").scalar_one(), even_if_cancelled=False
        )
    assert synchronous == 2


async def test_a_path_with_strange_characters_works(tmp_path):
    directory = tmp_path / "a b?c#d%20é"
    directory.mkdir()
    async with AsyncExitStack() as stack:
        store = SqlStore(f"sqlite:///{quote(str(directory))}/otp.sqlite3")
        await store.start(stack)
        await store.write_setting("a", "b")
    assert [path.name for path in directory.iterdir()] == ["otp.sqlite3"]


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("oracle+oracledb://u:secret@host/db", "sqlite, postgresql, mariadb or mysql is supported, not oracle"),
        ("sqlite+aiosqlite:///x.db", "is supported, not sqlite.aiosqlite"),
        ("sqlite:///x.db?timeout=5", "takes no parameters"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("otp.sqlite3", "not a database URL"),
        ("postgresql://u:secret@host:port/db", "not a database URL"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_by_name(url, complaint):
    with pytest.raises(SettingsError, match=complaint) as caught:
        SqlStore(url)
    assert str(caught.value).startswith("storage.url: ")
    assert "secret" not in "".join(traceback.format_exception(caught.value.with_traceback(None)))


@pytest.mark.parametrize(
    "url", ["postgresql://u:se@c:r/et@host/db", "mysql://u:secret@host:port/db", "postgres://u:sec?r@et:x@h:p/db"]
)
def test_a_password_that_breaks_the_url_is_told_how_it_is_written(url):
    with pytest.raises(SettingsError) as caught:
        SqlStore(url)
    message, _, fix = str(caught.value).partition("Fix: ")
    assert message == "storage.url: not a database URL: what follows :// cannot be read. "
    assert "in user and password as %40 %3A %2F" in fix
    assert "sqlite" not in fix
    assert not any(part in str(caught.value) for part in ("secret", "se@c", "r/et", "sec?r", "et:x"))


@pytest.mark.parametrize("url", ["sqlite:///a?b.sqlite3", "sqlite:///a.sqlite3?"])
def test_a_question_mark_in_the_name_of_a_file_is_not_dropped(url):
    with pytest.raises(SettingsError, match="write it as %3F"):
        SqlStore(url)


def test_every_cause_that_sqlite_names_has_a_fix_of_its_own():
    for words in _MEANING.values():
        told, fix = told_of(StoreError(f"/srv/otp.sqlite3 {words}"))
        assert fix not in FIXES.values(), words
        assert told == f"/srv/otp.sqlite3 {words.partition('. Fix: ')[0]}"


async def test_a_missing_directory_is_named(tmp_path):
    error = await start_error(f"sqlite:///{tmp_path / 'missing' / 'otp.sqlite3'}")
    assert isinstance(error, SettingsError)
    assert f"the directory {tmp_path / 'missing'} does not exist. Fix: create it" in str(error)


async def test_a_directory_instead_of_a_file_is_named(tmp_path):
    assert "is a directory. Fix: name a file in it" in str(await start_error(f"sqlite:///{tmp_path}"))


async def test_a_file_of_another_kind_is_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and longer than the header of one, so that SQLite has something to read\n" * 20)
    before = path.read_bytes()
    error = await start_error(f"sqlite:///{path}")
    assert f"{path} is not an SQLite database. Fix: move it away" in str(error)
    assert path.read_bytes() == before


async def test_a_damaged_file_is_named(database):
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    damaged = bytearray(database.read_bytes())
    damaged[100:8000] = b"\xff" * 7900
    database.write_bytes(damaged)
    assert f"{database} is damaged. Fix: restore it" in str(await start_error(f"sqlite:///{database}"))


@contextmanager
def permissions(directory, of_directory, path=None, of_file=0o600):
    """As a user who is not root, since root may write everything, with these permissions."""
    is_root = os.geteuid() == 0
    if path is not None:
        path.chmod(of_file)
    directory.chmod(of_directory)
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        directory.chmod(0o700)


@pytest.mark.parametrize(
    ("of_file", "of_directory", "complaint"),
    [
        (0o444, 0o777, "cannot be written. Fix: give this user write permission on the file and its directory"),
        (0o000, 0o777, "cannot be opened. Fix: give this user read and write permission"),
        (0o666, 0o555, "cannot be written. Fix: give this user write permission on the file and its directory"),
    ],
)
async def test_a_file_that_may_not_be_written_says_so(migrated, public, of_file, of_directory, complaint):
    path = Path(shutil.copy(migrated, public))
    async with AsyncExitStack() as stack:  # everything is imported while this user may still read it
        await SqlStore(f"sqlite:///{path}").start(stack)
    with permissions(public, of_directory, path, of_file):
        assert f"{path} {complaint}" in str(await start_error(f"sqlite:///{path}"))


async def test_a_directory_that_may_not_be_written_says_so(public):
    with permissions(public, 0o555):
        assert "cannot be created (Permission denied)" in str(await start_error(f"sqlite:///{public}/otp.sqlite3"))


async def test_a_file_that_was_deleted_is_missed_at_once(database):
    store = SqlStore(f"sqlite:///{database}")
    async with AsyncExitStack() as stack:
        await store.start(stack)
        await store.write_setting("a", "b")
        await store.settings()
        remove(database)
        with pytest.raises(StoreError, match=r"is gone\. Fix: put it back"):
            await store.write_setting("a", "c")
        with pytest.raises(StoreError, match=r"is gone\. Fix: put it back"):
            await store.settings()
    assert not database.exists()


async def test_a_backup_that_was_put_back_is_used(database, migrated):
    store = SqlStore(f"sqlite:///{database}")
    async with AsyncExitStack() as stack:
        await store.start(stack)
        await store.write_setting("old", "x")
        await store.settings()
        remove(database)
        shutil.copy(migrated, database)
        await store.write_setting("new", "x")
        assert await store.settings() == {"new": "x"}


async def test_another_file_in_its_place_is_not_written_to(database):
    store = SqlStore(f"sqlite:///{database}")
    async with AsyncExitStack() as stack:
        await store.start(stack)
        remove(database)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        with pytest.raises(StoreError, match="has no tables of otpcore"):
            await store.write_setting("a", "b")
        with pytest.raises(StoreError, match="has no tables of otpcore"):
            await store.settings()


async def test_an_error_holds_nothing_that_was_to_be_written(sql_world):
    challenge = sql_world.challenge(code_digest="DIGEST-OF-CODE", code_sealed=b"SEALED-CODE")
    await sql_world.store._write(lambda rows: rows.insert_challenge(challenge))
    with pytest.raises(StoreError) as caught:
        await sql_world.store._write(
            lambda rows: rows.insert_challenge(sql_world.challenge(id=challenge.id, subject="other"))
        )
    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "UNIQUE constraint failed: otp_challenge.id" in said
    for secret in ("DIGEST-OF-CODE", "SEALED-CODE", "sealed code", challenge.phone_key, challenge.id):
        assert secret not in said
    assert not hasattr(caught.value.__cause__, "params")


async def test_doctor_sees_where_it_is_and_how_it_runs(sql_world, database):
    facts = await sql_world.store.diagnose()
    assert facts["place"] == str(database)
    assert (facts["schema"], facts["synchronous"]) == (HEAD, "NORMAL")


async def test_nothing_reads_a_whole_table_that_grows(sql_world, database, monkeypatch):
    monkeypatch.setattr(SqlStore, "_read", SqlStore._write)  # so that one connection sees it all
    statements = set()
    await sql_world.store._opened().write(
        lambda rows: raw_connection(rows._connection).set_trace_callback(statements.add), even_if_cancelled=False
    )
    world, store = sql_world.with_retries(), sql_world.store
    for _ in range(2):
        await world.charge(limit=1)
    failover = await world.begin(world.vendor() + world.core("mada"), forced=("mada",))
    await failover.answer(Outcome.UNAVAILABLE, reference="VE1")
    await failover.answer(Outcome.UNAVAILABLE)
    await store.counters("phone-1/", world.now)
    await store.view(phone_key="phone-1")
    await (await world.claim_next(instances=frozenset({"mada"}))).answer(Outcome.AMBIGUOUS)
    await world.claim(instances=frozenset())
    reservation = await world.reserve()
    await store.settle(reservation, give_back=True, gone=(), now=world.now)
    await store.approve(reservation, settled=(), now=world.now)
    await store.sweep(unretried=CHANNELS, limit=10, now=world.later(1000))
    await store.purge(challenges_before=world.now, deliveries_before=world.now, phone_key=None, now=world.now)
    await store.reset_counters("phone-1/")
    with closing(sqlite3.connect(database)) as connection:
        plans = {
            statement: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            for statement in statements
            if statement.startswith(("SELECT", "UPDATE", "DELETE"))
        }
    assert len(plans) > 30
    small = ("otp_breaker", "otp_alembic_version")
    scans = {
        statement
        for statement, plan in plans.items()
        for step in plan
        if step.startswith("SCAN") and not any(table in step for table in small)
    }
    assert scans == set()


async def test_the_counts_read_an_index_and_not_the_table(sql_world):
    def plans(rows):
        for statement, parameters in (
            (sql.COUNT_OUTCOMES, {"since": 0, "own_world": "real"}),
            (sql.VERIFIED_BY_ROUTE, {"since": 0, "own_world": "real"}),
            (sql.COUNT_WAITING, {"now": 0, "own_world": "real"}),
        ):
            text = prepared_for(statement, rows._connection.dialect, frozenset(parameters)).text
            count = text.count("?")
            yield [step[3] for step in rows._raw.execute(f"explain query plan {text}", [0] * count).fetchall()]

    for steps in await sql_world.store._read(lambda rows: list(plans(rows))):
        assert not [step for step in steps if step.startswith("SCAN") and "otp_schedule" not in step]
