"""``otp demo``: it shows what it says, and says so when it does not."""

from __future__ import annotations

import importlib.metadata
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otpcore.cli.demo import demo as _demo
from otpcore.cli.demo.stage import Stage
from otpcore.cli.exits import ExitCode
from otpcore.providers import discovery as _discovery

from ..preloaded import Preloaded  # noqa: TID252 - tests are no package that could be imported by name
from .desk import Otp, registered
from .test_output import run, terminal


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


def test_on_a_terminal_of_80_columns_every_line_fits(
    otp: Otp, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one(stage: Stage) -> None:
        await stage.send("+359871234567", "mada")
        await stage.approve("+359871234567", stage.read("mada", "+359871234567").code)

    del otp
    monkeypatch.setattr(_demo, "ACTS", (("An SMS", one),))
    with terminal(80, monkeypatch) as shown:
        run(["demo"])
        lines = shown().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.endswith("(True, True)") for line in lines), "what belongs together stays together"
    assert any("`otp demo --with " in line and line.count("`") == 2 for line in lines), "a command is whole"


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
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's own acts take seconds, and are tried above."""

    async def only(stage: Stage) -> None:
        stage.story.claim("the first act holds", holds=True)

    monkeypatch.setattr(_demo, "ACTS", (("The first act", only),))


@pytest.fixture
def acme(otp: Otp, directory: Path, importable: Path) -> Path:
    """A package that `otp new-provider` wrote, as if it were installed; its sources."""
    assert otp("new-provider", "acme", "--directory", "elsewhere").code == ExitCode.OK
    source = registered(directory / "elsewhere" / "otp-acme")
    for entry in source.iterdir():
        entry.rename(directory / entry.name)
    return directory / "otp_acme"


@pytest.mark.usefixtures("short", "acme")
def test_a_simulator_that_is_installed_takes_part_where_that_is_asked_for(otp: Otp) -> None:
    ended = otp("demo")
    *_, last = ended.out.splitlines()
    assert last.startswith("Also installed: acme")
    assert last.endswith("; such as `otp demo --with acme`.")
    assert "through acme" not in ended.out
    ended = otp("demo", "--with", "acme", "--with", "ACME", "--with", "sinch")
    assert ended.code == ExitCode.OK, ended.out + ended.err
    assert "2. A code through acme\n   [ok] a code to +359871234567 goes out through acme" in ended.out
    assert "All 3 claims held.\n" in ended.out
    document = otp("demo", "--with", "acme", "--json").document
    assert [(act["title"], len(act["claims"])) for act in document["acts"]][1:] == [("A code through acme", 2)]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("file", "found", "instead", "reason"),
    [
        ("simulator", "class AcmeSimulator(Simulator)", "class Other(Simulator)", "has no attribute 'AcmeSimulator'"),
        ("simulator", "import secrets", "raise RuntimeError('+359871234567')", "failed with RuntimeError"),
        ("simulator", 'request.headers.get("auth', 'request.hat.get("auth', "its simulator raised AttributeError"),
        ("simulator", '"base_url": self.base_url', '"url": self.base_url', "providers.acme.url"),
        ("simulator", 'text=message.get("text", "")', 'text="hello"', "the code  is right: incorrect"),
        ("provider", "context.structure(", "context.no_such(", "AttributeError"),
        ("errors", "import ErrorKind", "import NoSuchThing, ErrorKind", "cannot import name 'NoSuchThing'"),
    ],
)
def test_one_that_is_broken_breaks_its_own_act_alone(
    file: str, found: str, instead: str, reason: str, acme: Path, otp: Otp
) -> None:
    source = (acme / f"{file}.py").read_text(encoding="utf-8")
    assert found in source
    (acme / f"{file}.py").write_text(source.replace(found, instead, 1), encoding="utf-8")
    assert otp("demo").code == ExitCode.OK
    hook = threading.excepthook
    ended = otp("demo", "--with", "acme")
    assert threading.excepthook is hook
    assert ended.code == ExitCode.REFUSED
    assert "[ok] the first act holds" in ended.out
    assert "it does not hold: " in ended.out
    assert reason in ended.err, ended.err
    document = otp("demo", "--with", "acme", "--json").document
    assert not document["ok"]
    assert document["problem"].startswith("acme: ")


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("name", "code", "fix"),
    [("sinhc", ExitCode.CONFIGURATION, "write sinch; "), ("acme:Acme", ExitCode.USAGE, "`otp simulate --list`")],
)
def test_a_guest_that_is_not_installed_is_told_before_anything_is_played(
    name: str, code: ExitCode, fix: str, otp: Otp
) -> None:
    ended = otp("demo", "--with", name)
    assert (ended.code, ended.out) == (code, "")
    assert fix in ended.err


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
