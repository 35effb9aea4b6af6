"""Behind PgBouncer in transaction mode, as it is shipped: each transaction may find itself in another session."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
import pytest
from sqlalchemy import create_engine, make_url, text

from otpcore.errors import StoreError
from otpcore.models import ChallengeState, Outcome
from otpcore.stores.sql.schema import HEAD
from otpcore.stores.sql.store import SqlStore, current, upgrade

from ..own_servers import pgbouncer_before  # noqa: TID252 - tests are no package that could be imported by name
from ..servers import empty  # noqa: TID252 - the same


@pytest.fixture(scope="module")
def pooled_url(postgres_url):
    with pgbouncer_before(postgres_url) as url:
        yield url


@pytest.fixture
def anyio_backend():
    return "asyncio"  # a thread does the work


async def sends(store, world, count=60):
    """Several at once, so that sessions change hands between transactions."""
    world.store = store

    async def send(number):
        failover = await world.begin(subject=f"login {number}", phone=f"phone-{number}")
        await failover.answer(Outcome.ACCEPTED)
        (view,) = await store.view(challenge_id=failover.id)
        assert view.challenge.state is ChallengeState.SENT

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(send, number)


@pytest.mark.parametrize("parameters", ["", "?prepare_threshold=0", "?prepare_threshold=none", "?prepare_threshold=5"])
async def test_sends_go_through_a_pooler(postgres_url, pooled_url, new_world, parameters):
    empty(postgres_url)
    store = SqlStore(pooled_url + parameters, patience=10)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        await sends(store, new_world())
        assert "no statement is prepared" in (await store.diagnose())["pooler"]


async def test_a_hosts_engine_goes_through_a_pooler_and_keeps_its_threshold(postgres_url, pooled_url, new_world):
    empty(postgres_url)
    engine = create_engine(pooled_url, pool_size=4)
    store = SqlStore(engine, patience=10)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        await sends(store, new_world())
    with engine.connect() as connection:
        assert connection.connection.dbapi_connection.prepare_threshold == 5
    engine.dispose()


async def test_statements_are_prepared_where_no_pooler_stands(postgres_url, new_world):
    empty(postgres_url)
    store = SqlStore(postgres_url + "&prepare_threshold=0", patience=10)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        await sends(store, new_world(), 2)
        assert "pooler" not in await store.diagnose()
        prepared = await store._read(
            lambda rows: rows._raw.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
        )
        assert prepared[0] > 0


async def test_waits_have_an_end_behind_a_pooler_and_do_not_leak_into_its_other_clients(postgres_url, pooled_url):
    store = SqlStore(pooled_url, patience=5)

    def unit(rows):
        rows.now(None)  # the transaction begins with what the unit asks for first
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        return [rows._raw.execute(f"SHOW {name}").fetchone()[0] for name in names]

    async with AsyncExitStack() as stack:
        await store.start(stack)
        assert await store._write(unit) == ["4500ms"] * 3
        assert await store._read(unit) == ["0"] * 3


async def test_a_pooler_that_nobody_noticed_is_noticed_at_a_statement_that_is_not_there(postgres_url, new_world):
    empty(postgres_url)
    store = SqlStore(postgres_url + "&prepare_threshold=0", patience=5)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        await store.settings()
        await store._read(lambda rows: rows._raw.pgconn.exec_(b"DEALLOCATE ALL"))  # as if this were another session
        await store.settings()
        await sends(store, new_world(), 2)


def test_options_that_a_pooler_refuses_are_named(pooled_url):
    with pytest.raises(StoreError, match=r"unsupported startup parameter.*Fix:.*ignore_startup_parameters"):
        current(pooled_url + "?options=-csearch_path%3Dotp")


def test_migrations_run_through_a_pooler(postgres_url, pooled_url):
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE pooled"))
        shown = make_url(pooled_url).set(database="pooled").render_as_string(hide_password=False)
        assert upgrade(shown) == HEAD
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE pooled WITH (FORCE)"))
    admin.dispose()
