"""The changes that no test can notice, each with the reason: ``survivors.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

__all__ = ["explained"]


def explained() -> Mapping[tuple[str, str, str], str]:
    """Why, by file, line of code and change."""
    read = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text(encoding="utf-8"))
    return {(one["file"], one["code"], one["change"]): one["why"] for one in read.get("survivor", [])}
