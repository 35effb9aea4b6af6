"""One module for each scenario: ``TITLE``, ``NOTE``, ``cases(world)``, ``MEASURES`` and ``tables(results)``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

__all__ = ["NAMES", "all_of_them"]

NAMES = ("send", "verify", "round_trip", "processes", "growth", "series", "outage", "service", "startup", "routing")


def all_of_them() -> Mapping[str, Any]:
    """The modules by name, in the order in which they are measured and shown."""
    return {name: importlib.import_module(f"benchmarks.scenarios.{name}") for name in NAMES}
