"""Connections to one server, to the primary that sentinels name, or to a cluster: what is asked over them, and when they are dropped."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from redis import BlockingConnectionPool, Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import MovedError, RedisError, ResponseError, TryAgainError
from redis.retry import Retry

from otp_redis.address import Address
from otp_redis.sentinels import FoundConnection, FoundSSLConnection, Sentinels
from otp_redis.trouble import REFUSED, NotConnectedError, is_elsewhere, reason_of

__all__ = ["CONNECTIONS", "Connections", "connect"]

CONNECTIONS = 8
_WARM = 1.0  # seconds

Command = tuple[Any, ...]


class Connections(Protocol):
    """To the server that holds our keys."""

    def run(self, *commands: Command) -> Sequence[Any]:
        """Several commands in one round trip; their answers as the server gave them.

        Raises:
            Exception: Of redis-py; nothing is repeated.
        """

    def ask(self, *command: str) -> Any:
        """One command; its answer as redis-py reads it."""

    def facts(self) -> Mapping[str, str]:
        """For an operator."""

    def close(self) -> None:
        """Close them all."""


def connect(address: Address, *, patience: float) -> Connections:
    """Connections of a store; none is opened before it is needed, but a cluster's.

    Args:
        patience: Seconds to wait for one at most.
    """
    timeout = max(patience / 3, 1.0)
    common = {
        "decode_responses": True,
        "protocol": 2,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        **address.arguments,
    }
    if address.nodes:
        return _OfCluster(address, common)
    if address.sentinels:
        quick = min(timeout, 1.0)  # there are others to ask
        asked = {**common, "socket_timeout": quick, "socket_connect_timeout": quick, **address.sentinel_arguments}
        for name in ("db", "username", "password"):
            if name not in address.sentinel_arguments:
                asked.pop(name, None)
        sentinels = Sentinels(address.sentinels, address.service, asked)
        is_secure = "connection_class" in address.arguments
        common |= {"connection_class": FoundSSLConnection if is_secure else FoundConnection, "sentinels": sentinels}
        return _OfServer(common, patience, sentinels)
    return _OfServer(common, patience)


class _OfServer:
    def __init__(self, arguments: Mapping[str, Any], patience: float, sentinels: Sentinels | None = None) -> None:
        pool: Any = BlockingConnectionPool  # it has no types
        never = Retry(NoBackoff(), 0)  # it is our units that are tried again
        self._pool = pool(max_connections=CONNECTIONS, timeout=patience, retry=never, **arguments)
        self._lender = _Lender(self._pool)
        self._client: Any = Redis(connection_pool=self._pool)
        self._sentinels = sentinels

    def run(self, *commands: Command) -> Sequence[Any]:
        """What a client of redis-py does around a command costs as much CPU as all the rest."""
        return _exchange(self._lender, commands)

    def ask(self, *command: str) -> Any:
        with _Borrowed(self._lender) as connection:
            connection.send_command(*command)
            return self._client.parse_response(connection, command[0])

    def facts(self) -> Mapping[str, str]:
        if self._sentinels is None:
            return {}
        host, port = self._sentinels.primary()
        return {"primary": f"{host}:{port}", "sentinels": self._sentinels.answering()}

    def close(self) -> None:
        self._pool.disconnect()


class _OfCluster:
    def __init__(self, address: Address, arguments: Mapping[str, Any]) -> None:
        self._base = address.base
        node: Any = ClusterNode  # it has no types
        nodes = [node(host, port) for host, port in address.nodes]
        self._client: Any = RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 2), **arguments)
        self._of_node: _Lender | None = None

    def run(self, *commands: Command) -> Sequence[Any]:
        try:
            if len(commands) == 1:
                return [self._client.execute_command(*commands[0])]
            return _exchange(self._lender(), commands)
        except MovedError as error:
            self._client.nodes_manager.initialize()  # the slot has another primary now
            raise TryAgainError from error

    def ask(self, *command: str) -> Any:
        return self._client.execute_command(*command, target_nodes=self._node())

    def facts(self) -> Mapping[str, str]:
        return {}

    def close(self) -> None:
        self._client.close()

    def _node(self) -> Any:
        return self._client.get_node_from_key(self._base)

    def _lender(self) -> _Lender:
        pool = self._client.get_redis_connection(self._node()).connection_pool
        if self._of_node is None or self._of_node.pool is not pool:  # another node holds our keys now
            self._of_node = _Lender(pool)
        return self._of_node


def _exchange(lender: _Lender, commands: Sequence[Command]) -> Sequence[Any]:
    with _Borrowed(lender) as connection:
        connection.send_packed_command([_packed(commands, connection.encoder.encoding)])
        if len(commands) == 1:
            return (connection.read_response(),)
        answers = [_answer(connection) for _ in commands]
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        return answers


def _packed(commands: Sequence[Command], encoding: str) -> bytes:
    """Commands as they are sent; redis-py takes several times as long for it."""
    parts = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for argument in command:
            sent = str(argument).encode(encoding)
            parts.append(b"$%d\r\n%b\r\n" % (len(sent), sent))
    return b"".join(parts)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as refusal:
        return refusal  # those of the other commands are read all the same: they must not be taken for somebody else's


class _Lender:
    """Lends the connections of a pool, and those that were in use a moment ago without asking it.

    The pool looks at each before it gives it away, whether it is still alive, which takes as long as all else around a command.
    Of one that was in use a moment ago that is known.
    """

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self._warm: list[tuple[float, Any]] = []
        self._process = os.getpid()

    def take(self) -> Any:
        """One that nobody uses."""
        if self._process != os.getpid():  # those of the parent are not ours, and the pool makes new ones
            self._warm, self._process = [], os.getpid()
        try:
            since, connection = self._warm.pop()
        except IndexError:
            return self.pool.get_connection()
        if time.monotonic() - since <= _WARM:
            return connection
        self.pool.release(connection)
        return self.pool.get_connection()

    def give_back(self, connection: Any) -> None:
        """It works."""
        self._warm.append((time.monotonic(), connection))

    def drop(self, connection: Any) -> None:
        """It is of no more use; and what is true of one server is true of all connections to it: the pool shall look at them."""
        connection.disconnect()
        self.pool.release(connection)
        while self._warm:
            with contextlib.suppress(IndexError):
                self.pool.release(self._warm.pop()[1])


class _Borrowed:
    """A connection that goes back to its lender, closed where it is of no more use.

    After a failover a demoted server keeps its connections open: whoever hears of it drops this one, and the next is made to
    the server that is there now. A class, since a generator costs several times as much on the way of every command.
    """

    __slots__ = ("_connection", "_lender")

    def __init__(self, lender: _Lender) -> None:
        self._lender = lender

    def __enter__(self) -> Any:
        try:
            self._connection = self._lender.take()
        except REFUSED:
            raise
        except (RedisError, OSError) as error:
            raise NotConnectedError(reason_of(error)) from error
        return self._connection

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        # Other than a refusal, an error may leave half an answer on its way: nobody else may get it.
        if error is not None and (not isinstance(error, ResponseError) or is_elsewhere(error)):
            self._lender.drop(self._connection)
        else:
            self._lender.give_back(self._connection)
