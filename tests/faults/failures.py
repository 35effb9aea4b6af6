"""Which calls of vendors failed, as observers are told."""

from __future__ import annotations

from otpcore import EventType
from otpcore.testing import EventRecorder


def failures(recorder: EventRecorder) -> list[tuple[str, str]]:
    """The instance of each failure, and its reason."""
    return [(event.instance, event.reason) for event in recorder.of(EventType.DELIVERY_FAILED)]
