"""Results as JSON, and the page ``docs/performance.md``."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import sqlite3
import textwrap
from importlib.metadata import version
from pathlib import Path

import attrs

from benchmarks.goals import Verdict, as_table, judged
from benchmarks.lanes import ROOT
from benchmarks.plan import Missing, Results
from benchmarks.readers import for_readers
from benchmarks.scenarios import all_of_them

__all__ = ["about_machine", "load", "save", "write_report"]

PROFILES = ROOT / "benchmarks" / "profiles.md"
PAGE = ROOT / "docs" / "performance.md"
_WIDTH = 120
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
    """Write the page; the text on profiles is included as it stands in its own file."""
    goals = judged(results)
    met = ", ".join(f"{sum(goal.verdict is one for goal in goals)} {one.value.lower()}" for one in Verdict)
    parts = [
        "# Performance",
        "<!-- Written by `nox -s bench -- --report`; do not edit it. -->",
        _MEASURED.format(**about),
        "## What it means for you",
        for_readers(results),
        "## Goals",
        f"{met}. A figure in bold is more than what is asked, which stands in brackets.",
        as_table(goals).markdown(),
        "## How it was measured",
        _HOW,
    ]
    for name, scenario in all_of_them().items():
        if results.settings(name):
            parts += [f"## {scenario.TITLE}", scenario.NOTE, *(table.markdown() for table in scenario.tables(results))]
    parts += ["## What costs most, and why", PROFILES.read_text(encoding="utf-8").strip()]
    page.write_text("\n\n".join(_wrapped(part.strip()) for part in parts) + "\n", encoding="utf-8")
    return page


def _wrapped(part: str) -> str:
    """Prose and lists in lines of at most 120; tables and titles stay."""
    return "\n".join(
        line if line.startswith(("|", "**", "#")) or len(line) <= _WIDTH else _folded(line)
        for line in part.splitlines()
    )


def _folded(line: str) -> str:
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(line, _WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


_MEASURED = "Measured on {date}: {machine}. {versions}. {rounds} rounds, size {size}, {seconds} s."
_HOW = """\
- All cases of a scenario run in one run, in random order within each round; figures are medians over the rounds, and a
  ratio is the median of the rounds' own ratios. Absolute times differ from machine to machine, so goals are ratios.
- The client has one core; the stub provider, PostgreSQL, Redis and MariaDB have the others. otpcore and the floors
  share one client process; each peer has its own environment and process, and a database of its own on the same server.
- CPU is user and system time of the client process, all its threads, for each operation. The servers' is not in it.
- A case keeps its number of callers busy, warms up with open connections, and then counts what ends within a window.
- Errors are counted and must be none. All who send over HTTP send the same fields to the same stub provider."""
