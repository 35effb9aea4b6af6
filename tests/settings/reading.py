"""How a test writes settings files, and reads what is said of a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from otpcore.errors import SettingsError

Write = Callable[[str, str], Path]


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value)
