"""What a code that waits for its retry takes: in this process, and in the store."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.measuring import phones
from benchmarks.ours import Gateway, emptied, file_path, settings
from benchmarks.plan import Case, Missing, Results, World
from benchmarks.tables import Table, figure, missing_rows
from otpcore import AsyncOTPService
from otpcore.errors import ErrorKind

__all__ = ["MEASURES", "NOTE", "SETTING", "TITLE", "cases", "tables"]

TITLE = "Memory"
NOTE = (
    "Each code is a challenge, one delivery, a schedule row, and the counters of its phone. Heap is what Python allocated and still "
    "holds in the process that runs retries; stored is the file (after its log was folded), the tables with indexes, or used memory."
)
SETTING = ""
_SENDERS = 32
_ENDS = "pending asyncio task that sleeps"


def cases(world: World) -> Iterator[Case | Missing]:
    parameters: dict[str, Any] = {"pending": world.sizes.pending}
    yield Case(
        scenario="memory",
        setting=SETTING,
        name=_ENDS,
        measure="memory.tasks",
        parameters=parameters,
        once=True,
        fresh=True,
    )
    for store in world.stores:
        name = f"otpcore, {store.name}"
        if store.name == "SQLite NORMAL":
            continue  # the same rows as FULL
        if store.absent:
            yield Missing(scenario="memory", setting=SETTING, name=name, why=store.absent)
            continue
        here = {"storage": dict(store.settings), "directory": world.directory, **parameters}
        yield Case(
            scenario="memory", setting=SETTING, name=name, measure="memory.ours", parameters=here, once=True, fresh=True
        )


def ours(storage: Mapping[str, str], directory: str, pending: int) -> Mapping[str, Any]:
    return asyncio.run(_ours(storage, directory, pending))


def tasks(pending: int) -> Mapping[str, Any]:
    """The naive scheduler: one sleeping task for each."""

    async def measure() -> float:
        before = _heap()
        sleeping = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(pending)]
        await asyncio.sleep(0)
        taken = (_heap() - before) / pending
        for one in sleeping:
            one.cancel()
        return taken

    tracemalloc.start()
    return {"heap": asyncio.run(measure()), "tasks": 1.0, "errors": 0}


MEASURES = {"memory.ours": ours, "memory.tasks": tasks}


def tables(results: Results) -> Iterator[Table]:
    rows = []
    for name in results.names("memory", SETTING):
        row = results.row("memory", SETTING, name)
        if row is not None:
            rows.append([name, *(figure(row.get(one)) for one in ("heap", "stored", "tasks"))])
    rows += missing_rows(results, "memory", SETTING, columns=4)
    head = ["", "heap bytes per code", "stored bytes per code", "tasks per code"]
    yield Table(title="memory: codes that wait for a retry", head=head, rows=rows)


async def _ours(storage: Mapping[str, str], directory: str, pending: int) -> Mapping[str, Any]:
    gateway = Gateway()
    gateway.down, gateway.refusal = True, ErrorKind.THROTTLED  # opens no breaker
    retry = {"first_delay": 300, "max_delay": 300}  # nothing is retried while it is measured
    async with emptied(storage, directory) as made:
        configured = settings(made, sms={"retry": True}, retry=retry, otp={"number_policy": "possible", "life": 600})
        numbers = iter(phones())
        async with AsyncOTPService(configured, providers={"gateway": gateway}) as otp:
            await _fill(otp, numbers, 20)
            empty = _stored(made)
            tracemalloc.start()
            tasks_before, heap_before = len(asyncio.all_tasks()), _heap()
            await _fill(otp, numbers, pending)
            heap = (_heap() - heap_before) / pending
            tasks_now = len(asyncio.all_tasks())
            tracemalloc.stop()
            served = _stored(made)
        after = served if served is not None else _file_size(made)
    stored = (after - (empty or 0)) / pending if after is not None else None
    return {"heap": heap, "stored": stored, "tasks": (tasks_now - tasks_before) / pending, "errors": 0}


async def _fill(otp: AsyncOTPService, numbers: Iterator[str], count: int) -> None:
    """So many codes, sent by a crowd: one by one takes minutes while each allocation is noted."""
    left = iter(range(count))

    async def sender() -> None:
        for _ in left:
            await otp.send_sms(next(numbers))

    await asyncio.gather(*(sender() for _ in range(_SENDERS)))


def _heap() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _file_size(storage: Mapping[str, str]) -> int | None:
    """Of an SQLite file whose service is closed."""
    return file_path(storage).stat().st_size if storage.get("url", "").startswith("sqlite:") else None


def _stored(storage: Mapping[str, str]) -> int | None:
    """Bytes in a server; None for what is no server."""
    if storage["store"] == "redis":
        import redis  # noqa: PLC0415 - a plugin's

        with redis.Redis.from_url(storage["url"]) as client:
            return int(client.info("memory")["used_memory"])
    if storage.get("url", "").startswith("postgresql"):
        from sqlalchemy import create_engine, text  # noqa: PLC0415 - SQLite and memory do without

        size = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'otp%'"
        engine = create_engine(storage["url"])
        try:
            with engine.connect() as connection:
                return int(connection.execute(text(size)).scalar() or 0)
        finally:
            engine.dispose()
    return None
