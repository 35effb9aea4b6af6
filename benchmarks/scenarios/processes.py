"""The same load over 1, 2 and 4 processes on one PostgreSQL: what an operation costs when a host grows."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.lanes import ROOT
from benchmarks.measuring import phones, steady
from benchmarks.ours import Gateway, emptied, settings
from benchmarks.plan import Case, Missing, Results, World
from benchmarks.scenarios.round_trip import trip_of
from benchmarks.tables import Table, figure, missing_rows
from otpcore import AsyncOTPService

__all__ = ["COUNTS", "MEASURES", "NOTE", "SETTING", "TITLE", "cases", "name_of", "tables"]

TITLE = "Processes"
NOTE = (
    "Each process sends and verifies with 32 callers on one PostgreSQL, as several hosts or several workers of one host do. They share "
    "the client's core, so the rate cannot grow here; CPU an operation says what they would do on cores of their own."
)
SETTING = ""
COUNTS = (1, 2, 4)
_STORE, _CALLERS = "PostgreSQL", 32
_APART = 1_000_000  # numbers of one process and of the next


def name_of(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def cases(world: World) -> Iterator[Case | Missing]:
    store = next((one for one in world.stores if one.name == _STORE), None)
    for count in COUNTS:
        row = {"scenario": "processes", "setting": SETTING, "name": name_of(count)}
        if store is None or store.absent:
            yield Missing(**row, why=store.absent if store is not None else "no servers in this run")
            continue
        parameters = {"storage": dict(store.settings), "directory": world.directory, "count": count, **world.times}
        yield Case(**row, measure="processes.ours", parameters=parameters)


def ours(storage: Mapping[str, str], directory: str, count: int, **times: float) -> Mapping[str, Any]:
    return asyncio.run(_ours(storage, directory, count, times))


MEASURES = {"processes.ours": ours}


def tables(results: Results) -> Iterator[Table]:
    rows = []
    for name in results.names("processes", SETTING):
        row = results.row("processes", SETTING, name)
        if row is not None:
            ratio = results.ratio("processes", SETTING, name, name_of(1), "cpu")
            rows.append([name, figure(row["cpu"]), figure(ratio), figure(row["rate"])])
    rows += missing_rows(results, "processes", SETTING, columns=4)
    yield Table(title="processes: one send and verification", head=["", "CPU us", "x one", "per s"], rows=rows)


async def _ours(
    storage: Mapping[str, str], directory: str, count: int, times: Mapping[str, float]
) -> Mapping[str, Any]:
    async with emptied(storage, directory) as made:
        keys = settings(made).keys
        given = {"index": keys.index, "code": dict(keys.code), "current": keys.current}
        running = []
        for number in range(count):
            asked = json.dumps({"storage": made, "keys": given, "first": 1 + number * _APART, "times": dict(times)})
            one = await asyncio.create_subprocess_exec(
                sys.executable, "-m", __name__, asked, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            running.append(one)
        for one in running:
            await one.stdout.readline()  # it is ready
        for one in running:
            one.stdin.write(b"go\n")
        answers = [json.loads(said) for said, _ in await asyncio.gather(*(one.communicate() for one in running))]
    done = sum(one["operations"] for one in answers)
    return {
        "operations": done,
        "cpu": sum(one["cpu"] * one["operations"] for one in answers) / done,
        "rate": sum(one["rate"] for one in answers),
        "errors": sum(one["errors"] for one in answers),
        "error": next((one["error"] for one in answers if one["error"]), ""),
    }


async def _one(storage: Mapping[str, str], keys: Mapping[str, Any], first: int, times: Mapping[str, float]) -> None:
    """One process: ready, go, measured."""
    configured = settings(storage, keys=keys)
    async with AsyncOTPService(configured, providers={"gateway": Gateway()}) as otp:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        measured = await steady(trip_of(otp, iter(phones(first))), in_flight=_CALLERS, **times)
    print(json.dumps(measured))


if __name__ == "__main__":
    asyncio.run(_one(**json.loads(sys.argv[1])))
