"""The SQL store: the default, in an SQLite file that is created and migrated when it is opened, or on a server."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal, TypeVar

import anyio
from sqlalchemy import Engine

from otpcore.events import fields
from otpcore.models import World
from otpcore.stores.contract import Store
from otpcore.stores.rows import Rows
from otpcore.stores.sql.forking import ForkGate
from otpcore.stores.sql.opening import PATIENCE, Database, Opening, check, database, database_path, opened_for
from otpcore.stores.sql.schema import HEAD
from otpcore.stores.sql.tables import include_name, metadata
from otpcore.stores.sql.worlds import in_world, in_world_after

__all__ = ["SqlStore", "create_store", "current", "database_path", "examine", "include_name", "metadata", "upgrade"]

T = TypeVar("T")
_logger = logging.getLogger("otpcore.stores.sql")


def create_store(settings: Any) -> SqlStore:
    """The factory behind ``storage.store = "sql"``."""
    storage = settings.storage
    return SqlStore(settings.database_url, synchronous=storage.synchronous, keeps_outbox=storage.outbox)


def upgrade(url: str) -> str:
    """Run the missing migrations, creating an SQLite file if need be; the revision it is at now. Blocks.

    Raises:
        SettingsError: The URL or the place cannot be used.
        StoreError: The database cannot.
    """
    with opened_for(url) as database:
        database.prepare(migrate=True)
    return HEAD


def current(url: str) -> str | None:
    """The revision of the tables, or None where there are none yet. Blocks; raises as ``upgrade``."""
    with opened_for(url) as database:
        return database.revision()


def examine(url: str) -> Mapping[str, str]:
    """Facts of a server with tables, once it has shown that it takes writes. Blocks; raises as ``upgrade``."""
    from otpcore.stores.sql.server.database import ServerDatabase  # noqa: PLC0415 - an SQLite file does without

    server = ServerDatabase(url, patience=PATIENCE, gate=ForkGate())
    try:
        server.try_to_write()
        return server.facts()
    finally:
        server.let_go()


class SqlStore(Store):
    """Keeps everything in an SQL database. One object may serve several services, event loops and threads.

    Args:
        url: SQLAlchemy URL, such as ``sqlite:////absolute/path`` or ``postgresql://user:password@host/database``; or an
            ``Engine`` of the host's own on a server, of psycopg or PyMySQL, which is used as it is and never closed.
        synchronous: SQLite: ``FULL`` survives a power cut; ``NORMAL`` is faster and may forget the last moments before one.
        migrate: Create and migrate at start; False: only check, and say what to run. None: an SQLite file is migrated, a
            server's database only checked.
        patience: Seconds to wait at most: for other processes that hold the file, for locks, for a server that is away.
        keeps_outbox: As in ``UnitsOfWork``.

    Raises:
        SettingsError: The URL or the engine cannot be used.
    """

    def __init__(
        self,
        url: str | Engine,
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        migrate: bool | None = None,
        patience: float = PATIENCE,
        keeps_outbox: bool = False,
    ) -> None:
        check(url)
        self._charges_apart = not isinstance(url, str) or database_path(url) is None
        self._world = World.REAL
        self.keeps_outbox = keeps_outbox
        self._opening = Opening(lambda gate: database(url, gate, synchronous, patience), migrate=migrate)

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the database, creating and migrating it if so told; a later start shares what is open.

        Raises:
            SettingsError: The place cannot hold a database.
            StoreError: The database cannot be used as it is.
        """
        database = await anyio.to_thread.run_sync(self._opening.enter)
        exit_stack.push_async_callback(self._opening.leave, database)
        _logger.info("database: %s", database.place, extra=fields("store_opened", reason="sql"))

    def within(self, world: World) -> Store:
        """As one world sees it."""
        if world is self._world:
            return self
        other = copy.copy(self)
        other._world = world  # noqa: SLF001 - of this class
        return other

    async def _wipe(self) -> None:
        """A person's rows leave an SQLite file's free pages and its log too."""
        await self._opened().fold_log()

    async def diagnose(self) -> Mapping[str, str]:
        """Kind, place, schema, and what runs it."""
        await self._read(lambda rows: rows.next_due())  # the database is there, readable, and at the head
        facts = await anyio.to_thread.run_sync(self._opened().facts)
        return {"store": "sql", "schema": HEAD, **facts}

    def _write(
        self,
        unit: Callable[[Rows], T],
        *,
        even_if_cancelled: bool = False,
        otherwise: Callable[[Rows, T | None], object] | None = None,
        last: bool = False,
    ) -> Coroutine[Any, Any, T]:
        return self._opened().write(
            in_world(self._world, unit, keeps_outbox=self.keeps_outbox),
            even_if_cancelled=even_if_cancelled,
            otherwise=None
            if otherwise is None
            else in_world_after(self._world, otherwise, keeps_outbox=self.keeps_outbox),
            last=last,
        )

    def _read(self, unit: Callable[[Rows], T]) -> Coroutine[Any, Any, T]:
        return self._opened().read(in_world(self._world, unit))

    def _opened(self) -> Database:
        return self._opening.opened()
