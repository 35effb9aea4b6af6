"""Where the tests of this folder install plugins."""

from __future__ import annotations

import pytest


@pytest.fixture
def site(importable):
    """Where distributions are installed."""
    return importable
