"""The SQL store: the default, in an SQLite file that is created and migrated when it is opened, or on a server."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio
from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from otpcore._logs import fields
from otpcore.errors import SettingsError, StoreError
from otpcore.figures import PurgeCount
from otpcore.stores._database import Database, is_server
from otpcore.stores._forking import ForkGate, watch
from otpcore.stores._schema import HEAD
from otpcore.stores._sqlite import SqliteDatabase
from otpcore.stores._tables import include_name, metadata
from otpcore.stores.base import RowStore
from otpcore.stores.rows import Rows

__all__ = ["SqlStore", "create_store", "current", "database_path", "include_name", "metadata", "upgrade"]

T = TypeVar("T")
_logger = logging.getLogger("otpcore.stores.sql")

_PATIENCE = 15.0


def create_store(settings: Any) -> SqlStore:
    """The factory behind ``storage.store = "sql"``."""
    return SqlStore(settings.database_url, synchronous=settings.storage.synchronous)


def upgrade(url: str) -> str:
    """Run the missing migrations, creating an SQLite file if need be; the revision it is at now. Blocks.

    Raises:
        SettingsError: The URL or the place cannot be used.
        StoreError: The database cannot.
    """
    with _opened_for(url) as database:
        database.prepare(migrate=True)
    return HEAD


def current(url: str) -> str | None:
    """The revision of the tables, or None where there are none yet. Blocks; raises as ``upgrade``."""
    with _opened_for(url) as database:
        return database.revision()


class SqlStore(RowStore):
    """Keeps everything in an SQL database. One object may serve several services, event loops and threads.

    Args:
        url: SQLAlchemy URL, such as ``sqlite:////absolute/path`` or ``postgresql://user:password@host/database``; or an
            ``Engine`` of the host's own on a server, which is used as it is and never closed.
        synchronous: SQLite: ``FULL`` survives a power cut; ``NORMAL`` is faster and may forget the last moments before one.
        migrate: Create and migrate at start; False: only check, and say what to run. None: an SQLite file is migrated, a
            server's database only checked.
        patience: Seconds to wait at most: for other processes that hold the file, for locks, for a server that is away.

    Raises:
        SettingsError: The URL cannot be used.
    """

    durable = True

    def __init__(
        self,
        url: str | Engine,
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        migrate: bool | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        self.gate = ForkGate()
        self._make: Callable[[], Database] = lambda: _database(url, self.gate, synchronous, patience)
        self._migrate = migrate
        _check(url)
        self._charges_apart = not isinstance(url, str) or database_path(url) is None
        self._lock = threading.Lock()
        self._users = 0
        self._database: Database | None = None
        self._open: set[Database] = set()
        watch(self)

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the database, creating and migrating it if so told; a later start shares what is open.

        Raises:
            SettingsError: The place cannot hold a database.
            StoreError: The database cannot be used as it is.
        """
        database = await anyio.to_thread.run_sync(self._enter)
        exit_stack.push_async_callback(self._leave, database)
        _logger.info("database: %s", database.place, extra=fields("store_opened", reason="sql"))

    async def purge(
        self,
        *,
        challenges_before: datetime,
        deliveries_before: datetime,
        verified_before: datetime | None = None,
        phone_key: str | None,
        now: datetime | None,
    ) -> PurgeCount:
        """As the contract says; a person's rows leave an SQLite file's free pages and its log too."""
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
        """Kind, place, schema, and what runs it."""
        await self._read(lambda rows: rows.next_due())  # the database is there, readable, and at the head
        facts = await anyio.to_thread.run_sync(self._opened().facts)
        return {"store": "sql", "schema": HEAD, **facts}

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

    def _write(self, unit: Callable[[Rows], T], *, even_if_cancelled: bool = False) -> Coroutine[Any, Any, T]:
        return self._opened().write(unit, even_if_cancelled=even_if_cancelled)

    def _read(self, unit: Callable[[Rows], T]) -> Coroutine[Any, Any, T]:
        return self._opened().read(unit)

    def _opened(self) -> Database:
        if self._database is None:
            raise StoreError("the store is not open; in a child after a fork, start it again")
        return self._database

    def _enter(self) -> Database:
        with self.gate, self._lock:
            if self._database is None:
                database = self._make()
                is_file = isinstance(database, SqliteDatabase)
                try:
                    database.prepare(migrate=is_file if self._migrate is None else self._migrate)
                except BaseException:
                    database.let_go()
                    raise
                database.start()
                self._open.add(database)
                self._database = database
            self._users += 1
            return self._database

    async def _leave(self, database: Database) -> None:
        with self.gate, self._lock:
            if database is not self._database:  # the stack was made before a fork
                return
            self._users -= 1
            if self._users:
                return
            self._database = None
        await database.aclose()
        self._open.discard(database)


def database_path(url: str) -> Path | None:
    """The file of an SQLite URL, made absolute; None: it is a server's.

    Raises:
        SettingsError: The URL cannot be used.
    """
    parsed = _parse(url)
    return None if is_server(parsed) else Path(parsed.database or "").absolute()


@contextlib.contextmanager
def _opened_for(url: str) -> Iterator[Database]:
    """A database for one look or change, with no connection left behind."""
    database = _database(url, ForkGate())
    try:
        yield database
    finally:
        database.let_go()


def _database(
    url: str | Engine, gate: ForkGate, synchronous: Literal["FULL", "NORMAL"] = "FULL", patience: float = _PATIENCE
) -> Database:
    path = database_path(url) if isinstance(url, str) else None
    if path is None:
        from otpcore.stores._server import ServerDatabase  # noqa: PLC0415 - an SQLite file does without

        return ServerDatabase(url, patience=patience, gate=gate)
    return SqliteDatabase(path, synchronous=synchronous, patience=patience, gate=gate)


def _check(url: str | Engine) -> None:
    if isinstance(url, str):
        _parse(url)
    elif not is_server(url.url):
        raise SettingsError(
            f"store: an Engine for {url.url.get_backend_name()} cannot be used; for SQLite pass the URL, since otpcore "
            "writes the file from a thread of its own"
        )


def _parse(url: str) -> URL:
    """A URL that this store can use."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # not chained: its text may quote a password
        parsed = None
    if parsed is None:
        raise SettingsError("storage.url: not a database URL; for example sqlite:////var/lib/otp/otp.sqlite3")
    if is_server(parsed):
        return parsed
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise SettingsError(f"storage.url: sqlite, postgresql, mariadb or mysql is supported, not {parsed.drivername}")
    if parsed.query:
        raise SettingsError("storage.url: an sqlite URL takes no parameters here; remove what follows the '?'")
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise SettingsError(
            "storage.url: name a file, as in sqlite:////var/lib/otp/otp.sqlite3 (or storage.store = 'memory')"
        )
    return parsed
