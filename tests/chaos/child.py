"""The program of the processes that are killed: it imports the library once, and forks one process for each order.

Nothing is open when it forks, as in a server that preloads its application. An order comes with a socket on which the new
process is talked to; when the process is gone, however it ended, so is the other end.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import json
import mmap
import os
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import otp_mada.provider  # noqa: F401 - so that no forked process has to
import otp_rabbitmq  # noqa: F401 - the same
import otp_twilio.provider  # noqa: F401 - the same
from otp_redis import RedisStore
from otp_sinch.simulator import SinchSimulator

from otpcore import AsyncOTPService, OTPError, RateLimited, ReceiptRequest
from otpcore.cli.main import run as otp
from otpcore.clock import utc_now
from otpcore.http.client import HttpClient
from otpcore.providers import discovery as _discovery
from otpcore.service.setup import Setup
from otpcore.settings.tree import generate_keys
from otpcore.stores.contract import Store
from otpcore.stores.sql import forking as _forking
from otpcore.stores.sql.store import SqlStore
from otpcore.stores.steps import CallInstance, Queued, Recorded

WRITES = (
    "begin",
    "record",
    "clear_mark",
    "claim",
    "begin_retry",
    "receive",
    "go_on",
    "reserve",
    "settle",
    "approve",
    "cancel",
    "sweep",
    "purge",
    "beat",
    "leave",
)
READS = ("latest", "view", "next_due", "settings", "due_keys")

_command: contextvars.ContextVar[str] = contextvars.ContextVar("command", default="")


class Clock:
    """One time for all processes and vendors: the machine's, moved by and sped up as a shared file says."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:  # noqa: PTH123 - a script that imports as little as it can
            self._shared = mmap.mmap(file.fileno(), 24)

    def __call__(self) -> datetime:
        began, moved, speed = struct.unpack("ddd", self._shared[:24])
        return datetime.fromtimestamp(began, UTC) + timedelta(seconds=(time.time() - began) * speed + moved)

    def set(self, *, began: float, moved: float, speed: float) -> None:
        self._shared[:24] = struct.pack("ddd", began, moved, speed)

    def go(self, speed: float) -> None:
        """From now on at this speed; 0: it stands still."""
        began, now = time.time(), self().timestamp()
        self.set(began=began, moved=now - began, speed=speed)

    def jump(self, seconds: float) -> None:
        began, moved, speed = struct.unpack("ddd", self._shared[:24])
        self.set(began=began, moved=moved + seconds, speed=speed)


class Failpoints:
    """The steps of this process, each with a name; it kills itself at one of them, or stops as long as it is not continued.

    ``store.COMMAND/before``: the transaction was not begun. ``/uncommitted``: everything is written but the commit.
    ``/after``: committed, and nobody was told. ``http.METHOD/before``: the request is not written. ``/after``: it is answered,
    and the answer is not recorded. (The two points between those are the vendor's, who kills from outside.)

    Args:
        kill_at: ``NAME`` or ``NAME#N`` for its n-th time; empty: never.
        stop_at: Where it stops, as a machine does that is suspended; it says so before. But for ``/uncommitted`` no thread of it
            is in a transaction then: what a stopped one has locked, in SQLite the whole file, nobody gets until it goes on.
    """

    def __init__(self, kill_at: str, stop_at: Sequence[str], say: Callable[[dict[str, Any]], None]) -> None:
        self.kill_at, self.stop_at, self.say = kill_at, stop_at, say
        self.armed = False
        self.passed: list[str] = []

    def hit(self, name: str) -> None:
        if not self.armed:
            return
        self.passed.append(name)
        point = f"{name}#{self.passed.count(name)}"
        if point == (self.kill_at if "#" in self.kill_at else f"{self.kill_at}#1"):
            os.kill(os.getpid(), signal.SIGKILL)
        if point in self.stop_at:
            with contextlib.nullcontext() if name.endswith("/uncommitted") else _outside_transactions():
                self.say({"stopped": point})
                # Not by process id: another thread might get it, and this one go on for a moment.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    def install(self) -> None:
        for command in (*WRITES, *READS):
            setattr(Store, command, self._wrapped(command, getattr(Store, command)))
        SqlStore._write = self._unit(SqlStore._write)  # type: ignore[method-assign] # in this process only
        RedisStore._write = self._unit(RedisStore._write)  # type: ignore[method-assign] # the same
        HttpClient.request = self._request(HttpClient.request)  # type: ignore[method-assign] # in this process only

    def _wrapped(self, command: str, inner: Callable[..., Awaitable[Any]]) -> Any:
        @functools.wraps(inner)
        async def call(*arguments: Any, **more: Any) -> Any:
            token = _command.set(command)
            try:
                self.hit(f"store.{command}/before")
                answer = await inner(*arguments, **more)
                self.hit(f"store.{command}/after")
                self._tell_of_retry(command, answer)
                return answer
            finally:
                _command.reset(token)

        return call

    def _tell_of_retry(self, command: str, answer: Any) -> None:
        """When a retry is due, and when it was begun."""
        answer = answer.step if isinstance(answer, Recorded) else answer
        if isinstance(answer, Queued) and answer.put_off is None:
            self.say({"queued": answer.challenge.id, "due": answer.due_at.timestamp()})
        elif isinstance(answer, CallInstance) and command == "begin_retry":
            self.say({"tried": answer.challenge.id, "at": answer.delivery.recorded_at.timestamp()})

    def _unit(self, write: Callable[..., Awaitable[Any]]) -> Any:
        async def with_points(store: Any, unit: Callable[[Any], Any], *arguments: Any, **options: Any) -> Any:
            command = _command.get()

            def points(rows: Any) -> Any:
                result = unit(rows)
                self.hit(f"store.{command}/uncommitted")
                return result

            return await write(store, points, *arguments, **options)

        return with_points

    def _request(self, inner: Callable[..., Awaitable[Any]]) -> Any:
        async def call(client: HttpClient, method: str, *arguments: Any, **more: Any) -> Any:
            self.hit(f"http.{method}/before")
            try:
                return await inner(client, method, *arguments, **more)
            finally:
                self.hit(f"http.{method}/after")

        return call


