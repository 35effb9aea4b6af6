"""An empty current directory for every test of settings, and how settings files are written there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .reading import Write


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and nothing about otpcore in the environment."""
    for name in list(os.environ):
        if name.startswith("OTPCORE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(directory: Path) -> Write:
    def write_file(name: str, text: str) -> Path:
        file = directory / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return file

    return write_file
