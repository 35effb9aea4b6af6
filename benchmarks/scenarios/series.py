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

import sqlalchemy as sa

from benchmarks.laying import CHALLENGE, DELIVERY, KEY, RECEIPT, lay
from benchmarks.plan import Case, Results, World
from benchmarks.tables import Table, figure
from otpcore.stores.series import DIMENSIONS
from otpcore.stores.sql.store import SqlStore, upgrade
from otpcore.stores.sql.tables import challenges, deliveries, receipts, verified

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
        upgrade(url)
        lay(url, rows, _tables(int(since.timestamp() * 1e6), 86_400_000_000 // rows))
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


def _tables(since: int, apart: int) -> Mapping[sa.Table, Mapping[str, str]]:
    """Rows so many microseconds apart from ``since`` on."""
    at, second = f"{since} + n * {apart}", 1_000_000
    arrived, verified_at = f"{at} + {second} * (1 + n % 20)", f"{at} + {second} * (5 + n % 60)"
    instance = "CASE n % 3 WHEN 0 THEN 'first' WHEN 1 THEN 'second' ELSE 'third' END"
    return {
        challenges: {
            **CHALLENGE,
            "first_sent_at": at,
            "expires_at": at,
            "approved_at": f"CASE WHEN n % 2 = 0 THEN {verified_at} END",
        },
        deliveries: {
            **DELIVERY,
            "instance": instance,
            "channel": "CASE WHEN n % 7 = 0 THEN 'call' ELSE 'sms' END",
            "prefix": "CASE WHEN n % 5 = 0 THEN '+35987' ELSE '' END",
            "recorded_at": at,
            "lease_until": at,
            "answered_at": at,
            "delivered_at": arrived,
        },
        receipts: {**RECEIPT, "instance": instance, "received_at": arrived},
        verified: {"phone_key": KEY, "verified_at": verified_at, "counted_at": at, "world": "'real'"},
    }
