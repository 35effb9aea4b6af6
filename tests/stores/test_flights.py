"""Statements in one flight: an error ends it, what must change one row does, and a COMMIT of which nothing came back is unknown.

SQLite runs the statements; the rules are those of every server's wire.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy.dialects import sqlite

from otpcore.stores.rows import OutrunError
from otpcore.stores.sql.server.wire import Cargo

from .ahead import SqliteWire

ONE = "INSERT INTO seat VALUES (?)"
TAKE = "UPDATE seat SET number = number + 100 WHERE number = ?"
BROKEN = "INSERT INTO nowhere VALUES (1)"


@pytest.fixture
def raw():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE seat (number INTEGER PRIMARY KEY)")
        yield connection


@pytest.fixture
def wire(raw):
    made = SqliteWire(raw, sqlite.dialect())
    made.begin("BEGIN")
    return made


def seats(raw):
    return [number for (number,) in raw.execute("SELECT number FROM seat ORDER BY number")]


def test_what_is_queued_travels_together_and_each_hears_of_its_own(wire):
    heard = []
    wire.add(ONE, (1,), then=lambda landed: heard.append(("insert", landed.count)))
    wire.add("SELECT number FROM seat", then=lambda landed: heard.append(("select", landed.rows)))
    assert (heard, wire.flights) == ([], [])
    wire.fly()
    assert heard == [("insert", 1), ("select", [(1,)])]
    assert wire.flights == [["BEGIN", ONE, "SELECT number FROM seat"]]


def test_what_is_left_leaves_with_the_commit(wire, raw):
    wire.add(ONE, (1,))
    wire.commit()
    assert wire.flights == [["BEGIN", ONE, "COMMIT"]]
    assert seats(raw) == [1]
    assert (raw.in_transaction, wire.is_open, wire.is_ending) == (False, False, False)


def test_an_error_ends_the_flight_and_nobody_hears_of_what_came_before(wire, raw):
    heard = []
    wire.add(ONE, (1,), then=heard.append)
    failing = wire.add(BROKEN)
    wire.add(ONE, (2,), then=heard.append)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        wire.fly()
    assert (heard, wire.failed, seats(raw)) == ([], failing, [1])
    wire.rollback()
    assert seats(raw) == []


def test_a_commit_behind_an_error_does_not_take_place_and_that_is_known(wire, raw):
    wire.add(ONE, (1,))
    wire.add(BROKEN)
    with pytest.raises(sqlite3.OperationalError):
        wire.commit()
    assert (raw.in_transaction, wire.is_open, wire.is_ending) == (True, True, False)
    wire.rollback()
    assert (seats(raw), wire.is_open) == ([], False)


def test_a_commit_of_which_nothing_came_back_may_have_taken_place(wire):
    wire.add(ONE, (1,))
    wire.loses_commit = True
    with pytest.raises(ConnectionError):
        wire.commit()
    assert (wire.is_ending, wire.failed) == (True, None)


@pytest.mark.parametrize("end", ["fly", "commit"])
def test_where_another_unit_was_faster_nothing_is_done(wire, raw, end):
    raw.execute(ONE, (1,))
    wire.add(ONE, (2,))
    taken = wire.add(TAKE, (7,), is_sure=True)
    wire.add(ONE, (3,))
    with pytest.raises(OutrunError):
        getattr(wire, end)()
    assert wire.failed is taken
    wire.rollback()
    assert seats(raw) == [1]


def test_what_surely_changes_one_row_is_said_to_the_server(wire, raw):
    raw.execute(ONE, (1,))
    wire.add(TAKE, (1,), is_sure=True)
    wire.commit()
    assert wire.flights == [["BEGIN", f"{TAKE} -- must change one row", "COMMIT"]]
    assert seats(raw) == [101]


def test_a_key_that_exists_means_a_faster_unit_only_where_the_statement_was_to_be_sure(wire, raw):
    raw.execute(ONE, (1,))
    wire.add(ONE, (1,))
    with pytest.raises(sqlite3.IntegrityError):
        wire.fly()
    wire.add(ONE, (1,), is_sure=True)
    with pytest.raises(OutrunError):
        wire.fly()


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_the_next_transaction_begins_with_nothing_of_the_one_before(wire, raw, end):
    wire.add(ONE, (1,))
    getattr(wire, end)()
    wire.flights.clear()
    wire.begin("BEGIN")
    wire.add(ONE, (2,))
    wire.commit()
    assert wire.flights == [["BEGIN", ONE, "COMMIT"]]
    assert seats(raw)[-1] == 2


def test_another_error_of_a_sure_statement_stays_what_it_is(wire):
    wire.add(BROKEN, is_sure=True)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        wire.fly()


def test_what_never_left_needs_no_rollback(wire, raw):
    wire.add(ONE, (1,))
    wire.rollback()
    wire.commit()
    assert (wire.flights, seats(raw), wire.is_open) == ([], [], False)


def test_what_travels_shows_neither_statement_nor_values():
    told = repr(Cargo(TAKE, ("+359881234567",), is_sure=True, then=None))
    assert "seat" not in told
    assert "359" not in told
