"""What one transaction of an SQLite file has read follows what its own units write, whatever their order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from otpcore.models import ReceiptStatus
from otpcore.records import ReceiptRecord
from otpcore.stores._sql_rows import SqlRows
from otpcore.testing.store import START

HOUR = timedelta(hours=1)


def receipt(number, **more):
    about = {"instance": "twilio", "delivery_id": "", "status": ReceiptStatus.DELIVERED, "applied": False}
    return ReceiptRecord(reference=f"SM{number}", received_at=START, **about | more)


BREAKERS = [
    lambda rows: rows.count_breaker("twilio"),
    lambda rows: rows.count_breaker("mada"),
    lambda rows: rows.open_breaker("twilio", START, START),
    lambda rows: rows.win_probe("twilio", START, START + HOUR),
    lambda rows: rows.close_breaker("sinch"),
    lambda rows: rows.close_breaker("twilio"),
    lambda rows: rows.count_breaker("twilio"),
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


@pytest.mark.parametrize("changes", [BREAKERS, BUDGETS, RECEIPTS], ids=["breakers", "budgets", "receipts"])
async def test_a_look_sees_what_the_units_before_it_changed(sql_world, changes):
    def unit(rows):
        plain = SqlRows(rows._connection)
        for change in (lambda _: None, *changes):
            change(rows)
            for look in (
                lambda one: one.breakers(1),
                lambda one: one.breakers(2),
                lambda one: one.budgets("BG/"),
                lambda one: one.budgets(""),
                lambda one: one.receipts_of("delivery-1", "SM1"),
            ):
                assert list(look(rows)) == list(look(plain))

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
