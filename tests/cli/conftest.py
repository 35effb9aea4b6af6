"""A command line in an empty directory, a gateway to send through, and a guard that looks for what must not be shown."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from otp_mada.simulator import MadaSimulator

from otpcore.cli.main import run
from otpcore.settings.tree import generate_keys, starter_file

from .desk import Desk, Ended, Otp, shown_secrets


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory, nothing about otpcore in the environment, and no logging left behind."""
    for name in list(os.environ):
        if name.startswith("OTPCORE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    logger = logging.getLogger("otpcore")
    handlers, level = list(logger.handlers), logger.level
    yield tmp_path
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture
def desk(directory: Path, migrated: Path) -> Iterator[Desk]:
    """Settings and keys as a person would have them, a store with its tables, and the gateway running."""
    shutil.copy(migrated, directory / "otpcore.sqlite3")
    with MadaSimulator() as mada:
        made = Desk(directory, mada)
        made.write()
        secrets = directory / ".otpcore.secrets.toml"
        secrets.write_text(starter_file(generate_keys(datetime.now(UTC)))[1], encoding="utf-8")
        secrets.chmod(0o600)
        yield made


@pytest.fixture
def otp(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Otp:
    """Run a command in this process; without ``--reveal`` its output is searched for what it must not show."""
    desk: Desk | None = request.getfixturevalue("desk") if "desk" in request.fixturenames else None

    def run_command(*arguments: str) -> Ended:
        capsys.readouterr()
        code = run(list(arguments))
        out, err = capsys.readouterr()
        if desk is not None and "--reveal" not in arguments:
            assert shown_secrets(out + err, desk.secrets()) == []
        assert "Traceback" not in err
        return Ended(code, out, err)

    return run_command
