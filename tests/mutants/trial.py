"""Tries changes, each in a fork of this process, which has imported and collected whatever the change leaves as it is."""

from __future__ import annotations

import ast
import enum
import importlib
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

import attrs
import pytest

from .inside import try_inside

if TYPE_CHECKING:
    from .coverage_map import Tests
    from .sites import Mutant

__all__ = ["OPTIONS", "Trials", "Verdict", "in_fork", "try_all"]

OPTIONS = (
    *("-q", "-x", "--no-header", "-n", "0", "--hypothesis-seed=0", "-p", "no:faulthandler"),
    *("-p", "no:rerunfailures"),
    *("-k", "not trio and not processes and not postgres and not mariadb and not redis"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
_HEAVY = (
    "attrs",
    "anyio",
    "cattrs",
    "cryptography.fernet",
    "dynaconf",
    "httpx",
    "hypothesis",
    "phonenumbers",
    "sqlalchemy",
    "sqlmodel",
)
_SLOWER = 5  # times: tests beside others, on a machine that has other work by now
_BROKEN = 70  # the exit code of a trial that failed by itself, which says nothing about the change
_FIRST = 60  # tests that are collected and run before the rest: most changes are noticed by one of the quickest


class Verdict(enum.StrEnum):
    """What became of a change."""

    NOTICED = "noticed"
    HANGS = "noticed by never ending"
    SURVIVED = "survived"
    NO_TEST = "run by no test"


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the changed module in place of the one in the file."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self._module, self._path, self._source = module, path, source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self._module:
            return None
        loader = _Loader(fullname, str(self._path), self._source)
        return importlib.machinery.ModuleSpec(fullname, loader, origin=str(self._path))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._changed = source

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        code: CodeType = compile(self._changed, self.path, "exec", dont_inherit=True)
        return code


@attrs.define
class _Trial:
    mutant: Mutant
    ends_at: float


def try_all(mutants: Sequence[Mutant], tests: Tests, trials: Trials) -> None:
    """Try each change; first those that take effect on import, each with imports of its own."""
    for name in _HEAVY:
        importlib.import_module(name)
    _control(mutants, tests)
    trials.run([mutant for mutant in mutants if mutant.function is None], tests, _import_and_run)
    try_inside([mutant for mutant in mutants if mutant.function is not None], tests, trials)


@attrs.define
class Trials:
    """Runs trials side by side.

    Args:
        jobs: How many.
        patience: Seconds after which tests that do not end count as having noticed the change, besides several times as long
            as they took when nothing was changed: a busy machine must not pass for a test.
        tell: Hears each change with its verdict, as they end.
    """

    jobs: int
    patience: float
    tell: Callable[[Mutant, Verdict], None]

    def run(self, mutants: Sequence[Mutant], tests: Tests, trial: Callable[[Mutant, Sequence[str]], int]) -> None:
        """``trial`` runs in a fork with the tests that may notice; what it returns is not 0 where one did."""
        waiting = list(reversed(mutants))
        running: dict[int, _Trial] = {}
        while waiting or running:
            while waiting and len(running) < self.jobs:
                mutant = waiting.pop()
                chosen = tests.of(mutant)
                if chosen:
                    seconds = self.patience + _SLOWER * sum(map(tests.seconds.__getitem__, chosen))
                    running[in_fork(partial(trial, mutant, chosen))] = _Trial(mutant, time.monotonic() + seconds)
                else:
                    self.tell(mutant, Verdict.NO_TEST)
            for mutant, verdict in _ended(running):
                self.tell(mutant, verdict)
            time.sleep(0.01)


def _control(mutants: Sequence[Mutant], tests: Tests) -> None:
    """What is not changed must survive, or every verdict would be worthless.

    Raises:
        SystemExit: It does not.
    """
    for mutant in mutants[:1]:
        process = in_fork(partial(_run, tests.of(mutant)[:20]))
        if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) != 0:
            sys.exit("the tests that pass in one run do not pass in a fork")


def _ended(running: dict[int, _Trial]) -> Iterator[tuple[Mutant, Verdict]]:
    for process, trial in list(running.items()):
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            del running[process]
            code = os.waitstatus_to_exitcode(status)
            if code == _BROKEN:
                sys.exit(f"this change could not be tried: {trial.mutant}")
            yield trial.mutant, Verdict.SURVIVED if code == 0 else Verdict.NOTICED
        elif time.monotonic() > trial.ends_at:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            del running[process]
            yield trial.mutant, Verdict.HANGS


def in_fork(work: Callable[[], int]) -> int:
    """Silent work in a process group of its own, whose exit code is what it returns; the process."""
    process = os.fork()
    if process:
        return process
    os.setpgid(0, 0)
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    try:
        os._exit(work())
    except BaseException:  # noqa: BLE001 - a fork must not come back
        os._exit(_BROKEN)


def _import_and_run(mutant: Mutant, tests: Sequence[str]) -> int:
    path = Path(mutant.file).absolute()
    source = ast.unparse(mutant.tree(path.read_text(encoding="utf-8")))
    sys.meta_path.insert(0, _Finder(mutant.file.removesuffix(".py").replace("/", "."), path, source))
    return _run(tests[:_FIRST]) or _run(tests[_FIRST:])


def _run(tests: Sequence[str]) -> int:
    return int(pytest.main([*OPTIONS, *tests])) if tests else 0
