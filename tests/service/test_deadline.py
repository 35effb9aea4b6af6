"""How a call's time is shared between the providers and the record of what they said."""

from __future__ import annotations

import time

import pytest

from otpcore.service.service import Deadline


def test_a_tenth_of_the_time_is_kept_for_recording_what_the_last_provider_said() -> None:
    deadline = Deadline(1000.0)
    assert 99.0 < deadline.left() - deadline.left_for_calls() < 101.0


@pytest.mark.parametrize(
    ("seconds", "left_for_calls", "too_close"),
    [(100.0, 0.6, False), (100.0, 0.4, True), (2.0, 0.3, False), (2.0, 0.1, True)],
)
def test_no_provider_is_called_with_less_than_half_a_second_or_a_tenth_of_the_time(
    monkeypatch: pytest.MonkeyPatch, seconds: float, left_for_calls: float, too_close: bool
) -> None:
    deadline = Deadline(seconds)
    now = time.monotonic() + seconds - seconds / 10 - left_for_calls
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert deadline.is_too_close_for_a_call is too_close
