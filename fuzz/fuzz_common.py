"""What the fuzz targets share: the secrets that no error may show, and a loop to run coroutines in."""

from __future__ import annotations

import asyncio
import atexit
import functools
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["CODE", "NUMBER", "assert_silent", "run", "text_of"]

T = TypeVar("T")

NUMBER = "+359871234567"
CODE = "493817"
_LONGEST_SAID = 1000


def text_of(data: bytes) -> str:
    """The bytes as text; what is no UTF-8 becomes lone surrogates, which text from JSON may hold too."""
    return data.decode(errors="surrogateescape")


def assert_silent(error: BaseException) -> None:
    """An error shows neither the number nor the code, and does not grow with what the other side said."""
    said = f"{error} {error!r} {error.args}"
    assert NUMBER[1:] not in said
    assert CODE not in said
    assert len(said) <= _LONGEST_SAID


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end on one event loop for the whole process."""
    return _runner().run(coroutine)


@functools.cache
def _runner() -> asyncio.Runner:
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner
