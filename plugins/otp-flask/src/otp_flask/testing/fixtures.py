"""pytest fixtures: ``pytest_plugins = ["otp_flask.testing.fixtures"]`` in the project's ``conftest.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otp_flask.testing import sending_to_outbox
from otpcore.testing import Outbox

__all__ = ["otp_outbox"]


@pytest.fixture
def otp_outbox() -> Iterator[Outbox]:
    """An empty outbox, to which every app sends during the test."""
    with sending_to_outbox() as made:
        yield made
