"""Why a database server cannot be used is said in its own words, with a fix, and without secrets; a URL means what it says."""

from __future__ import annotations

import traceback
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from otpcore.errors import SettingsError, StoreError
from otpcore.settings.tree import load_settings
from otpcore.stores.sql.server.reasons import words_of
from otpcore.stores.sql.store import SqlStore, current, upgrade
from otpcore.stores.sql.urls import parse_url, place_of

from ..proxy import proxy_to  # noqa: TID252 - tests are no package that could be imported by name

SECRET = "Pa55word-of-otp"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def shown(url, **changes):
    return make_url(url).set(**changes).render_as_string(hide_password=False)


def admin(url, *statements):
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            return [connection.execute(text(one)) for one in statements][-1]
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def guarded_postgres(postgres_url):
    """Over TCP, with a user whose password is asked for, one that is kept out, and one that may have no connection."""
    users = ("locked", "barred", "crowded", "reader")
    admin(
        postgres_url,
        f"CREATE ROLE locked LOGIN PASSWORD '{SECRET}'",
        "CREATE ROLE barred LOGIN",
        "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0",
        "CREATE ROLE reader LOGIN",
    )
    file = Path(admin(postgres_url, "SHOW hba_file").scalar_one())
    rules = file.read_text()
    file.write_text(f"local all locked scram-sha-256\nlocal all barred reject\n{rules}")
    admin(postgres_url, "SELECT pg_reload_conf()")
    with proxy_to(f"{make_url(postgres_url).query['host']}/.s.PGSQL.5432") as proxy:
        yield shown(postgres_url, host="127.0.0.1", port=proxy.port, query={})
    file.write_text(rules)
    admin(
        postgres_url, "SELECT pg_reload_conf()", "DROP OWNED BY locked, reader", *(f"DROP ROLE {one}" for one in users)
    )


@pytest.fixture(scope="module")
def guarded_mariadb(mariadb_url):
    name = make_url(mariadb_url).database
    admin(
        mariadb_url,
        f"CREATE OR REPLACE USER locked IDENTIFIED BY '{SECRET}'",
        "CREATE OR REPLACE USER kept_out IDENTIFIED BY ''",
        f"GRANT ALL ON {name}.* TO locked",
        "CREATE OR REPLACE USER reader IDENTIFIED BY ''",
        f"GRANT SELECT ON {name}.otp_alembic_version TO reader",
        "CREATE OR REPLACE USER shut ACCOUNT LOCK",
        "CREATE OR REPLACE USER elapsed PASSWORD EXPIRE",
        f"GRANT ALL ON {name}.* TO elapsed",
    )
    yield shown(mariadb_url)
    admin(mariadb_url, *(f"DROP USER {one}" for one in ("locked", "kept_out", "reader", "shut", "elapsed")))


POSTGRES = {
    "database missing": ({"database": "nowhere"}, 'database "nowhere" does not exist', "CREATE DATABASE"),
    "wrong password": (
        {"username": "locked", "password": SECRET + "x"},
        "password authentication failed",
        "user and password",
    ),
    "no password": ({"username": "locked", "password": None}, "no password supplied", "user and password"),
    "no such user": ({"username": "nobody_at_all"}, "does not exist", "user and password"),
    "no entry": ({"username": "barred"}, "pg_hba", "pg_hba.conf"),
    "too many": ({"username": "crowded"}, "too many connections", "limit of connections"),
    "TLS refused": ({"query": {"sslmode": "require"}}, "SSL", "sslmode"),
    "certificate missing": (
        {"query": {"sslmode": "verify-full", "sslrootcert": "/no/such/file"}},
        "certificate",
        "sslmode",
    ),
    "server down": ({"port": 9}, "refused", "server runs"),
    "name": ({"host": "no-such-host.invalid"}, "no-such-host.invalid", "host in storage.url"),
    "options refused": ({"query": {"options": "-c no_such_thing=1"}}, "no_such_thing", ""),
}

