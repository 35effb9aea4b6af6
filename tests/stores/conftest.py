"""Databases to open: an SQLite file, and servers."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from otpcore.stores.memory import MemoryStore
from otpcore.stores.sql import SqlStore, upgrade
from otpcore.testing.store import World

from ..own_servers import postgres_server  # noqa: TID252 - tests are no package that could be imported by name
from ..servers import mariadb_database  # noqa: TID252 - tests are no package that could be imported by name


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("stores") / "migrated.sqlite3"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Path:
    """A fresh database file of this test's own."""
    return Path(shutil.copy(migrated, tmp_path / "otp.sqlite3"))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A migrated database on a PostgreSQL server of this test run."""
    with postgres_server() as url:
        upgrade(url)
        yield url


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """A migrated database on the MariaDB server that is given, or answers on its usual port."""
    with mariadb_database() as url:
        upgrade(url)
        yield url


@pytest.fixture
async def sql_world(database: Path) -> AsyncIterator[World]:
    """A world around a started SQL store."""
    store = SqlStore(f"sqlite:///{database}", synchronous="NORMAL")
    async with AsyncExitStack() as stack:
        await store.start(stack)
        yield World(store=store)


@pytest.fixture
def new_world() -> Callable[[], World]:
    """Worlds without a store, for whoever only wants requests and a clock."""
    return lambda: World(store=MemoryStore())
