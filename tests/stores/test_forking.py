"""A fork waits for the writer, and the child inherits no transaction, no lock and no connection."""

from __future__ import annotations

import os
import subprocess

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

UNDER_LOAD = """
import os, signal, sqlite3, sys
from contextlib import AsyncExitStack

import anyio
from anyio.from_thread import start_blocking_portal

from otpcore.stores import SqlStore

URL, PATH, CHILDREN = sys.argv[1], sys.argv[1].removeprefix("sqlite:///"), 12
store = SqlStore(URL)
written = 0


async def load(number, stop):
    global written
    while not stop.is_set():
        await store.write_setting(f"parent-{number}-{written}", "x")
        await store.settings()
        written += 1


async def parent(stop, started):
    async with AsyncExitStack() as stack:
        await store.start(stack)
        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(load, number, stop)
            started.set()


async def child(number, reuse):
    mine = store if reuse else SqlStore(URL)
    async with AsyncExitStack() as stack:
        await mine.start(stack)
        await mine.write_setting(f"child-{number}", "x")
        assert f"child-{number}" in await mine.settings()


import threading

with start_blocking_portal(sys.argv[2]) as portal:
    stop, started = portal.call(anyio.Event), threading.Event()
    running = portal.start_task_soon(parent, stop, started)
    started.wait(10)
    pids = []
    for number in range(CHILDREN):
        pid = os.fork()
        if not pid:
            signal.alarm(30)  # a child that is stuck ends with this signal
            anyio.run(child, number, number % 2 == 0)
            os._exit(0)
        pids.append(pid)
    ends = [os.waitpid(pid, 0)[1] for pid in pids]
    portal.call(stop.set)
    running.result(30)

connection = sqlite3.connect(PATH)
names = {name for (name,) in connection.execute("SELECT name FROM otp_setting")}
missing = {f"child-{number}" for number in range(CHILDREN)} - names
parents = sum(name.startswith("parent") for name in names)
print(set(ends), missing, parents >= written > 0, connection.execute("PRAGMA integrity_check").fetchone())
connection.close()
"""

PARENT_CLOSES_FIRST = """
import os, signal, sqlite3, sys
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
from anyio.from_thread import start_blocking_portal

from otpcore.stores import SqlStore

URL, PATH = sys.argv[1], sys.argv[1].removeprefix("sqlite:///")
child_is_open, parent_is_closed = os.pipe(), os.pipe()
store = SqlStore(URL)


@asynccontextmanager
async def opened():
    async with AsyncExitStack() as stack:
        await store.start(stack)
        yield


async def child():
    async with opened():
        await store.write_setting("early", "x")
        os.write(child_is_open[1], b"x")
        os.read(parent_is_closed[0], 1)
        await store.write_setting("late", "x")
        os._exit(0)  # as if killed: what is written must be where others look for it


with start_blocking_portal(sys.argv[2]) as portal:
    with portal.wrap_async_context_manager(opened()):
        portal.call(store.write_setting, "parent", "x")
        portal.call(store.settings)
        pid = os.fork()
        if not pid:
            signal.alarm(30)
            anyio.run(child)
        os.read(child_is_open[0], 1)
    os.write(parent_is_closed[1], b"x")
    end = os.waitpid(pid, 0)[1]

connection = sqlite3.connect(PATH)
print(end, sorted(name for (name,) in connection.execute("SELECT name FROM otp_setting")))
connection.close()
"""


def run(python, code, database, backend):
    done = subprocess.run(
        [python, "-c", code, f"sqlite:///{database}", backend],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_children_of_a_process_under_load_can_write(database, backend, forked):
    assert run(forked.python, UNDER_LOAD, database, backend) == "{0} set() True ('ok',)"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_child_keeps_its_file_when_the_parent_closes(database, backend, forked):
    # With an inherited connection SQLite believes that the child holds a lock which only the parent holds, and the
    # parent's close removes the log that the child goes on writing to.
    assert run(forked.python, PARENT_CLOSES_FIRST, database, backend) == "0 ['early', 'late', 'parent']"
