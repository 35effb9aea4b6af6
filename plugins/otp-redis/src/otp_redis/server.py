"""One server or cluster: its connections, the two scripts, and whether it may hold what must not be lost."""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, TypeVar

import attrs
from redis import BlockingConnectionPool, Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ClusterError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import TimeoutError as SlowError
from redis.retry import Retry

from otp_redis.address import Address
from otp_redis.unit import Commit, Unit
from otpcore.errors import SettingsError, StoreError
from otpcore.stores.rows import OutrunError

__all__ = ["CONNECTIONS", "Server"]

T = TypeVar("T")
_logger = logging.getLogger("otpcore.stores.redis")

CONNECTIONS = 8
_FORMAT = "1"
_OLDEST = (6, 2)
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.25
_REMEMBERED = 60_000  # milliseconds; a lost answer is asked for again within the patience, which is less
_WAIT = 1000  # milliseconds for replicas

_AWAY = (LostError, SlowError, ReadOnlyError, ClusterDownError, ClusterError, TryAgainError, AskError, OSError)
"""It is gone, starting, failing over, or moving: what was asked may be asked again."""
_FINAL = (AuthenticationError, AuthorizationError)


@attrs.frozen
class _Script:
    """A Lua script, and the name that the server gives it."""

    text: str
    sha: str

    @classmethod
    def read(cls, name: str) -> _Script:
        import hashlib  # noqa: PLC0415 - SHA-1 is Redis' name for it, nothing else

        text = files("otp_redis").joinpath("lua", name).read_text(encoding="utf-8")
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class Server:
    """Runs units of work; from any thread.

    Args:
        patience: Seconds that a unit waits at most: for a connection, for other units, for a server that is away.
    """

    def __init__(self, address: Address, *, patience: float) -> None:
        self._address = address
        self._patience = patience
        self._read = _Script.read("read.lua")
        self._commit = _Script.read("commit.lua")
        self._client: Any = None

    @property
    def place(self) -> str:
        """Without user and password."""
        return self._address.place

    def open(self) -> None:
        """Connect, and refuse a server that may lose data. Blocks.

        Raises:
            SettingsError: The server is not fit; with the fix.
            StoreError: It cannot be reached.
        """
        self._patiently(self._connect)
        self._patiently(self._check)

    def rewrite_log(self) -> None:
        """Let the server write its append-only file anew, so that what was removed is not in it. Blocks.

        It does so in the background; where that may not be asked for, its operator is told.
        """
        info = self._patiently(self._info)
        try:
            if info.get("aof_enabled", 1):
                self._on_node("BGREWRITEAOF")
        except RedisError as error:
            if "in progress" not in str(error):
                _warn(
                    f"{self.place}: BGREWRITEAOF was refused; until its next rewrite an AOF holds what was erased",
                    "log",
                )

    def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def write(self, unit: Callable[[Unit], T]) -> T:
        """Run a unit until what it decided upon is still so when it is committed."""

        def once() -> T:
            work = Unit(self._ask)
            result = unit(work)
            commit = work.commit()
            if commit is not None:
                self._apply(commit)
            return result

        return self._patiently(once)

    def read(self, unit: Callable[[Unit], T]) -> T:
        """Run a unit that changes nothing."""
        return self._patiently(lambda: unit(Unit(self._ask)))

    def facts(self) -> Mapping[str, str]:
        """For ``otp doctor``."""
        info = self._patiently(self._info)
        if not info:
            return {"place": self.place, "server": "not known", "eviction": "not known", "persistence": "not known"}
        name, version = _version(info)
        persistence = self._patiently(lambda: self._persistence(info))
        return {
            "place": self.place,
            "server": f"{name} {'.'.join(map(str, version))}",
            "eviction": str(info.get("maxmemory_policy") or "not known"),
            "persistence": "none: a restart of the server forgets everything"
            if persistence is None
            else persistence or "not known",
        }

    def _ask(self, questions: Sequence[Sequence[str]]) -> Sequence[Any]:
        entries = [part for name, *arguments in questions for part in (name, str(len(arguments)), *arguments)]
        replies: Sequence[Any] = self._run(self._read, entries)
        return replies

    def _apply(self, commit: Commit) -> None:
        """Commit once, however often it has to be asked for."""
        header = (secrets.token_hex(12), str(_REMEMBERED), str(commit.now), str(len(commit.guards)))
        entries = [
            part
            for name, *arguments in (*commit.guards, *commit.changes)
            for part in (name, str(len(arguments)), *arguments)
        ]
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                applied = self._run(self._commit, [*header, *entries], waits=True)
            except (*_FINAL, MovedError):
                raise
            except _AWAY as error:  # perhaps it took place: the server knows this commit by its id
                if time.monotonic() + pause > deadline:
                    raise _InDoubtError from error
                time.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                break
        if not applied:
            raise OutrunError("another unit was faster")

    def _run(self, script: _Script, entries: Sequence[str], *, waits: bool = False) -> Any:
        base = self._address.base
        client = self._opened()
        waits = waits and self._address.wait_replicas > 0
        if waits and self._address.nodes:
            client = client.get_redis_connection(client.get_node_from_key(base))
        try:
            answer = self._evaluate(client, ("EVALSHA", script.sha, 1, base, *entries), waits=waits)
        except MovedError as error:
            if not self._address.nodes:
                raise
            self._client.nodes_manager.initialize()  # the slot has another primary now
            raise TryAgainError from error
        except NoScriptError:  # the server was restarted, or is another one now
            answer = self._evaluate(client, ("EVAL", script.text, 1, base, *entries), waits=waits)
        return answer

    def _evaluate(self, client: Any, command: tuple[Any, ...], *, waits: bool) -> Any:
        if not waits:
            return client.execute_command(*command) if self._address.nodes else _call(client.connection_pool, command)
        wanted = self._address.wait_replicas
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command(*command)
        pipeline.execute_command("WAIT", wanted, _WAIT)
        answer, reached = pipeline.execute()
        if answer and reached < wanted:
            _warn(f"{self.place}: only {reached} of {wanted} replicas have the last change", "replicas")
        return answer

    def _opened(self) -> Any:
        if self._client is None:
            raise StoreError("the store is not open; start it")
        return self._client

    # Connecting.

    def _connect(self) -> None:
        if self._client is not None:
            return
        timeout = max(self._patience / 3, 1.0)
        common = {
            "decode_responses": True,
            "protocol": 2,
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            **self._address.arguments,
        }
        if self._address.nodes:
            node: Any = ClusterNode  # it has no types, as the pool below
            nodes = [node(host, port) for host, port in self._address.nodes]
            self._client = RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 2), **common)
        else:
            pool: Any = BlockingConnectionPool
            never = Retry(NoBackoff(), 0)  # it is our units that are tried again
            made = pool(max_connections=CONNECTIONS, timeout=self._patience, retry=never, **common)
            self._client = Redis(connection_pool=made)

    def _info(self) -> dict[str, Any]:
        """Of the server that holds our keys; empty: it may not be asked."""
        try:
            info: dict[str, Any] = self._on_node("INFO")
        except NoPermissionError:
            return {}
        return info

    def _on_node(self, *command: str) -> Any:
        client = self._opened()
        if self._address.nodes:
            return client.execute_command(*command, target_nodes=client.get_node_from_key(self._address.base))
        return client.execute_command(*command)

    def _config(self, name: str) -> str | None:
        """A server's setting; None: it may not be asked, as with many that somebody else runs."""
        try:
            found = self._on_node("CONFIG GET", name)
        except ResponseError:
            return None
        return str(found[name]) if name in found else None

    # Is it fit?

    def _check(self) -> None:
        info = self._info()
        if not info:
            _warn(f"{self.place}: INFO is not allowed, so eviction, persistence and version are not known", "unchecked")
        else:
            self._check_version(info)
            self._check_role(info)
            self._check_eviction(info)
            self._check_persistence(info)
        self._check_format()

    def _check_version(self, info: Mapping[str, Any]) -> None:
        name, version = _version(info)
        if name == "Redis" and version[:2] < _OLDEST:
            raise SettingsError(
                f"storage.url: {self.place} is Redis {'.'.join(map(str, version))}; Redis 6.2 or newer, or Valkey, is needed"
            )

    def _check_role(self, info: Mapping[str, Any]) -> None:
        if info.get("role") == "slave":
            raise SettingsError(f"storage.url: {self.place} is a replica and takes no changes; name the primary")

    def _check_eviction(self, info: Mapping[str, Any]) -> None:
        policy = info.get("maxmemory_policy") or self._config("maxmemory-policy")
        if policy is None:
            _warn(f"{self.place}: maxmemory-policy may not be read; it must be noeviction", "unchecked")
        elif policy != "noeviction":
            raise SettingsError(
                f"storage.url: {self.place} has maxmemory-policy {policy}: when memory is short it drops codes, limits and "
                "retries without a word. Fix: CONFIG SET maxmemory-policy noeviction, and the same in its configuration"
            )

    def _check_persistence(self, info: Mapping[str, Any]) -> None:
        found = self._persistence(info)
        if found is None:
            _warn(
                f"{self.place}: neither AOF nor RDB is on: a restart of the server forgets everything; "
                "fix: CONFIG SET appendonly yes, and the same in its configuration",
                "persistence",
            )
        elif not found:
            _warn(f"{self.place}: whether it writes snapshots may not be read, and AOF is off", "unchecked")

    def _persistence(self, info: Mapping[str, Any]) -> str | None:
        """How data survives a restart; None: not at all; empty: not known."""
        if info.get("aof_enabled"):
            policy = self._config("appendfsync")
            return f"AOF ({policy})" if policy else "AOF"
        save = self._config("save")
        if save is None:
            return ""
        return f"RDB ({save})" if save else None

    def _check_format(self) -> None:
        client, key = self._opened(), f"{self._address.base}format"
        client.set(key, _FORMAT, nx=True)
        found = client.get(key)
        if found != _FORMAT:
            raise StoreError(
                f"{self.place}: the data under {self._address.base} are of format {found}, this version works with "
                f"{_FORMAT}; install the otp-redis that wrote them, or choose another tag"
            )

    # Patience.

    def _patiently(self, work: Callable[[], T]) -> T:
        """Run again what lost against another unit, or the server before anything was committed."""
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        failure: Exception
        while True:
            try:
                return work()
            except OutrunError:
                failure = StoreError(f"{self.place}: others were faster for {self._patience:g} s")
            except _InDoubtError:
                failure = StoreError(
                    f"{self.place}: the connection was lost at a commit; nobody knows whether it took place"
                )
                break
            except _FINAL:
                failure = StoreError(f"{self.place} refused to let us in; are user and password right?")
                break
            except MovedError:
                failure = StoreError(
                    f"{self.place} is a node of a cluster; write {self._address.cluster_scheme}:// in storage.url"
                )
                break
            except _AWAY:
                failure = StoreError(f"{self.place} cannot be reached; is the server running?")
            except RedisClusterException:
                failure = StoreError(f"{self.place}: the cluster cannot be reached, or does not cover all slots")
            except (RedisError, UnicodeError) as error:
                failure = self._explain(error)
                break
            if time.monotonic() + pause > deadline:
                break
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        raise failure  # outside the handlers: a server's error may quote what it was sent

    def _explain(self, error: Exception) -> StoreError:
        """A short text without anything that was sent."""
        text = str(error)
        code = text.split(maxsplit=1)[0] if text[:1].isupper() else ""
        if code == "OOM" or "maxmemory" in text:
            return StoreError(f"{self.place} is out of memory (maxmemory); give it more: nothing is dropped instead")
        if code == "MISCONF":
            return StoreError(f"{self.place} cannot write its snapshots to disk, and takes no changes")
        word = code if code.isalpha() and code.isupper() else type(error).__name__
        return StoreError(f"{self.place} refused: {word}")


class _InDoubtError(Exception):
    """Nobody knows whether a commit took place."""


def _call(pool: Any, command: tuple[Any, ...]) -> Any:
    """One command on one connection: what a client of redis-py does around it costs as much CPU as all the rest."""
    connection = pool.get_connection()
    try:
        connection.send_command(*command)
        answer = connection.read_response()
    except ResponseError:
        raise
    except BaseException:  # half an answer may be on its way: nobody else may get it
        connection.disconnect()
        raise
    finally:
        pool.release(connection)
    return answer


def _version(info: Mapping[str, Any]) -> tuple[str, tuple[int, ...]]:
    name, text = (
        ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", info.get("redis_version"))
    )
    numbers = [part for part in str(text or "0").split(".") if part.isdecimal()]
    return name, tuple(map(int, numbers))


def _warn(text: str, reason: str) -> None:
    _logger.warning("%s", text, extra={"otp_event": "store_doubtful", "otp_reason": reason})
