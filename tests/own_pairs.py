"""Two servers of a test's own, of which the second follows the first and takes its place; nothing that was confirmed is lost over it.

PostgreSQL replicates synchronously, so the first may also die. MariaDB and Redis replicate asynchronously: there the first lives, takes
no more writes, and the second has everything before it is promoted. Whoever was connected to the first remains so.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Generic, TypeVar

import attrs
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from .own_servers import OwnMariaDB, OwnPostgres, OwnRedis, OwnServer, own_mariadb, own_postgres, own_redis, standby_of
from .proxy import Address

_PATIENCE = 60.0  # seconds, for a machine with much else to do

Server = TypeVar("Server", bound=OwnServer)


@attrs.define(eq=False)
class Pair(Generic[Server]):
    """As a server it is the first of the two, which takes writes.

    Args:
        may_die: Nothing that was confirmed is lost either when the first dies at any time.
    """

    first: Server
    second: Server
    may_die = False

    @property
    def url(self) -> str:
        return self.first.url

    @property
    def address(self) -> Address:
        return self.first.address

    def through(self, port: int) -> str:
        return self.first.through(port)

    def kill(self) -> None:
        self.first.kill()

    def start(self) -> None:
        self.first.start()

    def pids(self) -> list[int]:
        return self.first.pids()

    def fail_over(self, *, dies: bool = False) -> None:
        """Let the second take the place of the first, which takes no writes any more, or dies."""
        raise NotImplementedError

    def follow(self) -> None:
        """Let somebody follow the one that serves, so that it can be replaced in its turn."""
        raise NotImplementedError


@attrs.define(eq=False)
class PostgresPair(Pair[OwnPostgres]):
    """A commit is confirmed when both have it and show it. Each that was replaced is thrown away, and a new one copied."""

    ends_of: dict[OwnPostgres, ExitStack] = attrs.field(factory=dict)
    may_die = True

    def fail_over(self, *, dies: bool = False) -> None:
        old, new = self.first, self.second
        if dies:
            old.kill()
        else:
            _admin(old.url, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
            time.sleep(0.2)  # every session has read it when it begins its next transaction
            _admin(
                old.url,
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE backend_xid IS NOT NULL",
            )
            ((end,),) = _admin(old.url, "SELECT pg_current_wal_flush_lsn()")
            _wait_until(lambda: _asked(new.url, f"SELECT pg_last_wal_replay_lsn() >= '{end}'"))
        _admin(new.url, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        _admin(new.url, "SELECT pg_promote()")
        self.first, self.second = new, old

    def follow(self) -> None:
        if self.second is not self.first:
            self.ends_of.pop(self.second).close()
        with ExitStack() as stack:
            self.second = stack.enter_context(standby_of(self.first))
            self.ends_of[self.second] = stack.pop_all()
        _admin(self.first.url, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        _wait_until(
            lambda: _asked(self.first.url, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
        )


@contextlib.contextmanager
def postgres_pair() -> Iterator[PostgresPair]:
    with ExitStack() as stack:
        first = stack.enter_context(own_postgres())
        pair = PostgresPair(first, first)
        pair.ends_of[first] = stack.pop_all()
        try:
            for name, value in {"synchronous_commit": "remote_apply", "wal_retrieve_retry_interval": "100ms"}.items():
                _admin(first.url, f"ALTER SYSTEM SET {name} = '{value}'")
            pair.follow()
            yield pair
        finally:
            for end in reversed(list(pair.ends_of.values())):
                end.close()


@attrs.define(eq=False)
class MariaDBPair(Pair[OwnMariaDB]):
    """People come as a user whom ``read_only`` stops, which root is not."""

    def through(self, port: int) -> str:
        return make_url(self.first.through(port)).set(username="otp").render_as_string(hide_password=False)

    def fail_over(self, *, dies: bool = False) -> None:
        old, new = self.first, self.second
        if dies:
            raise ValueError("what only the first has would be lost")
        _wait_until(lambda: _is_read_only(old.url))
        ((end,),) = _admin(old.url, "SELECT @@gtid_binlog_pos")
        if not _asked(new.url, f"SELECT MASTER_GTID_WAIT('{end}', {_PATIENCE}) = 0"):
            raise AssertionError("the second did not catch up")
        _admin(new.url, "STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0")
        self.first, self.second = new, old

    def follow(self) -> None:
        _admin(
            self.second.url,
            "STOP SLAVE",
            "SET GLOBAL read_only = 1",
            f"CHANGE MASTER TO master_host = '127.0.0.1', master_port = {self.first.port}, master_user = 'root',"
            " master_connect_retry = 1, master_use_gtid = current_pos",
            "START SLAVE",
        )


def _is_read_only(url: str) -> bool:
    """Now, or it is asked again: while the server waits for transactions to end, those wait for it, as long as they may."""
    with contextlib.suppress(OperationalError):
        _admin(url, "SET lock_wait_timeout = 1", "SET GLOBAL read_only = 1")
    return _asked(url, "SELECT @@GLOBAL.read_only")


@contextlib.contextmanager
def mariadb_pair() -> Iterator[MariaDBPair]:
    options = ("--log-bin", "--log-slave-updates", "--skip-slave-start")
    with own_mariadb(*options, "--server-id=1") as first, own_mariadb(*options, "--server-id=2") as second:
        _admin(second.url, "RESET MASTER")
        pair = MariaDBPair(first, second)
        pair.follow()
        _admin(first.url, "CREATE USER otp", "GRANT ALL ON otpcore.* TO otp")
        yield pair


@attrs.define(eq=False)
class RedisPair(Pair[OwnRedis]):
    """The server's own FAILOVER, which holds back writes until the second has them all."""

    def fail_over(self, *, dies: bool = False) -> None:
        old, new = self.first, self.second
        if dies:
            raise ValueError("what only the first has would be lost")
        with contextlib.closing(old.server.client()) as client:
            client.execute_command("FAILOVER", "TO", "127.0.0.1", new.server.port)
        _wait_until(lambda: _replication(new)["role"] == "master" and _replication(old)["role"] == "slave")
        self.first, self.second = new, old

    def follow(self) -> None:
        """The one that was replaced does so by itself; a new one is told to."""
        if _replication(self.second)["role"] == "master":
            with contextlib.closing(self.second.server.client()) as client:
                client.replicaof("127.0.0.1", self.first.server.port)
        _wait_until(lambda: _replication(self.second).get("master_link_status") == "up")


@contextlib.contextmanager
def redis_pair() -> Iterator[RedisPair]:
    with own_redis() as first, own_redis() as second:
        pair = RedisPair(first, second)
        pair.follow()
        yield pair


def _replication(one: OwnRedis) -> dict[str, Any]:
    with contextlib.closing(one.server.client()) as client:
        told: dict[str, Any] = client.info("replication")
        return told


def _admin(url: str, *statements: str) -> list[Any]:
    """Rows of the last statement."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                done = connection.execute(text(statement))
            return list(done) if done.returns_rows else []
    finally:
        engine.dispose()


def _asked(url: str, question: str) -> bool:
    ((answer,),) = _admin(url, question)
    return bool(answer)


def _wait_until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError("the second does not follow")
        time.sleep(0.02)


PAIRS: dict[str, Callable[[], AbstractContextManager[Pair[Any]]]] = {
    "postgres": postgres_pair,
    "mariadb": mariadb_pair,
    "redis": redis_pair,
}
