"""What one transaction of an SQLite file has read follows what its own units write, whatever their order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from otpcore.models import ReceiptStatus
from otpcore.stores.records import ReceiptRecord
from otpcore.stores.sql.rows import SqlRows
from otpcore.testing.stores.contract import START

HOUR = timedelta(hours=1)


def receipt(number, **more):
    about = {"instance": "twilio", "delivery_id": "", "status": ReceiptStatus.DELIVERED, "applied": False}
    return ReceiptRecord(reference=f"SM{number}", received_at=START, **about | more)


BREAKERS = [
    lambda rows: rows.count_breaker("twilio", "20500", "HTTP 500"),
    lambda rows: rows.count_breaker("mada", "", "no answer"),
    lambda rows: rows.note_misconfigured("mada", "100", "the user or the password is wrong", START),
    lambda rows: rows.note_misconfigured("mada", "101", "the account is locked", START + HOUR),
    lambda rows: rows.note_misconfigured("sinch", "401", "the key is wrong", START),
    lambda rows: rows.open_breaker("twilio", START, START),
    lambda rows: rows.win_probe("twilio", START, START + HOUR),
    lambda rows: rows.close_breaker("sinch"),
    lambda rows: rows.close_breaker("twilio"),
    lambda rows: rows.count_breaker("twilio", "", ""),
]
BUDGETS = [
    lambda rows: rows.move_budget("BG/3600", 1, 0, START, START + HOUR),
    lambda rows: rows.move_budget("BG/86400", 1, 0, START, START + HOUR),
    lambda rows: rows.move_budget("DE/3600", 1, 0, START, START + HOUR),
    lambda rows: rows.move_budget("BG/3600", -1, 1, START, START + HOUR),
    lambda rows: rows.move_budget("BG/3600", 1, 0, START + 2 * HOUR, START + 3 * HOUR),
]
RECEIPTS = [
    lambda rows: rows.insert_receipt(receipt(1)),
    lambda rows: rows.apply_receipt(receipt(1), "delivery-1"),
]


LOOKS = [
    lambda rows: rows.breakers(0),
    lambda rows: rows.breakers(1),
    lambda rows: rows.breakers(2),
    lambda rows: rows.budgets("BG/"),
    lambda rows: rows.budgets(""),
    lambda rows: rows.receipts_of("delivery-1", "SM1"),
]


@pytest.mark.parametrize("changes", [BREAKERS, BUDGETS, RECEIPTS], ids=["breakers", "budgets", "receipts"])
async def test_a_look_sees_what_the_units_before_it_changed(sql_world, changes):
    def unit(rows):
        plain = SqlRows(rows._connection)
        for change in (lambda _: None, *changes):
            change(rows)
            seen = [list(look(rows)) for look in LOOKS]
            rows.finish()
            assert seen == [list(look(plain)) for look in LOOKS]

    await sql_world.store._write(unit)


async def test_only_the_first_look_of_a_transaction_is_at_the_file(sql_world):
    statements = []

    def unit(rows):
        rows._raw.set_trace_callback(statements.append)
        for _ in range(3):
            rows.breakers(1)
            rows.close_breaker("twilio")
            rows.budgets("BG/")
            rows.receipts_of("delivery-1", "SM1")
        rows._raw.set_trace_callback(None)

    await sql_world.store._write(unit)
    assert len(statements) == 3


async def test_a_budget_that_many_units_move_is_written_once_and_in_time(sql_world):
    statements = []

    def unit(rows):
        rows.budgets("BG/")
        rows._raw.set_trace_callback(statements.append)
        for _ in range(5):
            rows.move_budget("BG/3600", 1, 0, START, START + HOUR)
        assert not statements
        rows.finish()
        rows._raw.set_trace_callback(None)

    await sql_world.store._write(unit)
    assert len(statements) == 1
    (budget,) = await sql_world.store._read(lambda rows: rows.budgets("BG/"))
    assert budget.used == 5
