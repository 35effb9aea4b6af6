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

from otpcore.stores.contract import Store
from otpcore.stores.sql.store import SqlStore, upgrade

from ..own_pairs import PAIRS, Pair  # noqa: TID252 - tests are no package that could be imported by name
from ..own_servers import OWN, own_pgbouncer  # noqa: TID252 - the same
from ..proxy import Address, Proxy, proxy_to  # noqa: TID252 - the same
from ..servers import do_without  # noqa: TID252 - the same

STORES = ("sqlite", "postgres", "mariadb", "redis")
RUNNERS = ("worker", "rabbitmq")
_POOLER = {"default_pool_size": 8, "server_login_retry": 1}
"""Fewer connections than its clients have; and for a server that refused it, it does not wait 15 s as it is shipped."""


class Killable(Protocol):
    """A server process, and where it listens."""

    @property
    def address(self) -> Address: ...

    def kill(self) -> None: ...

    def start(self) -> Any: ...

    def pids(self) -> list[int]: ...


@attrs.frozen(kw_only=True)
class Part:
    """A server and the network before it.

    Args:
        sight: The plant's own way to it, where the server may be replaced by another.
        is_pooled: Its clients come by way of a pooler, whose connections outlive theirs.
    """

    name: str
    server: Killable
    network: Proxy
    sight: Proxy | None = None
    is_pooled: bool = False

    @property
    def pair(self) -> Pair[Any] | None:
        """The server, where it has a second one."""
        return self.server if isinstance(self.server, Pair) else None

    def fail_over(self, *, dies: bool) -> None:
        """The address moves to the second server, and connections to the first stay; the plant sees nothing of it any more.

        Those of a pooler end, as its RECONNECT or the end of the first server would have it: it gives them to whoever connects anew.
        """
        if self.pair is None or self.sight is None:
            raise ValueError("there is no second server")
        self.sight.halt()
        self.pair.fail_over(dies=dies)
        self.network.target = self.sight.target = self.pair.address
        for one in (self.sight, *([self.network] if self.is_pooled else [])):
            one.cut()
            one.mend()


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
    open_store: Callable[[], Store]
    retry: Mapping[str, Any] = attrs.field(factory=lambda: {"runner": "worker"})
    parts: tuple[Part, ...] = ()


@contextmanager
def open_engine(
    directory: Path, store: str = "sqlite", runner: str = "worker", *, standby: bool = False, pooler: bool = False
) -> Iterator[Engine]:
    """An empty store and its servers; both end with the block.

    Args:
        standby: The database has a second server, which can take its place.
        pooler: Everybody but the plant comes by way of PgBouncer in transaction mode.
    """
    with ExitStack() as stack:
        engine = _file(directory) if store == "sqlite" else _server(stack, store, standby=standby, pooler=pooler)
        if runner == "rabbitmq":
            stack.enter_context(_over_rabbitmq(engine))
        yield engine


def _file(directory: Path) -> Engine:
    url = f"sqlite:///{directory / 'otp.sqlite3'}"
    upgrade(url)
    return Engine(name="sqlite", url=url, open_store=lambda: SqlStore(url, migrate=False))


def _server(stack: ExitStack, name: str, *, standby: bool, pooler: bool) -> Engine:
    """The database, with a network before it; before that, a pooler with one of its own."""
    opened: AbstractContextManager[Any] = (PAIRS if standby else OWN)[name]()
    server = stack.enter_context(opened)
    if name != "redis":
        upgrade(server.url)
    sight = stack.enter_context(proxy_to(server.address)) if standby else None
    network = stack.enter_context(proxy_to(server.address))
    part = Part(name=name, server=server, network=network, sight=sight, is_pooled=pooler)
    parts, port = [part], part.network.port
    if pooler:
        before = stack.enter_context(own_pgbouncer(server.through(port), **_POOLER))
        parts.append(Part(name="pgbouncer", server=before, network=stack.enter_context(proxy_to(before.address))))
        port = parts[-1].network.port
    seen_at = server.url if sight is None else server.through(sight.port)
    kind: Callable[..., Store] = otp_redis.RedisStore if name == "redis" else SqlStore
    return Engine(
        name=", ".join([name, *(["standby"] if standby else []), *(["pgbouncer"] if pooler else [])]),
        url=server.through(port),
        open_store=lambda: kind(seen_at, patience=60.0),
        parts=tuple(parts),
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
