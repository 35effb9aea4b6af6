"""Celery on Redis and procrastinate on PostgreSQL: an outage drained by one worker, and what a worker takes while idle."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.lanes import ROOT, serve
from benchmarks.measuring import cpu_of, settled_memory

_GIVE_UP = 120.0  # seconds after the recovery, as for otpcore
_LIFE = 300.0  # seconds of a code
_WORKERS = {
    "celery": (
        "-m",
        "celery",
        "-q",
        "-A",
        "benchmarks.peers.retry_app:celery_app",
        "worker",
        "-l",
        "error",
        "-P",
        "threads",
        "-c",
    ),
    "procrastinate": (
        "-m",
        "procrastinate",
        "--log-level",
        "critical",
        "--app=benchmarks.peers.retry_app.app",
        "worker",
        "--concurrency",
    ),
}


def outage(
    kind: str, database: str, redis: str, outage: float, rate: float, latency: float, slots: int
) -> Mapping[str, Any]:
    """Send so many a second while the provider is away, then wait until all are taken."""
    with _worker(kind, database, redis, slots, latency) as (worker, place):
        put = _queue(kind)
        began = time.time()
        sent: list[float] = []
        for number in range(int(outage * rate)):
            time.sleep(max(began + number / rate - time.time(), 0))
            put(number)
            sent.append(time.time())
        (place / "away").unlink()
        recovered, cpu = time.time(), cpu_of(worker.pid)
        while len(taken := _taken(place)) < len(sent) and time.time() < recovered + _GIVE_UP:
            time.sleep(0.1)
        cpu = cpu_of(worker.pid) - cpu
    waits = [at - sent[number] for number, at in taken.items()]
    return {
        "drain": max(taken.values(), default=recovered) - recovered if len(taken) == len(sent) else _GIVE_UP,
        "sent": len(sent),
        "delivered": len(taken),
        "late": sum(wait > _LIFE for wait in waits),
        "oldest": max(waits, default=0.0),
        "cpu_seconds": cpu,
        "errors": 0,
    }


def idle(kind: str, database: str, redis: str, slots: int) -> Mapping[str, Any]:
    """The resident size of a worker that has nothing to do."""
    with _worker(kind, database, redis, slots, 0.0) as (worker, _place):
        return {"mb": settled_memory(worker.pid), "errors": 0}


@contextlib.contextmanager
def _worker(kind: str, database: str, redis: str, slots: int, latency: float) -> Iterator[tuple[Any, Path]]:
    """A worker of so many slots, and the folder by which the provider is ruled; it is away."""
    with tempfile.TemporaryDirectory(prefix="otpcore-bench-retrying-") as name:
        place = Path(name)
        (place / "away").touch()
        os.environ |= {
            "BENCH_PLACE": name,
            "BENCH_DATABASE": database,
            "BENCH_REDIS": redis,
            "BENCH_LATENCY": f"{latency}",
        }
        for known in [one for one in sys.modules if one == "benchmarks.peers.retry_app"]:
            del sys.modules[known]
        _emptied(kind)
        command = [sys.executable, *_WORKERS[kind], str(slots)]
        with (place / "said").open("w") as said:
            worker = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)  # noqa: S603 - ours
        try:
            settled_memory(worker.pid)
            if worker.poll() is not None:
                raise RuntimeError(f"the worker ended: {(place / 'said').read_text()[-200:]}")
            yield worker, place
        finally:
            worker.kill()
            worker.wait()


def _emptied(kind: str) -> None:
    """Nothing is left of an earlier case."""
    from benchmarks.peers import retry_app  # noqa: PLC0415 - it reads the environment

    if kind == "celery":
        retry_app.celery_app.control.purge()
        return
    import psycopg  # noqa: PLC0415 - only procrastinate needs it

    with psycopg.connect(os.environ["BENCH_DATABASE"], autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    async def apply() -> None:
        async with retry_app.app.open_async():
            await retry_app.app.schema_manager.apply_schema_async()

    asyncio.run(apply())


def _queue(kind: str) -> Callable[[int], object]:
    """What hands a number to the worker."""
    from benchmarks.peers import retry_app  # noqa: PLC0415 - it reads the environment

    if kind == "celery":
        return retry_app.send_with_celery.delay
    connector = retry_app.app.connector.get_sync_connector()
    connector.open()
    task = retry_app.app.with_connector(connector).tasks[retry_app.send_with_procrastinate.name]
    return lambda number: task.defer(number=number)


def _taken(place: Path) -> dict[int, float]:
    """When each number was taken first."""
    found: dict[int, float] = {}
    noted = place / "taken"
    for line in noted.read_text(encoding="ascii").splitlines() if noted.exists() else ():
        number, _, at = line.partition(" ")
        if at:
            found.setdefault(int(number), float(at))
    return found


if __name__ == "__main__":
    logging.getLogger("procrastinate").setLevel(
        logging.ERROR
    )  # it warns of apps in programs; ours is a module of its own
    serve({"outage": outage, "idle": idle})
