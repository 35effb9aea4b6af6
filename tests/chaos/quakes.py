"""Servers of the plant that are killed and started again, and a network that breaks off or falls silent."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import attrs

from .audit import OURS, Weather
from .engines import Part
from .plant import Plant

BROKEN, KILLED, CUT, HALTED = "connections broken", "killed", "cut off", "silent"
FATES = {BROKEN: 12, KILLED: 4, CUT: 2, HALTED: 2}
"""What happens how often: outages leave times between them that are long enough to see whether anything is lost."""
_RECOVERS_WITHIN = 30.0


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

    def rage(self, ends: float, stop: threading.Event) -> None:
        """Until then (monotonic seconds): as long as somebody sends all the time."""
        while self.plant.engine.parts and not stop.wait(self.rng.uniform(4.0, 10.0)) and time.monotonic() < ends:
            self.strike(
                self.rng.choice(self.plant.engine.parts), self.rng.choices(list(FATES), FATES.values())[0], stop
            )

    def strike(self, part: Part, fate: str, stop: threading.Event) -> None:
        """One of them, and wait for the first message after it."""
        self.happened[f"{part.name} {fate}"] += 1
        left = self.plant.clock()
        hold = self.rng.uniform(0.5, 4.0)
        if fate == KILLED:
            part.server.kill()
            stop.wait(hold)
            part.server.start()
        elif fate == HALTED:
            part.network.halt()
            stop.wait(hold)
            part.network.mend()
        else:
            part.network.cut()
            stop.wait(hold if fate == CUT else 0.0)
            part.network.mend()
        if part.name != "rabbitmq":  # without a broker, retries run from the store
            self.weather.away.append((OURS, left, self.plant.clock()))
        before, began = len(self.plant.vendors.received), time.monotonic()
        while len(self.plant.vendors.received) == before:
            if stop.wait(0.005) or time.monotonic() - began > _RECOVERS_WITHIN:
                return
        if fate != BROKEN:
            self.recovered.append(time.monotonic() - began)
