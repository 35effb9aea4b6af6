"""What is known of one connection to a database server, kept in its own dictionary."""

from __future__ import annotations

import attrs

__all__ = ["SEEN", "Seen"]

SEEN = "otpcore"
"""Where in the dictionary."""


@attrs.frozen
class Seen:
    """What is known of one connection.

    Args:
        since: Monotonic time; it is older.
        is_pooled: Behind it a pooler hands each transaction to another session.
    """

    since: float
    is_pooled: bool
