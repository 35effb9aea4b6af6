"""Several processes over one SQLite file: counts stay exact, and a killed process loses nothing it was promised."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import AsyncExitStack, closing

from otpcore.stores.sql.store import SqlStore

HAMMER = """
import itertools
import os
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import anyio

from otpcore.stores import SqlStore
from otpcore.testing.stores.contract import World
from otpcore.stores.commands import Begun, LockRule, ReservationStatus

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
passed = reserved = 0


async def ask(world):
    global passed
    said = await world.ask(world.limit("shared", 150, 3600))
    passed += isinstance(said, Begun)


async def reserve(store):
    global reserved
    locks = LockRule(lock_after=1000, hard_limit=1000)
    found = await store.reserve(subject="phone-1/login", challenge_id=None, purpose="login", locks=locks, now=NOW)
    reserved += found.status is ReservationStatus.RESERVED


async def main():
    async with AsyncExitStack() as stack:
        store = SqlStore(sys.argv[1])
        await store.start(stack)
        world = World(store=store, now=NOW, numbers=itertools.count(os.getpid() * 1000))
        print("ready", flush=True)
        sys.stdin.readline()
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask, world)
                tasks.start_soon(reserve, store)
    print(passed, reserved, flush=True)


anyio.run(main, backend=sys.argv[2])
"""

SENDER = """
import itertools, sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import anyio

from otpcore.stores import SqlStore


async def send(store, number):
    for step in itertools.count():
        name = f"{number}-{step}"
        await store.write_setting(name, "x" * 500)
        print(name, flush=True)


async def main():
    async with AsyncExitStack() as stack:
        store = SqlStore(sys.argv[1])
        await store.start(stack)
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(send, store, number)


anyio.run(main, backend=sys.argv[2])
"""


def start(python, code, database, backend):
    command = [python, "-c", code, f"sqlite:///{database}", backend]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_two_processes_at_once_count_exactly(sql_world, database, anyio_backend_name, forked):
    failover = await sql_world.begin()
    processes = [start(forked.python, HAMMER, database, anyio_backend_name) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=60)[0].split() for process in processes]
    assert sum(int(passed) for passed, _ in results) == 150
    assert sum(int(reserved) for _, reserved in results) == 5
    assert await sql_world.used("shared") == 150
    assert (await failover.view()).challenge.attempts == 5


async def test_what_a_killed_process_was_told_is_done_is_in_the_file(database, anyio_backend_name, forked):
    process = start(forked.python, SENDER, database, anyio_backend_name)
    told = [process.stdout.readline().strip() for _ in range(100)]
    process.kill()
    told += process.communicate(timeout=60)[0].split("\n")[:-1]
    async with AsyncExitStack() as stack:
        store = SqlStore(f"sqlite:///{database}")
        await store.start(stack)
        assert set(told) <= set(await store.settings())
        await store.write_setting("after", "x")
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
