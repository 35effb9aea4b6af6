"""Processes that have imported everything already: a mother imports the library once, and each is a fork of her.

``python mother.py SOCKET`` waits on a Unix socket until its standard input ends. What comes through it is an interpreter's
command line, directory, environment and descriptors; what goes back is its process id, then how the process ended. Nothing
is open in the mother when she forks. A child ends as an interpreter does, but takes nothing apart that goes with the process
anyway; it is killed with what stands in for it.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import json
import logging
import os
import random
import runpy
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

_LENGTH = struct.Struct("!I")
_MOST = 64  # descriptors for a child


def warm_up() -> None:
    """What the commands and the services import or read when they are first used; nothing stays open."""
    from otp_mada.simulator import MadaSimulator  # noqa: PLC0415 - the client imports neither

    from otpcore import cli  # noqa: PLC0415 - the same

    entry = cli.main
    from otpcore.cli.main import run  # noqa: PLC0415 - the same

    cli.main = (
        entry  # which stands there again as in a process that has not run it yet, instead of the module of that name
    )
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as directory, MadaSimulator() as mada:
        os.chdir(directory)
        run(["init"])
        settings = Path("otpcore.toml")
        own = "".join(f"{key} = {json.dumps(value)}\n" for key, value in mada.provider_settings().items())
        text = settings.read_text().replace('otp_sms_provider = ""', 'otp_sms_provider = "mada"')
        settings.write_text(f"{text}\n[providers.mada]\n{own}")
        run(["send", "+359871234567"])
        run(["status"])
        os.chdir(before)
    logger = logging.getLogger("otpcore")
    logger.handlers.clear()  # the commands' own
    logger.setLevel(logging.NOTSET)


def serve(listener: socket.socket) -> dict[str, Any] | None:
    """Fork for each order. In the mother None, at the end; in a child its order."""
    while True:
        readable, _, _ = select.select([listener, 0], [], [])
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if 0 in readable:
            return None
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        listener.close()
        order = _received(connection)
        child = os.fork()
        if not child:
            connection.close()
            return order
        for descriptor in order["received"]:
            os.close(descriptor)
        with contextlib.suppress(OSError):  # the stand-in was killed
            connection.sendall(_LENGTH.pack(child))
        _kill_with(connection, child)
        with contextlib.suppress(OSError):
            connection.sendall(_LENGTH.pack(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFFFFFFFF))
        os._exit(0)


def _kill_with(connection: socket.socket, child: int) -> None:
    """Wait until the child has ended, or what stands in for it is killed: then it is killed too."""
    if not hasattr(os, "pidfd_open"):
        return
    ended = os.pidfd_open(child)
    over, _, _ = select.select([ended, connection], [], [])
    if ended not in over:
        os.kill(child, signal.SIGKILL)


def _received(connection: socket.socket) -> dict[str, Any]:
    head, received, *_ = socket.recv_fds(connection, _LENGTH.size, _MOST)
    (length,) = _LENGTH.unpack(head)
    text = b""
    while len(text) < length:
        text += connection.recv(length - len(text))
    return {**json.loads(text), "received": received}


def become(order: dict[str, Any]) -> None:
    """Do what an interpreter with that command line does: ``-m MODULE``, ``-c PROGRAM``, or a file."""
    beyond = max(order["descriptors"]) + 1
    above = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, beyond) for descriptor in order["received"]]
    for descriptor in order["received"]:
        os.close(descriptor)
    for descriptor, number in zip(above, order["descriptors"], strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    random.seed()
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 - the process's own
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1 if os.isatty(1) else -1)  # noqa: SIM115 - the same
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115 - the same
    how, *arguments = order["arguments"]
    what = arguments.pop(0) if how in ("-m", "-c") else how
    sys.path[0] = {"-m": order["directory"], "-c": ""}.get(how, str(Path(what).parent))
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:1] = [place for place in places if place and place not in sys.path]
    sys.argv = [how, *arguments]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    elif how == what:
        runpy.run_path(what, run_name="__main__")
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})


def end(order: dict[str, Any]) -> int:
    """Run it to its end, the threads and what is registered for it included; the exit code."""
    code: object = 0
    try:
        become(order)
    except SystemExit as asked:
        code = asked.code
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
    return code if isinstance(code, int) else int(code is not None)


def main() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1] + ".new")
        listener.listen(64)
        warm_up()
        gc.collect()
        gc.freeze()
        os.rename(sys.argv[1] + ".new", sys.argv[1])  # noqa: PTH104 - now she can be found
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        order = serve(listener)
    if order is not None:
        os._exit(end(order))


if __name__ == "__main__":
    main()
