"""One unit of work on a connection to an SQL database: runs statements, and makes records of what they find."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable

from otpcore.clock import utc_now
from otpcore.models import World
from otpcore.stores.records import made
from otpcore.stores.sql.prepared import run, write
from otpcore.stores.wanted import Wanted

__all__ = ["SqlUnit"]

R = TypeVar("R")


class SqlUnit:
    """The rows of one unit of work. No result stays open: an unread one would make the commit fail.

    ``world`` is set anew for each unit: of what is found by anything but a look-up, it sees and writes that world's only.
    """

    world = World.REAL

    def prefetch(self, wanted: Wanted, now: datetime | None) -> None:
        """Nothing: a statement that may not be needed costs more than one that is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._raw: Any = connection.connection.dbapi_connection

    def now(self, now: datetime | None) -> datetime:
        self._moment = utc_now() if now is None else now
        return self._moment

    def moment(self) -> datetime:
        return self._moment

    def _free(self, statement: Any) -> Any:
        """As ``_locked``, without the rows that another unit holds."""
        return statement

    def _locked(self, statement: Any) -> Any:
        """What it reads stays as it is until the end of the unit. A file has one writer, and needs no lock."""
        return statement

    def _changed(self, statement: Executable, **parameters: Any) -> int:
        """Run a statement; how many rows it changed."""
        return run(self._connection, self._raw, statement, parameters)[1]

    def _put(self, statement: Executable, record: Any, **more: Any) -> int:
        """Run a statement with a record's fields; how many rows it changed."""
        return write(self._connection, self._raw, statement, record, more)

    # What nobody asks about need not be on its way at once; what is as good as sure need not be waited for.

    def _later(self, statement: Executable, **parameters: Any) -> None:
        """Run a statement before the unit asks for anything else, or ends."""
        self._changed(statement, **parameters)

    def _later_put(self, statement: Executable, record: Any, **more: Any) -> None:
        """The same with a record's fields."""
        self._put(statement, record, **more)

    def _scalar(self, statement: Executable, **parameters: Any) -> Any:
        rows = self._rows(statement, parameters)
        return rows[0][0] if rows else None

    def _scalars(self, statement: Executable, **parameters: Any) -> Sequence[Any]:
        return [row[0] for row in self._rows(statement, parameters)]

    def _one(self, kind: type[R], statement: Executable, **parameters: Any) -> R | None:
        rows = self._rows(statement, parameters)
        return made(kind, rows[0]) if rows else None

    def _all(self, kind: type[R], statement: Executable, **parameters: Any) -> list[R]:
        return [made(kind, row) for row in self._rows(statement, parameters)]

    def _rows(self, statement: Executable, parameters: dict[str, Any]) -> list[Any]:
        return run(self._connection, self._raw, statement, parameters)[0]
