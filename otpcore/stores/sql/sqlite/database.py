"""An SQLite file: created, connected to, read by a few worker threads, written by one."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import anyio
from sqlalchemy import Connection, Engine, NullPool, Pool, QueuePool, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from otpcore.errors import SettingsError, StoreError
from otpcore.retrying import backoff
from otpcore.stores.crew import Crew
from otpcore.stores.rows import Rows
from otpcore.stores.sql import schema as _schema
from otpcore.stores.sql.forking import ForkGate
from otpcore.stores.sql.sqlite.rows import FileRows
from otpcore.stores.sql.sqlite.writer import GroupWriter, is_busy, raw_connection

__all__ = ["SqliteDatabase"]

T = TypeVar("T")

_READERS = 8
_OLDEST_SQLITE = (3, 35, 0)  # RETURNING
_START_PAUSE = 0.01
# The log grows to 16 MB: what many transactions change is written to the file once. Not at NORMAL, where the log is synced
# only when it is folded back: a run with a log that long had retries that were a third of a second late.
_LOG_PAGES = 4000

_MEANING = {
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full, or a quota is reached. Fix: make room there, or raise the quota",
    sqlite3.SQLITE_READONLY: "cannot be written. Fix: give this user write permission on the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened. Fix: give this user read and write permission on the file and its directory",
    sqlite3.SQLITE_PERM: "cannot be opened. Fix: give this user read and write permission on the file and its directory",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database. Fix: move it away, or let storage.url name another file",
    sqlite3.SQLITE_CORRUPT: "is damaged. Fix: restore it from a backup",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reported an error. Fix: look at the system's log, and move the file to a disk that is well",
    sqlite3.SQLITE_BUSY: "is locked by another process. Fix: try again; if it lasts, end what holds it open",
}
"""What SQLite's primary result codes mean to an operator (https://www.sqlite.org/rescode.html)."""


