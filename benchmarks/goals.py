"""Thirteen goals by which one would choose a library, each with what was measured, its floor and the best peer of the same run.

Nearly all are ratios of one run, as absolute times differ from machine to machine.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

import attrs

from benchmarks.plan import Results
from benchmarks.scenarios import growth, outage, processes, round_trip, send, series, service, startup, verify
from benchmarks.tables import Table, callers, figure

__all__ = ["Goal", "Part", "Verdict", "as_lines", "as_table", "judged"]

_ALONE, _MANY, _CROWD = callers(1), callers(32), callers(256)
_SQLITE, _POSTGRES, _REDIS = "SQLite NORMAL", "PostgreSQL", "Redis"
_MEMORY = "otpcore, memory"


class Verdict(enum.StrEnum):
    """Whether a goal is met."""

    MET = "met"
    NOT_MET = "NOT MET"
    OPEN = "not measured"


@attrs.frozen(kw_only=True)
class Part:
    """One figure of a goal, which may be at most ``limit``.

    Args:
        name: On which store, or of what.
        value: What was measured; None: it was not.
        limit: What is asked.
        unit: Behind both, such as ``x`` or ``ms``.
    """

    name: str
    value: float | None
    limit: float
    unit: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.value is None:
            return Verdict.OPEN
        return Verdict.MET if self.value <= self.limit else Verdict.NOT_MET

    def __str__(self) -> str:
        shown = f"{figure(self.value)}{self.unit}" if self.value is not None else "?"
        marked = f"**{shown}**" if self.verdict is Verdict.NOT_MET else shown
        return f"{self.name} {marked} ({self.limit:g})"


@attrs.frozen(kw_only=True)
class Goal:
    """One line of the table.

    Args:
        number: From 1.
        text: What is asked, in words.
        parts: What came out and what may be.
        floor: What the work costs at least, and how much that is.
        peer: The best of the others in the same run; empty: there is none.
    """

    number: int
    text: str
    parts: tuple[Part, ...]
    floor: str = ""
    peer: str = ""

    @property
    def verdict(self) -> Verdict:
        """Not met where one part is not; met where all that was measured are, and something was."""
        found = {part.verdict for part in self.parts}
        return next((one for one in (Verdict.NOT_MET, Verdict.MET) if one in found), Verdict.OPEN)


def judged(results: Results) -> list[Goal]:
    """All goals, in order."""
    return [attrs.evolve(goal, number=number) for number, goal in enumerate(_goals(results), 1)]


def as_lines(goals: list[Goal]) -> str:
    """For a terminal, where a table would be too wide."""
    return "\n".join(
        f"{goal.number:2} {goal.verdict.value:13}{goal.text}: {', '.join(map(str, goal.parts))}" for goal in goals
    )


def as_table(goals: list[Goal]) -> Table:
    head = ["", "goal: at most what is in brackets", "measured", "", "floor", "best peer"]
    rows = [
        [str(goal.number), goal.text, ", ".join(map(str, goal.parts)), goal.verdict.value, goal.floor, goal.peer]
        for goal in goals
    ]
    return Table(title="Goals", head=head, rows=rows)


def _goals(results: Results) -> Iterator[Goal]:
    crowds = {_POSTGRES: 4.7, _REDIS: 2.4, _SQLITE: 1.3}
    yield _beside_memory(results, _MANY, crowds)
    yield _beside_memory(results, _ALONE, {_POSTGRES: 10.9, _REDIS: 4.7, _SQLITE: 4.1})
    yield _beside_memory(results, _CROWD, crowds)
    yield _beside_peers(results, _MANY, {_POSTGRES: 1.0, _SQLITE: 1.0})
    yield _beside_peers(results, _ALONE, {_POSTGRES: 2.0, _SQLITE: 1.5})
    yield _send(results)
    yield _verify(results)
    yield _processes(results)
    yield _many_rows(results)
    yield _outage(results)
    yield _service(results)
    yield _start(results)
    yield _worker(results)


def _beside_memory(results: Results, setting: str, limits: Mapping[str, float]) -> Goal:
    def ratio(store: str) -> float | None:
        return results.ratio("round_trip", setting, f"otpcore, {store}", _MEMORY, "cpu")

    parts = tuple(Part(name=store, value=ratio(store), limit=limit, unit=" x") for store, limit in limits.items())
    least = figure(results.value("round_trip", setting, _MEMORY, "cpu"))
    return Goal(
        number=0,
        text=f"a send and its verification, {setting}: CPU x that of the memory store",
        parts=parts,
        floor=f"the memory store, {least} us" if least else "",
        peer=_best_peer(results, setting, _POSTGRES)[1],
    )


def _best_peer(results: Results, setting: str, store: str) -> tuple[str, str]:
    """The name of the one that costs least on this database, and that with its figure."""
    costs = {
        name: cpu
        for name in round_trip.PEERS
        if name.endswith(store) and (cpu := results.value("round_trip", setting, name, "cpu")) is not None
    }
    best = min(costs, key=costs.__getitem__, default="")
    return best, f"{best}, {figure(costs[best])} us" if best else ""


def _beside_peers(results: Results, setting: str, limits: Mapping[str, float]) -> Goal:
    parts, peers = [], []
    for store, limit in limits.items():
        best, said = _best_peer(results, setting, store)
        ratio = results.ratio("round_trip", setting, f"otpcore, {store}", best, "cpu") if best else None
        parts.append(Part(name=store, value=ratio, limit=limit, unit=" x"))
        peers += [said] if said else []
    return Goal(
        number=0,
        text=f"a send and its verification, {setting}: CPU x that of the best peer on the same database",
        parts=tuple(parts),
        floor="keeping a code, without deliveries, limits and retries",
        peer="; ".join(peers),
    )


def _send(results: Results) -> Goal:
    limits = {_ALONE: (2.5, 2.5, 4.0), _MANY: (1.3, 1.5, 2.0), _CROWD: (1.3, 1.5, 2.0)}
    least = figure(results.value("send", _MANY, send.floor_of(_POSTGRES), "cpu"))
    peer = figure(results.value("send", _MANY, send.SDK, "cpu"))
    return Goal(
        number=0,
        text="a send over HTTP: CPU x one commit in the same database and one POST",
        parts=_beside_floors(results, "send", limits),
        floor=f"on PostgreSQL with 32 callers {least} us" if least else "",
        peer=f"{send.SDK}, which keeps nothing, {peer} us" if peer else "",
    )


def _verify(results: Results) -> Goal:
    limits = {_ALONE: (10.0, 6.0, 7.0), _MANY: (5.0, 4.0, 4.0), _CROWD: (5.0, 4.0, 4.0)}
    least = figure(results.value("verify", _MANY, verify.floor_of(_POSTGRES), "cpu"))
    name = "django-otp-twilio, PostgreSQL"
    peer = figure(results.value("verify", _MANY, name, "cpu"))
    return Goal(
        number=0,
        text="a verification: CPU x one look and one commit in the same database",
        parts=_beside_floors(results, "verify", limits),
        floor=f"on PostgreSQL with 32 callers {least} us" if least else "",
        peer=f"{name}, {peer} us" if peer else "",
    )


def _beside_floors(
    results: Results, scenario: str, limits: Mapping[str, tuple[float, float, float]]
) -> tuple[Part, ...]:
    """For each number of callers the three stores, each beside its own floor."""
    return tuple(
        Part(
            name=f"{store}, {setting}:",
            value=results.ratio(scenario, setting, f"otpcore, {store}", f"floor, {store}", "cpu"),
            limit=limit,
            unit=" x",
        )
        for setting, asked in limits.items()
        for store, limit in zip((_SQLITE, _REDIS, _POSTGRES), asked, strict=True)
    )


def _processes(results: Results) -> Goal:
    one = processes.name_of(1)
    parts = [
        Part(
            name=name,
            value=results.ratio("processes", processes.SETTING, name, one, "cpu"),
            limit=1.15,
            unit=" x",
        )
        for name in map(processes.name_of, processes.COUNTS[1:])
    ]
    least = figure(results.value("processes", processes.SETTING, one, "cpu"))
    return Goal(
        number=0,
        text="more processes on one PostgreSQL: CPU of a send and its verification x one process's",
        parts=tuple(parts),
        floor=f"one process, {least} us" if least else "",
    )


def _many_rows(results: Results) -> Goal:
    parts, rows = [], None
    for name in growth.STORES.values():
        found = results.row("growth", growth.SETTING, name) or {}
        rows = rows or found.get("rows")
        parts += [
            Part(name=f"a page on {name}", value=found.get("page"), limit=2.0, unit=" x"),
            Part(name=f"all commands on {name}", value=found.get("ratio"), limit=1.2, unit=" x"),
        ]
    day = results.row("series", series.SETTING, series.DAY) or {}
    parts.append(Part(name="a day's series on SQLite", value=day.get("by_all"), limit=50, unit=" ms"))
    return Goal(
        number=0,
        text=f"with {figure(rows, 7) or '1,000,000'} rows: time x that with 1,000; a day's series",
        parts=tuple(parts),
        floor="1,000 rows",
    )


def _outage(results: Results) -> Goal:
    parts, peers, codes = [], [], None
    for name in results.names("outage", outage.SETTING):
        row = results.row("outage", outage.SETTING, name)
        if row is None:
            continue
        codes = row["sent"]
        if not name.startswith("otpcore"):
            peers.append(f"{name}, {figure(row['drain'])} s")
            continue
        who = name.removeprefix("otpcore, ")
        parts += [
            Part(name=who, value=row["drain"], limit=round(1.5 * _ideal(codes), 1), unit=" s"),
            Part(name="lost or too late", value=row["sent"] - row["delivered"] + row["late"], limit=0),
        ]
    return Goal(
        number=0,
        text="an outage of the provider: seconds from its end until all that waits is sent, and how many are lost or come too late",
        parts=tuple(parts) or (Part(name="drain", value=None, limit=0),),
        floor=f"{codes:,.0f} codes in 128 places, {figure(_ideal(codes))} s" if codes else "",
        peer="; ".join(peers),
    )


def _ideal(codes: float) -> float:
    """Seconds in which all places, never idle, would send so many."""
    return codes * outage.LATENCY / outage.SLOTS


def _service(results: Results) -> Goal:
    """On the store that keeps most, as it is set up by itself."""
    name, floor = service.name_of("SQLite FULL"), service.ALONE
    row = results.row("service", service.ASKED, name) or {}
    rate = row.get("rate")
    parts = (
        Part(name="errors", value=row.get("errors"), limit=0),
        Part(name="asked / answered a second", value=service.RATE / rate if rate else None, limit=1.05, unit=" x"),
        Part(name="p99", value=results.ratio("service", service.ASKED, name, floor, "p99"), limit=10, unit=" x"),
        Part(name="CPU", value=results.ratio("service", service.ASKED, name, floor, "cpu"), limit=10, unit=" x"),
    )
    wait, cpu = (results.value("service", service.ASKED, floor, one) for one in ("p99", "cpu"))
    return Goal(
        number=0,
        text=f"otp serve on SQLite, {service.RATE} verifications a second started and checked: errors; p99 and CPU x FastAPI alone",
        parts=parts,
        floor=f"FastAPI alone, p99 {figure(wait / 1e3)} ms, {figure(cpu)} us" if wait and cpu else "",
    )


def _start(results: Results) -> Goal:
    def ratio(name: str, beside: str) -> float | None:
        return results.ratio("startup", startup.SETTING, name, beside, "ms")

    bare, libraries = (
        results.value("startup", startup.SETTING, name, "ms") for name in (startup.ARGPARSE, startup.LIBRARIES)
    )
    return Goal(
        number=0,
        text="start: of `otp --help` x argparse alone; of `otp status` and of a host x the import of the libraries",
        parts=(
            Part(name="otp --help", value=ratio("otp --help", startup.ARGPARSE), limit=4, unit=" x"),
            Part(name="otp status", value=ratio("otp status", startup.LIBRARIES), limit=1.5, unit=" x"),
            Part(name="a host", value=ratio(startup.HOST, startup.LIBRARIES), limit=1.5, unit=" x"),
        ),
        floor=f"argparse {figure(bare)} ms, libraries {figure(libraries)} ms" if bare and libraries else "",
    )


def _worker(results: Results) -> Goal:
    def size(name: str) -> float | None:
        return results.value("startup", startup.SETTING, name, "mb")

    peers = {name: mb for name in startup.PEERS if (mb := size(name))}
    libraries = size(startup.LIBRARIES)
    return Goal(
        number=0,
        text="memory of an idle worker",
        parts=(Part(name="otp worker", value=size(startup.WORKER), limit=80, unit=" MB"),),
        floor=f"its libraries imported, {figure(libraries)} MB" if libraries else "",
        peer="; ".join(f"{name}, {figure(mb)} MB" for name, mb in peers.items()),
    )
