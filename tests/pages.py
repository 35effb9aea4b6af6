"""Code blocks of a page of documentation, written out as the modules that it says they are."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page: str) -> list[str]:
    """The Python of a page, in its order."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def suite(page: str, module: str, folder: Path) -> type:
    """The only test class of the page's second block, which imports its first one as ``module``."""
    example, tests = blocks(page)
    (folder / f"{module}.py").write_text(example, encoding="utf-8")
    sys.path.insert(0, str(folder))
    try:
        importlib.import_module(module)
    finally:
        sys.path.remove(str(folder))
    names: dict[str, type] = {}
    exec(compile(tests, page, "exec"), names)
    (found,) = (one for name, one in names.items() if name.startswith("Test"))
    return found
