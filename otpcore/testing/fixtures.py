"""pytest fixtures for hosts: ``pytest_plugins = ["otpcore.testing.fixtures"]`` in the host's ``conftest.py``."""

from __future__ import annotations

import pytest

from otpcore.testing.outbox import Outbox

__all__ = ["otp_outbox"]


@pytest.fixture
def otp_outbox() -> Outbox:
    """An empty outbox with a clock of its own."""
    return Outbox()
