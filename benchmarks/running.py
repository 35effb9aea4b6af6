"""Runs planned cases: in random order within each round, each in its lane."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterable, Mapping

import attrs

from benchmarks.lanes import Lane, LaneError
from benchmarks.peers import PeerAbsentError, peer_command
from benchmarks.plan import CORE, Case, Missing, Results

__all__ = ["run"]


@attrs.define
class Lanes:
    """Open lanes by name; one that could not be made is remembered."""

    _open: dict[str, Lane] = attrs.field(factory=dict)
    _absent: dict[str, str] = attrs.field(factory=dict)

    def measure(self, case: Case) -> dict[str, object]:
        """Run one case.

        Raises:
            LaneError: Why it could not be measured.
        """
        if case.fresh:
            lane = self._make(case.lane)
            try:
                return lane.measure(case.measure, case.parameters)
            finally:
                lane.close()
        if case.lane in self._absent:
            raise LaneError(self._absent[case.lane])
        if case.lane not in self._open:
            self._open[case.lane] = self._make(case.lane)
        try:
            return self._open[case.lane].measure(case.measure, case.parameters)
        except LaneError:
            self._open.pop(case.lane).close()  # the next case finds a process without remains
            raise

    def close(self) -> None:
        for lane in self._open.values():
            lane.close()
        self._open.clear()

    def _make(self, name: str) -> Lane:
        if name == CORE:
            return Lane(
                [sys.executable, "-m", "benchmarks.core_lane"],
                paths=list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))),
            )
        try:
            command, directory = peer_command(name)
        except PeerAbsentError as error:
            self._absent[name] = str(error)
            raise LaneError(str(error)) from error
        return Lane(command, directory=directory)


def run(
    plan: Mapping[str, Iterable[Case | Missing]], rounds: int, results: Results, progress: Callable[[str], None]
) -> None:
    """Measure all cases, scenario by scenario; within one, rounds of all its cases in random order."""
    for scenario, planned in plan.items():
        everything = list(planned)
        cases = [one for one in everything if isinstance(one, Case)]
        results.missing += [one for one in everything if isinstance(one, Missing)]
        results.planned(cases)
        lanes = Lanes()
        try:
            for turn in range(rounds):
                due = [case for case in cases if turn == 0 or not case.once]
                random.shuffle(due)
                for number, case in enumerate(due, 1):
                    progress(f"{scenario}, round {turn + 1} of {rounds}, {number} of {len(due)}: {case.name}")
                    try:
                        results.add(case, lanes.measure(case))
                    except LaneError as error:
                        results.miss(case, str(error))
        finally:
            lanes.close()
