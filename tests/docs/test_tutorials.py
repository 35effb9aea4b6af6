"""The tutorials, as somebody goes through them: a simulated vendor, the page's own settings, commands and programs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
import pytest

from otpcore.simulators.simulator import Simulator
from otpcore.testing import wrong_code

from ..preloaded import Preloaded  # noqa: TID252 - tests are no package that could be imported by name
from ..servers import empty  # noqa: TID252 - the same
from .pages import PAGES, blocks

FIRST, MACHINES = PAGES["docs/tutorial/first-code.md"], PAGES["docs/tutorial/four-machines.md"]
INSTALL, VENDOR, DOCTOR, SEND, VERIFY, STORY = blocks(FIRST, "sh")
ACCOUNT, RULES = blocks(FIRST, "toml")
DOOR, CONFTEST, DOOR_TEST = blocks(FIRST, "python")
WORKER, TABLES, ON_ONE, ON_ANOTHER, STATUS = blocks(MACHINES, "sh")
RETRIES, DATABASE = blocks(MACHINES, "toml")
(INDEX_EXAMPLE,) = blocks(PAGES["docs/index.md"], "python")
PHONE = "+359871234567"
PATIENCE = 60.0


@attrs.frozen
class Learner:
    """Somebody in an empty directory, whose vendor is simulated in the test's own process."""

    directory: Path
    gateway: Simulator
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder), str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**os.environ, "PATH": path, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def runs(self, script: str, fails: int = 0, typed: str = "", place: str = ".") -> str:
        """A line or more in a shell; what they print."""
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=self.directory / place,
            env=self.environment,
            input=typed,
            text=True,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == fails, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    @property
    def settings(self) -> Path:
        return self.directory / "otpcore.toml"

    def adds(self, *tables: str) -> None:
        """Tables as a person writes them: the keys of one that is there are changed, others go to the end."""
        text = self.settings.read_text(encoding="utf-8")
        for table in "\n".join(tables).strip().split("\n\n"):
            head, *lines = table.strip().splitlines()
            if f"{head}\n" in text:
                for line in lines:
                    text = re.sub(rf"^{line.partition(' = ')[0]} = .*$", line, text, flags=re.MULTILINE)
            else:
                text += f"\n{table.strip()}\n"
        self.settings.write_text(text, encoding="utf-8")

    def begins(self, install: str = INSTALL.splitlines()[-1]) -> None:
        """As far as the first page leads before it sends; what it installs is there already."""
        self.runs(install)
        account = tomllib.loads(ACCOUNT)["providers"]["mada"]
        now: dict[str, Any] = self.gateway.provider_settings()
        text = self.settings.read_text(encoding="utf-8").replace('otp_sms_provider = ""', RULES.strip())
        own = "\n".join(f'{key} = "{now[key]}"' for key in account)
        self.settings.write_text(f"{text}\n[providers.mada]\n{own}\n", encoding="utf-8")

    @property
    def code(self) -> str:
        return self.gateway.inbox[-1].code


@pytest.fixture
def learner(tmp_path: Path, forked: Preloaded) -> Iterator[Learner]:
    (found,) = entry_points(group="otpcore.simulators", name="mada")
    with found.load()() as gateway:
        yield Learner(tmp_path, gateway, forked.folder)


def with_code(command: str, code: str) -> str:
    """The command of a page with the code that came, instead of the page's."""
    changed, times = re.subn(r" (?:123456|000000)$", f" {code}", command.strip())
    assert times == 1
    return changed


