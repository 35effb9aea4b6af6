"""What the code of others may raise, and how much of it goes on: neither its secrets nor an end of the process."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from collections.abc import Collection

import anyio

from otpcore.errors import ErrorKind, ProviderError
from otpcore.providers.answers import quotes

__all__ = ["EscapedError", "clean_error", "ends_the_caller"]

LONGEST_WAIT = 86_400.0
"""Seconds; no code lives longer, so a longer wait says no more."""
WORDS_LEFT_OUT = "it quoted the number or the code, or what the host said, so its words are left out"
"""What an error says instead of a summary that may not be shown."""

_LONGEST_CODE = 64
_LONGEST_SUMMARY = 200
_LONGEST_FIX = 300


class EscapedError(Exception):
    """A hook raised what is no ``Exception`` and was not meant for its caller.

    Args:
        origin: What it raised.
    """

    def __init__(self, origin: BaseException) -> None:
        super().__init__(type(origin).__name__)
        self.origin = origin


def ends_the_caller(error: BaseException) -> bool:
    """Whether this has to go on: the process is told to end, or the caller is being cancelled.

    Anything else is the foreign code's own failure, whatever its class: ``sys.exit()`` in a library, a ``CancelledError``
    of a task that the foreign code itself cancelled, a ``BaseException`` of its own. How a process is told to end
    (``KeyboardInterrupt``, the ``SystemExit`` of a signal handler) reaches the main thread only.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(map(ends_the_caller, error.exceptions))
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return threading.current_thread() is threading.main_thread()
    if isinstance(error, GeneratorExit):  # the event loop throws the caller away
        return True
    return not isinstance(error, Exception) and _is_cancellation(error) and _is_being_cancelled()


def clean_error(error: ProviderError, instance: str, secrets: Collection[str]) -> ProviderError:
    """A plugin's error under the name of its instance, with values that the rest can rely on, and without its cause."""
    wait = error.retry_after
    usable = isinstance(wait, int | float) and math.isfinite(wait) and wait >= 0
    return ProviderError(
        kind if isinstance(kind := error.kind, ErrorKind) else ErrorKind.AMBIGUOUS,
        _shown(error.summary, _LONGEST_SUMMARY, secrets, WORDS_LEFT_OUT),
        min(float(wait), LONGEST_WAIT) if usable and wait is not None else None,
        _shown(error.provider_code, _LONGEST_CODE, secrets, ""),
        instance,
        _shown(error.fix, _LONGEST_FIX, secrets, ""),
    )


def _shown(value: object, longest: int, secrets: Collection[str], instead: str) -> str:
    """A text of a plugin, printable and short; something else instead where it quotes a secret."""
    text = str(value) if type(value) in (str, int) else ""
    if quotes(text, secrets):
        return instead
    return "".join(character if character.isprintable() else "?" for character in text[:longest])


def _is_cancellation(error: BaseException) -> bool:
    trio = sys.modules.get("trio")
    return isinstance(error, asyncio.CancelledError) or (trio is not None and isinstance(error, trio.Cancelled))


def _is_being_cancelled() -> bool:
    """Whether somebody asked the running task to stop: a scope around it, or under asyncio ``Task.cancel``."""
    try:
        if anyio.current_effective_deadline() == -math.inf:
            return True
    except RuntimeError:  # outside any event loop nobody can
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:  # trio
        return False
    return task is not None and task.cancelling() > 0
