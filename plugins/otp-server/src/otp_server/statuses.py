"""The words for how a verification stands."""

from __future__ import annotations

from datetime import UTC, datetime

from otp_server.api.schemas import Status
from otpcore import ChallengeState
from otpcore.stores import ChallengeRecord, is_living

__all__ = ["status_of"]

_STATUSES: dict[ChallengeState, Status] = {
    ChallengeState.APPROVED: "approved",
    ChallengeState.EXPIRED: "expired",
    ChallengeState.CANCELLED: "canceled",
}


def status_of(challenge: ChallengeRecord) -> Status:
    """The word for how it stands now."""
    if challenge.state in _STATUSES:
        return _STATUSES[challenge.state]
    if not is_living(challenge, datetime.now(UTC)):
        return "expired"
    if challenge.attempts >= challenge.max_attempts:
        return "max_attempts"
    return "failed" if challenge.state is ChallengeState.UNSENDABLE else "pending"
