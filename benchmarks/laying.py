"""Lays rows into an empty database by the million: the database itself makes them, one statement for each table.

Times and keys rise with the number of a row, so that every index grows at its end; on SQLite nothing is flushed meanwhile.
What a table must have and the caller does not say is empty, zero or false, so a new column needs no change here.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Boolean, Column, Connection, Integer, String, Table, create_engine, text

__all__ = ["CHALLENGE", "DELIVERY", "KEY", "RECEIPT", "SEALED", "key_of", "lay"]

KEY, SEALED = "{key}", "{sealed}"
"""In the SQL of a column: a text that names the row and sorts like its number, and some bytes."""

_REAL = "'real'"
CHALLENGE = {
    "id": KEY,
    "subject": KEY,
    "phone_key": KEY,
    "phone_sealed": SEALED,
    "phone_masked": "'+359•••567'",
    "key_id": "'key-1'",
    "purpose": "'login'",
    "state": "'approved'",
    "max_attempts": "5",
    "verifiable": "true",
    "cooldowns": "'{}'",
    "world": _REAL,
}
DELIVERY = {
    "id": KEY,
    "challenge_id": KEY,
    "phone_key": KEY,
    "send_id": KEY,
    "instance": "'mada'",
    "channel": "'sms'",
    "owner": "'core'",
    "outcome": "'accepted'",
    "reference": KEY,
    "world": _REAL,
}
RECEIPT = {
    "reference": KEY,
    "instance": "'mada'",
    "delivery_id": KEY,
    "status": "'delivered'",
    "world": _REAL,
}
"""Of each table what a row has; the times are the caller's."""

_NUMBERS = {
    "sqlite": "(WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT {rows}) SELECT n FROM n) s",
    "postgresql": "generate_series(1, {rows}) AS s(n)",
    "mariadb": "(SELECT seq AS n FROM seq_1_to_{rows}) s",
}
_KEYS = {
    "sqlite": "printf('old-%08d', n)",
    "postgresql": "'old-' || lpad(n::text, 8, '0')",
    "mariadb": "CONCAT('old-', LPAD(n, 8, '0'))",
}
_BYTES = {"sqlite": "x'5ea1ed'", "postgresql": r"'\x5ea1ed'::bytea", "mariadb": "x'5ea1ed'"}
_EMPTY: tuple[tuple[type, str], ...] = ((Boolean, "false"), (Integer, "0"), (String, "''"))
_SETTLED = {
    "sqlite": "ANALYZE",
    "postgresql": "VACUUM ANALYZE",
    "mariadb": "ANALYZE TABLE",
}  # as a server does by itself in time
_UNSAFE = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -500000")


def key_of(number: int) -> str:
    """The ``KEY`` of a row."""
    return f"old-{number:08d}"


def lay(url: str, rows: int, tables: Mapping[Table, Mapping[str, str]]) -> None:
    """So many rows in each table, and what the planner must know of them.

    Args:
        url: Of a database with empty tables.
        rows: In each table.
        tables: For each the columns as SQL, in which ``n`` counts the rows from 1.
    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            name = connection.dialect.name
            for pragma in _UNSAFE if name == "sqlite" else ():
                connection.exec_driver_sql(pragma)
            for table, columns in tables.items():
                indexes = () if name == "sqlite" else table.indexes  # a server makes them afterwards in half the time
                for index in indexes:
                    index.drop(connection)
                _insert(connection, table, rows, columns)
                for index in indexes:
                    index.create(connection)
                connection.execute(text(f"{_SETTLED[name]} {table.name}"))
    finally:
        engine.dispose()


def _insert(connection: Connection, table: Table, rows: int, columns: Mapping[str, str]) -> None:
    dialect = connection.dialect
    given = {**{column.name: _empty(column) for column in table.columns if _is_asked(column, columns)}, **columns}
    names = ", ".join(dialect.identifier_preparer.quote(name) for name in given)
    values = ", ".join(given.values()).replace(KEY, _KEYS[dialect.name]).replace(SEALED, _BYTES[dialect.name])
    numbers = _NUMBERS[dialect.name].format(rows=rows)
    statement = f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {numbers}"  # noqa: S608 - all of it is ours
    connection.execute(text(statement))


def _is_asked(column: Column[object], given: Mapping[str, str]) -> bool:
    return not (column.nullable or column.computed is not None or column.name == "number" or column.name in given)


def _empty(column: Column[object]) -> str:
    for one, value in _EMPTY:
        if isinstance(column.type, one):
            return value
    raise TypeError(f"say what {column} is: nothing is known that is empty for {column.type!r}")
