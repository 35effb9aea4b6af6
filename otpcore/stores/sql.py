"""The SQL store: the default, in an SQLite file that is created and migrated when it is opened."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from otpcore._logs import fields
from otpcore.errors import SettingsError, StoreError
from otpcore.records import PurgeCount
from otpcore.stores._base import RowStore
from otpcore.stores._forking import ForkGate, watch
from otpcore.stores._rows import Rows
from otpcore.stores._schema import HEAD
from otpcore.stores._sql_rows import SqlRows
from otpcore.stores._sqlite import SqliteDatabase
from otpcore.stores._tables import include_name, metadata

__all__ = ["SqlStore", "create_store", "current", "database_path", "include_name", "metadata", "upgrade"]

T = TypeVar("T")
_logger = logging.getLogger("otpcore.stores.sql")

_PATIENCE = 15.0


def create_store(settings: Any) -> SqlStore:
    """The factory behind ``storage.store = "sql"``."""
    return SqlStore(settings.database_url, synchronous=settings.storage.synchronous)


def upgrade(url: str) -> str:
    """Create the database if need be and run the missing migrations; the revision it is at now. Blocks.

    Raises:
        SettingsError: The URL or the place cannot be used.
        StoreError: The database cannot.
    """
    _database(database_path(url)).prepare(migrate=True)
    return HEAD


def current(url: str) -> str | None:
    """The revision of the tables, or None where there are none yet. Blocks; raises as ``upgrade``."""
    return _database(database_path(url)).revision()


class SqlStore(RowStore):
    """Keeps everything in an SQLite file. One object may serve several services, event loops and threads.

    Args:
        url: SQLAlchemy URL, ``sqlite:///relative`` or ``sqlite:////absolute/path``.
        synchronous: ``FULL`` survives a power cut; ``NORMAL`` is faster and may forget the last moments before one.
        migrate: Create and migrate at start; False: only check, and say what to run.
        patience: Seconds to wait at most for other processes that hold the file.

    Raises:
        SettingsError: The URL cannot be used.
    """

    durable = True

    def __init__(
        self,
        url: str,
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        migrate: bool = True,
        patience: float = _PATIENCE,
    ) -> None:
        self.gate = ForkGate()
        self._path = database_path(url)
        self._synchronous = synchronous
        self._migrate = migrate
        self._patience = patience
        self._lock = threading.Lock()
        self._users = 0
        self._database: SqliteDatabase | None = None
        self._open: set[SqliteDatabase] = set()
        watch(self)

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the file, creating and migrating it if so told; a later start shares what is open.

        Raises:
            SettingsError: The place cannot hold a database.
            StoreError: The file cannot be used as it is.
        """
        database = await anyio.to_thread.run_sync(self._enter)
        exit_stack.push_async_callback(self._leave, database)
        _logger.info("database: %s", self._path, extra=fields("store_opened", reason="sql"))

    async def purge(
        self,
        *,
        challenges_before: datetime,
        deliveries_before: datetime,
        verified_before: datetime | None = None,
        phone_key: str | None,
        now: datetime | None,
    ) -> PurgeCount:
        """As the contract says; a person's rows leave the file's free pages and its log too."""
        count = await super().purge(
            challenges_before=challenges_before,
            deliveries_before=deliveries_before,
            verified_before=verified_before,
            phone_key=phone_key,
            now=now,
        )
        if phone_key is not None:
            await self._opened().fold_log()
        return count

    async def diagnose(self) -> Mapping[str, str]:
        """Kind, place, schema, and how SQLite runs."""
        await self._read(lambda rows: rows.next_due())  # the file is there, readable, and at the head
        return {
            "store": "sql",
            "place": str(self._path),
            "schema": HEAD,
            "sqlite": sqlite3.sqlite_version,
            "synchronous": self._synchronous,
        }

    def let_go(self) -> None:
        """Before a fork: close all connections, so that the child inherits none. They are opened again when needed."""
        for database in self._open:
            database.let_go()

    def forget(self) -> None:
        """In a child after a fork: the writer's thread is not here; be as if never started."""
        self._lock = threading.Lock()
        self._users = 0
        self._database = None
        self._open = set()

    async def _write(self, unit: Callable[[Rows], T], *, even_if_cancelled: bool = False) -> T:
        return await self._opened().write(
            lambda connection: unit(SqlRows(connection)), even_if_cancelled=even_if_cancelled
        )

    async def _read(self, unit: Callable[[Rows], T]) -> T:
        return await self._opened().read(lambda connection: unit(SqlRows(connection)))

    def _opened(self) -> SqliteDatabase:
        if self._database is None:
            raise StoreError("the store is not open; in a child after a fork, start it again")
        return self._database

    def _enter(self) -> SqliteDatabase:
        with self.gate, self._lock:
            if self._database is None:
                database = _database(self._path, self._synchronous, self._patience, self.gate)
                database.prepare(migrate=self._migrate)
                database.start()
                self._open.add(database)
                self._database = database
            self._users += 1
            return self._database

    async def _leave(self, database: SqliteDatabase) -> None:
        with self.gate, self._lock:
            if database is not self._database:  # the stack was made before a fork
                return
            self._users -= 1
            if self._users:
                return
            self._database = None
        await database.aclose()
        self._open.discard(database)


def _database(
    path: Path,
    synchronous: Literal["FULL", "NORMAL"] = "FULL",
    patience: float = _PATIENCE,
    gate: ForkGate | None = None,
) -> SqliteDatabase:
    return SqliteDatabase(path, synchronous=synchronous, patience=patience, gate=gate or ForkGate())


def database_path(url: str) -> Path:
    """The file of an SQLite URL, made absolute."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # not chained: its text may quote a password
        parsed = None
    if parsed is None:
        raise SettingsError("storage.url: not a database URL; for example sqlite:////var/lib/otp/otp.sqlite3")
    _check(parsed)
    return Path(parsed.database or "").absolute()


def _check(url: URL) -> None:
    if url.get_backend_name() != "sqlite" or url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise SettingsError(f"storage.url: only sqlite is supported by this version, not {url.drivername}")
    if url.query:
        raise SettingsError("storage.url: an sqlite URL takes no parameters here; remove what follows the '?'")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise SettingsError(
            "storage.url: name a file, as in sqlite:////var/lib/otp/otp.sqlite3 (or storage.store = 'memory')"
        )
