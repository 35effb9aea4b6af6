"""What several files of this folder begin with."""

from __future__ import annotations

import pytest

from .carriers import Scene


@pytest.fixture
def scene() -> Scene:
    """Two carriers and a recorder, in which nothing has happened."""
    return Scene()
