"""Empty stores of each kind, one for each history."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from otp_redis import RedisStore
from redis_servers import RedisServer, redis_server

from otpcore.stores.contract import Store
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.sql.store import SqlStore

from ..servers import empty  # noqa: TID252 - tests are no package that could be imported by name


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server of this test run."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", "sql", "postgres", "mariadb", "redis"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Callable[[], Store]:
    """Makes empty stores of one kind."""
    caplog.set_level(logging.CRITICAL, "otpcore.stores")  # each start of each store says something
    if request.param == "memory":
        return MemoryStore
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis")

        def make_on_redis() -> RedisStore:
            server.empty()
            return RedisStore(server.url)

        return make_on_redis
    if request.param != "sql":
        url = request.getfixturevalue(f"{request.param}_url")

        def make_on_server() -> SqlStore:
            empty(url)
            return SqlStore(url)

        return make_on_server
    migrated = request.getfixturevalue("migrated")

    def make() -> SqlStore:
        for old in tmp_path.iterdir():
            old.unlink()
        path = shutil.copy(migrated, tmp_path / "otp.sqlite3")
        return SqlStore(f"sqlite:///{path}", synchronous="NORMAL")

    return make
