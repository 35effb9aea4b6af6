"""How long an open connection may keep a unit waiting: a server that has stopped answering is given up."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Generator, Iterator
from typing import Any

__all__ = ["bounded_psycopg", "bounded_pymysql"]

_LEAST = 0.1  # seconds: for the word with which a unit ends when its time is up


@contextlib.contextmanager
def bounded_psycopg(raw: Any, deadline: float) -> Iterator[None]:
    """Within the block, whatever the connection waits for ends at a monotonic time: it is closed, and the wait fails.

    libpq waits for an answer without end, and while the server's machine still acknowledges packets, no setting of TCP
    ends that. psycopg waits in one method of the connection, and looks up ten times a second.
    """

    def wait(waiting: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
        return type(raw).wait(raw, _until(waiting, raw, deadline), *arguments, **options)

    raw.wait = wait
    try:
        yield
    finally:
        del raw.wait


def _until(waiting: Generator[Any, Any, Any], raw: Any, deadline: float) -> Generator[Any, Any, Any]:
    """As the generator of psycopg, which is told what is ready, or that nothing is."""
    try:
        wanted = next(waiting)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raw.close()
                raise importlib.import_module("psycopg").OperationalError("the server does not answer")
            wanted = waiting.send(ready)
    except StopIteration as end:
        return end.value


@contextlib.contextmanager
def bounded_pymysql(raw: Any, deadline: float) -> Iterator[None]:
    """Within the block, no answer is waited for longer than from now to a monotonic time; a shorter limit stays.

    PyMySQL hands these two values to its socket for each packet, and has no public way to change them.
    """
    given = raw._read_timeout, raw._write_timeout  # noqa: SLF001 - as the docstring says
    left = max(_LEAST, deadline - time.monotonic())
    raw._read_timeout, raw._write_timeout = (min(one or left, left) for one in given)  # noqa: SLF001 - the same
    try:
        yield
    finally:
        raw._read_timeout, raw._write_timeout = given  # noqa: SLF001 - the same
