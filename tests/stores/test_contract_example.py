"""The store of docs/writing-a-store.md keeps the contract, by the suite that stands on the page."""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path

import pytest

from otpcore.testing.stores.contract import CrashFactory

from ..pages import suite  # noqa: TID252 - tests are no package that could be imported by name

FOLDER = tempfile.TemporaryDirectory()  # before pytest has any of its own: the class is made while tests are collected
atexit.register(FOLDER.cleanup)


class TestExample(suite("writing-a-store.md", "otp_file", Path(FOLDER.name))):
    examples = 4

    @pytest.fixture
    def crash_factory(self, tmp_path):
        return CrashFactory("otp_file:FileStore", (str(tmp_path / "otp.rows"),), path=FOLDER.name)
