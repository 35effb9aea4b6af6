"""What a plant runs on: where its state is, what executes its retries, and the faults of both.

A server is one of the plant's own. Its processes reach it by way of a proxy; the plant itself looks past the proxy.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import attrs
import otp_redis

from otpcore.stores.base import RowStore
from otpcore.stores.sql import SqlStore, upgrade

from ..own_servers import OWN  # noqa: TID252 - tests are no package that could be imported by name
from ..proxy import Address, Proxy, proxy_to  # noqa: TID252 - the same
from ..servers import do_without  # noqa: TID252 - the same

STORES = ("sqlite", "postgres", "mariadb", "redis")
RUNNERS = ("worker", "rabbitmq")


class Killable(Protocol):
    """A server process, and where it listens."""

    @property
    def address(self) -> Address: ...

    def kill(self) -> None: ...

    def start(self) -> Any: ...


@attrs.frozen(kw_only=True)
class Part:
    """A server and the network before it."""

    name: str
    server: Killable
    network: Proxy


@attrs.define(eq=False, kw_only=True)
class Engine:
    """A store and a retry runner.

    Args:
        url: Of the store, for the plant's processes.
        retry: Settings that choose the runner.
        parts: Servers that may fail.
        open_store: Makes the store through which the plant looks.
    """

    name: str
    url: str
    open_store: Callable[[], RowStore]
    retry: Mapping[str, Any] = attrs.field(factory=lambda: {"runner": "worker"})
    parts: tuple[Part, ...] = ()


@contextmanager
def open_engine(directory: Path, store: str = "sqlite", runner: str = "worker") -> Iterator[Engine]:
    """An empty store and its servers; both end with the block."""
    with ExitStack() as stack:
        engine = stack.enter_context(_store(directory, store))
        if runner == "rabbitmq":
            stack.enter_context(_over_rabbitmq(engine))
        yield engine


@contextmanager
def _store(directory: Path, name: str) -> Iterator[Engine]:
    if name == "sqlite":
        url = f"sqlite:///{directory / 'otp.sqlite3'}"
        upgrade(url)
        yield Engine(name=name, url=url, open_store=lambda: SqlStore(url, migrate=False))
        return
    opened: AbstractContextManager[Any] = OWN[name]()
    with opened as server, proxy_to(server.address) as network:
        kind: Callable[..., RowStore] = otp_redis.RedisStore if name == "redis" else SqlStore
        if name != "redis":
            upgrade(server.url)
        yield Engine(
            name=name,
            url=server.through(network.port),
            open_store=lambda: kind(server.url, patience=60.0),
            parts=(Part(name=name, server=server, network=network),),
        )


@contextmanager
def _over_rabbitmq(engine: Engine) -> Iterator[None]:
    try:
        from rabbit_node import SERVER, Node  # noqa: PLC0415 - the plugin need not be installed
    except ImportError:
        do_without("otp-rabbitmq is not installed here")
    if SERVER is None:
        do_without("rabbitmq-server is not installed here")
    with tempfile.TemporaryDirectory(prefix="otpcore-rabbitmq-") as directory:
        node = Node(Path(directory))
        try:
            if not node.start():
                do_without("rabbitmq-server does not start here")
            with proxy_to(node.address) as network:
                options = {
                    "url": f"amqp://guest:guest@127.0.0.1:{network.port}/",
                    "prefix": f"otpcore-{secrets.token_hex(3)}",
                }
                engine.name = f"{engine.name}, rabbitmq"
                engine.retry = {"runner": "rabbitmq", "options": options}
                engine.parts = (*engine.parts, Part(name="rabbitmq", server=node, network=network))
                yield
        finally:
            node.kill()
