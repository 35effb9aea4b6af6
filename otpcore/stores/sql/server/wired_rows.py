"""`Rows` on a server: what a unit will look at is read in one flight, and what it writes leaves with its COMMIT."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Executable

from otpcore.stores.sql.columns import from_microseconds
from otpcore.stores.sql.prepared import Prepared, prepared_for, prepared_write, run
from otpcore.stores.sql.server.rows import ServerRows
from otpcore.stores.sql.server.wire import Landed, Wire

__all__ = ["WiredRows"]


class WiredRows(ServerRows):
    """Statements by way of a `Wire`. Whatever is asked takes along what has been queued.

    Args:
        wire: In a transaction that has begun, unless ``locking`` is false.
    """

    def __init__(self, connection: Connection, wire: Wire, *, locking: bool) -> None:
        super().__init__(connection, locking=locking)
        self.wire = wire

    def begun(self, landed: Landed) -> None:
        """The server's clock at the beginning, in microseconds."""
        self._now = from_microseconds(int(landed.rows[0][0]))

    def _server_time(self) -> datetime:
        if self._now is None and self._locking:
            self.wire.fly()  # the beginning
        return super()._server_time()

    def _later(self, statement: Executable, **parameters: Any) -> None:
        prepared = prepared_for(statement, self.wire.dialect, tuple(parameters))
        if prepared is None:
            self._changed(statement, **parameters)
        else:
            self.wire.add(prepared.text, prepared.values(parameters))

    def _later_put(self, statement: Executable, record: Any, **more: Any) -> None:
        prepared = self._writing(statement, record, more)
        self.wire.add(prepared.text, prepared.values((record, more)))

    def _surely(self, statement: Executable, **parameters: Any) -> None:
        """Run a statement before the unit ends; if it does not change exactly one row, the unit is run again."""
        prepared = prepared_for(statement, self.wire.dialect, tuple(parameters))
        if prepared is None:
            raise TypeError("a statement whose text depends on its values cannot be sure")
        self.wire.add(prepared.text, prepared.values(parameters), is_sure=True)

    def _surely_put(self, statement: Executable, record: Any, **more: Any) -> None:
        """The same with a record's fields."""
        prepared = self._writing(statement, record, more)
        self.wire.add(prepared.text, prepared.values((record, more)), is_sure=True)

    def _ask(self, statement: Executable, then: Callable[[list[Any]], object], **parameters: Any) -> None:
        """Queue a statement whose rows something is done with, once they are there."""
        prepared = prepared_for(statement, self.wire.dialect, tuple(parameters))
        if prepared is None:
            raise TypeError("a statement whose text depends on its values cannot be queued")
        read = prepared.read
        self.wire.add(prepared.text, prepared.values(parameters), then=lambda landed: then(read(landed.rows)))

    def _rows(self, statement: Executable, parameters: dict[str, Any]) -> list[Any]:
        return self._run(statement, parameters)[0]

    def _changed(self, statement: Executable, **parameters: Any) -> int:
        return self._run(statement, parameters)[1]

    def _put(self, statement: Executable, record: Any, **more: Any) -> int:
        prepared = self._writing(statement, record, more)
        return self._landed(prepared, (record, more))[1]

    def _run(self, statement: Executable, parameters: dict[str, Any]) -> tuple[list[Any], int]:
        prepared = prepared_for(statement, self.wire.dialect, tuple(parameters))
        if prepared is not None:
            return self._landed(prepared, parameters)
        self.wire.fly()
        return run(self._connection, self._raw, statement, parameters)

    def _landed(self, prepared: Prepared, given: Any) -> tuple[list[Any], int]:
        found: list[Landed] = []
        self.wire.add(prepared.text, prepared.values(given), then=found.append)
        self.wire.fly()
        return prepared.read(found[0].rows), found[0].count

    def _writing(self, statement: Executable, record: Any, more: dict[str, Any]) -> Prepared:
        kind: Any = type(record)
        prepared = prepared_write(statement, self.wire.dialect, kind, tuple(more))
        if prepared is None:
            raise TypeError("a record's fields are single values")
        return prepared
