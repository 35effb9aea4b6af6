"""Brings the tables of the SQL store up to date, or says why it cannot."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from otpcore.errors import StoreError
from otpcore.stores.sql.tables import VERSION_TABLE

__all__ = ["HEAD", "TOUCH", "check", "is_older", "lock", "migrate", "revision", "revision_of", "try_to_write"]

_REVISIONS = ("0001",)
"""All migrations, oldest first. Kept here too, so that a start at the head need not import Alembic (270 ms)."""

HEAD = _REVISIONS[-1]
"""The revision that this version of otpcore works with."""

TOUCH = f"UPDATE {VERSION_TABLE} SET version_num = version_num"  # noqa: S608 - a constant of ours
"""Writes what is there."""

_SCRIPTS = "otpcore.stores.sql:migrations"
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's, when lock_timeout is over
_LOCK_NAME = "otpcore migrations"
_LOCK_NUMBER = 0x6F7470636F7265  # "otpcore"
_TABLES = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
_LOOK = f"SELECT * FROM {VERSION_TABLE}"  # noqa: S608 - a constant of ours


def revision(raw: sqlite3.Connection) -> str | None:
    """The revision of the tables in an SQLite file, or ours where they serve it too; None: there are none yet."""
    if not raw.execute(_TABLES, (VERSION_TABLE,)).fetchone()[0]:
        return None
    return _as_ours(raw.execute(_LOOK).fetchone())


def revision_of(connection: Connection) -> str | None:
    """The revision of the tables in any database, or ours where they serve it too; None: there are none yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return _as_ours(connection.exec_driver_sql(_LOOK).one_or_none())


def _as_ours(row: Sequence[str | None] | None) -> str | None:
    """The revision, and ours for one that we do not know whose migration left word that it serves ours.

    The word is beside the revision: the oldest revision whose workers may run on the tables, and the one that says so,
    as ``0001-0002``. A migration that leaves none shuts older workers out.
    """
    if row is None or row[0] is None or row[0] in _REVISIONS:
        return None if row is None else row[0]
    oldest, _, said_by = (row[1] or "").partition("-")
    return HEAD if said_by == row[0] and oldest <= HEAD else row[0]


@contextlib.contextmanager
def lock(connection: Connection, patience: float) -> Iterator[None]:
    """Hold a server's own lock for the migrations of otpcore, within the transaction of the connection.

    Raises:
        StoreError: Another process has held it for ``patience`` seconds.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(patience * 1000)}")
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # an index takes as long as it takes
        with _told_of_locks("another process has been migrating", patience):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})")
        with _told_of_locks("a transaction of somebody else has held a lock on otpcore's tables", patience):
            yield
        return
    if connection.exec_driver_sql(f"SELECT GET_LOCK('{_LOCK_NAME}', {patience:.0f})").scalar() != 1:
        raise StoreError(
            f"another process has been migrating for {patience:g} s. Fix: wait for it, or see whether it hangs"
        )
    try:
        yield
    finally:
        connection.exec_driver_sql(f"SELECT RELEASE_LOCK('{_LOCK_NAME}')")


@contextlib.contextmanager
def _told_of_locks(what: str, patience: float) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise StoreError(f"{what} for {patience:g} s. Fix: wait for it, or see whether it hangs") from None
        raise


def is_older(found: str | None) -> bool:
    """Migrations are missing."""
    return found is None or found in _REVISIONS[:-1]


def check(found: str | None, place: str) -> None:
    """Accept the head only.

    Raises:
        StoreError: The tables are missing, older, or newer than this version of otpcore; with the fix.
    """
    if found == HEAD:
        return
    if found is None or found in _REVISIONS:
        state = "has no tables of otpcore" if found is None else f"is at revision {found} instead of {HEAD}"
        raise StoreError(f"{place} {state}. Fix: otp db upgrade")
    raise StoreError(
        f"{place} was written by a newer otpcore (revision {found}, known up to {HEAD}). Fix: update otpcore"
    )


def try_to_write(raw: sqlite3.Connection) -> None:
    """Find out now, not at the first send, whether this user may write; BEGIN alone succeeds on a read-only file."""
    raw.execute("BEGIN IMMEDIATE")
    try:
        raw.execute(TOUCH)
    finally:
        raw.rollback()


def migrate(connection: Connection) -> None:
    """Run all migrations that are missing, inside the transaction that the caller has begun."""
    from alembic import command  # noqa: PLC0415 - 270 ms that only a new or older database pays
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