class SqliteDatabase:
    """One file with its connections: opened once, used from any event loop and thread, closed once.

    Args:
        path: The file.
        synchronous: ``FULL`` survives a power cut; ``NORMAL`` may forget the last moments before one.
        patience: Seconds to wait at most for other processes.
        gate: Held for all work on the file, from opening to closing.
    """

    def __init__(self, path: Path, *, synchronous: Literal["FULL", "NORMAL"], patience: float, gate: ForkGate) -> None:
        self._path = path
        self._synchronous = synchronous
        self._patience = patience
        self._gate = gate
        self._seen_by_writer: tuple[int, int] | None = None
        self._seen_by_readers: tuple[int, int] | None = None
        self._reopening = threading.Lock()
        self._starting = self._engine(lambda: self._connect(patience), NullPool)
        self._writing = self._engine(lambda: self._connect(0.0, checked=True), NullPool)
        self._reading = self._engine(
            lambda: self._connect(patience, checked=True, query_only=True),
            QueuePool,
            pool_size=_READERS,
            max_overflow=0,
            pool_timeout=patience,
            pool_reset_on_return=None,
        )
        self._readers = Crew(str(path), size=_READERS, patience=patience)
        self._writer = GroupWriter(self, gate, patience)

    def prepare(self, *, migrate: bool) -> None:
        """Create the file if need be, and bring or check its schema. Blocks.

        Raises:
            SettingsError: The place cannot hold a database.
            StoreError: The file cannot be used as it is.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise SettingsError(
                f"storage.url: SQLite {sqlite3.sqlite_version} is too old. Fix: use a Python with SQLite 3.35 or newer"
            )
        self._place(create=migrate)
        with self._explained(), self._starting.connect() as connection:
            raw = raw_connection(connection)
            if migrate and _schema.is_older(_schema.revision(raw)):
                self._migrate(connection)
            _schema.check(_schema.revision(raw), str(self._path))
            self._patiently(lambda: self._use_wal(connection))
            self._patiently(lambda: _schema.try_to_write(raw))

    def start(self) -> None:
        """Begin to take work."""
        self._writer.start()

    def revision(self) -> str | None:
        """Of the tables; None: there are none. Blocks."""
        self._place(create=False)
        with self._explained(), self._starting.connect() as connection:
            return _schema.revision(raw_connection(connection))

    @property
    def place(self) -> str:
        """The absolute path."""
        return str(self._path)

    def facts(self) -> Mapping[str, str]:
        """For ``otp doctor``."""
        return {"place": self.place, "sqlite": sqlite3.sqlite_version, "synchronous": self._synchronous}

    def write(
        self,
        unit: Callable[[Rows], T],
        *,
        even_if_cancelled: bool,
        otherwise: Callable[[Rows, T | None], object] | None = None,
        last: bool = False,  # noqa: ARG002 - the writer takes all that wait at once
    ) -> Coroutine[Any, Any, T]:
        """Run a unit in a transaction; return when it is committed."""
        return self._writer.run(unit, even_if_cancelled=even_if_cancelled, otherwise=otherwise)

    async def read(self, unit: Callable[[Rows], T]) -> T:
        """Run a unit that sees one state and changes nothing, in a worker thread."""
        return await self._readers.run(lambda _: self._read(unit))

    async def fold_log(self) -> None:
        """Move what the log holds into the file and empty the log, so that nothing removed is left in it.

        Waits for readers and writers of other processes.

        Raises:
            StoreError: They did not let go in time; what was removed is, but the log may still hold older pages.
        """
        await anyio.to_thread.run_sync(self._fold_log)

    async def aclose(self) -> None:
        """Finish what waits; the writer closes last, and with it SQLite folds its log back into the file."""
        await self._readers.aclose()
        with self._gate:
            self._reading.dispose()
        await self._writer.aclose()

    def let_go(self) -> None:
        """Close all connections, so that a child inherits none; the gate is closed."""
        with contextlib.suppress(sqlite3.Error, DBAPIError):
            self._reading.dispose()
        with contextlib.suppress(sqlite3.Error, DBAPIError):
            self._writer.let_go()

    # What the writer asks of its file.

    def connect(self) -> Connection:
        """The writer's connection."""
        self._seen_by_writer = self._look()
        return self._writing.connect()

    def rows(self, connection: Connection) -> FileRows:
        """Of a transaction of the writer."""
        return FileRows(connection)

    def is_current(self) -> bool:
        """Nobody replaced the file. SQLite itself would go on writing to one that was deleted, in silence."""
        return self._look() == self._seen_by_writer

    def explain(self, error: BaseException) -> BaseException:
        """A database error as a short `StoreError` without statement and parameters; any other as it is."""
        if isinstance(error, PoolTimeoutError):
            return StoreError(f"{self._path}: all {_READERS} readers were busy for {self._patience:g} s")
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, sqlite3.Error):
            return error
        code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        name = getattr(cause, "sqlite_errorname", type(cause).__name__)
        unknown = f"could not be used: {cause} ({name})"  # SQLite's text names tables and columns, never values
        explained = StoreError(f"{self._path} {_MEANING.get(code & 0xFF, unknown)}")
        explained.__cause__ = cause
        return explained

    def _read(self, unit: Callable[[Rows], T]) -> T:
        with self._gate, self._explained():
            self._same_file()
            with self._reading.connect() as connection:
                raw = raw_connection(connection)
                raw.execute("BEGIN")
                try:
                    return unit(FileRows(connection))
                finally:
                    raw.rollback()

    def _fold_log(self) -> None:
        with self._gate, self._explained(), self._starting.connect() as connection:
            deadline = time.monotonic() + self._patience
            while raw_connection(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"{self._path}-wal could not be emptied, as others were busy with it. Fix: run the purge once more"
                    )
                time.sleep(_START_PAUSE)

    def _same_file(self) -> None:
        """Readers of a replaced file are closed."""
        seen = self._look()
        with self._reopening:
            if seen != self._seen_by_readers:
                self._reading.dispose()
                self._seen_by_readers = seen

    def _look(self) -> tuple[int, int]:
        """Which file is there now."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise StoreError(
                f"{self._path} is gone. Fix: put it back, or restart to begin with an empty one"
            ) from error
        return found.st_dev, found.st_ino

    def _place(self, *, create: bool) -> None:
        """Make sure that there is a file, readable for its owner only if it is made here."""
        directory = self._path.parent
        if not directory.is_dir():
            raise SettingsError(f"storage.url: the directory {directory} does not exist. Fix: create it")
        if self._path.is_dir():
            raise SettingsError(f"storage.url: {self._path} is a directory. Fix: name a file in it")
        if create:
            try:
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                pass
            except OSError as error:
                reason = os.strerror(error.errno or errno.EIO)
                raise StoreError(
                    f"{self._path} cannot be created ({reason}). Fix: let storage.url name a file where this user may write"
                ) from error
        elif not self._path.exists():
            raise StoreError(f"there is no database at {self._path}. Fix: otp db upgrade")

    def _migrate(self, connection: Connection) -> None:
        """Run the missing migrations; processes that start together do it once."""
        self._patiently(lambda: self._use_wal(connection))
        raw = raw_connection(connection)
        # Through SQLAlchemy, so that Alembic sees a transaction under way and leaves its end to us.
        self._patiently(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        try:
            if _schema.is_older(_schema.revision(raw)):
                _schema.migrate(connection)
            raw.execute("COMMIT")
        finally:
            raw.rollback()

    def _use_wal(self, connection: Connection) -> None:
        mode = raw_connection(connection).execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(
                f"{self._path} cannot use a write-ahead log (journal mode {mode}). Fix: put it on a local disk, not a network one"
            )

    def _patiently(self, step: Callable[[], object]) -> None:
        """Repeat a step of the start while other processes are in the way."""
        deadline = time.monotonic() + self._patience
        pauses = backoff(_START_PAUSE, _START_PAUSE)
        while True:
            try:
                step()
            except (sqlite3.Error, DBAPIError) as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(next(pauses))
            else:
                return

    def _connect(self, timeout: float, *, checked: bool = False, query_only: bool = False) -> sqlite3.Connection:
        """A driver's connection that never creates the file and never begins a transaction by itself."""
        uri = f"file:{quote(str(self._path))}?mode=rw"
        raw = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            raw.execute(f"PRAGMA synchronous={self._synchronous}")
            if self._synchronous == "FULL":
                raw.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
            raw.execute("PRAGMA secure_delete=ON")  # what is removed is overwritten; not every build does so unasked
            if query_only:
                raw.execute("PRAGMA query_only=ON")
            if checked:
                _schema.check(_schema.revision(raw), str(self._path))
        except BaseException:
            raw.close()
            raise
        return raw

    @staticmethod
    def _engine(creator: Callable[[], sqlite3.Connection], pool: type[Pool], **options: Any) -> Engine:
        return create_engine(
            "sqlite+pysqlite://",
            creator=creator,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,  # they hold sealed codes and keyed look-ups
            poolclass=pool,
            **options,
        )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise database errors as callers shall see them; outside ``except``, so that nothing of them is chained."""
        failure = None
        try:
            yield
        except (sqlite3.Error, DBAPIError, PoolTimeoutError) as error:
            failure = self.explain(error)
        if failure is not None:
            raise failure
