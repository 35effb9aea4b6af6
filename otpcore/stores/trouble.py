"""What keeps a store from answering, for a caller who gives up before the store does: it works on in another thread."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import attrs

__all__ = ["Trouble", "listening", "note_trouble"]


@attrs.define(eq=False)
class Trouble:
    """The last failure after which a unit of the caller's was tried again; None: none, or it has succeeded since."""

    last: Exception | None = None


_heard: ContextVar[Trouble | None] = ContextVar("otpcore_trouble", default=None)


@contextlib.contextmanager
def listening() -> Iterator[Trouble]:
    """Hear of the troubles of every unit that is asked for within the block; threads work in a copy of its context."""
    trouble = Trouble()
    token = _heard.set(trouble)
    try:
        yield trouble
    finally:
        _heard.reset(token)


def note_trouble(error: Exception | None) -> None:
    """A unit is tried again because of this; None: it has succeeded."""
    if (trouble := _heard.get()) is not None:
        trouble.last = error
