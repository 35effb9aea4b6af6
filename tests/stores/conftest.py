"""An SQLite file to open, and worlds."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.sql.store import SqlStore
from otpcore.testing.stores.contract import World


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Path:
    """A fresh database file of this test's own."""
    return Path(shutil.copy(migrated, tmp_path / "otp.sqlite3"))


@pytest.fixture
async def sql_world(database: Path) -> AsyncIterator[World]:
    """A world around a started SQL store."""
    store = SqlStore(f"sqlite:///{database}", synchronous="NORMAL")
    async with AsyncExitStack() as stack:
        await store.start(stack)
        yield World(store=store)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A world around a started memory store, where a file names no other."""
    store = MemoryStore()
    async with AsyncExitStack() as stack:
        await store.start(stack)
        yield World(store=store)


@pytest.fixture
def new_world() -> Callable[[], World]:
    """Worlds without a store, for whoever only wants requests and a clock."""
    return lambda: World(store=MemoryStore())
