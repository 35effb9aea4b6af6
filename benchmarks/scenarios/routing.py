"""Routing one number by the longest of many prefixes: a bare scan of one dict per length, ours, and a regex for each gateway."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.measuring import each
from benchmarks.plan import Case, Results, World
from benchmarks.tables import Table, figure
from otpcore.routing import RoutingTable, Rule

__all__ = ["MEASURES", "NOTE", "OURS", "REGEX", "SCAN", "TITLE", "cases", "setting", "tables"]

TITLE = "Routing"
NOTE = "One look-up of a random number over seven gateways. The regex is one alternation for each gateway, all tried in turn."
OURS, SCAN, REGEX = "otpcore", "dict for each length", "regex for each gateway"
_LENGTHS = range(3, 8)  # digits of a prefix: from a country to an operator's range (+1 415 555)
_INSTANCES = tuple(f"provider{number}" for number in range(7))
_MOST_FOR_REGEX = 100_000  # prefixes; beyond that building alone takes minutes
_LOOKUPS_OF_REGEX = 500


def setting(prefixes: int) -> str:
    return f"{prefixes:,} prefixes"


def cases(world: World) -> Iterator[Case]:
    for size in world.sizes.prefixes:
        for name in (SCAN, OURS, REGEX):
            if name == REGEX and size > _MOST_FOR_REGEX:
                continue
            numbers = min(world.sizes.numbers, _LOOKUPS_OF_REGEX) if name == REGEX else world.sizes.numbers
            parameters = {"name": name, "prefixes": size, "numbers": numbers}
            yield Case(
                scenario="routing", setting=setting(size), name=name, measure="routing.look_up", parameters=parameters,
                once=name == REGEX,
            )  # fmt: skip


def look_up(name: str, prefixes: int, numbers: int) -> Mapping[str, Any]:
    return each(_router(name, prefixes), _numbers(numbers))


MEASURES = {"routing.look_up": look_up}


def tables(results: Results) -> Iterator[Table]:
    rows = []
    for one in results.settings("routing"):
        found = [results.value("routing", one, name, "cpu") for name in (SCAN, OURS, REGEX)]
        ratios = [results.ratio("routing", one, name, SCAN, "cpu") for name in (OURS, REGEX)]
        rows.append([one, *(figure(value) for value in (*found, *ratios))])
    head = ["", f"{SCAN} us", f"{OURS} us", f"{REGEX} us", f"{OURS} x dict", "regex x dict"]
    yield Table(title="routing: one look-up", head=head, rows=rows)


@functools.cache
def _numbers(count: int) -> list[str]:
    made = random.Random(7)
    return [f"+{made.randint(10**11, 10**12 - 1)}" for _ in range(count)]


@functools.cache
def _rules(size: int) -> tuple[Rule, ...]:
    """``size`` different random prefixes over the instances, and a default."""
    made = random.Random(size)
    prefixes: dict[str, None] = {}
    while len(prefixes) < size:
        digits = made.choice(_LENGTHS)
        prefixes[f"+{made.randint(10 ** (digits - 1), 10**digits - 1)}"] = None
    share = list(prefixes)
    count = len(_INSTANCES)
    clauses = (Rule(instance=name, prefixes=tuple(share[at::count])) for at, name in enumerate(_INSTANCES))
    return (Rule(instance="standard"), *clauses)


@functools.cache
def _router(name: str, size: int) -> Callable[[str], object]:
    rules = _rules(size)
    return {OURS: lambda: RoutingTable(rules).candidates, SCAN: lambda: _scan(rules), REGEX: lambda: _regex(rules)}[
        name
    ]()


def _scan(rules: tuple[Rule, ...]) -> Callable[[str], str | None]:
    """The least that finds the longest prefix: one dict per length, longest first."""
    by_length: dict[int, dict[str, str]] = {}
    for rule in rules:
        for prefix in rule.prefixes:
            by_length.setdefault(len(prefix), {})[prefix] = rule.instance
    scan = tuple(sorted(by_length.items(), reverse=True))

    def find(number: str) -> str | None:
        for length, table in scan:
            owner = table.get(number[:length])
            if owner is not None:
                return owner
        return None

    return find


def _regex(rules: tuple[Rule, ...]) -> Callable[[str], list[str]]:
    """What the reference does: the gateways whose expression matches."""
    gateways = [
        (rule.instance, re.compile("|".join(re.escape(prefix) for prefix in rule.prefixes)))
        for rule in rules
        if rule.prefixes
    ]

    def find(number: str) -> list[str]:
        return [name for name, pattern in gateways if pattern.match(number)]

    return find