MARIADB = {
    "database missing": ({"database": "nowhere"}, "Unknown database 'nowhere'", "CREATE DATABASE"),
    "wrong password": ({"username": "locked", "password": SECRET + "x"}, "Access denied", "user and password"),
    "not for this user": ({"username": "kept_out", "password": ""}, "Access denied", "GRANT"),
    "shut": ({"username": "shut"}, "account is locked", "ACCOUNT UNLOCK"),
    "password elapsed": ({"username": "elapsed"}, "must SET PASSWORD", "a new password"),
    "server down": ({"port": 9}, "Connection refused", "server runs"),
    "name": ({"host": "no-such-host.invalid"}, "no-such-host.invalid", "host in storage.url"),
    "TLS refused": ({"query": {"ssl_verify_cert": "true"}}, "SSL", "TLS"),
}


def refused(url):
    with pytest.raises(StoreError) as caught:
        current(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@pytest.mark.parametrize("cause", POSTGRES)
def test_postgresql_says_why_it_cannot_be_used(guarded_postgres, cause):
    changes, reason, fix = POSTGRES[cause]
    told = refused(shown(guarded_postgres, **changes))
    assert reason in told
    assert fix in told.partition("Fix: ")[2]


@pytest.mark.parametrize("cause", MARIADB)
def test_mariadb_says_why_it_cannot_be_used(guarded_mariadb, cause):
    changes, reason, fix = MARIADB[cause]
    told = refused(shown(guarded_mariadb, **changes))
    assert reason in told
    assert fix in told.partition("Fix: ")[2]


@pytest.mark.parametrize("server", ["postgres", "mariadb"])
async def test_a_user_who_may_not_write_is_told_so_and_what_to_grant(request, server):
    url = shown(request.getfixturevalue(f"guarded_{server}"), username="reader", password=None)
    if server == "postgres":
        admin(request.getfixturevalue("postgres_url"), "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")

    async def write():
        store = SqlStore(url, patience=5)
        async with AsyncExitStack() as stack:
            await store.start(stack)
            await store.write_setting("paused", "on")

    with pytest.raises(StoreError, match=r"denied .*Fix: GRANT SELECT, INSERT, UPDATE, DELETE"):
        await write()


async def test_a_password_that_is_wrong_is_not_tried_again_and_again(guarded_postgres, postgres_url):
    """A server that counts failures would shut the user out."""
    admin(postgres_url, "GRANT SELECT ON otp_alembic_version, otp_setting TO locked")
    store = SqlStore(shown(guarded_postgres, username="locked", password=SECRET), patience=20)
    opened = []
    async with AsyncExitStack() as stack:
        await store.start(stack)
        store._opening.let_go()
        admin(postgres_url, "ALTER ROLE locked PASSWORD 'another'")
        dialect = store._opened()._engine.dialect
        connect = dialect.connect
        dialect.connect = lambda *given, **named: opened.append(1) or connect(*given, **named)
        with pytest.raises(StoreError, match="password authentication failed"):
            await store.settings()
    assert len(opened) == 1
    admin(postgres_url, f"ALTER ROLE locked PASSWORD '{SECRET}'")


@pytest.mark.parametrize("scheme", ["postgres", "postgres+psycopg", "postgresql"])
def test_the_scheme_of_other_tools_is_taken(postgres_url, scheme, tmp_path):
    url = postgres_url.replace("postgresql+psycopg", scheme, 1)
    assert current(url) == current(postgres_url)
    file = tmp_path / "otpcore.toml"
    file.write_text(f'[storage]\nurl = "{url}"\n')
    assert load_settings(file).store_name == "sql"


def test_several_hosts_may_stand_as_libpq_writes_them():
    url = parse_url("postgres://otp:secret@one.example,two.example:5433/otp?target_session_attrs=read-write")
    assert url.query["host"] == ("one.example", "two.example:5433")
    assert url.query["target_session_attrs"] == "read-write"
    assert (url.username, url.password, url.database) == ("otp", "secret", "otp")
    assert place_of(url) == "postgresql://one.example,two.example:5433/otp"


async def test_what_a_postgresql_url_says_stands_and_ours_is_added(postgres_url):
    admin(postgres_url, "CREATE SCHEMA IF NOT EXISTS otp")
    url = make_url(postgres_url).update_query_dict(
        {
            "options": "-csearch_path=otp -cstatement_timeout=1234",
            "application_name": "shop",
            "connect_timeout": "3",
            "tcp_user_timeout": "4321",
        }
    )
    full = url.render_as_string(hide_password=False)
    upgrade(full)
    tables = admin(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'otp' AND tablename LIKE 'otp_%'")
    assert tables.scalar_one() > 10
    store = SqlStore(full, patience=5)

    def unit(rows):
        names = ("search_path", "application_name", "statement_timeout", "lock_timeout", "client_encoding")
        parameters = rows._raw.info.get_parameters()
        shows = [rows._raw.execute(f"SHOW {name}").fetchone()[0] for name in names]
        return [*shows, parameters["connect_timeout"], parameters["tcp_user_timeout"]]

    async with AsyncExitStack() as stack:
        await store.start(stack)
        found = await store._write(unit)
    assert found == ["otp", "shop", "1234ms", "4500ms", "UTF8", "3", "4321"]
    admin(postgres_url, "DROP SCHEMA otp CASCADE")


async def test_what_a_mariadb_url_says_stands_and_ours_is_added(mariadb_url):
    given = {"init_command": "SET innodb_lock_wait_timeout = 37", "connect_timeout": "3", "read_timeout": "3"}
    store = SqlStore(make_url(mariadb_url).update_query_dict(given).render_as_string(hide_password=False), patience=5)

    def unit(rows):
        with rows._raw.cursor() as cursor:
            cursor.execute("SELECT @@innodb_lock_wait_timeout, @@character_set_client")
            return *cursor.fetchone(), rows._raw.connect_timeout, rows._raw._read_timeout

    async with AsyncExitStack() as stack:
        await store.start(stack)
        assert await store._write(unit) == (37, "utf8mb4", 3, 3)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://otp:Pa55word-of-otp@h/db?prepare_threshold=often", "prepare_threshold is a number"),
        ("postgresql://otp:Pa55word-of-otp@h/db?no_such_parameter=1", "no_such_parameter is no parameter of psycopg"),
        ("mariadb://otp:Pa55word-of-otp@h/db?no_such_parameter=1", "no_such_parameter is no parameter of pymysql"),
        ("mariadb://otp:Pa55word-of-otp@h/db?connect_timeout=soon", "no good value"),
        ("postgresql://otp:Pa55word-of-otp@h:port/db", "not a database URL"),
    ],
)
def test_a_parameter_that_is_none_is_named(url, told):
    with pytest.raises(SettingsError, match=told) as caught:
        current(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["postgresql+psycopg2://h/db", "postgresql+pg8000://h/db", "sqlite:///x.sqlite3"])
def test_an_engine_of_another_driver_is_refused_with_those_that_work(url):
    with pytest.raises(SettingsError, match=r"psycopg2?|pg8000|SQLite"):
        SqlStore(create_engine(url))


@pytest.mark.parametrize("url", ["postgresql+asyncpg://h/db", "postgresql+psycopg://h/db"])
def test_an_engine_for_asyncio_is_refused_with_those_that_work(url):
    for engine in (made := create_async_engine(url), made.sync_engine):
        with pytest.raises(SettingsError, match=r"Fix: pass .*postgresql\+psycopg://.*mariadb\+pymysql://"):
            SqlStore(engine)


def test_a_connection_that_is_used_after_it_was_lost_has_a_reason_too(mariadb_url):
    pymysql = pytest.importorskip("pymysql")
    url = make_url(mariadb_url)
    connection = pymysql.connect(host=url.host, port=url.port, user=url.username, ssl_disabled=True)
    connection._force_close()
    with pytest.raises(pymysql.err.InterfaceError) as lost, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert words_of(lost.value, url) == "the connection is closed"
