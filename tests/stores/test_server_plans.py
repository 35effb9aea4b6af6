"""A page of a list costs a server the same however many rows there are: it is read by an index, in order, and no further."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from otpcore.models import ChallengeState, Outcome, World
from otpcore.stores.lists import ChallengeFilter, DeliveryFilter, Place
from otpcore.stores.sql import list_statements as lists
from otpcore.testing.stores.world import START

from ..servers import empty  # noqa: TID252 - tests are no package that could be imported by name

ROWS = 6_000
NUMBERS = {"postgresql": f"generate_series(1, {ROWS}) AS s(n)", "mariadb": f"(SELECT seq AS n FROM seq_1_to_{ROWS}) s"}
SEALED = {"postgresql": "'x'::bytea", "mariadb": "'x'"}
FILL = (
    """INSERT INTO otp_challenge (id, subject, phone_key, phone_sealed, phone_masked, key_id, purpose, app, verifiable, state, confirmed,
    attempts, max_attempts, givebacks, first_sent_at, expires_at, code_digest, code_number, locale, core_recorded, budget,
    cooldowns, world)
    SELECT CONCAT('c-', n), CONCAT('s-', n), CONCAT('phone-', n), {sealed}, '', 'key', 'login', '', true, 'approved', true, 1, 5,
    0, {start} + n * 1000, {start}, '', 0, 'en', true, '', '{{}}', 'real' FROM {numbers}""",
    """INSERT INTO otp_delivery (id, challenge_id, phone_key, send_id, instance, channel, owner, scope, code_number, prefix, is_retry,
    outcome, reference, provider_code, recorded_at, lease_until, gone, world)
    SELECT CONCAT('d-', n), CONCAT('c-', n), CONCAT('phone-', n), 's', CASE WHEN n % 100 = 0 THEN 'rare' ELSE 'mada' END, 'sms',
    'core', '', 0, '', false, 'accepted', CONCAT('m-', n), '', {start} + n * 1000, {start}, false, 'real' FROM {numbers}""",
)
WANTED = [
    DeliveryFilter(),
    DeliveryFilter(instance="rare"),
    DeliveryFilter(outcome=Outcome.ACCEPTED),
    DeliveryFilter(phone_key="phone-7", outcome=Outcome.ACCEPTED),
    ChallengeFilter(),
    ChallengeFilter(state=ChallengeState.APPROVED),
    ChallengeFilter(phone_key="phone-7"),
]


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def filled(request):
    """A server with so many challenges and deliveries, all looked at by its planner."""
    url = request.getfixturevalue("postgres_url" if request.param == "postgresql" else "mariadb_url")
    empty(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in FILL:
            start = int(START.timestamp() * 1e6)
            parts = {"numbers": NUMBERS[request.param], "sealed": SEALED[request.param], "start": start}
            connection.execute(text(statement.format(**parts)))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ("otp_challenge", "otp_delivery"):
            connection.execute(text(f"{'ANALYZE TABLE' if request.param == 'mariadb' else 'ANALYZE'} {table}"))
    yield engine
    engine.dispose()
    empty(url)


def given(wanted):
    """What a first page asks for."""
    bounds = {"start_time": wanted.newest.time, "start_number": 0, "end_time": wanted.oldest.time, "end_number": 0}
    phone = {"phone_key": wanted.phone_key} if wanted.phone_key else {}
    return {**bounds, **phone, **wanted.conditions(), "own_world": World.REAL, "most": 51}


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_a_page_reads_no_more_rows_than_it_has(filled, wanted):
    statement = lists.listed(type(wanted), tuple(sorted(wanted.conditions())), of_phone=bool(wanted.phone_key))
    compiled = statement.compile(dialect=filled.dialect)
    values = compiled.construct_params(given(wanted))
    ready = {name: _written(compiled.binds[name], value, filled.dialect) for name, value in values.items()}
    most = 1 if wanted.phone_key else 60
    with filled.connect() as connection:
        if filled.dialect.name == "postgresql":
            rows = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}", ready).scalar_one()
            assert _read(rows[0]["Plan"]) <= most
        else:
            connection.exec_driver_sql("FLUSH STATUS")
            placed = tuple(ready[name] for name in compiled.positiontup) if compiled.positiontup else ready
            connection.exec_driver_sql(str(compiled), placed).all()
            status = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'").all()
            assert sum(int(count) for _, count in status) <= most + 10


def test_the_newest_are_those_that_were_written_last(filled):
    with filled.connect() as connection:
        found = connection.execute(
            lists.listed(DeliveryFilter, ("instance",), of_phone=False), given(DeliveryFilter(instance="rare"))
        ).all()
    assert len(found) == 51
    assert found[0].id == f"d-{ROWS}"
    assert Place(found[0].recorded_at, found[0].number) > Place(found[1].recorded_at, found[1].number)


def _written(bind, value, dialect):
    convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
    return value if convert is None else convert(value)


def _read(plan):
    """Rows that the scans of a plan looked at."""
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) if "Scan" in plan["Node Type"] else 0
    return max(own, *(_read(one) for one in plan.get("Plans", [])), 0)
