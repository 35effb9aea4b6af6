"""Where the data is, from ``DATABASES``."""

from __future__ import annotations

import sys

import pymysql
import pytest
from django.db.utils import ConnectionHandler
from otp_django import databases

from otpcore import SettingsError
from otpcore.stores import SqlStore

ENGINES = {"pg": "postgresql", "my": "mysql", "lite": "sqlite3"}
WHO = {"NAME": "shop", "USER": "me", "PASSWORD": "p@ss/word:1", "HOST": "db.example", "PORT": "6432"}


@pytest.fixture(autouse=True)
def a_driver_for_django(monkeypatch):
    """Django's own for MySQL is built from source; this one stands in, as nothing is connected."""
    for name in ("MySQLdb", "_mysql"):
        monkeypatch.setitem(sys.modules, name, pymysql)


def url_of(monkeypatch, kind, **values):
    database = {"ENGINE": f"django.db.backends.{ENGINES[kind]}", **values}
    monkeypatch.setattr(databases, "connections", ConnectionHandler({"default": {}, "it": database}))
    return databases.storage_url("it")


@pytest.mark.parametrize(
    ("kind", "values", "url"),
    [
        ("pg", WHO, "postgresql://me:p%40ss%2Fword%3A1@db.example:6432/shop"),
        ("my", WHO | {"PORT": 3306}, "mysql://me:p%40ss%2Fword%3A1@db.example:3306/shop"),
        ("pg", {"NAME": "shop", "HOST": "/run/pg"}, "postgresql:///shop?host=%2Frun%2Fpg"),
        ("my", {"NAME": "shop", "HOST": "/run/my.sock"}, "mysql:///shop?unix_socket=%2Frun%2Fmy.sock"),
        ("pg", {"NAME": "", "OPTIONS": {"service": "shop"}}, "postgresql://?service=shop"),
        (
            "pg",
            {"NAME": "shop", "OPTIONS": {"sslmode": "verify-full", "pool": True, "connect_timeout": 5}},
            "postgresql:///shop?connect_timeout=5&sslmode=verify-full",
        ),
        ("pg", {"NAME": "shop", "OPTIONS": {"assume_role": "owner"}}, "postgresql:///shop?options=-c+role%3Downer"),
        (
            "my",
            {"NAME": "shop", "OPTIONS": {"ssl": {"ca": "/ca.pem"}, "charset": "utf8mb4"}},
            "mysql:///shop?ssl_ca=%2Fca.pem",
        ),
    ],
)
def test_a_server_s_database_is_the_same(monkeypatch, kind, values, url):
    assert url_of(monkeypatch, kind, **values) == url
    SqlStore(url)  # which refuses what it cannot use


def test_beside_an_sqlite_file_lies_one_of_its_own(monkeypatch, tmp_path):
    url = url_of(monkeypatch, "lite", NAME=tmp_path / "100%25.sqlite3")
    assert url == f"sqlite:///{tmp_path}/100%2525.otp.sqlite3"
    monkeypatch.chdir(tmp_path)
    assert url_of(monkeypatch, "lite", NAME="db.sqlite3") == f"sqlite:///{tmp_path}/db.otp.sqlite3"


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        ("lite", {"NAME": ":memory:"}, "use otp_django.testing"),
        ("lite", {"NAME": "file:memorydb_default?mode=memory&cache=shared"}, "use otp_django.testing"),
        ("lite", {"NAME": "file:/data/db.sqlite3?cache=private"}, "by its path"),
        ("pg", {"NAME": "shop", "PORT": "5432,5433"}, "PORT"),
        ("pg", {"NAME": "shop", "OPTIONS": {"sslcert": object()}}, "sslcert"),
        ("my", {"NAME": "shop", "OPTIONS": {"ssl": {"cipher": "x"}}}, "ssl"),
        ("my", {"NAME": "shop", "OPTIONS": {"compress": True}}, "compress"),
    ],
)
def test_what_cannot_be_carried_over_is_refused_with_the_fix(monkeypatch, kind, values, told):
    with pytest.raises(SettingsError, match="Fix: ") as refused:
        url_of(monkeypatch, kind, PASSWORD="hidden-word", **values)
    assert told in str(refused.value)
    assert "hidden-word" not in str(refused.value)


def test_oracle_is_refused(monkeypatch):
    connections = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "x"}})
    monkeypatch.setattr(connections["default"], "vendor", "oracle")
    monkeypatch.setattr(databases, "connections", connections)
    with pytest.raises(SettingsError, match=r"keeps nothing in oracle.*Fix: OTPCORE\['storage'\]"):
        databases.storage_url("default")
