"""For tests of hosts and of plugins: outbox, clock and contract suites. Nothing in otpcore imports it."""

from __future__ import annotations

from otpcore.testing.clock import FakeClock
from otpcore.testing.outbox import Outbox, OutboxMessage

__all__ = ["FakeClock", "Outbox", "OutboxMessage"]
