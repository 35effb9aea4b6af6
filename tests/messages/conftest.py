"""What several files of this folder begin with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .instances import Vendors


@pytest.fixture
def vendors() -> Iterator[Vendors]:
    """Twilio and Sinch, as their simulators."""
    with ExitStack() as stack:
        yield Vendors(stack)
