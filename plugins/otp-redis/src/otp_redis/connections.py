"""Connections to one server, to the primary that sentinels name, or to a cluster: what is asked over them, and when they are dropped."""

from __future__ import annotations

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
        self._client: Any = Redis(connection_pool=self._pool)
        self._sentinels = sentinels

    def run(self, *commands: Command) -> Sequence[Any]:
        """What a client of redis-py does around a command costs as much CPU as all the rest."""
        return _exchange(self._pool, commands)

    def ask(self, *command: str) -> Any:
        with _Borrowed(self._pool) as connection:
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

    def run(self, *commands: Command) -> Sequence[Any]:
        try:
            if len(commands) == 1:
                return [self._client.execute_command(*commands[0])]
            return _exchange(self._client.get_redis_connection(self._node()).connection_pool, commands)
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


def _exchange(pool: Any, commands: Sequence[Command]) -> Sequence[Any]:
    with _Borrowed(pool) as connection:
        if len(commands) == 1:
            connection.send_command(*commands[0])
            return (connection.read_response(),)
        connection.send_packed_command(connection.pack_commands(commands))
        answers = [_answer(connection) for _ in commands]
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        return answers


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as refusal:
        return refusal  # those of the other commands are read all the same: they must not be taken for somebody else's


class _Borrowed:
    """A connection that goes back to the pool, closed where it is of no more use.

    After a failover a demoted server keeps its connections open: whoever hears of it drops this one, and the next is made to
    the server that is there now. A class, since a generator costs several times as much on the way of every command.
    """

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __enter__(self) -> Any:
        try:
            self._connection = self._pool.get_connection()
        except REFUSED:
            raise
        except (RedisError, OSError) as error:
            raise NotConnectedError(reason_of(error)) from error
        return self._connection

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        # Other than a refusal, an error may leave half an answer on its way: nobody else may get it.
        if error is not None and (not isinstance(error, ResponseError) or is_elsewhere(error)):
            self._connection.disconnect()
        self._pool.release(self._connection)
