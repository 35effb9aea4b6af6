"""Which index finds the rows of a statement in SQLite, which has no statistics: however many rows there are, it stays so."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy.dialects import sqlite

from otpcore.stores.lists import ChallengeFilter, DeliveryFilter
from otpcore.stores.sql import list_statements as lists
from otpcore.stores.sql import series_statements as series
from otpcore.stores.sql import statements as sql

BY_TIME = "ix_otp_delivery_world_recorded_at"
BY_INSTANCE = "ix_otp_delivery_instance_world_recorded_at"
BEGUN = "ix_otp_challenge_world_first_sent_at"


def plan(database, statement):
    """How each table is searched, and what is sorted."""
    wanted = [name for name, bind in statement.compile().binds.items() if bind.required]
    given = statement.params(dict.fromkeys(wanted, 1))
    compiled = given.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {compiled}", [1] * len(compiled.positiontup)).fetchall()
    return [row[3] for row in rows]


@pytest.mark.parametrize("extra", [(), ("outcome",), ("channel", "prefix")])
@pytest.mark.parametrize(
    ("kind", "name", "index"),
    [(DeliveryFilter, None, BY_TIME), (DeliveryFilter, "instance", BY_INSTANCE), (ChallengeFilter, None, BEGUN)],
)
@pytest.mark.parametrize("build", [lists.listed, lists.place])
def test_a_page_is_found_by_time_and_never_sorted(database, build, kind, name, index, extra):
    extra = ("purpose", "state") if extra and kind is ChallengeFilter else extra
    names = tuple(sorted((*((name,) if name else ()), *extra)))
    (step,) = plan(database, build(kind, names, of_phone=False))
    assert f"INDEX {index} (" in step
    assert step.startswith("SEARCH")


@pytest.mark.parametrize("build", [lists.listed, lists.place])
@pytest.mark.parametrize(
    ("kind", "names", "index"),
    [
        (DeliveryFilter, (), "ix_otp_delivery_phone_key"),
        (DeliveryFilter, ("instance", "outcome"), "ix_otp_delivery_phone_key"),
        (ChallengeFilter, (), "ix_otp_challenge_phone_key"),
        (ChallengeFilter, ("state",), "ix_otp_challenge_phone_key"),
    ],
)
def test_a_page_of_one_phone_is_found_by_it(database, build, kind, names, index):
    assert f"INDEX {index} (phone_key=?)" in plan(database, build(kind, names, of_phone=True))[0]


@pytest.mark.parametrize(
    ("statement", "indexes"),
    [
        (series.ANSWERED, [BY_TIME]),
        (series.RECORDED_AFTER, [BY_TIME]),
        (series.DELIVERED, ["sqlite_autoindex_otp_delivery_1", "ix_otp_receipt_received_at"]),
        (
            series.VERIFIED,
            [
                "ix_otp_verified_verified_at",
                "ix_otp_challenge_phone_key",
                "INTEGER PRIMARY KEY",
                "ix_otp_delivery_challenge_id",
                "ix_otp_delivery_challenge_id",
            ],
        ),
        (series.SERIES, ["sqlite_autoindex_otp_series_1"]),
        (sql.EXPIRED, ["ix_otp_challenge_state_expires_at"]),
        (sql.OVER_BEFORE, ["ix_otp_challenge_state_expires_at"]),
        (sql.DELIVERY_BY_REFERENCE, ["ix_otp_delivery_reference_instance"]),
        (sql.COUNT_OUTCOMES, [BY_TIME]),
        (sql.VERIFIED_BY_ROUTE, [BY_TIME, "sqlite_autoindex_otp_challenge_1"]),
    ],
    ids=lambda one: one[0] if isinstance(one, list) else "",
)
def test_every_table_is_searched_by_the_index_that_was_made_for_it(database, statement, indexes):
    steps = [step for step in plan(database, statement) if step.startswith(("SEARCH", "SCAN otp"))]
    assert len(steps) == len(indexes)
    for step, index in zip(steps, indexes, strict=True):
        assert step.startswith("SEARCH")
        assert index in step
