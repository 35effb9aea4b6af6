"""A reader who follows a send, or a verification, opens few files: the limits of CONTRIBUTING.md."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def passage(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.passage")  # no package: it is found in the root only


def test_a_send_and_a_verification_run_through_few_files(passage: ModuleType) -> None:
    """Where one passes through another, what is needless on the way belongs elsewhere, or two files are one."""
    passed = dict(zip(passage.MOST_FILES, asyncio.run(passage.of_send_and_verification()), strict=True))
    found = {name: one.files for name, one in passed.items() if len(one.files) > passage.MOST_FILES[name]}
    assert found == {}
    assert all(
        f"otpcore/service/{name}.py" in files
        for name, files in zip(("sending", "verifying"), (one.files for one in passed.values()), strict=True)
    )


def test_the_limits_are_the_ones_that_contributors_are_told(passage: ModuleType) -> None:
    send, verification = passage.MOST_FILES.values()
    told = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    assert f"A send passes through at most {send} files of `otpcore/`, a verification through {verification}" in told
