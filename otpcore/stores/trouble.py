"""What keeps a store from answering, for a caller who gives up before the store does: it works on in another thread."""

from __future__ import annotations

from contextvars import ContextVar

import attrs

__all__ = ["HEARD", "Trouble", "note_trouble"]


@attrs.define(eq=False)
class Trouble:
    """The last failure after which a unit of the caller's was tried again; None: none, or it has succeeded since."""

    last: Exception | None = None


HEARD: ContextVar[Trouble | None] = ContextVar("otpcore_trouble", default=None)
"""Set by a caller: hears of the troubles of every unit that is asked for meanwhile; threads work in a copy of its context."""


def note_trouble(error: Exception | None) -> None:
    """A unit is tried again because of this; None: it has succeeded."""
    if (trouble := HEARD.get()) is not None:
        trouble.last = error
