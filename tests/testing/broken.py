"""What a row of the tables of broken providers says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["Broken"]


@attrs.frozen
class Broken:
    """One deviation from a correct provider, or from its suite.

    Args:
        provider: A class that does one thing in another way than the correct one that it inherits from.
        tests: Which of the contract must notice, as pytest's ``-k`` writes it; each of them must fail.
        words: What the failure must say.
        suite: Of the correct provider; None: by the class that the broken one inherits from.
        said: What the suite says in another way.
    """

    provider: type
    tests: str
    words: str
    suite: type | None = None
    said: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def name(self) -> str:
        """Unique among the rows."""
        return f"{self.provider.__name__}{''.join(sorted(self.said)).title().replace('_', '')}"
