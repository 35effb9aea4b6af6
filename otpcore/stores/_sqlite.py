"""An SQLite file: created, connected to, read by a few worker threads, written by one."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import anyio
from anyio.lowlevel import RunVar
from sqlalchemy import Connection, Engine, NullPool, QueuePool, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from otpcore.errors import SettingsError, StoreError
from otpcore.stores import _schema
from otpcore.stores._forking import ForkGate, watch
from otpcore.stores._writer import GroupWriter, raw_connection

__all__ = ["SqliteDatabase"]

T = TypeVar("T")

_READERS = 8
_OLDEST_SQLITE = (3, 35, 0)  # RETURNING
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("otpcore_readers")

_MEANING = {
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full, or a quota is reached",
    sqlite3.SQLITE_READONLY: "cannot be written: give this user write permission on the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: give this user read and write permission on the file and its directory",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database: move it away, or set storage.url to another file",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk reported an error",
    sqlite3.SQLITE_BUSY: "is locked by another process; is something holding it open?",
    sqlite3.SQLITE_PERM: "cannot be opened: give this user read and write permission on the file and its directory",
}
"""What SQLite's primary result codes mean to an operator."""


class SqliteDatabase:
    """One file with its connections. Opened once, used from any event loop and thread, closed once.

    Args:
        path: The file; made absolute.
        synchronous: ``FULL`` survives a power cut; ``NORMAL`` may forget the last moments before one.
        patience: Seconds to wait at most for other processes.
    """

    def __init__(self, path: str, *, synchronous: Literal["FULL", "NORMAL"], patience: float) -> None:
        self.path = Path(path).absolute()
        self.gate = ForkGate()
        self._synchronous = synchronous
        self._patience = patience
        self._identity: tuple[int, int] | None = None
        self._readers = self._engine(
            QueuePool, patience, pool_size=_READERS, max_overflow=0, pool_timeout=patience, pool_reset_on_return=None
        )
        self._writing = self._engine(NullPool, 0.0)
        self._writer = GroupWriter(self, self.gate, patience)

    def open(self, *, migrate: bool) -> None:
        """Create the file if need be, bring or check its schema, start the writer. Blocks.

        Raises:
            SettingsError: The place cannot hold a database.
            StoreError: The file cannot be used as it is.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise SettingsError(f"storage.url: SQLite {sqlite3.sqlite_version} is too old; 3.35 or newer is needed")
        self._create(create=migrate)
        try:
            with self._open_raw(self._patience) as raw, Closing(raw):
                _schema.prepare(raw, migrate=migrate)
        except (sqlite3.Error, DBAPIError) as error:
            raise self.explain(error) from None
        self._identity = self._look()
        watch(self)
        self._writer.start()
