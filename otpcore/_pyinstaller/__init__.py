"""For PyInstaller: where the hook is that takes along what an import does not show, of otpcore and of its plugins."""

from __future__ import annotations

from pathlib import Path

__all__ = ["hook_directories"]


def hook_directories() -> list[str]:
    """What the entry point ``hook-dirs`` of the group ``pyinstaller40`` answers."""
    return [str(Path(__file__).parent)]
