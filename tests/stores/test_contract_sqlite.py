"""The SQL store over an SQLite file keeps the contract of stores."""

from __future__ import annotations

import itertools
import os
import shutil

import pytest

from otpcore.stores.sql.store import SqlStore
from otpcore.testing.stores.contract import CrashFactory, StoreContract

from .rows import KeptInRows


class TestSqlite(KeptInRows, StoreContract):
    """Units run in the writer's thread or in workers; how they wake a waiter on each loop is for test_writer.py."""

    event_loops = ("asyncio",)
    examples = int(os.environ.get("OTPCORE_EQUIVALENCE_EXAMPLES", "15"))

    @pytest.fixture
    def new_store(self, database):
        return SqlStore(f"sqlite:///{database}", synchronous="NORMAL")

    @pytest.fixture
    def new_stores(self, migrated, tmp_path):
        numbers = itertools.count()

        def make():
            path = shutil.copy(migrated, tmp_path / f"{next(numbers)}.sqlite3")
            return SqlStore(f"sqlite:///{path}", synchronous="NORMAL")

        return make

    @pytest.fixture
    def reopen(self, database):
        return lambda: SqlStore(f"sqlite:///{database}", synchronous="NORMAL")

    @pytest.fixture
    def crash_factory(self, database):
        return CrashFactory("otpcore.stores.sql.store:SqlStore", (f"sqlite:///{database}",))

    @pytest.fixture
    def raw_contents(self, database):
        return lambda: b"".join(path.read_bytes() for path in sorted(database.parent.glob(f"{database.name}*")))
