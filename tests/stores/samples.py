"""A challenge as a store keeps it, for tests of what is done with records."""

from __future__ import annotations

from datetime import timedelta

from otpcore.models import ChallengeState
from otpcore.stores.records import ChallengeRecord
from otpcore.testing.stores.contract import START

__all__ = ["CHALLENGE", "LATER"]

LATER = START + timedelta(minutes=5)
CHALLENGE = ChallengeRecord(
    id="c",
    subject="s",
    phone_key="p",
    phone_sealed=b"sealed",
    phone_masked="+359",
    key_id="k",
    purpose="login",
    state=ChallengeState.SENDING,
    max_attempts=5,
    first_sent_at=START,
    expires_at=LATER,
    code_digest="d",
    locale="en",
)
