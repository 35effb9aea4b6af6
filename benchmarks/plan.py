"""What is measured: cases, what they are run against, and what came out."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import attrs

__all__ = ["CORE", "FULL", "QUICK", "TINY", "Case", "Missing", "Results", "Sizes", "Storage", "World"]

CORE = "core"  # the lane in which otpcore and the floors run


@attrs.frozen(kw_only=True)
class Sizes:
    """How much is measured. Times in seconds."""

    rounds: int
    window: float
    warm_up: float
    verifications: int
    numbers: int
    prefixes: tuple[int, ...]
    outage: float
    starts: int
    rows: int
    turns: int
    grid: tuple[tuple[int, float], ...]


_GRID = ((1, 0.0), (32, 0.0), (256, 0.05))  # callers, and seconds that the provider takes of a send

FULL = Sizes(
    rounds=3,
    window=1.0,
    warm_up=0.4,
    verifications=600,
    numbers=200_000,
    prefixes=(10, 1_000, 100_000, 1_000_000),
    outage=30.0,
    starts=7,
    rows=1_000_000,
    turns=150,
    grid=_GRID,
)
QUICK = Sizes(
    rounds=1,
    window=0.3,
    warm_up=0.2,
    verifications=200,
    numbers=20_000,
    prefixes=(10, 1_000, 100_000),
    outage=3.0,
    starts=1,
    rows=10_000,
    turns=40,
    grid=((1, 0.0), (32, 0.0)),
)
TINY = Sizes(
    rounds=1,
    window=0.05,
    warm_up=0.05,
    verifications=20,
    numbers=200,
    prefixes=(10, 1_000),
    outage=1.0,
    starts=1,
    rows=2_000,
    turns=5,
    grid=((1, 0.0), (4, 0.0)),
)


@attrs.frozen(kw_only=True)
class Storage:
    """A store to measure on.

    Args:
        name: For people: ``SQLite FULL``.
        settings: Of the section ``storage``; an SQLite file gets a new place for each case.
        absent: Why it cannot be measured here; empty: it can.
    """

    name: str
    settings: Mapping[str, str] = attrs.field(factory=dict)
    absent: str = ""


@attrs.frozen(kw_only=True)
class World:
    """What cases run against.

    Args:
        sizes: How much is measured.
        urls: Of the stub provider, by latency in seconds as text, and ``tls``.
        certificate: Path of the certificate that the stub shows over TLS.
        stores: To measure on.
        directory: For files; emptied afterwards.
        peers: Whether peers are measured.
        peers_database: Where theirs is on the same PostgreSQL server; empty: there is none.
    """

    sizes: Sizes
    urls: Mapping[str, str]
    certificate: str
    stores: tuple[Storage, ...]
    directory: str
    peers: bool = True
    peers_database: str = ""

    @property
    def times(self) -> dict[str, float]:
        """The window of a case that runs steadily."""
        return {"warm_up": self.sizes.warm_up, "seconds": self.sizes.window}

    def store(self, name: str) -> Storage:
        """Raises: StopIteration: it is not in this run."""
        return next(one for one in self.stores if one.name == name)

    def ours(self, scenario: str, setting: str, measure: str, **parameters: Any) -> Iterator[Case | Missing]:
        """One case of otpcore for each store."""
        for store in self.stores:
            row = {"scenario": scenario, "setting": setting, "name": f"otpcore, {store.name}"}
            if store.absent:
                yield Missing(**row, why=store.absent)
            else:
                given = {"storage": dict(store.settings), "directory": self.directory, **parameters}
                yield Case(**row, measure=measure, parameters=given)

    def theirs(
        self, scenario: str, setting: str, found: Mapping[str, tuple[str, str]], **parameters: Any
    ) -> Iterator[Case | Missing]:
        """The peers among these that are to be measured: by name the lane and the measure, over the database that the name ends with."""
        for name, (lane, measure) in found.items() if self.peers else ():
            needs_server = name.endswith("PostgreSQL")
            row = {"scenario": scenario, "setting": setting, "name": name}
            if needs_server and not self.peers_database:
                yield Missing(**row, why="PostgreSQL is not in this run")
                continue
            database = self.peers_database if needs_server else ""
            yield Case(**row, measure=measure, parameters={"database": database, **parameters}, lane=lane)

    def workers(self, scenario: str, setting: str, measure: str, **parameters: Any) -> Iterator[Case | Missing]:
        """One case of each worker that people build retries on, in the lane ``retrying``."""
        redis = next((one.settings["url"] for one in self.stores if one.name == "Redis" and not one.absent), "")
        servers = {"redis": redis, "database": self.peers_database}
        known = {
            "celery, Redis": ("celery", redis),
            "procrastinate, PostgreSQL": ("procrastinate", self.peers_database),
        }
        for name, (kind, server) in known.items() if self.peers else ():
            row = {"scenario": scenario, "setting": setting, "name": name}
            if server:
                given = {"kind": kind, **servers, **parameters}
                yield Case(**row, measure=measure, parameters=given, lane="retrying", once=True)
            else:
                yield Missing(**row, why="its server is not in this run")


@attrs.frozen(kw_only=True)
class Case:
    """One thing to measure.

    Args:
        scenario: Name of the module under ``scenarios``.
        setting: The circumstances that several cases share: ``32 in flight, 50 ms``.
        name: Who is measured.
        measure: The function of the lane that measures it.
        lane: The environment it runs in.
        once: In the first round only: it takes long, and its figure hardly moves.
        fresh: In a process of its own, because it measures memory.
    """

    scenario: str
    setting: str
    name: str
    measure: str
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    lane: str = CORE
    once: bool = False
    fresh: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.scenario, self.setting, self.name)


@attrs.frozen(kw_only=True)
class Missing:
    """A row that is named and not measured; ``is_failure``: it is ours, and should have been."""

    scenario: str
    setting: str
    name: str
    why: str
    is_failure: bool = False


@attrs.define
class Results:
    """What came out, by scenario, setting and name."""

    rounds: dict[tuple[str, str, str], list[dict[str, Any]]] = attrs.field(factory=dict)
    missing: list[Missing] = attrs.field(factory=list)

    def add(self, case: Case, measured: dict[str, Any]) -> None:
        self.rounds.setdefault(case.key, []).append(measured)

    def miss(self, case: Case, why: str) -> None:
        if not any((one.scenario, one.setting, one.name) == case.key for one in self.missing):
            fields = {"scenario": case.scenario, "setting": case.setting, "name": case.name}
            self.missing.append(Missing(**fields, why=why, is_failure=case.lane == CORE))

    @property
    def failures(self) -> list[str]:
        """What of otpcore and the floors failed or could not be measured."""
        failed = [key for key, rounds in self.rounds.items() if any(one.get("errors") for one in rounds)]
        failed += [(one.scenario, one.setting, one.name) for one in self.missing if one.is_failure]
        return [", ".join(part for part in key if part) for key in failed]

    def forget(self, scenarios: Collection[str]) -> None:
        """What is about to be measured again."""
        self.rounds = {key: rounds for key, rounds in self.rounds.items() if key[0] not in scenarios}
        self.missing = [one for one in self.missing if one.scenario not in scenarios]

    def row(self, scenario: str, setting: str, name: str) -> dict[str, Any] | None:
        """The median of each figure over the rounds; the sum of errors."""
        rounds = self.rounds.get((scenario, setting, name))
        return _medians(rounds) if rounds else None

    def value(self, scenario: str, setting: str, name: str, figure: str) -> float | None:
        row = self.row(scenario, setting, name)
        found = None if row is None else row.get(figure)
        return None if found is None else float(found)

    def ratio(
        self, scenario: str, setting: str, name: str, floor: str, figure: str, *, floor_setting: str | None = None
    ) -> float | None:
        """A figure in multiples of another case's; the median of the rounds' own ratios where both ran in each."""
        ours = self.rounds.get((scenario, setting, name), [])
        theirs = self.rounds.get((scenario, setting if floor_setting is None else floor_setting, floor), [])
        pairs = [(a.get(figure), b.get(figure)) for a, b in zip(ours, theirs, strict=False)]
        ratios = [a / b for a, b in pairs if a is not None and b]
        return statistics.median(ratios) if ratios else None

    def settings(self, scenario: str) -> list[str]:
        """In the order in which they were planned."""
        known = (*self.rounds, *((one.scenario, one.setting, one.name) for one in self.missing))
        return list(dict.fromkeys(setting for name, setting, _ in known if name == scenario))

    def names(self, scenario: str, setting: str) -> list[str]:
        return [name for one, other, name in self.rounds if (one, other) == (scenario, setting)]

    def planned(self, cases: Iterable[Case]) -> None:
        """Fix the order of the rows before they are measured in any other."""
        for case in cases:
            self.rounds.setdefault(case.key, [])


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for figure in dict.fromkeys(key for one in rounds for key in one):
        values = [one[figure] for one in rounds if one.get(figure) is not None]
        numbers = [value for value in values if isinstance(value, int | float)]
        if figure == "errors":
            row[figure] = sum(numbers)
        elif numbers:
            row[figure] = statistics.median(numbers)
        elif values:
            row[figure] = values[0] if figure != "error" else next((one for one in values if one), "")
    return row
