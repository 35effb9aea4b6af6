"""Databases whose default is not UTF-8, or knows no transactions."""

from __future__ import annotations

import contextlib
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import create_engine, make_url, text

from otpcore.errors import SettingsError
from otpcore.stores.sql.schema import HEAD
from otpcore.stores.sql.store import SqlStore, upgrade

WORDS = "Код за Ѝван 😀 कोड"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@contextlib.contextmanager
def database(url, name, how):
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} {how}"))
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
        engine.dispose()


async def keeps_words(given):
    store = SqlStore(given, patience=5)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        await store.write_setting("words", WORDS)
        assert await store.settings() == {"words": WORDS}


async def test_postgresql_in_sql_ascii(postgres_url):
    with database(
        postgres_url, "in_ascii", "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    ) as url:
        assert upgrade(url) == HEAD
        await keeps_words(url)
        engine = create_engine(url, connect_args={"client_encoding": "utf8"})
        await keeps_words(engine)
        engine.dispose()
        engine = create_engine(url)
        with pytest.raises(SettingsError, match=r"Fix:.*client_encoding.*utf8"):
            await keeps_words(engine)
        engine.dispose()


async def test_postgresql_in_latin_1_is_refused(postgres_url):
    with database(postgres_url, "in_latin", "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0") as url:
        for use in (upgrade, lambda url: SqlStore(url)._opening.enter()):
            with pytest.raises(SettingsError, match=r"is in LATIN1.*ENCODING 'UTF8'"):
                use(url)


async def test_mariadb_in_latin_1(mariadb_url):
    with database(mariadb_url, "otpcore_in_latin", "CHARACTER SET latin1") as url:
        assert upgrade(url) == HEAD
        await keeps_words(url)
        engine = create_engine(url)
        with engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT DISTINCT character_set_name FROM information_schema.columns "
                "WHERE table_schema = 'otpcore_in_latin' AND table_name <> 'otp_alembic_version'"
            )
            assert set(found.scalars()) == {"utf8mb4", "ascii", None}
        engine.dispose()


async def test_mariadb_whose_default_engine_knows_no_transactions(mariadb_url):
    with database(mariadb_url, "otpcore_in_myisam", "") as url:
        init = {"init_command": "SET default_storage_engine = MyISAM"}
        assert upgrade(make_url(url).update_query_dict(init).render_as_string(hide_password=False)) == HEAD
        engine = create_engine(url)
        with engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT DISTINCT engine FROM information_schema.tables "
                "WHERE table_schema = 'otpcore_in_myisam' AND table_name <> 'otp_alembic_version'"
            )
            assert set(found.scalars()) == {"InnoDB"}
        engine.dispose()


async def test_a_connection_to_mariadb_in_another_encoding_is_refused(mariadb_url):
    url = make_url(mariadb_url).update_query_dict({"charset": "latin1"}).render_as_string(hide_password=False)
    with pytest.raises(SettingsError, match=r"is in latin1\. Fix: charset=utf8mb4"):
        upgrade(url)


async def test_postgresql_by_a_libpq_without_a_pipeline_is_refused(postgres_url, monkeypatch):
    monkeypatch.setattr("psycopg.pq.version", lambda: 130_012)
    with pytest.raises(SettingsError, match=r"libpq 13.*Fix:.*libpq 14"):
        await keeps_words(postgres_url)
