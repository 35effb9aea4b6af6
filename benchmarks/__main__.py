"""``python -m benchmarks``: measure, show the tables and the goals, write the results."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.goals import as_lines, judged
from benchmarks.lanes import SERVER_CORES, pin
from benchmarks.plan import FULL, QUICK, TINY, Results
from benchmarks.report import load, save, write_report
from benchmarks.running import run
from benchmarks.scenarios import NAMES, all_of_them
from benchmarks.servers import open_world

_SIZES = {"full": FULL, "quick": QUICK, "tiny": TINY}


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 unless a case of ours or of a floor failed."""
    given = _parser().parse_args(arguments)
    if given.render:
        results, about = load(Path(given.render))
    else:
        results, about = _measured(given)
        print(f"\nresults: {given.results}")
    if given.report:
        print(f"report: {write_report(results, about)}")
    for one in results.failures:
        print(f"errors: {one}", file=sys.stderr)
    return 1 if results.failures else 0


def _measured(given: argparse.Namespace) -> tuple[Results, dict[str, str]]:
    from benchmarks.report import about_machine  # noqa: PLC0415 - cheap, and of no use to --render

    pin(0, SERVER_CORES)
    sizes, began = _SIZES[given.size], time.monotonic()
    results, about = load(Path(given.results)) if given.add else (Results(), {})
    results.forget(given.only)
    scenarios = {name: one for name, one in all_of_them().items() if name in given.only}
    with open_world(sizes, servers=not given.no_servers, peers=not given.no_peers) as world:
        for name, scenario in scenarios.items():
            run({name: scenario.cases(world)}, given.rounds or sizes.rounds, results, _progress)
            _progress("")
            print(f"\n{scenario.TITLE}. {scenario.NOTE}\n")
            for table in scenario.tables(results):
                print(table.text())
            rounds, seconds = str(given.rounds or sizes.rounds), f"{time.monotonic() - began:.0f}"
            about = about_machine() | {"size": given.size, "rounds": rounds, "seconds": seconds}
            save(Path(given.results), results, about)  # after each: a run that is broken off keeps what it has
    print(as_lines(judged(results)))
    return results, about


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:110]}", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("--quick", dest="size", action="store_const", const="quick", default="full", help="two minutes")
    parser.add_argument("--tiny", dest="size", action="store_const", const="tiny", help="only to see that it runs")
    parser.add_argument("--only", type=_names, default=NAMES, help=f"some of {','.join(NAMES)}")
    parser.add_argument("--rounds", type=int, help="instead of the size's own")
    parser.add_argument("--no-peers", action="store_true", help="only otpcore and floors")
    parser.add_argument("--no-servers", action="store_true", help="neither PostgreSQL, Redis nor MariaDB")
    parser.add_argument("--results", default="benchmarks.json", help="where the figures go; default: %(default)s")
    parser.add_argument("--add", action="store_true", help="keep what the results hold of the other scenarios")
    parser.add_argument("--report", action="store_true", help="write docs/performance.md")
    parser.add_argument("--render", metavar="FILE", help="measure nothing; take these results")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(
            f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
