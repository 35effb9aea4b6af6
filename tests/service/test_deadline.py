"""How a call's time is shared between the providers and the record of what they said."""

from __future__ import annotations

from otpcore.service.deadline import Deadline


def test_a_tenth_of_the_time_is_kept_for_recording_what_the_last_provider_said() -> None:
    deadline = Deadline(1000.0)
    assert 99.0 < deadline.left() - deadline.left_for_calls() < 101.0
