"""The goals, each with what was measured beside it, and whether it is met. Ratios are of one run, never absolute times."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator

import attrs

from benchmarks.plan import Results
from benchmarks.scenarios import (
    growth,
    hooks,
    lateness,
    memory,
    outage,
    round_trip,
    routing,
    send,
    series,
    startup,
    tls,
    verify,
)
from benchmarks.tables import Table, figure

__all__ = ["Goal", "Verdict", "as_table", "judged"]

_FULL, _NORMAL, _MEMORY = "otpcore, SQLite FULL", "otpcore, SQLite NORMAL", "otpcore, memory"
_S32, _S256 = send.setting(32, 0), send.setting(256, 0.05)
_S32_SLOW = send.setting(32, 0.05)
_ONE, _MANY = "1 in flight", "32 in flight"
_REGEX_AT = 100_000
_SLOTS_DRAIN = 20.0


class Verdict(enum.StrEnum):
    """Whether a goal is met."""

    MET = "met"
    NOT_MET = "NOT MET"
    OPEN = "not measured"


@attrs.frozen(kw_only=True)
class Goal:
    """One line of the table.

    Args:
        id: As the goals are numbered.
        text: What is asked.
        measured: What came out, in words; empty: it was not measured.
    """

    id: str
    text: str
    measured: str = ""
    verdict: Verdict = Verdict.OPEN


def judged(results: Results) -> list[Goal]:
    """All goals, in order."""
    return list(_goals(results))


def as_table(goals: list[Goal]) -> Table:
    rows = [[goal.id, goal.verdict.value, goal.text, goal.measured] for goal in goals]
    return Table(title="Goals", head=["", "", "goal", "measured"], rows=rows)


def _judge(id: str, text: str, value: float | None, holds: Callable[[float], bool], shown: str = "{} x") -> Goal:  # noqa: A002 - its name
    """One goal about one figure."""
    if value is None:
        return Goal(id=id, text=text)
    verdict = Verdict.MET if holds(value) else Verdict.NOT_MET
    return Goal(id=id, text=text, measured=shown.format(figure(value)), verdict=verdict)


def _most(id: str, text: str, value: float | None, limit: float, shown: str = "{} x") -> Goal:  # noqa: A002 - its name
    return _judge(id, f"{text} <= {limit:g}", value, lambda one: one <= limit, shown)


def _least(id: str, text: str, value: float | None, limit: float, shown: str = "{} x") -> Goal:  # noqa: A002 - its name
    return _judge(id, f"{text} >= {limit:g}", value, lambda one: one >= limit, shown)


def _goals(results: Results) -> Iterator[Goal]:
    yield from _send(results)
    yield from _verify(results)
    yield from _round_trip(results)
    yield from _routing(results)
    yield from _outage(results)
    yield from _memory(results)
    yield from _startup(results)
    yield from _hooks(results)
    cpu = results.ratio("tls", tls.SETTING, tls.TLS, tls.CLEAR, "cpu")
    yield _most("G14", "lean transport over TLS, CPU x clear text", cpu, 1.4)
    yield from _growth(results)
    yield from _series(results)


def _send(results: Results) -> Iterator[Goal]:
    for ours, floor, level in ((_FULL, send.F_FULL, "FULL"), (_NORMAL, send.F_NORMAL, "NORMAL")):
        cpu = results.ratio("send", _S32, ours, floor, "cpu")
        yield _most("G1", f"send, 32 in flight, fast, CPU x F, {level}", cpu, 1.3)
    for where, limit in ((_S32, 0.25), (_S256, 0.05)):
        for ours, level in ((_FULL, "FULL"), (_NORMAL, "NORMAL")):
            cpu = results.ratio("send", where, ours, send.SHIPPED, "cpu")
            yield _most("G2", f"send, {where}, CPU x httpx as shipped + commit, {level}", cpu, limit)
    for ours, floor, level in ((_FULL, send.F_FULL, "FULL"), (_NORMAL, send.F_NORMAL, "NORMAL")):
        rate, p99 = (results.ratio("send", _S256, ours, floor, one) for one in ("rate", "p99"))
        yield _least("G3", f"send, {_S256}, rate x F, {level}", rate, 0.8)
        yield _most("G3", f"send, {_S256}, p99 x F, {level}", p99, 1.3)
    for ours, level in ((_FULL, "FULL"), (_NORMAL, "NORMAL")):
        rate = results.ratio("send", _S256, ours, send.LEAN, "rate")
        yield _least("send", f"send, {_S256}, rate x the lean transport alone, {level}", rate, 0.5)
    for ours, level in ((_FULL, "FULL"), (_NORMAL, "NORMAL")):
        p99 = results.value("send", _S32_SLOW, ours, "p99")
        over = None if p99 is None else p99 / 1e3 - 50
        yield _most("G4", f"send, {_S32_SLOW}, p99 over the provider's ms, {level}", over, 15, "{} ms")
        rate = results.ratio("send", _S32_SLOW, ours, send.RAW, "rate")
        yield _least("G4", f"send, {_S32_SLOW}, rate x raw sockets, {level}", rate, 0.95)


def _verify(results: Results) -> Iterator[Goal]:
    for where, ours, floor, limit, level in (
        (_MANY, _NORMAL, verify.RAW_NORMAL, 0.6, "NORMAL"),
        (_MANY, _FULL, verify.RAW_FULL, 4.0, "FULL"),
        (_ONE, _NORMAL, verify.RAW_NORMAL, 0.2, "NORMAL"),
        (_ONE, _FULL, verify.RAW_FULL, 0.2, "FULL"),
    ):
        rate = results.ratio("verify", where, ours, floor, "rate")
        yield _least("G5", f"verify, {where}, rate x raw one commit each, {level}", rate, limit)


def _round_trip(results: Results) -> Iterator[Goal]:
    peers = [results.value("round_trip", _ONE, name, "cpu") for name in round_trip.PEERS_SQLITE]
    best = min((one for one in peers if one is not None), default=None)
    for where, limit in ((_MANY, 0.25), (_ONE, 0.6)):
        ours = results.value("round_trip", where, _NORMAL, "cpu")
        cpu = ours / best if ours is not None and best else None
        yield _most("G6", f"send, verify, {where}, CPU x the best peer on SQLite, NORMAL", cpu, limit)
    cpu = results.ratio("round_trip", _ONE, _MEMORY, round_trip.PEERS_MEMORY[0], "cpu")
    yield _most("G7", "send, verify in memory, CPU x better-auth in memory", cpu, 0.5)
    growth_of = results.value("round_trip", round_trip.CROWD, _MEMORY, "growth")
    pending = results.value("round_trip", round_trip.CROWD, _MEMORY, "pending")
    text = f"send, verify in memory with {figure(pending) or 'many'} pending, CPU x with none"
    yield _most("G7", text, growth_of, 1.2)


def _routing(results: Results) -> Iterator[Goal]:
    for where in results.settings("routing"):
        cpu = results.ratio("routing", where, routing.OURS, routing.SCAN, "cpu")
        yield _most("G8", f"routing, {where}, x a dict for each length", cpu, 1.2)
    cpu = results.ratio("routing", routing.setting(_REGEX_AT), routing.REGEX, routing.OURS, "cpu")
    yield _least("G8", "routing, 100,000 prefixes, times faster than a regex for each gateway", cpu, 300)


def _outage(results: Results) -> Iterator[Goal]:
    for name in results.names("outage", outage.SETTING):
        row = results.row("outage", outage.SETTING, name)
        if row is None or not name.startswith("otpcore"):
            continue
        who = name.removeprefix("otpcore, ")
        yield _most("G9", f"outage, drained after seconds, {who}", row["drain"], _SLOTS_DRAIN, "{} s")
        yield _most("G9", f"outage, delivered too late, {who}", row["late"], 0, "{}")
        yield _least("G9", f"outage, share delivered, {who}", row["delivered"] / row["sent"], 1, "{}")
        yield _most("G9", f"outage, probes a second, {who}", row.get("probes"), 2, "{}")
        send_cpu = results.value("send", _S32, name, "cpu")
        drain = row["cpu_seconds"] * 1e6 / row["sent"] / send_cpu if send_cpu else None
        yield _most("G9", f"outage, drain CPU of one code x one send, {who}", drain, 1)
    for name in results.names("lateness", lateness.SETTING):
        late = results.value("lateness", lateness.SETTING, name, "late_p99")
        who = name.removeprefix("otpcore, ")
        yield _most("late", f"retry lateness p99 in ms, {who}, one dead number beside", late, 50, "{} ms")


def _memory(results: Results) -> Iterator[Goal]:
    full = results.row("memory", memory.SETTING, _FULL) or {}
    yield _most("G10", "tasks for each pending code", full.get("tasks"), 0, "{}")
    yield _most("G10", "heap bytes of the process for each pending code, SQLite", full.get("heap"), 250, "{} B")
    heap = results.value("memory", memory.SETTING, _MEMORY, "heap")
    yield _most("G10", "bytes for each pending code in memory", heap, 1024, "{} B")
    yield _most("G10", "bytes on disk for each pending code, SQLite", full.get("stored"), 300, "{} B")


def _startup(results: Results) -> Iterator[Goal]:
    def row(name: str, figure_: str) -> float | None:
        return results.value("startup", startup.SETTING, name, figure_)

    def over(figure_: str) -> float | None:
        ours, bare = row("import otpcore", figure_), row(startup.BARE, figure_)
        return ours - bare if ours is not None and bare is not None else None

    yield _most("G11", "import otpcore, ms over bare Python", over("ms"), 50, "{} ms")
    yield _most("G11", "import otpcore, MB over bare Python", over("mb"), 12, "{} MB")
    imported = results.row("startup", startup.SETTING, "import otpcore")
    if imported is not None:
        loaded = imported.get("forbidden", "")
        verdict = Verdict.NOT_MET if loaded else Verdict.MET
        yield Goal(id="G11", text="import otpcore loads nothing heavy", measured=loaded or "nothing", verdict=verdict)
    for command in ("otp --version", "otp --help"):
        ratio = results.ratio("startup", startup.SETTING, command, "bare Python with argparse", "ms")
        yield _most("G12", f"{command}, x bare Python with argparse", ratio, 4)
    ratio = results.ratio("startup", startup.SETTING, "otp status", "import sqlmodel, an httpx client", "ms")
    yield _most("G12", "otp status, x import sqlmodel and an httpx client", ratio, 1.15)
    yield _most("G12", "idle worker, resident MB", row(startup.WORKER, "mb"), 80, "{} MB")


def _hooks(results: Results) -> Iterator[Goal]:
    yield _most("G13", "one hook call, us", results.value("hooks", hooks.SETTING, hooks.HOOK, "cpu"), 2, "{} us")
    yield _most("G13", "hook calls in one send", results.value("hooks", hooks.SETTING, hooks.CALLS, "count"), 10, "{}")
    yield _most(
        "G13", "reading one setting, us", results.value("hooks", hooks.SETTING, hooks.READ, "cpu"), 0.1, "{} us"
    )


def _growth(results: Results) -> Iterator[Goal]:
    one, two = growth.setting_of(1), growth.setting_of(2)
    rate = results.ratio("growth", growth.SETTING, two, one, "rate")
    cpu = results.ratio("growth", growth.SETTING, two, one, "cpu")
    yield _least("growth", "two workers on PostgreSQL, rate x one (both on the client's core)", rate, 1.7)
    yield _least("growth", "the same by CPU for each retry: 2 / (CPU of two x one)", 2 / cpu if cpu else None, 1.7)
    grown = results.row("growth", growth.ROWS, growth.ALL) or {}
    text = (
        f"cost with {figure(grown.get('rows'), 7) or '1,000,000'} rows x with 1,000, all commands, the dearest database"
    )
    yield _most("growth", text, grown.get("ratio"), 1.2)


def _series(results: Results) -> Iterator[Goal]:
    row = results.row("series", series.SETTING, series.DAY) or {}
    text = f"a day's series of {figure(row.get('rows'), 7) or '1,000,000'} deliveries, SQLite, ms"
    yield _most("series", text, row.get("by_all"), 50, "{} ms")
