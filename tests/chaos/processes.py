"""Real processes, started, talked to, and killed; the other side of ``child.py``."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import attrs

PATIENCE = 60.0  # seconds, for a machine with much else to do; what is waited for takes a fraction of one


@attrs.define(eq=False)
class Process:
    """One process. ``died``: it ended without saying so, as one does that is killed."""

    channel: socket.socket
    pid: int = 0
    said: list[dict[str, Any]] = attrs.field(factory=list)
    _unread: bytes = b""
    _numbers: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1))

    def next(self) -> dict[str, Any] | None:
        """What it says next; None when it is gone."""
        while b"\n" not in self._unread:
            try:
                data = self.channel.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        told: dict[str, Any] = json.loads(line) if line.startswith(b"{") else {"text": line.decode()}
        self.said.append(told)
        return told

    def wait_for(self, key: str) -> dict[str, Any] | None:
        """The next message that has this key; None when it is gone before."""
        while (told := self.next()) is not None:
            if key in told:
                return told
        return None

    def wish(self, do: str, *arguments: Any, **more: Any) -> int:
        """Ask for something; the number that its answer will have. To a process that is gone nothing is said."""
        number = next(self._numbers)
        wish = {"id": number, "do": do, "with": arguments, "and": more}
        with contextlib.suppress(OSError):
            self.channel.sendall(json.dumps(wish).encode() + b"\n")
        return number

    def do(self, do: str, *arguments: Any, **more: Any) -> dict[str, Any] | None:
        """Ask and wait; None when it died over it."""
        number = self.wish(do, *arguments, **more)
        while (told := self.wait_for("id")) is not None and told["id"] != number:
            pass
        return told

    def end(self) -> list[str]:
        """Let it finish; the steps that it went through. Empty when it had died."""
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_WR)
        told = self.wait_for("passed")
        self.channel.close()
        return told["passed"] if told else []

    def stop(self) -> list[str]:
        """As an operator stops a worker; the steps that it went through."""
        self.signal(signal.SIGTERM)
        return self.end()

    def wait_until_stopped(self) -> None:
        """It has come to a point where it stops."""
        if self.wait_for("stopped") is None:
            raise AssertionError("it died before it stopped")
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.002)  # it says so just before

    def go_on(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


@functools.cache
def _mother() -> socket.socket:
    """Where orders go: to one mother for all nurseries, as importing takes her longer than most tests; she ends with this process."""
    orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTPCORE_")}
    command = [sys.executable, str(Path(__file__).with_name("child.py")), str(theirs.fileno())]
    mother = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)
    theirs.close()

    def end() -> None:
        orders.close()
        mother.wait(PATIENCE)

    atexit.register(end)
    return orders


class Nursery:
    """Where the processes come from; a context manager that leaves none behind.

    Args:
        directory: For the log of the processes.
    """

    def __init__(self, directory: Path) -> None:
        self.log = directory / "processes.log"
        self._orders = _mother()
        self._born: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._born:
            if process.channel.fileno() >= 0:
                process.kill()
                process.channel.close()

    def start(self, **order: Any) -> Process:
        """Start one, and wait until it has a process id."""
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        order["log"] = str(self.log)
        socket.send_fds(self._orders, [json.dumps(order).encode()], [theirs.fileno()])
        theirs.close()
        process = Process(ours)
        told = process.wait_for("pid")
        if told is None:
            raise RuntimeError(f"a process did not start; see {self.log}")
        process.pid = told["pid"]
        self._born = [one for one in self._born if one.channel.fileno() >= 0]
        self._born.append(process)
        return process
