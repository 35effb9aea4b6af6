"""What is measured while it goes on: the kinds of work, what a span is to those who do it, and the span that costs nothing."""

from __future__ import annotations

import enum
from types import TracebackType
from typing import Protocol, Self


class Work(enum.StrEnum):
    """What a span covers."""

    SEND = "otpcore.send"
    RETRY = "otpcore.retry"
    VERIFY = "otpcore.verify"
    CALL = "otpcore.provider.call"


class Span(Protocol):
    """One piece of work under way; a context manager that ends it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def note(self, **attributes: str | int) -> None:
        """What turned out meanwhile; nothing readable."""


class Telemetry(Protocol):
    """Where spans come from, when somebody wants them."""

    def span(self, work: Work, **attributes: str | int) -> Span:
        """A span of this work, not begun."""


class _Unmeasured:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def note(self, **attributes: str | int) -> None:  # noqa: ARG002 - the protocol's
        return None


UNMEASURED: Span = _Unmeasured()
"""For everybody, while nobody wants to know."""
