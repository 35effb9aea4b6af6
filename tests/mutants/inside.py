"""Tries changes inside of functions: the tests are imported and collected once, and each fork gets its changed function."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

import attrs
import pytest
from _pytest.runner import runtestprotocol

if TYPE_CHECKING:
    from .coverage_map import Tests
    from .sites import Mutant
    from .trial import Trials

__all__ = ["try_inside"]


def try_inside(mutants: Sequence[Mutant], tests: Tests, trials: Trials) -> None:
    """Try each of these changes.

    Raises:
        SystemExit: The tests cannot be collected.
    """
    from .trial import OPTIONS  # noqa: PLC0415 - it imports this module

    chosen = {name.partition("::")[0] for mutant in mutants for name in tests.of(mutant)}
    if not chosen:
        trials.run(mutants, tests, lambda *_: 0)  # none is tried: no test runs through them
        return
    if pytest.main([*OPTIONS, *sorted(chosen)], plugins=[_Instead(mutants, tests, trials)]) not in (0, 5):
        raise SystemExit("the tests cannot be collected")


@attrs.define
class _Instead:
    """A plugin of pytest that tries changes where it would run tests."""

    mutants: Sequence[Mutant]
    tests: Tests
    trials: Trials

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}

        def trial(mutant: Mutant, names: Sequence[str]) -> int:
            _change(mutant)
            return _noticed([items[name] for name in names])

        self.trials.run(self.mutants, self.tests, trial)
        return True


def _change(mutant: Mutant) -> None:
    """Give the function its changed code, wherever it is held.

    Raises:
        LookupError: Nobody holds it.
    """
    path = str(Path(mutant.file).absolute())
    changed = compile(mutant.tree(Path(path).read_text(encoding="utf-8")), path, "exec", dont_inherit=True)
    (code,) = [one for one in _codes(changed) if (one.co_qualname, one.co_firstlineno) == mutant.function]
    gc.unfreeze()  # what was collected is frozen, and frozen objects are not found
    # Not isinstance: objects of others, such as settings that are read late, may answer it with an error.
    held = [one for one in gc.get_objects() if type(one) is FunctionType and _is(one.__code__, code)]
    if not held:
        raise LookupError(mutant)
    for function in held:
        function.__code__ = code


def _is(one: CodeType, other: CodeType) -> bool:
    name = (other.co_qualname, other.co_firstlineno, other.co_filename)
    return (one.co_qualname, one.co_firstlineno, one.co_filename) == name


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _noticed(items: Sequence[pytest.Item]) -> int:
    for item, following in zip(items, [*items[1:], None], strict=True):
        if any(report.failed for report in runtestprotocol(item, log=False, nextitem=following)):
            return 1
    return 0
