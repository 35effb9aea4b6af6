"""What is too long to be read in one sitting: files of the whole repository, and functions below a folder."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs

__all__ = ["LONGEST_FILE", "LONGEST_FUNCTION", "Length", "docstring", "long_files", "long_functions", "spanned"]

LONGEST_FILE = 400
LONGEST_FUNCTION = 45
"""Lines, as the file has them."""

_REPOSITORY = Path(__file__).parents[1]


@attrs.frozen
class Length:
    """Something long, and where it stands."""

    place: str
    lines: int


def long_files(repository: Path = _REPOSITORY) -> list[Length]:
    """Python files, of packages, tests and tools alike, that are longer than ``LONGEST_FILE`` lines.

    Raises:
        subprocess.CalledProcessError: The folder is in no repository of git.
    """
    listed = subprocess.run(  # what git has, or would take
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py"],  # noqa: S607 - a tool of developers, who have it on their path
        cwd=repository,
        check=True,
        stdout=subprocess.PIPE,
    )
    names = sorted(set(listed.stdout.decode().split("\0")) - {""})
    places = [name for name in names if (repository / name).is_file()]
    found = (Length(place, len((repository / place).read_text(encoding="utf-8").splitlines())) for place in places)
    return [one for one in found if one.lines > LONGEST_FILE]


def long_functions(root: Path) -> list[Length]:
    """Functions that are longer than ``LONGEST_FUNCTION`` lines, their docstrings left out."""
    return [one for file in sorted(root.rglob("*.py")) for one in _functions(file) if one.lines > LONGEST_FUNCTION]


def docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> range:
    """The lines of its docstring; none, if it has none."""
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return spanned(first)
    return range(0)


def spanned(node: ast.stmt) -> range:
    """The lines of a statement."""
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _functions(file: Path) -> Iterator[Length]:
    place = str(file.relative_to(_REPOSITORY)) if file.is_relative_to(_REPOSITORY) else str(file)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Length(f"{place}:{node.name}", len(spanned(node)) - len(docstring(node)))
