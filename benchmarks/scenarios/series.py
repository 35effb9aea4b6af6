"""Counts over time in an SQLite file with a day's deliveries: what it costs to count them, and to read the day."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import create_engine, text

from benchmarks.plan import Case, Results, World
from benchmarks.tables import Table, figure
from otpcore.stores.series import DIMENSIONS
from otpcore.stores.sql.store import SqlStore, upgrade

__all__ = ["DAY", "MEASURES", "NOTE", "SETTING", "TITLE", "cases", "tables"]

TITLE = "Series"
NOTE = (
    "An SQLite file has a day's deliveries over three instances, two prefixes and two channels, with a receipt for each and a "
    "right code for every second one. They are counted in portions, and the day is read by five minutes and by hours."
)
SETTING = "SQLite"
DAY = "a day"
_TIMES = 15
_STEPS = {
    "whole": (timedelta(minutes=5), ()),
    "by_instance": (timedelta(minutes=5), ("instance",)),
    "by_all": (timedelta(minutes=5), DIMENSIONS),
    "hours": (timedelta(hours=1), DIMENSIONS),
}
_NUMBERS = "(WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT {rows}) SELECT n FROM n) s"
_AT = "{since} + n * {apart}"
_FILL = (
    """INSERT INTO otp_challenge (id, subject, phone_key, phone_sealed, phone_masked, key_id, purpose, state, confirmed,
    attempts, max_attempts, givebacks, first_sent_at, expires_at, code_digest, locale, core_recorded, budget, approved_at, world)
    SELECT 'old-' || n, 'old-' || n, 'phone-' || n, 'sealed', '+359', 'key-1', 'login', 'approved', true, 1, 5, 0, {at}, {at},
    'digest', 'en', true, '', CASE WHEN n % 2 = 0 THEN {at} + 1000000 * (5 + n % 60) END, 'real' FROM {numbers}""",
    """INSERT INTO otp_delivery (id, challenge_id, phone_key, send_id, instance, channel, owner, scope, prefix, is_retry,
    outcome, reference, provider_code, recorded_at, lease_until, gone, answered_at, delivered_at, world)
    SELECT 'old-' || n, 'old-' || n, 'phone-' || n, 'old-' || n, 'instance-' || (n % 3), CASE WHEN n % 7 = 0 THEN 'call'
    ELSE 'sms' END, 'core', '', CASE WHEN n % 5 = 0 THEN '+35987' ELSE '' END, false, 'accepted', 'old-' || n, '', {at}, {at},
    false, {at}, {at} + 1000000 * (1 + n % 20), 'real' FROM {numbers}""",
    """INSERT INTO otp_receipt (reference, instance, delivery_id, status, provider_code, received_at, applied, world)
    SELECT 'old-' || n, 'instance-' || (n % 3), 'old-' || n, 'delivered', '', {at} + 1000000 * (1 + n % 20), true, 'real'
    FROM {numbers}""",
    """INSERT INTO otp_verified (phone_key, verified_at, counted_at, world)
    SELECT 'phone-' || n, {at} + 1000000 * (5 + n % 60), {at}, 'real' FROM {numbers} WHERE n % 2 = 0""",
)


def cases(world: World) -> Iterator[Case]:
    parameters = {"directory": world.directory, "rows": world.sizes.rows}
    yield Case(scenario="series", setting=SETTING, name=DAY, measure="series.day", parameters=parameters, once=True)


def day(directory: str, rows: int) -> Mapping[str, Any]:
    return asyncio.run(_day(directory, rows))


MEASURES = {"series.day": day}


def tables(results: Results) -> Iterator[Table]:
    row = results.row("series", SETTING, DAY)
    rows = []
    if row is not None:
        rows = [[f"{row['rows']:,.0f} deliveries", *(figure(row[name]) for name in ("fold", *_STEPS))]]
    head = ["", "counted, us each", "5 minutes, ms", "by instance, ms", "by all, ms", "hours by all, ms"]
    yield Table(title="series: a day read from an SQLite file", head=head, rows=rows)


async def _day(directory: str, rows: int) -> Mapping[str, Any]:
    now = datetime.now(UTC)
    since = now - timedelta(days=1, minutes=2)
    with TemporaryDirectory(dir=directory) as place:
        url = f"sqlite:///{Path(place) / 'series.sqlite3'}"
        _fill(url, rows, since)
        async with contextlib.AsyncExitStack() as stack:
            store = SqlStore(url)
            await store.start(stack)
            began = time.perf_counter()
            while await store.fold(now):
                pass
            measured: dict[str, Any] = {"fold": (time.perf_counter() - began) / rows * 1e6, "rows": rows}
            counted = 0
            for name, (step, by) in _STEPS.items():
                took = []
                for _ in range(_TIMES):
                    began = time.perf_counter()
                    points = await store.series(now - timedelta(days=1), now, step, by=by)
                    took.append(time.perf_counter() - began)
                measured[name] = statistics.median(took) * 1e3
                counted = max(counted, sum(one.accepted for one in points))
    return {**measured, "errors": int(not 0.99 * rows <= counted <= rows)}


def _fill(url: str, rows: int, since: datetime) -> None:
    upgrade(url)
    parts: dict[str, Any] = {"since": int(since.timestamp() * 1e6), "apart": 86_400_000_000 // rows}
    parts = {"numbers": _NUMBERS.format(rows=rows), "at": f"({_AT.format(**parts)})"}
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in _FILL:
            connection.execute(text(statement.format(**parts)))
    engine.dispose()
