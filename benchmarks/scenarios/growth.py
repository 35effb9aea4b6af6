"""Two worker processes beside one, draining retries from PostgreSQL; the cost with a million rows is ``benchmarks/growth.py``'s."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.lanes import ROOT
from benchmarks.measuring import phones
from benchmarks.ours import Gateway, emptied, settings
from benchmarks.plan import Case, Missing, Results, Storage, World
from benchmarks.tables import Table, figure, missing_rows
from otpcore import AsyncOTPService
from otpcore.errors import ErrorKind
from otpcore.providers.requests import DeliveryRequest
from otpcore.settings.tree import Settings

__all__ = ["ALL", "MEASURES", "NOTE", "ROWS", "SETTING", "TITLE", "cases", "setting_of", "tables"]

TITLE = "Growth"
NOTE = (
    "Processes with the background runner drain retries that are due, each over a provider of 20 ms. They share the client's core, "
    "and the server has the others: where there are too few cores for the rate to grow, CPU per retry says what two would do."
)
SETTING = ""
ROWS, ALL = "rows", "all"
_PROGRAM = ROOT / "benchmarks" / "growth.py"
_RATIO = re.compile(r"^ +(\w+) .*ratio ([0-9.]+)$", re.MULTILINE)
_STORE = "PostgreSQL"
_LATENCY = 0.02
_WITHIN = 120.0  # seconds
_IDLE, _IDLE_AT_FIRST = 2.0, 10.0  # seconds without a retry: there are no more


def setting_of(workers: int) -> str:
    return f"{workers} worker" + ("s" if workers > 1 else "")


def cases(world: World) -> Iterator[Case | Missing]:
    store = next((one for one in world.stores if one.name == _STORE), None)
    for workers in (1, 2):
        name = setting_of(workers)
        if store is None or store.absent:
            why = store.absent if store is not None else "no servers in this run"
            yield Missing(scenario="growth", setting=SETTING, name=name, why=why)
            continue
        parameters = {
            "storage": dict(store.settings),
            "directory": world.directory,
            "workers": workers,
            "retries": world.sizes.drained,
        }
        yield Case(scenario="growth", setting=SETTING, name=name, measure="growth.drain", parameters=parameters)

    yield _rows_case(world, store)


def _rows_case(world: World, store: Storage | None) -> Case | Missing:
    """Two databases of a kind, one with few rows and one with many, used in turns by a program of its own."""
    if not _PROGRAM.is_file():
        return Missing(scenario="growth", setting=ROWS, name=ALL, why="benchmarks/growth.py is not here")
    urls = [store.settings["url"]] if store is not None and not store.absent else []
    parameters = {"rows": world.sizes.rows, "urls": urls}
    return Case(scenario="growth", setting=ROWS, name=ALL, measure="growth.rows", parameters=parameters, once=True)


def rows(rows: int, urls: list[str]) -> Mapping[str, Any]:
    """The dearest ratio over the databases, of all commands together and of a single one."""
    command = [sys.executable, str(_PROGRAM), "--rows", str(rows), *urls]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603 - ours
    found = [(name, float(ratio)) for name, ratio in _RATIO.findall(said)]
    slowest, dearest = max((one for one in found if one[0] != ALL), key=lambda one: one[1])
    whole = max(ratio for name, ratio in found if name == ALL)
    return {"ratio": whole, "dearest": dearest, "command": slowest, "rows": rows, "errors": 0}


def drain(storage: Mapping[str, str], directory: str, workers: int, retries: int) -> Mapping[str, Any]:
    return asyncio.run(_drain(storage, directory, workers, retries))


MEASURES = {"growth.drain": drain, "growth.rows": rows}


def tables(results: Results) -> Iterator[Table]:
    rows = []
    for name in results.names("growth", SETTING):
        row = results.row("growth", SETTING, name)
        if row is not None:
            ratios = [results.ratio("growth", SETTING, name, setting_of(1), one) for one in ("rate", "cpu")]
            cells = [row["rate"], ratios[0], row["cpu"], ratios[1]]
            rows.append([name, *(figure(one) for one in cells)])
    rows += missing_rows(results, "growth", SETTING, columns=5)
    found = results.row("growth", ROWS, ALL)
    many = []
    if found is not None:
        many = [
            [f"{found['rows']:,.0f} rows", figure(found["ratio"]), f"{figure(found['dearest'])} ({found['command']})"]
        ]
    yield Table(
        title="growth: time of one operation, x that with 1,000 rows, in the database where it grows most",
        head=["", "all commands", "the dearest command"],
        rows=many + missing_rows(results, "growth", ROWS, columns=3),
    )
    yield Table(
        title="growth: retries drained from PostgreSQL", head=["", "per s", "x one", "CPU us", "x one"], rows=rows
    )


async def _drain(storage: Mapping[str, str], directory: str, workers: int, retries: int) -> Mapping[str, Any]:
    async with emptied(storage, directory) as made:
        configured = _settings(made)
        await _fill(configured, retries)
        keys = configured.keys
        command = [
            sys.executable,
            "-m",
            "benchmarks.scenarios.growth",
            made["url"],
            keys.index,
            str(keys.current),
            keys.code[str(keys.current)],
        ]
        running = [
            await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(workers)
        ]
        for one in running:
            await one.stdout.readline()  # it is ready
        for one in running:
            one.stdin.write(b"go\n")
        answers = await asyncio.gather(*(one.communicate() for one in running))
    spans = [span for said, _ in answers if (span := tuple(map(float, said.split())))[0]]
    done = sum(span[0] for span in spans)
    first, last, cpu = min(span[1] for span in spans), max(span[2] for span in spans), sum(span[3] for span in spans)
    return {"rate": done / (last - first), "cpu": cpu / done * 1e6, "done": done, "errors": retries - done}


async def _fill(configured: Settings, retries: int) -> None:
    """Leave so many retries in the store that are due by the time anybody looks."""
    gateway = Gateway()
    gateway.down, gateway.refusal = True, ErrorKind.THROTTLED  # opens no breaker
    numbers = iter(phones())
    async with AsyncOTPService(configured, providers={"gateway": gateway}, runner="worker") as otp:
        for _ in range(retries):
            await otp.send_sms(next(numbers))


def _settings(storage: Mapping[str, str], **more: Any) -> Settings:
    otp = {"life": 600, "number_policy": "possible"}
    return settings(storage, **{"sms": {"retry": True}, "otp": otp, **more})


class _Counting(Gateway):
    """Counts what it accepted, and from when to when."""

    def __init__(self) -> None:
        super().__init__(_LATENCY)
        self.count, self.first = 0, 0.0
        self.last = time.time()

    def note(self, request: DeliveryRequest) -> bool:  # noqa: ARG002 - all are alike
        if self.count == 0:
            self.first = time.time()
        return False

    def accepted(self, request: DeliveryRequest) -> None:  # noqa: ARG002 - as above
        self.count, self.last = self.count + 1, time.time()


async def _work(url: str, index: str, current: str, code: str) -> None:
    """One worker: until nothing is due any more."""
    gateway = _Counting()
    keys = {"index": index, "current": current, "code": {current: code}}
    configured = _settings({"store": "sql", "url": url}, keys=keys)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    gateway.last = time.time()
    async with AsyncOTPService(configured, providers={"gateway": gateway}):
        cpu, deadline = time.process_time(), time.monotonic() + _WITHIN
        idle = 0.0
        while time.monotonic() < deadline and idle < (_IDLE if gateway.count else _IDLE_AT_FIRST):
            await asyncio.sleep(0.05)
            idle = time.time() - gateway.last
        cpu = time.process_time() - cpu
    print(gateway.count, gateway.first, gateway.last, cpu)


if __name__ == "__main__":
    asyncio.run(_work(*sys.argv[1:5]))
