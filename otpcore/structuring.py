"""Turn a mapping of settings into a frozen attrs class, naming the full key in each error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def structure(values: Mapping[str, Any], cls: type[T], *, prefix: str = "") -> T:
    """WIP: replaced by the settings work."""
    raise NotImplementedError
