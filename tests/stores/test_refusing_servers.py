"""A database server that admits nobody: its words arrive with a fix, and without the password; no server is needed for it."""

from __future__ import annotations

import traceback
from contextlib import AsyncExitStack

import pytest

from otpcore.errors import StoreError
from otpcore.stores.sql.store import SqlStore, current, upgrade

from .refusing import mysql_error, postgres_error, refusing

SECRET = "Pa55word-of-otp"

POSTGRES = [
    ("28P01", 'password authentication failed for user "otp"', "used", "correct user and password in storage.url"),
    ("28000", 'role "otp" is not permitted to log in', "used", "correct user and password in storage.url"),
    ("28000", 'no pg_hba.conf entry for host "10.0.0.1", user "otp", no encryption', "used", "a line of pg_hba.conf"),
    ("3D000", 'database "otp" does not exist', "used", "create it (CREATE DATABASE"),
    ("42501", 'permission denied for database "otp"', "used", "GRANT CONNECT ON DATABASE"),
    ("53300", "sorry, too many clients already", "reached", "raise the server's limit of connections"),
    ("57P03", "the database system is starting up", "reached", "wait until it has started"),
    ("08P01", "unsupported startup parameter in options: search_path", "used", "ignore_startup_parameters"),
]

MYSQL = [
    (1040, "Too many connections", "reached", "raise the server's limit of connections"),
    (1044, "Access denied for user 'otp'@'%' to database 'otp'", "used", "GRANT … ON the database"),
    (1045, "Access denied for user 'otp'@'10.0.0.1' (using password: YES)", "used", "correct user and password"),
    (1049, "Unknown database 'otp'", "used", "create it (CREATE DATABASE"),
    (1053, "Server shutdown in progress", "reached", "wait until it has started"),
    (1129, "Host '10.0.0.1' is blocked because of many connection errors", "used", "run mariadb-admin flush-hosts"),
    (1130, "Host '10.0.0.1' is not allowed to connect to this MariaDB server", "used", "admit this user from this"),
    (1820, "You must SET PASSWORD before executing this statement", "used", "give this user a new password"),
    (3159, "Connections using insecure transport are prohibited", "used", "set ssl_ca in storage.url"),
    (4151, "Access denied, this account is locked", "used", "ACCOUNT UNLOCK"),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"  # a thread does the work


def postgres_url(port):
    return f"postgresql://otp:{SECRET}@127.0.0.1:{port}/otp"


def mariadb_url(port):
    return f"mariadb://otp:{SECRET}@127.0.0.1:{port}/otp"


def refused(call, *arguments):
    with pytest.raises(StoreError) as caught:
        call(*arguments)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@pytest.mark.parametrize("call", [current, upgrade])
@pytest.mark.parametrize(("state", "words", "verb", "fix"), POSTGRES)
def test_postgresql_s_refusal_arrives_with_a_fix(call, state, words, verb, fix):
    with refusing(postgres_error(state, words)) as port:
        told = refused(call, postgres_url(port))
    assert told.startswith(f"postgresql://127.0.0.1:{port}/otp cannot be {verb}: {words}. Fix: ")
    assert fix in told


@pytest.mark.parametrize("call", [current, upgrade])
@pytest.mark.parametrize(("code", "words", "verb", "fix"), MYSQL)
def test_mariadb_s_refusal_arrives_with_a_fix(call, code, words, verb, fix):
    with refusing(mysql_error(code, words), speaks_first=True) as port:
        told = refused(call, mariadb_url(port))
    assert told.startswith(f"mariadb://127.0.0.1:{port}/otp cannot be {verb}: {words}. Fix: ")
    assert fix in told


@pytest.mark.parametrize("url", [postgres_url, mariadb_url])
def test_something_else_that_answers_there_is_named_as_the_cause(url):
    with refusing(b"220 mail.example ESMTP\r\n", speaks_first=True) as port:
        told = refused(current, url(port))
    assert told.endswith("Fix: correct host and port in storage.url: something else answers there")


@pytest.mark.parametrize(("url", "speaks_first"), [(postgres_url, False), (mariadb_url, True)])
def test_a_server_that_hangs_up_without_a_word_is_said_to_be_out_of_reach(url, speaks_first):
    with refusing(b"", speaks_first=speaks_first) as port:
        told = refused(current, url(port))
    assert f"127.0.0.1:{port}/otp cannot be reached: " in told


@pytest.mark.parametrize("url", [postgres_url, mariadb_url])
def test_a_port_where_nothing_listens_is_told_with_what_to_look_at(url):
    with refusing(b"") as port:
        pass
    told = refused(current, url(port))
    assert f"127.0.0.1:{port}/otp cannot be reached: " in told
    assert "refused" in told
    assert told.endswith("Fix: see that the server runs, and that host and port in storage.url are right")


def test_a_refusal_that_is_not_known_is_told_without_a_fix():
    words = "an error that nobody has heard of"
    with refusing(postgres_error("XX000", words)) as port:
        told = refused(current, postgres_url(port))
    assert told == f"postgresql://127.0.0.1:{port}/otp cannot be reached: {words}"
    with refusing(mysql_error(1999, words), speaks_first=True) as port:
        told = refused(current, mariadb_url(port))
    assert told == f"mariadb://127.0.0.1:{port}/otp refused: OperationalError (1999)"


def test_the_password_of_the_url_is_hidden_where_the_server_s_words_hold_it():
    with (
        refusing(postgres_error("28P01", f"password {SECRET} expired")) as port,
        pytest.raises(StoreError, match=r"reached: password \*\*\* expired$"),
    ):
        current(postgres_url(port))


async def test_a_store_that_could_not_be_opened_is_not_open_and_tries_anew():
    with refusing(postgres_error("57P03", "the database system is starting up")) as port:
        store = SqlStore(postgres_url(port), patience=1)
        for _ in range(2):
            async with AsyncExitStack() as stack:
                with pytest.raises(StoreError, match=r"starting up.*Fix: wait until it has started"):
                    await store.start(stack)
        with pytest.raises(StoreError, match="the store is not open"):
            await store.settings()
