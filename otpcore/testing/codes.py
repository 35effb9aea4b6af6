"""Codes that a test types in."""

from __future__ import annotations

__all__ = ["wrong_code"]


def wrong_code(code: str, by: int = 1) -> str:
    """Another code of the same length; ``by`` from 1 on gives one different from the others."""
    return f"{(int(code) + by) % 10 ** len(code):0{len(code)}}"
