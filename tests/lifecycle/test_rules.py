"""Rules of the life cycle at the very moment at which they change their answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from otpcore.models import ChallengeState
from otpcore.retrying import RetryPolicy
from otpcore.stores.lifecycle import BEGUN, OVER, TRANSITIONS, into, is_due
from otpcore.stores.records import ChallengeRecord

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "due"),
    [(0.0, False), (4.999, False), (5.0, True), (6.0, True), (-0.001, True), (-3600.0, True)],
)
def test_what_happens_every_five_seconds_happens_no_more_often_and_at_once_after_a_jump_back(
    ago: float, *, due: bool
) -> None:
    """House-keeping that is due at every look would keep the store from sends."""
    assert is_due(NOW - timedelta(seconds=ago), timedelta(seconds=5), NOW) is due


def test_what_never_happened_is_due() -> None:
    assert is_due(None, timedelta(seconds=5), NOW)


@pytest.mark.parametrize(("chance", "delay"), [(0.0, 1.6), (0.25, 1.8), (0.5, 2.0), (0.75, 2.2)])
def test_retries_spread_evenly_around_their_delay(chance: float, delay: float) -> None:
    """What failed together does not come back together, and is not late on average."""
    policy = RetryPolicy(max_retries=20, first_delay=1.0, max_delay=30.0, jitter=0.2, chance=lambda: chance)
    assert policy.delay(1) == pytest.approx(delay)
    assert policy.delay(1, retry_after=5.0) == 5.0


def _challenge(state: ChallengeState) -> ChallengeRecord:
    return ChallengeRecord(
        id="one",
        subject="subject",
        phone_key="phone",
        phone_sealed=b"sealed",
        phone_masked="+35988*****56",
        key_id="key-1",
        purpose="login",
        state=state,
        max_attempts=5,
        first_sent_at=NOW,
        expires_at=NOW + timedelta(minutes=5),
        code_digest="digest",
        locale="",
    )


@pytest.mark.parametrize("old", ChallengeState)
@pytest.mark.parametrize("new", ChallengeState)
def test_a_state_that_the_life_cycle_does_not_list_is_never_written(old: ChallengeState, new: ChallengeState) -> None:
    """A code that was used up would verify again, or a send that ended would go on."""
    for is_resend in (False, True):
        listed = BEGUN if is_resend else {old, *TRANSITIONS.get(old, ()), *OVER}
        if old not in OVER and new in listed:
            assert into(_challenge(old), new, is_resend=is_resend) is new
        else:
            with pytest.raises(RuntimeError, match=f"that is {old} never becomes {new}"):
                into(_challenge(old), new, is_resend=is_resend)


def test_an_acceptance_and_the_right_code_may_come_to_every_challenge_that_is_not_over() -> None:
    """Stores write these two by conditions of their own."""
    for old in frozenset(ChallengeState) - OVER:
        assert into(_challenge(old), ChallengeState.SENT) is ChallengeState.SENT
        assert into(_challenge(old), ChallengeState.APPROVED) is ChallengeState.APPROVED