@contextmanager
def going_on(learner: Learner, command: str, place: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command.split(), cwd=learner.directory / place, env=learner.environment, text=True, stdout=subprocess.PIPE
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def test_the_simulated_vendor_prints_the_settings_of_the_page(learner: Learner) -> None:
    with going_on(learner, VENDOR.replace("8025", "0"), ".") as vendor:
        assert vendor.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\d+", vendor.stdout.readline())[0]
        printed = "".join(vendor.stdout.readline() for _ in ACCOUNT.strip().splitlines())
    assert printed.replace(address, "http://127.0.0.1:8025") == ACCOUNT


def test_a_first_code_verifies_once_as_the_page_says(learner: Learner) -> None:
    learner.begins(INSTALL)
    assert learner.runs(DOCTOR).endswith("nothing stands in the way of sending\n")
    learner.runs(SEND)
    assert learner.gateway.inbox[-1].recipient == PHONE
    wrong, right, again = VERIFY.splitlines()
    assert "incorrect" in learner.runs(with_code(wrong, wrong_code(learner.code)), fails=1)
    assert "approved" in learner.runs(with_code(right, learner.code))
    assert "not_found" in learner.runs(with_code(again, learner.code), fails=1)
    assert "approved" in learner.runs(STORY)


@pytest.mark.parametrize(("program", "told"), [(DOOR, "Come in."), (INDEX_EXAMPLE, "approved")], ids=["door", "index"])
def test_a_program_lets_in_who_types_the_code(learner: Learner, program: str, told: str) -> None:
    learner.begins()
    (learner.directory / "door.py").write_text(program, encoding="utf-8")
    with subprocess.Popen(
        [str(learner.folder / "python"), "door.py"],
        cwd=learner.directory,
        env=learner.environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as door:
        assert door.stdout.read(len("Code: ")) == "Code: "
        tries = f"{wrong_code(learner.code)}\n{learner.code}\n" if program == DOOR else f"{learner.code}\n"
        said, _ = door.communicate(tries, PATIENCE)
    assert said.endswith(f"{told}\n")
    assert ("That was not the code." in said) == (program == DOOR)


def test_the_door_is_tested_without_a_vendor(learner: Learner) -> None:
    (learner.directory / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (learner.directory / "test_door.py").write_text(DOOR_TEST, encoding="utf-8")
    assert "1 passed" in learner.runs(f"{sys.executable} -m pytest -q -W error -p no:cacheprovider")


def test_a_worker_delivers_what_the_vendor_did_not_take(learner: Learner) -> None:
    learner.begins()
    learner.adds(RETRIES)
    learner.gateway.down()
    assert "queued" in learner.runs(SEND)
    learner.gateway.up()
    with going_on(learner, WORKER, ".") as worker:
        learner.runs(f"until otp challenges show {PHONE} | grep -q '^state *sent'; do sleep 0.2; done")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0
    assert [one.recipient for one in learner.gateway.inbox] == [PHONE]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.sqlite3'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    empty(url)
    return url


def test_four_machines_are_one(learner: Learner, database: str) -> None:
    """Four directories with the same two files and one database; the rule is that it does not matter who does what."""
    learner.begins()
    assert tomllib.loads(DATABASE)["storage"]["url"].startswith("postgresql://")
    learner.adds(RETRIES, f'[storage]\nurl = "{database}"')
    for machine in "1234":
        shutil.copytree(learner.directory, learner.directory / machine, ignore=shutil.ignore_patterns("[1-4]"))
    tables, doctor = TABLES.splitlines()
    learner.runs(tables, place="1")
    learner.runs(doctor, place="1")
    learner.runs(ON_ONE, place="1")
    verify = with_code(ON_ANOTHER, learner.code)
    assert "approved" in learner.runs(verify, place="2")
    assert "not_found" in learner.runs(verify, fails=1, place="3")
    for purpose, place in (("a", "2"), ("b", "3")):
        learner.runs(f"otp send {PHONE} --purpose {purpose}", place=place)
    learner.runs(f"otp send {PHONE} --purpose c", fails=4, place="4")
    assert len(learner.gateway.inbox) == 3
    learner.runs("otp pause --reason 'of the test'", place="4")
    learner.runs("otp send +359881234567", fails=4, place="1")
    assert "pause" in learner.runs(f"{STATUS.strip()} || true", place="2")
