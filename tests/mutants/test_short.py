"""The short form of ``nox -s mutants``: it notices what is noticed, and names what is not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

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


def test_a_change_is_noticed_or_named() -> None:
    options = ["--line", "_LEAST_CALL =", "--line", "_RESERVE =", "--tests", "tests/service/test_deadline.py"]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.mutants", "otpcore/service/deadline.py", *options, "--jobs", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "2 noticed, 2 survived" in ran.stdout
    named = [line for line in ran.stdout.splitlines() if "nothing explains: otpcore/service/deadline.py" in line]
    assert ["_LEAST_CALL" in line for line in named] == [True, True]
