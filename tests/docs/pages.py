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
    ROOT / "SECURITY.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("plugins/*/*.md")),
]
PAGES = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in FILES}
RELIABILITY, SECURITY, WRITING = (
    PAGES[f"docs/{name}.md"] for name in ("reliability", "security", "writing-a-provider")
)


def part(name: str) -> str:
    """A page of the reference as a part of the whole, its headings one deeper."""
    lines, is_code = [], False
    for line in PAGES[f"docs/reference/{name}.md"].splitlines():
        is_code ^= line.startswith("```")
        lines.append(f"#{line}" if line.startswith("#") and not is_code else line)
    return "\n".join(lines)


REFERENCE = "\n\n".join(
    ["", *(part(name) for name in re.findall(r"\]\(([\w-]+)\.md\)", PAGES["docs/reference/index.md"])), ""]
)
"""All of it, in the order of its index."""

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def tables(text: str) -> list[list[list[str]]]:
    """The rows of each table, without its head."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [[[cell.strip() for cell in row[1:-1].split("|")] for row in rows.splitlines()[2:]] for rows in found]
