"""MariaDB and RabbitMQ for tests where they are running, and what is done without a server. Servers of a test's own: ``own_servers.py``."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from typing import NoReturn
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from otpcore.stores.sql.store import metadata

# In plain text: for each connection, the driver would read all certificates of the machine, which takes longer than a test.
_MARIADB = "mariadb+pymysql://root@127.0.0.1:3306/?ssl_disabled=true"
_RABBITMQ = "amqp://guest:guest@127.0.0.1:5672/"

_engines: dict[str, Engine] = {}


@contextlib.contextmanager
def mariadb_database() -> Iterator[str]:
    """A database of this test run's own on a server that runs already."""
    unless_left_out()
    server = make_url(os.environ.get("OTPCORE_TEST_MARIADB_URL", _MARIADB))
    name = f"otpcore_test_{secrets.token_hex(4)}"
    try:
        _execute(str(server), f"CREATE DATABASE {name}")
    except (ImportError, OperationalError):  # no driver, or no server
        do_without("no MariaDB answers; set OTPCORE_TEST_MARIADB_URL to run this on one")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        let_go()
        _execute(str(server), f"DROP DATABASE {name}")


def rabbitmq_url() -> str:
    """The broker that is given, or answers on its usual port."""
    unless_left_out()
    url = os.environ.get("OTPCORE_TEST_RABBITMQ_URL", _RABBITMQ)
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 5672), 2).close()
    except OSError:
        do_without("no RabbitMQ answers; set OTPCORE_TEST_RABBITMQ_URL to run this on one")
    return url


def do_without(reason: str) -> NoReturn:
    """Skip what needs the server, unless all of them must be there (``OTPCORE_TEST_SERVERS=required``)."""
    if os.environ.get("OTPCORE_TEST_SERVERS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def unless_left_out() -> None:
    """Skip what needs a server, though there may be one, where only the rest is to be tested (``OTPCORE_TEST_SERVERS=none``)."""
    if os.environ.get("OTPCORE_TEST_SERVERS") == "none":
        pytest.skip("OTPCORE_TEST_SERVERS=none leaves out what needs a server")


def empty(url: str) -> None:
    """Remove all rows."""
    with _engine(url).begin() as connection:
        for name in metadata.tables:
            connection.execute(text(f"DELETE FROM {name}"))


def _engine(url: str) -> Engine:
    """Kept with its connection: the tests that begin with empty tables are many."""
    if url not in _engines:
        _engines[url] = create_engine(url, pool_pre_ping=True)  # a test may have cut all connections
    return _engines[url]


def let_go() -> None:
    """Before a server or a database goes."""
    for engine in _engines.values():
        engine.dispose()
    _engines.clear()


def _execute(url: str, *statements: str) -> None:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()
