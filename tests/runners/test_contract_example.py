"""The runner of docs/writing-a-runner.md keeps the contract, by the suite that stands on the page."""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path

from ..pages import suite  # noqa: TID252 - tests are no package that could be imported by name

FOLDER = tempfile.TemporaryDirectory()  # before pytest has any of its own: the class is made while tests are collected
atexit.register(FOLDER.cleanup)


class TestExample(suite("writing-a-runner.md", "otp_heap", Path(FOLDER.name))):
    """As it stands there."""

    latest = 2.0  # as our own
