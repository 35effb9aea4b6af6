"""A plant for each file: every test brings people of its own, and leaves nothing under way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .plant import Plant, open_plant


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with open_plant(tmp_path_factory.mktemp("plant")) as made:
        yield made
