"""Measures one case: CPU and wall time per operation, and latencies. Standard library only, because peers use it too.

CPU is user and system time of the whole client process, all its threads included.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "Stopwatch",
    "batch",
    "cpu_of",
    "each",
    "numbers_for_threads",
    "phones",
    "settled_memory",
    "steady",
    "steady_threads",
]

_YIELD_EVERY = 16  # operations; one that never waits must not keep the clock's task from running
_STILL, _AT_REST, _SETTLED_WITHIN = 8, 0.02, 60.0  # quarters of a second, CPU seconds in each of them, seconds
_MOST_OF_THREADS = 100_000  # operations of one case
_MAX_ERRORS = 50  # a case that only fails ends soon
_MOST_WAITED = 20.0  # seconds; a slow case is given more time, so that it counts at least what was in flight


def phones(first: int = 1) -> Iterable[str]:
    """Different numbers of one operator, spread by the golden ratio: few of them are neighbours of one another."""
    return (f"+35987{number * 6_180_339 % 10**7:07d}" for number in itertools.count(first))


def numbers_for_threads() -> Callable[[], str]:
    """What gives one of ``phones`` after another; a generator can serve but one thread at a time."""
    return list(itertools.islice(phones(), _MOST_OF_THREADS)).pop


class Stopwatch:
    """Counts the operations that end while it runs. Threads may share one."""

    def __init__(self) -> None:
        self._running = False
        self._latencies: list[float] = []
        self.errors: list[str] = []

    def start(self) -> None:
        self._latencies, self._running = [], True
        self._began, self._cpu = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self._cpu, self._wall = time.process_time() - self._cpu, time.perf_counter() - self._began
        self._running = False

    def count(self, began: float) -> None:
        """One operation that began at this ``perf_counter`` ends now."""
        if self._running:
            self._latencies.append(time.perf_counter() - began)

    @property
    def counted(self) -> int:
        """How many operations have ended so far."""
        return len(self._latencies)

    def failed(self, error: BaseException) -> bool:
        """One operation failed; whether there is no point in going on."""
        self.errors.append(f"{type(error).__name__}: {error}"[:200])
        return len(self.errors) >= _MAX_ERRORS

    def result(self) -> dict[str, Any]:
        """Operations, rate (1/s), CPU and latencies (microseconds), errors."""
        done = sorted(self._latencies)
        if not done:
            raise RuntimeError(f"nothing was measured; errors: {self.errors[:1] or 'none'}")
        return {
            "operations": len(done),
            "rate": len(done) / self._wall,
            "cpu": self._cpu / len(done) * 1e6,
            "p50": done[len(done) // 2] * 1e6,
            "p99": done[min(int(len(done) * 0.99), len(done) - 1)] * 1e6,
            "errors": len(self.errors),
            "error": self.errors[0] if self.errors else "",
        }


async def steady(
    operation: Callable[[], Awaitable[object]], *, in_flight: int, warm_up: float, seconds: float
) -> dict[str, Any]:
    """Keep so many operations in flight, and measure those that end within ``seconds`` after the warm-up."""
    gc.collect()
    watch, over = Stopwatch(), False

    async def caller() -> None:
        for turn in itertools.count(1):
            if over:
                return
            began = time.perf_counter()
            try:
                await operation()
            except Exception as error:  # noqa: BLE001 - counted, shown, and must be none
                if watch.failed(error):
                    return
            else:
                watch.count(began)
            if turn % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    callers = [asyncio.create_task(caller()) for _ in range(in_flight)]
    await asyncio.sleep(warm_up)
    watch.start()
    for _ in range(_windows(seconds)):
        await asyncio.sleep(seconds)
        if watch.counted >= in_flight:
            break
    watch.stop()
    over = True
    await asyncio.gather(*callers)
    return watch.result()


def steady_threads(
    operation: Callable[[], object],
    *,
    in_flight: int,
    warm_up: float,
    seconds: float,
    at_end: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """The same for an operation that blocks: each caller is a thread, which calls ``at_end`` when it leaves."""
    gc.collect()
    watch, over = Stopwatch(), threading.Event()

    def caller() -> None:
        while not over.is_set():
            began = time.perf_counter()
            try:
                operation()
            except Exception as error:  # noqa: BLE001 - as above
                if watch.failed(error):
                    break
            else:
                watch.count(began)
        at_end()

    threads = [threading.Thread(target=caller) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    time.sleep(warm_up)
    watch.start()
    for _ in range(_windows(seconds)):
        time.sleep(seconds)
        if watch.counted >= in_flight:
            break
    watch.stop()
    over.set()
    for thread in threads:
        thread.join()
    return watch.result()


def _windows(seconds: float) -> int:
    """How many of them a case may take."""
    return max(int(_MOST_WAITED / seconds), 1)


async def batch(
    operation: Callable[[Any], Awaitable[object]], items: Sequence[Any], *, in_flight: int, warm_up: int
) -> dict[str, Any]:
    """One operation for each item, so many in flight; the first ``warm_up`` items are not measured."""
    gc.collect()
    watch = Stopwatch()

    async def caller(queue: Iterable[Any]) -> None:
        for item in queue:
            began = time.perf_counter()
            try:
                await operation(item)
            except Exception as error:  # noqa: BLE001 - as above
                if watch.failed(error):
                    return
            else:
                watch.count(began)

    for part in (items[:warm_up], items[warm_up:]):
        queue = iter(part)
        watch.start()
        await asyncio.gather(*(caller(queue) for _ in range(in_flight)))
        watch.stop()
    return watch.result()


def cpu_of(process: int) -> float:
    """User and system seconds that another process has used so far. Linux only."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settled_memory(process: int) -> float:
    """Resident megabytes of another process, once it has started and rests. Linux only.

    Raises:
        FileNotFoundError: It has ended.
    """
    began, still, used = time.monotonic(), 0, cpu_of(process)
    while still < _STILL and time.monotonic() < began + _SETTLED_WITHIN:
        time.sleep(0.25)
        used, before = cpu_of(process), used
        still = still + 1 if used - before < _AT_REST else 0
    pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def each(function: Callable[[Any], object], items: Sequence[Any]) -> dict[str, Any]:
    """The time of one call of a function too short to be timed alone (microseconds)."""
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    for item in items:
        function(item)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"operations": len(items), "rate": len(items) / wall, "cpu": cpu / len(items) * 1e6, "errors": 0}
