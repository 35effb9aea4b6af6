"""Fixtures that several test files share: those of the testing package, and migrated databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from otpcore.stores.sql import upgrade

from .own_servers import postgres_server
from .servers import mariadb_database

pytest_plugins = ["otpcore.testing.fixtures"]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "migrated.sqlite3"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A migrated database on a PostgreSQL server of this test run; a test empties it before use."""
    with postgres_server() as url:
        upgrade(url)
        yield url


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """A migrated database on the MariaDB server that is given, or answers on its usual port; as above."""
    with mariadb_database() as url:
        upgrade(url)
        yield url
