"""What the SQL store asks of a database, which one a URL names, and when it is opened and left."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from sqlalchemy import URL, Engine

from otpcore.errors import SettingsError, StoreError
from otpcore.stores.rows import Rows
from otpcore.stores.sql.forking import ForkGate, watch
from otpcore.stores.sql.sqlite.database import SqliteDatabase
from otpcore.stores.sql.urls import is_server, parse_url

__all__ = ["PATIENCE", "Database", "Opening", "check", "database", "database_path", "opened_for"]

T = TypeVar("T")

PATIENCE = 15.0
"""Seconds to wait for a database at most."""


class Database(Protocol):
    """One database: opened once, used from any event loop and thread, closed once."""

    @property
    def place(self) -> str:
        """Where it is, for people; without user and password."""

    def prepare(self, *, migrate: bool) -> None:
        """Bring or check the schema. Blocks.

        Raises:
            SettingsError: The place cannot hold a database.
            StoreError: The database cannot be used as it is.
        """

    def start(self) -> None:
        """Begin to take work."""

    def revision(self) -> str | None:
        """Of the tables; None: there are none. Blocks."""

    def facts(self) -> Mapping[str, str]:
        """For ``otp doctor``. Blocks."""

    async def write(
        self,
        unit: Callable[[Rows], T],
        *,
        even_if_cancelled: bool,
        otherwise: Callable[[Rows, T | None], object] | None = None,
        last: bool = False,
    ) -> T:
        """Run a unit in a transaction, again if it lost against another; return when it is committed.

        The arguments are those of ``UnitsOfWork._write``.
        """

    async def read(self, unit: Callable[[Rows], T]) -> T:
        """Run a unit that changes nothing."""

    async def fold_log(self) -> None:
        """See that what was erased is in no log of ours any more; a server's logs are its operator's."""

    async def aclose(self) -> None:
        """Finish what waits, and close."""

    def let_go(self) -> None:
        """Before a fork: close all connections; they are opened again when needed."""


class Opening:
    """The database of a store while somebody uses it: the first opens it, the last leaves it closed.

    Args:
        make: The database, not open; work on it passes the gate, which a fork closes.
        migrate: Create and migrate when it is opened. None: a file only.
    """

    def __init__(self, make: Callable[[ForkGate], Database], *, migrate: bool | None) -> None:
        self.gate = ForkGate()
        self._make = make
        self._migrate = migrate
        self._lock = threading.Lock()
        self._users = 0
        self._database: Database | None = None
        self._open: set[Database] = set()
        watch(self)

    def opened(self) -> Database:
        """The database.

        Raises:
            StoreError: Nobody has opened it in this process.
        """
        if self._database is None:
            raise StoreError("the store is not open; in a child after a fork, start it again")
        return self._database

    def enter(self) -> Database:
        """Open it, or share what is open. Blocks."""
        with self.gate, self._lock:
            if self._database is None:
                made = self._make(self.gate)
                is_file = isinstance(made, SqliteDatabase)
                try:
                    made.prepare(migrate=is_file if self._migrate is None else self._migrate)
                except BaseException:
                    made.let_go()
                    raise
                made.start()
                self._open.add(made)
                self._database = made
            self._users += 1
            return self._database

    async def leave(self, entered: Database) -> None:
        """One user less; the last one closes it. What was entered before a fork is left as it is."""
        with self.gate, self._lock:
            if entered is not self._database:
                return
            self._users -= 1
            if self._users:
                return
            self._database = None
        await entered.aclose()
        self._open.discard(entered)

    def let_go(self) -> None:
        """Before a fork: close all connections, so that the child inherits none. They are opened again when needed."""
        for one in self._open:
            one.let_go()

    def forget(self) -> None:
        """In a child after a fork: the writer's thread is not here; be as if never started."""
        self._lock = threading.Lock()
        self._users = 0
        self._database = None
        self._open = set()


def database_path(url: str) -> Path | None:
    """The file of an SQLite URL, made absolute; None: it is a server's.

    Raises:
        SettingsError: The URL cannot be used.
    """
    parsed = _parse(url)
    return None if is_server(parsed) else Path(parsed.database or "").absolute()


@contextlib.contextmanager
def opened_for(url: str) -> Iterator[Database]:
    """A database for one look or change, with no connection left behind."""
    one = database(url, ForkGate())
    try:
        yield one
    finally:
        one.let_go()


def database(
    url: str | Engine, gate: ForkGate, synchronous: Literal["FULL", "NORMAL"] = "FULL", patience: float = PATIENCE
) -> Database:
    """The database of a URL or of a host's engine, not open."""
    path = database_path(url) if isinstance(url, str) else None
    if path is None:
        from otpcore.stores.sql.server.database import ServerDatabase  # noqa: PLC0415 - an SQLite file does without

        return ServerDatabase(url, patience=patience, gate=gate)
    return SqliteDatabase(path, synchronous=synchronous, patience=patience, gate=gate)


def check(url: str | Engine) -> None:
    """That it can be used.

    Raises:
        SettingsError: It cannot.
    """
    if isinstance(url, str):
        _parse(url)
    else:
        from otpcore.stores.sql.server.kinds import check_engine  # noqa: PLC0415 - an SQLite file does without

        check_engine(url)


def _parse(url: str) -> URL:
    """A URL that this store can use."""
    parsed = parse_url(url)
    if is_server(parsed):
        return parsed
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise SettingsError(f"storage.url: sqlite, postgresql, mariadb or mysql is supported, not {parsed.drivername}")
    if parsed.query or "?" in url:  # what follows it and is no parameter is dropped without a word
        raise SettingsError(
            "storage.url: an sqlite URL takes no parameters here. Fix: remove what follows the '?', or write it as %3F where "
            "it belongs to the file's name"
        )
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise SettingsError(
            "storage.url: name a file, as in sqlite:////var/lib/otp/otp.sqlite3 (or, in [storage]: store = 'memory')"
        )
    return parsed
