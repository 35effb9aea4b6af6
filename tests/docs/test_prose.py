"""Pages are read in terminals and in reviews: their prose keeps to the width of the code, and to plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WIDTH = 120
PAGES = [
    file.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "plugins/*/*.md")
    for file in sorted(ROOT.glob(pattern))
]
FANCY = re.compile(r"(?i)\b(?:nobody|whoever|whomever|how-manieth|mend(?:s|ed|ing)?)\b")


def outside_of_code(page: str) -> Iterator[tuple[int, str]]:
    """The numbered lines of a page that stand in no block of code."""
    is_code = False
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code and not line.startswith("    "):
            yield number, line


@pytest.mark.parametrize("page", PAGES)
def test_prose_is_wrapped(page):
    lines = outside_of_code(page)
    assert [number for number, line in lines if len(line) > WIDTH and not line.startswith("|")] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_plain_word_does(page):
    found = [(number, FANCY.search(re.sub(r"`[^`]*`", "", line))) for number, line in outside_of_code(page)]
    assert [(number, one[0]) for number, one in found if one] == []
