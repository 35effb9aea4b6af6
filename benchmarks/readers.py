"""What the figures mean for one who plans for a number of sends a day: sentences made from the results."""

from __future__ import annotations

from benchmarks.plan import Results
from benchmarks.scenarios import round_trip
from benchmarks.tables import callers, figure

__all__ = ["for_readers"]

_DAY = 86_400
_PEAK = 10  # the busiest second of a day, in multiples of the mean one
_STORES = ("SQLite FULL", "SQLite NORMAL", "PostgreSQL", "Redis", "MariaDB")
_PLANS = (100_000, 1_000_000, 10_000_000)


def for_readers(results: Results) -> str:
    """Paragraphs; one sentence where round trips with 32 callers were not measured."""
    costs = {
        store: cpu
        for store in _STORES
        if (cpu := results.value("round_trip", callers(32), f"otpcore, {store}", "cpu")) is not None
    }
    if not costs:
        return "Sends with verifications were not measured in this run."
    lines = [f"- {plan:,} a day: {_shares(costs, plan)}." for plan in _PLANS]
    return "\n\n".join((_LOAD, "\n".join(lines), *_alone(results), _WHY))


_LOAD = (
    "A code that is sent and verified costs your process the CPU below, with 32 callers at once; the rest of the time it waits, "
    f"for the database and for the provider. A day is not even: its busiest second is taken as {_PEAK} times the mean one. So much "
    "of one core, of the speed of this machine, is busy in that second:"
)
_BESIDE = ", beside the provider's own time; a server that is not on the same machine adds its network's latency for each round trip."
_WHY = (
    "What costs most is keeping what is promised: limits that hold across processes, a delivery that is on record before the "
    "provider hears of it, a code that is accepted once. The memory store keeps these without a database and shows what the "
    "Python around them takes; the rest is the database's client."
)


def _shares(costs: dict[str, float], plan: int) -> str:
    shares = {store: plan / _DAY * _PEAK * cpu / 1e6 for store, cpu in costs.items()}
    return ", ".join(f"{store} {_share(share)}" for store, share in shares.items())


def _share(cores: float) -> str:
    return f"{cores * 100:.0f} %" if cores < 1 else f"{figure(cores)} cores"


def _alone(results: Results) -> list[str]:
    """How long one person waits for us, where nobody else does."""
    waits = {
        store: wait / 1e3
        for store in _STORES
        if (wait := results.value("round_trip", round_trip.setting(1), f"otpcore, {store}", "p50")) is not None
    }
    if not waits:
        return []
    said = ", ".join(f"{figure(wait)} ms on {store}" for store, wait in waits.items())
    return [f"One caller alone waits {said} for both steps together{_BESIDE}"]
