"""Which tests run through which lines, found out by running them all once."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import attrs
import pytest

from .sites import Mutant
from .trial import OPTIONS

__all__ = ["Tests", "covered"]


@attrs.frozen(kw_only=True)
class Tests:
    """What one run found.

    Args:
        seconds: Of each test, by its node id.
        by_line: The tests that ran through a line of a file.
        uses: The lines of all files on which a module-level name is read.
    """

    seconds: Mapping[str, float]
    by_line: Mapping[tuple[str, int], frozenset[str]]
    uses: Mapping[str, frozenset[tuple[str, int]]]

    def of(self, mutant: Mutant) -> list[str]:
        """Those that may notice it, the quickest first."""
        found = set(self.by_line.get((mutant.file, mutant.line), ()))
        for name in mutant.names:
            found.update(*(self.by_line.get(line, ()) for line in self.uses.get(name, ())))
        # A default is set on import, which is not the work of the test during which it happened to be imported.
        if not found or (mutant.function is None and not mutant.names):
            found = {test for (file, _), tests in self.by_line.items() if file == mutant.file for test in tests}
        return sorted(found, key=self.seconds.__getitem__)


class _Contexts:
    """A plugin of pytest that says which test runs."""

    def __init__(self, coverage: object) -> None:
        self.coverage = coverage
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.coverage.switch_context(item.nodeid)  # type: ignore[attr-defined] # coverage's own
        started = time.perf_counter()
        yield
        self.seconds[item.nodeid] = time.perf_counter() - started


def covered(root: Path, files: Sequence[str], tests: Sequence[str], kept: Path) -> Tests:
    """Run the tests once, in a process of its own: nothing of otpcore may be imported in this one.

    Args:
        kept: What an earlier run found; only test files that changed since then run again, and all of them where otpcore did.

    Raises:
        SystemExit: One of them does not pass as it is.
    """
    sources = _digest(sorted((root / "otpcore").rglob("*.py")))
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if found.get("sources") != sources:
        found = {"sources": sources, "tests": {}}
    digests = {file: _digest([root / file]) for file in _files(root, tests)}
    by_file: dict[str, Any] = found["tests"]
    changed = [file for file, digest in digests.items() if by_file.get(file, {}).get("digest") != digest]
    for file in changed:
        by_file[file] = {"digest": digests[file], **_recorded(root, files, file)}
        kept.write_text(json.dumps(found), encoding="utf-8")
    return _joined([by_file[file] for file in digests], _uses(root, files))


def _files(root: Path, tests: Sequence[str]) -> Iterator[str]:
    for test in tests:
        path = root / test
        for file in sorted(path.rglob("test_*.py")) if path.is_dir() else [path]:
            yield str(file.relative_to(root))


def _digest(paths: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _joined(found: Iterable[Mapping[str, Any]], uses: Mapping[str, frozenset[tuple[str, int]]]) -> Tests:
    seconds: dict[str, float] = {}
    by_line: dict[tuple[str, int], set[str]] = {}
    for one in found:
        seconds.update(one["seconds"])
        for file, lines in one["lines"].items():
            for line, names in lines.items():
                by_line.setdefault((file, int(line)), set()).update(names)
    return Tests(seconds=seconds, by_line={line: frozenset(names) for line, names in by_line.items()}, uses=uses)


def _recorded(root: Path, files: Sequence[str], test: str) -> dict[str, Any]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        with os.fdopen(write, "w", encoding="utf-8") as answer:
            status = _record(root, files, test, answer)
        os._exit(status)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as answer:
        told = answer.read()
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{test} does not pass as it is; `pytest` says why")
    found: dict[str, Any] = json.loads(told)
    return found


def _record(root: Path, files: Sequence[str], test: str, answer: TextIO) -> int:
    from coverage import Coverage  # noqa: PLC0415 - only here

    coverage = Coverage(data_file=None, config_file=False, include=[str(root / file) for file in files])
    contexts = _Contexts(coverage)
    coverage.start()
    result = pytest.main([*OPTIONS, test], plugins=[contexts])
    coverage.stop()
    data = coverage.get_data()
    lines = {
        file: {
            line: [name for name in names if name in contexts.seconds]
            for line, names in data.contexts_by_lineno(str(root / file)).items()
        }
        for file in files
    }
    json.dump({"seconds": contexts.seconds, "lines": lines}, answer)
    return 0 if result is pytest.ExitCode.NO_TESTS_COLLECTED else int(result)


def _uses(root: Path, files: Iterable[str]) -> dict[str, frozenset[tuple[str, int]]]:
    found: dict[str, set[tuple[str, int]]] = {}
    for file in files:
        for node in ast.walk(ast.parse((root / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found.setdefault(node.id, set()).add((file, node.lineno))
    return {name: frozenset(lines) for name, lines in found.items()}
