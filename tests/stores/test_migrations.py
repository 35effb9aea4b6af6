"""The schema: migrations make what the tables declare, run once, and leave a host's tables alone."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tomllib
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from otpcore.errors import StoreError
from otpcore.stores.sql import schema as _schema
from otpcore.stores.sql.store import SqlStore, current, include_name, metadata, upgrade

_STAMP = "UPDATE otp_alembic_version SET version_num = ?"


def execute(database, statement, *parameters):
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(statement, parameters).fetchall()


def scripts():
    config = Config()
    config.set_main_option("script_location", "otpcore.stores.sql:migrations")
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def test_the_migrations_make_exactly_the_declared_tables(database):
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "otp_alembic_version"})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_known_revisions_are_those_that_are_shipped():
    shipped = [script.revision for script in scripts().walk_revisions()]
    assert list(reversed(shipped)) == list(_schema._REVISIONS)


def test_coverage_knows_the_names_under_which_alembic_loads_them():
    """Else what every test runs would count as never run."""
    root = Path(__file__).parents[2]
    config = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    files = (root / "otpcore/stores/sql/migrations").rglob("[!_]*.py")
    names = {f"{path.stem}_py" for path in files}
    assert names == {*config["tool"]["coverage"]["run"]["source_pkgs"]} - {"otpcore"}


def test_upgrade_creates_a_database_and_says_where_it_stands(tmp_path):
    url = f"sqlite:///{tmp_path / 'new.sqlite3'}"
    assert upgrade(url) == _schema.HEAD
    assert current(url) == _schema.HEAD
    assert upgrade(url) == _schema.HEAD


def test_a_start_at_the_head_does_not_load_alembic(database):
    code = f"""
import anyio, sys
from contextlib import AsyncExitStack
from otpcore.stores import SqlStore

async def main():
    async with AsyncExitStack() as stack:
        await SqlStore("sqlite:///{database}").start(stack)
    assert "alembic" not in sys.modules

anyio.run(main)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_processes_that_start_together_on_a_new_file_migrate_it_once(tmp_path, forked):
    database = tmp_path / "new.sqlite3"
    code = f"""
from otpcore.stores.sql.store import upgrade
upgrade("sqlite:///{database}")
"""
    started = [subprocess.Popen([forked.python, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in started] == [("", 0)] * 4
    assert execute(database, "SELECT version_num FROM otp_alembic_version") == [(_schema.HEAD,)]


async def test_a_newer_database_is_refused_and_left_alone(database):
    execute(database, _STAMP, "9999")
    with pytest.raises(StoreError, match=r"newer otpcore \(revision 9999.*update otpcore") as caught:
        await SqlStore(f"sqlite:///{database}").start(AsyncExitStack())
    assert str(database) in str(caught.value)
    assert execute(database, "SELECT version_num FROM otp_alembic_version") == [("9999",)]


async def test_without_migrating_a_missing_or_older_schema_says_what_to_run(database, tmp_path):
    with pytest.raises(StoreError, match="otp db upgrade"):
        await SqlStore(f"sqlite:///{tmp_path / 'none.sqlite3'}", migrate=False).start(AsyncExitStack())
    assert not (tmp_path / "none.sqlite3").exists()
    execute(database, "DROP TABLE otp_alembic_version")
    with pytest.raises(StoreError, match="otp db upgrade"):
        await SqlStore(f"sqlite:///{database}", migrate=False).start(AsyncExitStack())


async def test_a_failed_migration_leaves_nothing_behind(tmp_path):
    database = tmp_path / "host.sqlite3"
    execute(database, "CREATE TABLE otp_setting (theirs)")  # the last table that the migration creates
    with pytest.raises(StoreError, match="otp_setting already exists"):
        await SqlStore(f"sqlite:///{database}").start(AsyncExitStack())
    assert execute(database, "SELECT name FROM sqlite_master WHERE type = 'table'") == [("otp_setting",)]


def test_it_lives_beside_the_tables_of_a_host(tmp_path):
    database = tmp_path / "host.sqlite3"
    execute(database, "CREATE TABLE alembic_version (version_num)")
    execute(database, "INSERT INTO alembic_version VALUES ('theirs')")
    upgrade(f"sqlite:///{database}")
    assert execute(database, "SELECT version_num FROM alembic_version") == [("theirs",)]


def test_a_hosts_autogenerate_leaves_our_tables_alone(database):
    assert not any(include_name(name, "table", {}) for name in [*metadata.tables, "otp_alembic_version"])
    assert include_name("users", "table", {})
    assert include_name("otp_setting", "index", {})
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": include_name})
        assert compare_metadata(context, type(metadata)()) == []
    engine.dispose()


def test_the_migration_can_be_undone(database):
    engine = create_engine(f"sqlite:///{database}")
    config = Config()
    config.set_main_option("script_location", "otpcore.stores.sql:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    engine.dispose()
    assert execute(database, "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'otp%'") == [
        ("otp_alembic_version",)
    ]
