"""Redis Sentinel: which server is the primary of a service now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.connection import Connection, SSLConnection
from redis.exceptions import RedisError, ResponseError

from otp_redis.trouble import REFUSED, NotConnectedError, UnknownServiceError, reason_of

__all__ = ["FoundConnection", "FoundSSLConnection", "Sentinels"]

Node = tuple[str, int]


class Sentinels:
    """Asks the sentinels; from any thread. Each question has a connection of its own: it is asked only when one is made anyway.

    Args:
        service: The name under which they watch the primary.
        arguments: Of a connection to a sentinel.
    """

    def __init__(self, nodes: Sequence[Node], service: str, arguments: Mapping[str, Any]) -> None:
        self._nodes = tuple(nodes)
        self._service = service
        self._arguments = {name: value for name, value in arguments.items() if name != "connection_class"}
        self._connection_class: Any = arguments.get("connection_class", Connection)

    def primary(self) -> Node:
        """Its address, from the first sentinel that knows it.

        Raises:
            UnknownServiceError: One answers, and none knows the service.
            NotConnectedError: None answers.
        """
        silent, known = [], None
        for node in self._nodes:
            try:
                found = self._ask(node, "GET-MASTER-ADDR-BY-NAME", self._service)
                if found:
                    self._nodes = (node, *(other for other in self._nodes if other != node))  # the next asks it first
                    return str(found[0]), int(found[1])
                known = [names[names.index("name") + 1] for names in self._ask(node, "MASTERS")]
            except REFUSED:
                silent.append(
                    f"{_shown(node)} refused to let us in; are sentinel_username and sentinel_password right?"
                )
            except ResponseError:
                silent.append(f"{_shown(node)} is no sentinel")
            except (RedisError, OSError) as error:
                silent.append(f"{_shown(node)}: {reason_of(error)}")
        if known is not None:
            names = ", ".join(sorted(known)) or "none"
            raise UnknownServiceError(
                f"the sentinels know no service {self._service!r}; they know: {names}. "
                "Fix: write the name of the service after the sentinels in storage.url"
            )
        raise NotConnectedError(f"no sentinel answers ({'; '.join(silent)})")

    def doubt(self) -> None:
        """What the first one said was of no use: another is asked first the next time."""
        self._nodes = (*self._nodes[1:], self._nodes[0])

    def answering(self) -> str:
        """How many of them do, for people."""
        answers = 0
        for node in self._nodes:
            try:
                self._ask(node, "MASTERS")
            except (RedisError, OSError):
                continue
            answers += 1
        return f"{answers} of {len(self._nodes)} answer"

    def _ask(self, node: Node, *question: str) -> Any:
        connection = self._connection_class(host=node[0], port=node[1], **self._arguments)
        try:
            connection.connect()
            connection.send_command("SENTINEL", *question)
            return connection.read_response()
        finally:
            connection.disconnect()


class _Found:
    """A connection that asks for the primary each time it is made.

    Args:
        sentinels: Say where it is.
    """

    def __init__(self, *, sentinels: Sentinels, **arguments: Any) -> None:
        self._sentinels = sentinels
        super().__init__(**arguments)

    def connect(self) -> None:
        """To whichever server is the primary now; one that is connected already stays so."""
        own: Any = self
        if own._sock is not None:  # noqa: SLF001 - our base's
            return
        own.host, own.port = self._sentinels.primary()
        parent: Any = super()
        try:
            parent.connect()
        except REFUSED:
            raise
        except (RedisError, OSError) as error:
            self._sentinels.doubt()
            raise NotConnectedError(
                f"the primary that the sentinels name, {own.host}:{own.port}: {reason_of(error)}"
            ) from error


class FoundConnection(_Found, Connection):
    """Without TLS."""


class FoundSSLConnection(_Found, SSLConnection):
    """With TLS."""


def _shown(node: Node) -> str:
    return f"{node[0]}:{node[1]}"
