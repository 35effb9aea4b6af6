"""``python -m benchmarks.passage``: what a reader passes through, counted.

The files and functions of ``otpcore`` that one accepted send and one verification run through, with the memory store and a
provider in this process, and the types of ``otpcore`` that these functions name; how many they are with a file of SQLite, whose
rows are written in a thread; the lines of code; and what is too long to be read in one sitting, by ``lengths.py``.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import io
import logging
import sys
import tempfile
import threading
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, ClassVar, Self

import attrs

import otpcore
from benchmarks.lengths import LONGEST_FILE, LONGEST_FUNCTION, docstring, long_files, long_functions, spanned
from benchmarks.ours import Gateway, emptied, settings
from otpcore import AsyncOTPService

__all__ = ["MOST_FILES", "Passage", "code_lines", "main", "of_send_and_verification"]

MOST_FILES = {"an accepted send": 28, "a verification": 18}
"""A reader who follows one over the memory store opens no more."""

_ROOT = Path(otpcore.__file__).parent
_REPOSITORY = _ROOT.parent
_PHONE = "+359888123456"
_MEMORY = {"store": "memory"}
_NOT_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    }
)
_NEVER_SEEN = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>", "<lambda>", "<module>"})


@attrs.frozen
class Passage:
    """What one call of the service ran through.

    Args:
        functions: Of ``otpcore``, as ``file:name``.
    """

    functions: frozenset[str]

    @property
    def files(self) -> list[str]:
        """Their files, from the package on."""
        return sorted({function.partition(":")[0] for function in self.functions})

    @property
    def types(self) -> list[str]:
        """The classes of the package that the functions name or belong to, as ``module.Class``; errors too."""
        found = {one for file in self.files for one in _types_named(file, self._of(file))}
        return sorted(f"{one.__module__}.{one.__qualname__}" for one in found)

    def _of(self, file: str) -> set[str]:
        return {name for place, _, name in (one.partition(":") for one in self.functions) if place == file}


async def of_send_and_verification(storage: Mapping[str, str] = _MEMORY) -> tuple[Passage, Passage]:
    """One accepted send, and the right code typed in; both are done once before, so that nothing is made at first use.

    Args:
        storage: As in the settings; a database has its tables.
    """
    threading.setprofile(_Watch.note_of_a_thread)
    async with AsyncOTPService(settings(storage), providers={"gateway": Gateway()}) as otp:
        threading.setprofile(None)
        first = await otp.send_sms(f"{_PHONE[:-1]}7")
        await otp.verify(code=first.code or "", challenge_id=first.id)
        sending, verifying = _Watch(), _Watch()
        with sending:
            challenge = await otp.send_sms(_PHONE)
        with verifying:
            verification = await otp.verify(_PHONE, challenge.code or "", challenge_id=challenge.id)
    if not verification:
        raise RuntimeError("the code was not accepted")
    return sending.passage, verifying.passage


async def _over_a_file() -> tuple[Passage, Passage]:
    with tempfile.TemporaryDirectory() as directory:
        async with emptied({"store": "sql"}, directory) as storage:
            return await of_send_and_verification(storage)


def _types_named(file: str, functions: set[str]) -> set[type]:
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    tree = ast.parse((_REPOSITORY / file).read_text())
    known = {**_imported(tree), **vars(module)}
    found = (known.get(name) for name in _names_in(tree, functions))
    return {one for one in found if isinstance(one, type) and one.__module__.partition(".")[0] == _ROOT.name}


def _imported(tree: ast.Module) -> dict[str, Any]:
    """What a file imports of the package, also for its annotations only."""
    modules = [
        one for one in ast.walk(tree) if isinstance(one, ast.ImportFrom) and (one.module or "").startswith("otpcore")
    ]
    return {
        name.asname or name.name: getattr(importlib.import_module(one.module or ""), name.name, None)
        for one in modules
        for name in one.names
    }


def _names_in(tree: ast.Module, functions: set[str]) -> Iterator[str]:
    """What stands in these functions, and the classes whose methods they are."""
    classes = [(one.name, one.body) for one in tree.body if isinstance(one, ast.ClassDef)]
    for owner, body in [("", tree.body), *classes]:
        for function in body:
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if ".".join(filter(None, (owner, function.name))) in functions:
                yield owner
                yield from (node.id for node in ast.walk(function) if isinstance(node, ast.Name))


class _Watch:
    """Notes the functions of the package that are called in this thread, and in the store's, while the block runs."""

    _on: ClassVar[_Watch | None] = None

    def __init__(self) -> None:
        self._codes: set[CodeType] = set()

    def __enter__(self) -> Self:
        _Watch._on = self
        sys.setprofile(self.note)
        return self

    def __exit__(self, *about: object) -> None:
        sys.setprofile(None)
        _Watch._on = None

    @staticmethod
    def note_of_a_thread(frame: FrameType, event: str, argument: Any) -> None:
        """For threads that begin before the block."""
        if (watch := _Watch._on) is not None:
            watch.note(frame, event, argument)

    @property
    def passage(self) -> Passage:
        """What was seen."""
        seen = ((Path(code.co_filename), code) for code in self._codes)
        return Passage(
            functions=frozenset(
                f"{file.relative_to(_REPOSITORY)}:{code.co_qualname}"
                for file, code in seen
                if file.is_relative_to(_ROOT) and code.co_name not in _NEVER_SEEN
            )
        )

    def note(self, frame: FrameType, event: str, argument: Any) -> None:  # noqa: ARG002 - as the interpreter calls it
        if event == "call":
            self._codes.add(frame.f_code)


def code_lines(root: Path = _ROOT, *, without: str = "testing") -> int:
    """Lines of code below a folder: no blanks, comments, docstrings and imports, nothing of ``without``."""
    files = (file for file in root.rglob("*.py") if without not in file.relative_to(root).parts)
    return sum(_code_lines(file.read_text()) for file in files)


def _code_lines(text: str) -> int:
    tree = ast.parse(text)
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            left_out.update(docstring(node))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            left_out.update(spanned(node))
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NOT_CODE:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found - left_out)


def main() -> int:
    """Print them all."""
    logging.disable(logging.CRITICAL)
    for name, passage in zip(MOST_FILES, asyncio.run(of_send_and_verification()), strict=True):
        print(f"{name}: {len(passage.files)} files, {len(passage.functions)} functions, {len(passage.types)} types")
        for file in passage.files:
            mine = sorted(one.partition(":")[2] for one in passage.functions if one.startswith(f"{file}:"))
            print(f"  {file}: {', '.join(mine)}")
    for name, passage in zip(MOST_FILES, asyncio.run(_over_a_file()), strict=True):
        print(f"{name}, SQLite: {len(passage.files)} files, {len(passage.functions)} functions")
    print(f"lines of code without testing: {code_lines()}")
    for what, found, limit in (
        ("files", long_files(), LONGEST_FILE),
        ("functions", long_functions(_ROOT), LONGEST_FUNCTION),
    ):
        print(f"{what} over {limit} lines: {len(found)}")
        for one in found:
            print(f"  {one.place}: {one.lines}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
