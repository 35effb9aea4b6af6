"""A lane: a process pinned to the client's core that measures one case after another, in an environment of its own.

The bench writes one JSON object a line to its standard input and reads one from its standard output. Standard library
only, because the peers' environments have no otpcore.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["CLIENT_CORE", "SERVER_CORES", "Lane", "LaneError", "pin", "serve"]

ROOT = Path(__file__).parent.parent
_PATIENCE = 600.0  # seconds for one case

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
CLIENT_CORE = set(_CORES[:1])
SERVER_CORES = set(_CORES[1:]) or CLIENT_CORE


class LaneError(Exception):
    """A case could not be measured."""


def pin(process: int, cores: set[int]) -> None:
    """Keep a process (0: this one), and what it starts, on these cores; does nothing where the system cannot."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process, cores)


def serve(measures: Mapping[str, Callable[..., Mapping[str, Any]]]) -> None:
    """The lane's side: answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what anybody prints goes to standard error
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = dict(measures[asked["measure"]](**asked["parameters"]))
        except Exception as error:  # noqa: BLE001 - the bench shows it and goes on
            answer = {"failed": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(answer), file=answers, flush=True)


class Lane:
    """The bench's side.

    Args:
        command: What runs; Node has no need of ``serve``, only of the same lines.
        directory: Where it runs.
        paths: Where it looks for modules besides.
    """

    def __init__(self, command: Sequence[str], *, directory: Path = ROOT, paths: Sequence[str] = ()) -> None:
        places = os.pathsep.join((str(ROOT), *paths))
        environment = {**os.environ, "PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(  # noqa: S603 - our own programs
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=directory, env=environment
        )
        pin(self._process.pid, CLIENT_CORE)

    def measure(self, measure: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Run one case.

        Raises:
            LaneError: Why it could not be measured.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        patience = threading.Timer(_PATIENCE, self._process.kill)
        patience.start()
        try:
            print(json.dumps({"measure": measure, "parameters": parameters}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            patience.cancel()
        if not line:
            raise LaneError(f"its process ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise LaneError(answer["failed"])
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
