"""How long keys live: Redis removes by itself what no purge removed."""

from __future__ import annotations

from datetime import timedelta

import attrs

__all__ = ["Keeping"]

_SLACK = timedelta(days=1)
_LONGEST_LIFE = timedelta(days=1)  # of a code: storage.keep_deliveries allows no less


@attrs.frozen(kw_only=True)
class Keeping:
    """How long things are kept once they are over, as ``storage.keep_*`` say.

    Every key outlives that by a day: it is a purge that removes, and the expiry of a key only a backstop for a deployment that
    purges nothing.
    """

    challenges: timedelta
    deliveries: timedelta
    verified: timedelta
    audit: timedelta
    series: timedelta

    @property
    def of_challenge(self) -> timedelta:
        """Of a challenge with its deliveries and receipts, after its end."""
        return max(self.challenges, self.deliveries) + _SLACK

    @property
    def of_delivery(self) -> timedelta:
        """Of what is purged with the deliveries."""
        return self.deliveries + _SLACK

    @property
    def of_slot(self) -> timedelta:
        """Of a vendor slot: it goes with the challenge that holds or marks it."""
        return _LONGEST_LIFE + self.challenges + _SLACK

    @property
    def of_verified(self) -> timedelta:
        """Of the note that a phone verified."""
        return self.verified + _SLACK

    @property
    def of_audit(self) -> timedelta:
        """Of the trail of operators."""
        return self.audit + _SLACK

    @property
    def of_sealed(self) -> timedelta:
        """Of a sealed record, after it has expired."""
        return _SLACK

    @property
    def of_series(self) -> timedelta:
        """Of the counts of one span of minutes."""
        return self.series + _SLACK

    @property
    def of_worker(self) -> timedelta:
        """Of the signs of life, after the last."""
        return _SLACK
