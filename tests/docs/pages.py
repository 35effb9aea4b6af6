"""The pages, and what is read off them: blocks, tables, links."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FILES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("plugins/*/*.md")),
]
PAGES = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in FILES}
REFERENCE, RELIABILITY, SECURITY, WRITING = (
    PAGES[f"docs/{name}.md"] for name in ("reference", "reliability", "security", "writing-a-provider")
)

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def tables(text: str) -> list[list[list[str]]]:
    """The rows of each table, without its head."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [[[cell.strip() for cell in row[1:-1].split("|")] for row in rows.splitlines()[2:]] for rows in found]
