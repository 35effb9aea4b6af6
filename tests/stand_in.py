"""What stands in for an interpreter: it hands its command line and descriptors to the mother, passes signals on, and ends as her child does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct

_LENGTH = struct.Struct("!I")
_PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def ask(place: str, arguments: list[str]) -> int:
    """The exit code of a child of the mother at ``place``; who died by a signal takes its stand-in along."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # they wait until there is a child
    directory = os.getcwd()  # noqa: PTH109 - pathlib takes as long to import as all else here
    inherited = _inherited()
    order = {
        "arguments": arguments,
        "directory": directory,
        "environment": dict(os.environ),
        "descriptors": inherited,
    }
    text = json.dumps(order).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        socket.send_fds(connection, [_LENGTH.pack(len(text))], inherited)
        connection.sendall(text)
        for descriptor in inherited:
            if descriptor not in (1, 2):
                os.close(descriptor)  # it is the child's alone, and so is its end
        code = _wait(connection)
    if code >= 2**31:
        _die(2**32 - code)
    return code


def _inherited() -> list[int]:
    """The streams, and what the parent passed."""
    found = []
    for descriptor in sorted(map(int, os.listdir("/dev/fd"))):  # noqa: PTH208 - as above
        with contextlib.suppress(OSError):  # it was that of the listing
            os.fstat(descriptor)
            found.append(descriptor)
    return found


def _wait(connection: socket.socket) -> int:
    child = connection.recv(_LENGTH.size)
    if not child:
        return 1
    (pid,) = _LENGTH.unpack(child)
    for number in _PASSED_ON:
        signal.signal(number, lambda number, _: _pass_on(pid, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    ended = connection.recv(_LENGTH.size)
    return int(_LENGTH.unpack(ended)[0]) if ended else 1


def _pass_on(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _die(number: int) -> None:
    import resource  # noqa: PLC0415 - few die

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
