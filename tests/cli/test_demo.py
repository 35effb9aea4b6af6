"""``otp demo``: it shows what it says, and says so when it does not."""

from __future__ import annotations

import importlib.metadata
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otpcore.cli.demo import demo as _demo
from otpcore.cli.demo.stage import Stage
from otpcore.cli.exits import ExitCode
from otpcore.providers import discovery as _discovery

from ..preloaded import Preloaded  # noqa: TID252 - tests are no package that could be imported by name
from .desk import Otp


def test_the_demo_shows_every_act_and_every_claim_holds(directory: Path, forked: Preloaded) -> None:
    began = time.monotonic()
    ran = subprocess.run(
        [forked.otp, "demo"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == ExitCode.OK, ran.stdout + ran.stderr
    assert time.monotonic() - began < 25
    assert ran.stderr == ""
    assert "\x1b" not in ran.stdout  # nobody looks at a terminal here
    for shown in (
        "+359871234567 goes out through mada",
        "+12025550123 goes out through twilio",
        "Mada cannot call",
        "+12025550124 goes out through sinch",
        "retry 2",
        "the next retry is taken by twilio",
        "a wrong code is refused: incorrect",
        "the same code once more is refused: not_found",
        "too late, is refused: expired",
        "claims held",
    ):
        assert shown in ran.stdout
    assert "[NO]" not in ran.stdout
    assert list(directory.iterdir()) == []


def test_a_claim_that_does_not_hold_ends_the_demo_with_a_failure(otp: Otp, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wrong(stage: Stage) -> None:
        stage.story.claim("the moon is made of cheese", holds=False)

    monkeypatch.setattr(_demo, "ACTS", (("The moon", wrong),))
    ended = otp("demo")
    assert ended.code == ExitCode.REFUSED
    assert "the demo does not hold: the moon is made of cheese" in ended.err
    assert "[NO] the moon is made of cheese" in ended.out
    document = otp("demo", "--json")
    assert document.code == ExitCode.REFUSED
    assert document.document["ok"] is False
    assert document.document["acts"][0]["claims"] == [{"claim": "the moon is made of cheese", "holds": False}]


@pytest.fixture
def without_sinch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every package is there but one."""

    def forget() -> None:
        _discovery._read.cache_clear()
        _discovery._entry_points.cache_clear()

    points = [point for one in importlib.metadata.distributions() for point in one.entry_points]
    left = importlib.metadata.EntryPoints(point for point in points if point.name != "sinch")
    monkeypatch.setattr(importlib.metadata, "entry_points", left.select)
    forget()
    yield
    forget()


@pytest.mark.usefixtures("without_sinch")
def test_missing_packages_are_named_with_the_line_that_installs_them(otp: Otp) -> None:
    ended = otp("demo", "--json")
    assert ended.code == ExitCode.CONFIGURATION
    error = ended.document["error"]
    assert error["message"] == "the demo needs otp-sinch"
    assert error["fix"].startswith("pip install otp-sinch ")
