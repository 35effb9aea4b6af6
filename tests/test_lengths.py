"""A file of the repository can be read in one sitting: the limit of CONTRIBUTING.md, for packages, tests and tools."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(), reason="git says which files there are"
)


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.lengths")  # no package: it is found in the root only


def test_no_python_file_is_longer_than_can_be_read_in_one_sitting(lengths: ModuleType) -> None:
    """A longer one has a second subject, which gets a file of its own."""
    assert [f"{one.place}: {one.lines} lines" for one in lengths.long_files()] == []


@pytest.mark.parametrize("folder", ["otpcore", "plugins", "tests", "benchmarks", "examples", "fuzz"])
def test_no_function_is_longer_than_can_be_read_at_once(lengths: ModuleType, folder: str) -> None:
    assert [f"{one.place}: {one.lines} lines" for one in lengths.long_functions(ROOT / folder)] == []


def test_the_limit_is_the_one_that_contributors_are_told(lengths: ModuleType) -> None:
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"at most {lengths.LONGEST_FILE} lines; a function has\n  at most {lengths.LONGEST_FUNCTION};" in told


def test_a_longer_file_is_named_unless_git_ignores_it(lengths: ModuleType, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("made.py\n")
    (tmp_path / "tests").mkdir()
    for name, lines in (("tests/long.py", 401), ("tests/fits.py", 400), ("made.py", 999), ("page.md", 999)):
        (tmp_path / name).write_text("x = 1\n" * lines)
    assert [(one.place, one.lines) for one in lengths.long_files(tmp_path)] == [("tests/long.py", 401)]
