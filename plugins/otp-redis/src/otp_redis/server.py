"""One server or cluster: its connections, the two scripts, and the patience with which they are asked for."""

from __future__ import annotations

import json
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
from otp_redis.fitness import Fitness, warn
from otp_redis.unit import Commit, Unit
from otpcore.errors import StoreError
from otpcore.stores.rows import OutrunError

__all__ = ["CONNECTIONS", "Server"]

T = TypeVar("T")

CONNECTIONS = 8
_FORMAT = "1"
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.25
_REMEMBERED = 60_000  # milliseconds; a lost answer is asked for again within the patience, which is less
_WAIT = 1000  # milliseconds for replicas

_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

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
        self._fitness = Fitness(self.place, self._on_node)

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
        self._patiently(self._fitness.check)
        self._patiently(self._check_format)

    def rewrite_log(self) -> None:
        """Let the server write its append-only file anew, so that what was removed is not in it. Blocks."""
        self._patiently(self._fitness.rewrite_log)

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
        return {"place": self.place, **self._patiently(self._fitness.facts)}

    def _ask(self, questions: Sequence[Sequence[str]]) -> Sequence[Any]:
        replies: Sequence[Any] = self._run(self._read, questions)
        return replies

    def _apply(self, commit: Commit) -> None:
        """Commit once, however often it has to be asked for."""
        asked = (secrets.token_hex(12), str(_REMEMBERED), str(commit.now), commit.guards, commit.changes)
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                applied = self._run(self._commit, asked, waits=True)
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

    def _run(self, script: _Script, asked: Sequence[Any], *, waits: bool = False) -> Any:
        base = self._address.base
        asked_as_json = _as_json(asked)  # one argument: redis-py takes longer to pack a hundred than to do all the rest
        client = self._opened()
        waits = waits and self._address.wait_replicas > 0
        if waits and self._address.nodes:
            client = client.get_redis_connection(client.get_node_from_key(base))
        try:
            answer = self._evaluate(client, ("EVALSHA", script.sha, 1, base, asked_as_json), waits=waits)
        except MovedError as error:
            if not self._address.nodes:
                raise
            self._client.nodes_manager.initialize()  # the slot has another primary now
            raise TryAgainError from error
        except NoScriptError:  # the server was restarted, or is another one now
            answer = self._evaluate(client, ("EVAL", script.text, 1, base, asked_as_json), waits=waits)
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
            warn(f"{self.place}: only {reached} of {wanted} replicas have the last change", "replicas")
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

    def _on_node(self, *command: str) -> Any:
        client = self._opened()
        if self._address.nodes:
            return client.execute_command(*command, target_nodes=client.get_node_from_key(self._address.base))
        return client.execute_command(*command)

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
