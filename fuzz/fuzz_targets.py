"""All fuzz targets by name: each takes bytes and raises only when a promise is broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import fuzz_receipts
import fuzz_settings
import fuzz_simulators
import fuzz_text
import fuzz_vendors

__all__ = ["TARGETS", "seeds"]

TARGETS: Mapping[str, Callable[[bytes], None]] = {
    **fuzz_text.TARGETS,
    **fuzz_settings.TARGETS,
    **fuzz_vendors.TARGETS,
    **fuzz_receipts.TARGETS,
    **fuzz_simulators.TARGETS,
}


def seeds(name: str) -> list[Path]:
    """The kept inputs of a target: good ones to start from, and everything that ever broke it."""
    return sorted((Path(__file__).parent / "corpus" / name).iterdir())
