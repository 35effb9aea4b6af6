"""The short form of ``nox -s mutants``: it notices what is noticed, and names what is not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from . import coverage_map
from .sites import mutants_of

ROOT = Path(__file__).parent.parent.parent
SOURCE = """
LIMIT: int = 5

def full(count: int, *, strict: bool = False) -> bool:
    return count >= LIMIT if strict else 0 < count != LIMIT
"""


def test_every_constant_and_comparison_is_changed_once(tmp_path: Path) -> None:
    (tmp_path / "limits.py").write_text(SOURCE)
    found = list(mutants_of(tmp_path, "limits.py"))
    assert [(mutant.line, mutant.change) for mutant in found] == [
        (2, "5 -> 0"),
        (2, "5 -> 6"),
        (4, "False -> True"),
        (5, ">= -> >"),
        (5, "0 -> 1"),
        (5, "< -> <="),
        (5, "!= -> =="),
    ]
    assert found[0].names == {"LIMIT"}
    assert [mutant.function for mutant in found] == [None] * 3 + [("full", 4)] * 4  # a default is set on import
    for mutant in found:
        changed = ast.unparse(mutant.tree(SOURCE))
        assert changed != SOURCE
        compile(changed, "limits.py", "exec")
    assert "count > LIMIT" in ast.unparse(found[3].tree(SOURCE))


def test_a_default_is_tried_with_all_that_run_through_its_file(tmp_path: Path) -> None:
    """Not only with the one during which the file happened to be imported."""
    (tmp_path / "limits.py").write_text(SOURCE)
    by_line = {
        ("limits.py", 4): frozenset({"first"}),
        ("limits.py", 5): frozenset({"second"}),
        ("other.py", 4): frozenset({"third"}),
    }
    tests = coverage_map.Tests(seconds={"first": 2.0, "second": 1.0, "third": 3.0}, by_line=by_line, uses={})
    default, *inside = (one for one in mutants_of(tmp_path, "limits.py") if one.line > 2)
    assert tests.of(default) == ["second", "first"]
    assert [tests.of(one) for one in inside] == [["second"]] * 4


def test_a_change_is_noticed_explained_or_named() -> None:
    files = ("otpcore/service/service.py", "otpcore/retrying.py")
    lines = (
        "_LEAST_CALL =",
        "self.left_for_calls() <",
        "_MAX_EXPONENT =",
    )  # the second inside of a function
    options = [option for line in lines for option in ("--line", line)]
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "tests.mutants", *files),
            *(*options, "--tests", "tests/service/test_deadline.py", "--jobs", "1"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "2 noticed, 2 run by no test, 1 survived" in ran.stdout
    named = [line for line in ran.stdout.splitlines() if "nothing explains: " in line]
    assert ["32 -> 0: _MAX_EXPONENT" in line for line in named] == [True]
