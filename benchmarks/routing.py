"""Cost of one routing look-up: ns at 10 to 1M prefixes, beside a bare scan of one dict per prefix length.

    python benchmarks/routing.py [--numbers 200000] [--rounds 5]

Goal: under 1.2 us at 100k prefixes; the number of dict accesses does not grow with the number of prefixes (what grows
a little is the processor's cache misses, in the bare scan too).
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

from otpcore.routing import RoutingTable, Rule

SIZES = (10, 1_000, 100_000, 1_000_000)
LENGTHS = range(3, 8)  # digits of a prefix: from a country to an operator's range (+1 415 555)
INSTANCES = tuple(f"provider{number}" for number in range(7))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, default=200_000, help="phone numbers looked up in a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the fastest counts")
    arguments = parser.parse_args()
    random.seed(7)
    numbers = [f"+{random.randint(10**11, 10**12 - 1)}" for _ in range(arguments.numbers)]
    print(f"{'prefixes':>9} {'build ms':>9} {'table ns':>9} {'bare ns':>9} {'ratio':>6} {'matched':>8}")
    for size in SIZES:
        rules = _rules(size)
        began = time.perf_counter()
        table = RoutingTable(rules)
        build = (time.perf_counter() - began) * 1e3
        bare = _bare_scan(rules)
        ours, floor = _fastest((table.candidates, bare), numbers, arguments.rounds)
        matched = sum(bare(number) is not None for number in numbers) / len(numbers)
        print(f"{size:>9,} {build:>9.1f} {ours:>9.0f} {floor:>9.0f} {ours / floor:>6.2f} {matched:>8.0%}")


def _rules(size: int) -> tuple[Rule, ...]:
    """``size`` different random prefixes over seven instances, and a default."""
    prefixes: dict[str, None] = {}
    while len(prefixes) < size:
        digits = random.choice(LENGTHS)
        prefixes[f"+{random.randint(10 ** (digits - 1), 10**digits - 1)}"] = None
    share = list(prefixes)
    clauses = (
        Rule(instance=name, prefixes=tuple(share[index :: len(INSTANCES)])) for index, name in enumerate(INSTANCES)
    )
    return (Rule(instance="standard"), *clauses)


def _bare_scan(rules: tuple[Rule, ...]) -> Callable[[str], str | None]:
    """The least that finds the longest prefix: one dict per length, longest first."""
    tables: dict[int, dict[str, str]] = {}
    for rule in rules:
        for prefix in rule.prefixes:
            tables.setdefault(len(prefix), {})[prefix] = rule.instance
    scan = tuple(sorted(tables.items(), reverse=True))

    def bare(number: str) -> str | None:
        for length, table in scan:
            owner = table.get(number[:length])
            if owner is not None:
                return owner
        return None

    return bare


def _fastest(functions: tuple[Callable[[str], object], ...], numbers: list[str], rounds: int) -> list[float]:
    """Nanoseconds a call for each function; they take turns, so that both meet the same machine."""
    best = [float("inf")] * len(functions)
    for _ in range(rounds):
        for index, function in enumerate(functions):
            began = time.perf_counter_ns()
            for number in numbers:
                function(number)
            best[index] = min(best[index], (time.perf_counter_ns() - began) / len(numbers))
    return best


if __name__ == "__main__":
    main()