@contextlib.contextmanager
def _outside_transactions() -> Iterator[None]:
    """Wait until no thread of this process is in one, and let none begin, as before a fork."""
    with contextlib.ExitStack() as stack:
        for one in tuple(_forking._watched):
            one.gate.close()
            stack.callback(one.gate.open)
        yield


async def serve(channel: socket.socket, order: dict[str, Any], points: Failpoints) -> None:
    """Open a service as a host does, and do what comes over the channel, all at once."""
    async with AsyncOTPService(order["mapping"], clock=order["clock"]) as otp, anyio.create_task_group() as tasks:
        say(channel, {"ready": os.getpid()})
        points.armed = True
        unread = b""
        while data := await _receive(channel):
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                tasks.start_soon(_perform, otp, json.loads(line), channel)
    say(channel, {"passed": points.passed, "cpu": time.process_time()})


async def _receive(channel: socket.socket) -> bytes:
    await anyio.wait_readable(channel)
    return channel.recv(65536)


async def _perform(otp: AsyncOTPService, wish: dict[str, Any], channel: socket.socket) -> None:
    method: Callable[..., Any] = getattr(otp, wish["do"])
    try:
        answer = await method(*map(_argument, wish.get("with", ())), **wish.get("and", {}))
    except OTPError as error:
        reason = getattr(error, "reason", "") or getattr(error, "kind", "")
        retry_after = error.retry_after if isinstance(error, RateLimited) else None
        told = {"error": type(error).__name__, "reason": str(reason), "retry_after": retry_after}
    else:
        told = {"answer": _plain(answer)}
    say(channel, {"id": wish["id"], "at": otp._setup.clock().timestamp(), **told})


def _argument(given: Any) -> Any:
    """What the host gives to a method: a text, or the HTTP request in which a vendor reports."""
    if isinstance(given, dict):
        return ReceiptRequest(url=given["url"], headers=given["headers"], body=given["body"].encode())
    return given


def _plain(answer: Any) -> Any:
    if hasattr(answer, "outcomes"):
        return {"outcome": str(answer.outcomes[0])}
    if hasattr(answer, "to_dict"):
        return {**answer.to_dict(), "code": answer.code}
    if hasattr(answer, "attempts_left"):
        return {"status": str(answer.status), "attempts_left": answer.attempts_left, "id": answer.challenge_id}
    return answer if isinstance(answer, bool) else {"kind": type(answer).__name__}


def work(channel: socket.socket, order: dict[str, Any], points: Failpoints) -> None:
    """The real ``otp worker``, which says on the channel when it is ready."""
    os.dup2(channel.fileno(), 1)
    assert "clock" in Setup.__init__.__kwdefaults__, "the worker would have a time of its own"
    Setup.__init__.__kwdefaults__["clock"] = order["clock"]
    points.armed = True
    otp(["worker", "--settings", order["settings"], *order["arguments"]])
    say(channel, {"passed": points.passed})


def say(channel: socket.socket, what: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        channel.sendall(json.dumps(what).encode() + b"\n")


def _become(channel: socket.socket, order: dict[str, Any]) -> None:
    """In the new process: do one order, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 2)
    say(channel, {"pid": os.getpid()})
    order["clock"] = Clock(order["clock"]) if order["clock"] else utc_now
    order["mapping"] = json.loads(Path(order["settings"]).read_text(encoding="utf-8"))
    points = Failpoints(order.get("kill_at", ""), order.get("stop_at", ()), functools.partial(say, channel))
    points.install()
    try:
        if order["be"] == "worker":
            work(channel, order, points)
        else:
            anyio.run(serve, channel, order, points, backend=order["backend"])
    except BaseException as error:  # noqa: BLE001 - whoever reads the log must see it
        sys.stderr.write(f"{error!r}\n")


def warm_up() -> None:
    """Everything that is imported or read at first use, so that no forked process has to; nothing stays open."""
    _discovery.installed = functools.cache(
        _discovery.installed
    )  # it reads the metadata of everything that is installed
    keys = generate_keys(datetime.now(UTC))
    with tempfile.TemporaryDirectory() as directory, SinchSimulator() as sinch:
        settings = {
            "otp_sms_provider": "sinch",
            "providers": {"sinch": sinch.provider_settings()},
            "keys": {"index": keys.index, "code": dict(keys.code), "current": keys.current},
            "storage": {"url": f"sqlite:///{directory}/otp.sqlite3"},
        }
        file = Path(directory) / "otpcore.json"
        file.write_text(json.dumps(settings), encoding="utf-8")

        async def send() -> None:
            async with AsyncOTPService.from_settings(file) as service:
                await service.send_sms("+359871234567")
                await service.verify("+359871234567", sinch.inbox[0].code)

        anyio.run(send, backend="trio")
        anyio.run(send, backend="asyncio")


def main() -> None:
    warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are buried by the kernel
    orders = socket.socket(fileno=int(sys.argv[1]))
    while True:
        text, descriptors, *_ = socket.recv_fds(orders, 65536, 1)
        if not text:
            return
        channel = socket.socket(fileno=descriptors[0])
        if os.fork() == 0:
            orders.close()
            try:
                _become(channel, json.loads(text))
            finally:
                sys.stderr.flush()
                os._exit(0)
        channel.close()


if __name__ == "__main__":
    main()
