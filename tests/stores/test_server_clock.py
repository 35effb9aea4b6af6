"""A server's own time is UTC's, whatever zone it is in: also in the hour that comes twice in autumn, and the one that is left out."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from sqlalchemy import make_url

from otpcore.stores.sql.store import SqlStore, upgrade

from ..own_servers import own_mariadb  # noqa: TID252 - tests are no package that could be imported by name

MOMENTS = [
    datetime(2026, 10, 24, 12, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 30, 0, 250_000, tzinfo=UTC),  # 03:30 in Sofia
    datetime(2026, 10, 25, 0, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, 30, 0, 250_000, tzinfo=UTC),  # 03:30 again
    datetime(2026, 10, 25, 2, 30, tzinfo=UTC),
    datetime(2026, 3, 29, 0, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 11, 29, 9, tzinfo=UTC),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def sofia():
    with own_mariadb(TZ="Europe/Sofia") as server:
        upgrade(server.url)
        yield server.url


async def test_a_mariadb_server_in_sofia_tells_utc_across_the_changes_of_its_clock(sofia):
    for moment in MOMENTS:
        command = f"SET timestamp = {moment.timestamp():.6f}"
        url = make_url(sofia).update_query_dict({"init_command": command}).render_as_string(hide_password=False)
        store = SqlStore(url, patience=5)
        async with AsyncExitStack() as stack:
            await store.start(stack)
            assert await store._read(lambda rows: rows.now(None)) == moment


async def test_a_postgresql_session_in_sofia_tells_utc(postgres_url):
    url = make_url(postgres_url).update_query_dict({"options": "-c timezone=Europe/Sofia"})
    store = SqlStore(url.render_as_string(hide_password=False), patience=5)

    def unit(rows):
        now = rows.now(None)  # the transaction begins with what the unit asks for first
        zone, offset = rows._raw.execute("SELECT current_setting('timezone'), EXTRACT(EPOCH FROM now())").fetchone()
        return zone, now, float(offset)

    async with AsyncExitStack() as stack:
        await store.start(stack)
        zone, now, seconds = await store._write(unit)
    assert zone == "Europe/Sofia"
    assert abs(now.timestamp() - seconds) < 0.001
