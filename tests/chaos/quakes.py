"""Servers of the plant that are killed, replaced or stand still, and a network that breaks off or falls silent."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import attrs

from .audit import OURS, WELL, Weather
from .engines import Part
from .plant import Plant

BROKEN, KILLED, CUT, HALTED, STILL = "connections broken", "killed", "cut off", "silent", "stands still"
DEMOTED, REPLACED = "demoted", "dead and replaced"
FATES = {BROKEN: 12, KILLED: 4, CUT: 2, HALTED: 2, STILL: 2}
"""What happens how often, to any server."""
FAIL_OVERS = {DEMOTED: 5, REPLACED: 3}
"""To one that has a second."""
_RECOVERS_WITHIN = 30.0
_CALM = 0.3
"""How often nothing happens for so long that whatever can be delivered must be."""


def fates_of(part: Part) -> dict[str, int]:
    """What may happen to this server, and how often."""
    if part.pair is None:
        return FATES
    return {**FATES, **{fate: often for fate, often in FAIL_OVERS.items() if part.pair.may_die or fate != REPLACED}}


def strike(part: Part, fate: str, wait: Callable[[float], object], hold: float) -> None:
    """One of them; ``wait`` waits so many seconds (``hold``) until it is over."""
    if fate == KILLED:
        part.server.kill()
        wait(hold)
        part.server.start()
    elif fate in FAIL_OVERS:
        part.fail_over(dies=fate == REPLACED)
    elif fate == STILL:
        pids = part.server.pids()
        _signal(pids, signal.SIGSTOP)
        try:
            wait(hold)
        finally:
            _signal(pids, signal.SIGCONT)
    elif fate == HALTED:
        part.network.halt()
        wait(hold)
        part.network.mend()
    else:
        part.network.cut()
        wait(hold if fate == CUT else 0.0)
        part.network.mend()


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@attrs.define(eq=False)
class Quakes:
    """One after the other, until it is told to stop.

    Args:
        happened: How often what.
        recovered: Seconds from the end of each outage to the next message.
    """

    plant: Plant
    rng: random.Random
    weather: Weather
    happened: Counter[str] = attrs.field(factory=Counter)
    recovered: list[float] = attrs.field(factory=list)

    @property
    def fail_overs(self) -> int:
        return sum(count for what, count in self.happened.items() if what.endswith((DEMOTED, REPLACED)))

    def rage(self, ends: float, stop: threading.Event) -> None:
        """Until then (monotonic seconds): as long as somebody sends all the time."""
        while self.plant.engine.parts and not stop.wait(self._calm()) and time.monotonic() < ends:
            part = self.rng.choice(self.plant.engine.parts)
            fates = fates_of(part)
            self._strike(part, self.rng.choices(list(fates), fates.values())[0], stop)

    def _calm(self) -> float:
        if self.rng.random() < _CALM:
            return WELL.total_seconds() + self.rng.uniform(2.0, 10.0)
        return self.rng.uniform(4.0, 10.0)

    def _strike(self, part: Part, fate: str, stop: threading.Event) -> None:
        """One of them, and wait for the first message after it."""
        self.happened[f"{part.name} {fate}"] += 1
        left = self.plant.clock()
        strike(part, fate, stop.wait, self.rng.uniform(0.5, 8.0 if fate == STILL else 4.0))
        if part.name != "rabbitmq" and fate != BROKEN:  # without a broker, retries run from the store
            self.weather.away.append((OURS, left, self.plant.clock()))
        before, began = len(self.plant.vendors.received), time.monotonic()
        while len(self.plant.vendors.received) == before and time.monotonic() - began < _RECOVERS_WITHIN:
            if stop.wait(0.005):
                break
        if fate != BROKEN and len(self.plant.vendors.received) > before:
            self.recovered.append(time.monotonic() - began)
        if fate in FAIL_OVERS and part.pair is not None:
            part.pair.follow()
