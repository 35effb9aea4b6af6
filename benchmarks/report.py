"""Results as JSON, and the page ``docs/performance.md`` with its plots."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path

import attrs

from benchmarks.goals import Verdict, as_table, judged
from benchmarks.lanes import ROOT
from benchmarks.plan import Missing, Results
from benchmarks.plots import plots
from benchmarks.scenarios import all_of_them

__all__ = ["about_machine", "load", "save", "write_report"]

PROFILES = ROOT / "benchmarks" / "profiles.md"
PAGE = ROOT / "docs" / "performance.md"
_VERSIONS = ("httpx", "httpx-aiohttp", "aiohttp", "sqlalchemy", "sqlmodel", "anyio", "pluggy")


def about_machine() -> dict[str, str]:
    """Where and when it was measured."""
    model = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.is_file():
        names = [
            line.partition(":")[2].strip() for line in cpus.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}",
        "versions": ", ".join(
            (
                f"CPython {platform.python_version()}",
                f"SQLite {sqlite3.sqlite_version}",
                *(f"{name} {version(name)}" for name in _VERSIONS),
            )
        ),
    }


def save(path: Path, results: Results, about: dict[str, str]) -> None:
    cases = [
        {
            "scenario": scenario,
            "setting": setting,
            "name": name,
            "median": results.row(scenario, setting, name),
            "rounds": rounds,
        }
        for (scenario, setting, name), rounds in results.rounds.items()
    ]
    goals = [attrs.asdict(goal) for goal in judged(results)]
    whole = {"about": about, "cases": cases, "missing": [attrs.asdict(one) for one in results.missing], "goals": goals}
    path.write_text(json.dumps(whole, indent=1), encoding="utf-8")


def load(path: Path) -> tuple[Results, dict[str, str]]:
    """What ``save`` wrote."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    rounds = {(one["scenario"], one["setting"], one["name"]): one["rounds"] for one in whole["cases"]}
    return Results(rounds=rounds, missing=[Missing(**one) for one in whole["missing"]]), whole["about"]


def write_report(results: Results, about: dict[str, str], page: Path = PAGE) -> Path:
    """Write the page and its plots; the profiles' text is included as it stands in its own file."""
    folder = page.parent / page.stem
    folder.mkdir(exist_ok=True)
    goals = judged(results)
    parts = [
        "# Performance",
        "Written by `nox -s bench -- --report`; do not edit it. The part on profiles stands in `benchmarks/profiles.md`.",
        _MEASURED.format(**about),
        "## How it was measured",
        _HOW,
        "## Goals",
        ", ".join(f"{sum(goal.verdict is one for goal in goals)} {one.value.lower()}" for one in Verdict) + ".",
        as_table(goals).markdown(),
        "## What was not met, and why",
        PROFILES.read_text(encoding="utf-8").strip(),
    ]
    drawn = plots(results)
    for name, scenario in all_of_them().items():
        if not results.settings(name):
            continue
        parts += [f"## {scenario.TITLE}", scenario.NOTE]
        for plot in drawn.get(name, ()):
            (folder / f"{plot.name}.svg").write_text(plot.svg, encoding="utf-8")
            parts.append(f"![{plot.title}]({page.stem}/{plot.name}.svg)")
        parts += [table.markdown() for table in scenario.tables(results)]
    page.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    return page


_MEASURED = "Measured on {date}: {machine}. {versions}. {rounds} rounds, size {size}, {seconds} s."
_HOW = """\
- All cases of a scenario run in one run, in random order within each round; figures are medians over the rounds, and a ratio is the
  median of the rounds' own ratios. Absolute times differ from machine to machine, so the goals are ratios.
- The client has one core; the stub provider, PostgreSQL and Redis have the others. otpcore and the floors share one client process;
  each peer has its own environment and process.
- CPU is user and system time of the client process, all its threads, for each operation. The servers' is not in it.
- A case keeps its number of operations in flight, warms up with open connections, and then counts what ends within a window.
- Errors are counted and must be none. All who send over HTTP send the same fields to the same stub provider."""
