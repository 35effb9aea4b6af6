"""``otp serve`` as one process on SQLite: verifications started and checked over HTTP, beside FastAPI that answers as much and does nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from benchmarks.lanes import ROOT, SERVER_CORES, pin
from benchmarks.measuring import Stopwatch, cpu_of, phones, steady
from benchmarks.ours import emptied
from benchmarks.plan import Case, Results, World
from benchmarks.tables import Table, figure

__all__ = ["ALONE", "ASKED", "BARE", "BUSY", "CODE", "MEASURES", "NOTE", "RATE", "TITLE", "cases", "name_of", "tables"]

TITLE = "Service"
RATE = 200  # verifications a second
ASKED, BUSY = f"{RATE} a second", "32 callers"
ALONE = "FastAPI alone"
NOTE = (
    "A verification is two requests with a key: it is started, in the sandbox, and its code is checked. The server is one process on a "
    f"core of its own, uvicorn for both; FastAPI alone reads the same bodies and answers others of the same size. {RATE} a second come "
    "whether or not the earlier ones are answered, and each waits from the moment at which it was due; 32 callers come one after "
    "another. CPU is the server's."
)
BARE = "bare"
CODE = b"x-code"  # a header of the server's answer to a start, as nobody reads a telephone here
_STORES = ("SQLite FULL", "SQLite NORMAL")
_CALLERS = 32
_LATEST = 20.0  # seconds for what is under way at the end
_WINDOWS = 10  # of a case's usual window, so that the longest waits of 2,000 are seen


def name_of(store: str) -> str:
    return f"otp serve, {store}"


def cases(world: World) -> Iterator[Case]:
    stores = [
        *((name_of(one), "ours", dict(world.store(one).settings)) for one in _STORES),
        (ALONE, BARE, {"store": "memory"}),
    ]
    for name, kind, storage in stores:
        given = {"kind": kind, "storage": storage, "directory": world.directory, **world.times}
        for setting, measure in ((ASKED, "service.asked"), (BUSY, "service.busy")):
            yield Case(scenario="service", setting=setting, name=name, measure=measure, parameters=given)


def asked(seconds: float, warm_up: float, **given: Any) -> Mapping[str, Any]:
    return asyncio.run(_on_server(lambda trip: _at_rate(trip, seconds * _WINDOWS, warm_up), **given))


def busy(seconds: float, warm_up: float, **given: Any) -> Mapping[str, Any]:
    return asyncio.run(
        _on_server(lambda trip: steady(trip, in_flight=_CALLERS, warm_up=warm_up, seconds=seconds), **given)
    )


MEASURES = {"service.asked": asked, "service.busy": busy}


def tables(results: Results) -> Iterator[Table]:
    for setting in results.settings("service"):
        rows = []
        for name in results.names("service", setting):
            row = results.row("service", setting, name)
            if row is not None:
                ratios = [results.ratio("service", setting, name, ALONE, one) for one in ("p99", "cpu")]
                waits = [row["p50"] / 1e3, row["p99"] / 1e3]
                rows.append([name, *map(figure, (row["rate"], *waits, row["cpu"], *ratios)), figure(row["errors"])])
        head = ["", "per s", "p50 ms", "p99 ms", "CPU us", "p99 x FastAPI alone", "CPU x", "errors"]
        yield Table(title=f"service: {setting}", head=head, rows=rows)


async def _on_server(
    load: Callable[[Callable[[], Awaitable[None]]], Awaitable[dict[str, Any]]],
    *,
    kind: str,
    storage: Mapping[str, str],
    directory: str,
) -> Mapping[str, Any]:
    async with emptied(storage, directory) as made:
        with _server(kind, made) as (process, told):
            people = _People(told["port"], told["token"])
            for _ in range(_CALLERS):
                await people.verify()
            used, before = cpu_of(process), people.verified
            measured = await load(people.verify)
            cpu = (cpu_of(process) - used) / max(people.verified - before, 1) * 1e6
            people.close()
    return {**measured, "cpu": cpu}


@contextmanager
def _server(kind: str, storage: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    command = [sys.executable, "-m", "benchmarks.served", kind, json.dumps(dict(storage))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603 - ours
    pin(process.pid, SERVER_CORES)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.pid, json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(timeout=60)
        process.stdout.close()


async def _at_rate(trip: Callable[[], Awaitable[None]], seconds: float, warm_up: float) -> dict[str, Any]:
    """So many a second, each counted from when it was due; the rate is that of the answers."""
    watch = Stopwatch()

    async def one(due: float) -> None:
        try:
            await trip()
        except Exception as error:  # noqa: BLE001 - counted, shown, and must be none
            watch.failed(error)
        else:
            watch.count(due)

    tasks = []
    for length, measures in ((warm_up, False), (seconds, True)):
        began = time.perf_counter()
        if measures:
            watch.start()
        for number in range(max(int(length * RATE), 1)):
            due = began + number / RATE
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            tasks.append(asyncio.create_task(one(due)))
    _, late = await asyncio.wait(tasks, timeout=_LATEST)
    watch.stop()
    for _ in late:
        watch.failed(TimeoutError("it was not answered"))
    return watch.result()


class _People:
    """Start and check, over connections that are kept, as many as there are people at once; nothing of HTTP but the length is read."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._head = (
            "POST /v1/verifications{} HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {{}}\r\n\r\n"
        )
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._numbers = iter(phones())
        self.verified = 0

    async def verify(self) -> None:
        """One verification.

        Raises:
            RuntimeError: It was refused.
        """
        connection = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        head, body = await self._ask(connection, "", {"to": next(self._numbers)})
        begun, code = json.loads(body), head.partition(CODE + b": ")[2].partition(b"\r\n")[0]
        if " 202 " not in head[:20].decode():
            raise RuntimeError(f"not started: {body[:200]!r}")
        _, body = await self._ask(connection, f"/{begun['id']}/check", {"code": code.decode()})
        if not json.loads(body).get("valid"):
            raise RuntimeError(f"a right code was refused: {body[:200]!r}")
        self._idle.append(connection)
        self.verified += 1

    async def _ask(
        self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str, body: Mapping[str, str]
    ) -> tuple[bytes, bytes]:
        reader, writer = connection
        sent = json.dumps(body)
        writer.write(f"{self._head.format(path, len(sent))}{sent}".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head, await reader.readexactly(length)

    def close(self) -> None:
        """Close what is idle."""
        for _, writer in self._idle:
            writer.close()
