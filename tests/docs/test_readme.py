"""Every command and snippet of the README and the guide is executed, with a simulated gateway standing in for the vendor."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
import pytest

from otpcore import Channel, OTPService, parse_rules
from otpcore.providers.provider import PROVIDERS
from otpcore.settings.tree import generate_keys, load_settings, starter_file
from otpcore.simulators.simulator import SimulatedAnswer, SimulatedRequest, Simulator
from otpcore.testing import wrong_code

from ..preloaded import Preloaded  # noqa: TID252 - tests are no package that could be imported by name

ROOT = Path(__file__).parent.parent.parent
README, GUIDE, WRITING = (
    (ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/guide.md", "docs/writing-a-provider.md")
)
PHONE = "+359871234567"
PATIENCE = 60.0  # seconds until a test gives up on a program


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


DEMO, TESTS, INSTALL, INIT, FIRST_CODE = blocks(README, "sh")
SETTINGS, SECRETS = blocks(README, "toml")
ASYNCHRONOUS, BLOCKING = blocks(README, "python")
ROUTES, WORKER, SIMULATOR = blocks(GUIDE, "sh")
RETRY, RUNNER, RECEIPTS_URL = blocks(GUIDE, "toml")
(RETRY_IN_YAML,) = blocks(GUIDE, "yaml")
OURS, CONFTEST, HOST_TEST, RETRY_TEST, SANDBOX_TEST = blocks(GUIDE, "python")
PROVIDER, *_ = blocks(WRITING, "python")
ACME, PACKAGE = blocks(WRITING, "toml")


@attrs.frozen
class Newcomer:
    """Somebody who does what the README says, in an empty directory; ``otp`` is in the folder ``commands``."""

    directory: Path
    gateway: Simulator
    commands: Path

    @property
    def environment(self) -> dict[str, str]:
        """The programs of this virtualenv come first, and the vendor is not where the README's settings say."""
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(self.commands), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **{f"OTPCORE_PROVIDERS__MADA__{key.upper()}": str(value) for key, value in self.account.items()},
        }

    @property
    def account(self) -> Mapping[str, Any]:
        return self.gateway.provider_settings()

    def runs(self, command: str) -> str:
        """A line in a shell; what it prints."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env=self.environment,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A program that goes on."""
        with subprocess.Popen(
            words,
            cwd=self.directory,
            env=self.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as program:
            try:
                yield program
            finally:
                program.kill()

    def sets_up(self, *more: str) -> None:
        """The README's settings in the files that `otp init` writes, or has written."""
        fresh = starter_file(generate_keys(datetime.now(UTC)))
        wanted = ((SETTINGS, *more), (SECRETS,))
        for name, starter, wishes in zip(("otpcore.toml", ".otpcore.secrets.toml"), fresh, wanted, strict=True):
            file = self.directory / name
            text = file.read_text(encoding="utf-8") if file.exists() else starter
            for block in wishes:
                text = edited(text, block)
            assert all(holds(tomllib.loads(text), tomllib.loads(block)) for block in wishes)
            file.write_text(text, encoding="utf-8")
            file.chmod(0o600)  # as `otp init` leaves it


@pytest.fixture
def newcomer(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, forked: Preloaded) -> Iterator[Newcomer]:
    commands = tmp_path_factory.mktemp("commands")
    (commands / "otp").symlink_to(forked.otp)
    (found,) = entry_points(group="otpcore.simulators", name="mada")
    with found.load()() as gateway:
        yield Newcomer(tmp_path, gateway, commands)


def edited(text: str, block: str) -> str:
    """Settings as a person edits them: a key that is there is changed, the rest goes to the end."""
    for paragraph in block.strip().split("\n\n"):
        lines = [line for line in paragraph.splitlines() if " = " in line]
        changed = text
        for line in lines:
            changed = re.sub(rf"^{line.partition(' = ')[0]} = .*$", line, changed, flags=re.MULTILINE)
        text = changed if all(line in changed for line in lines) else f"{text}\n{paragraph}\n"
    return text


def holds(tree: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    return all(
        holds(tree[key], value) if isinstance(value, Mapping) else tree[key] == value for key, value in part.items()
    )


def test_no_block_is_of_a_kind_that_nothing_here_executes():
    assert set(re.findall(r"^```(\w*)$", README, re.MULTILINE)) == {"", "sh", "toml", "python"}


def test_the_readme_is_read_in_one_sitting():
    assert len(README.splitlines()) <= 150


def test_the_first_two_commands_are_what_ci_runs_on_a_clean_checkout():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    ours = [command.strip().split(" && ") for command in (DEMO, TESTS)]
    assert [line for line in ci if line in {part for parts in ours for part in parts}] == [*ours[1], ours[0][-1]]
    assert ours[0][:-1] == ours[1][:-1]


def test_the_named_pythons_are_the_supported_ones():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    supported = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    assert f"CPython {', '.join(supported[:-1])} or {supported[-1]}." in README


def test_the_core_and_one_provider_are_enough(newcomer):
    newcomer.runs(INSTALL)


def test_the_first_code_arrives_and_verifies(newcomer):
    newcomer.runs(INIT)
    newcomer.sets_up()
    doctor, send, verify = FIRST_CODE.splitlines()
    newcomer.runs(doctor)
    newcomer.runs(send)
    (message,) = newcomer.gateway.inbox
    assert message.recipient == PHONE
    newcomer.runs(re.sub(r"\b123456$", message.code, verify))


@pytest.mark.parametrize(
    ("program", "typed", "answer"),
    [
        (ASYNCHRONOUS, str, "Welcome!\n"),
        (
            ASYNCHRONOUS.replace("asyncio.run(main())", "__import__('trio').run(main)"),
            wrong_code,
            "That was not the code.\n",
        ),
        (BLOCKING, str, "approved\n"),
    ],
    ids=["asyncio", "trio", "blocking"],
)
def test_ten_lines_send_and_verify(newcomer, forked, program, typed, answer):
    newcomer.sets_up()
    with newcomer.running(forked.python, "-c", program) as running:
        assert running.stdout.read(len("Code: ")) == "Code: "
        said, _ = running.communicate(typed(newcomer.gateway.inbox[-1].code) + "\n", PATIENCE)
    assert (said, running.returncode) == (answer, 0)


def test_the_routes_are_as_the_table_says():
    (rules,) = re.findall(r"`([^`]+)`:\n\n\| number", GUIDE)
    rows = re.findall(r"^\| (\+\d+) \| (.*) \|$", GUIDE, re.MULTILINE)
    assert [parse_rules(rules).candidates(number) for number, _ in rows] == [
        tuple(route.split(", then ")) for _, route in rows
    ]
    assert len(rows) == 3
    assert parse_rules(rules).restricted_to({"twilio", "sinch"}).candidates(PHONE) == ("twilio", "sinch"), "a call"


def test_rules_are_explained_and_changed_while_everything_runs(newcomer):
    newcomer.runs(INIT)
    said = newcomer.runs(f"set -e\n{ROUTES}")
    for number, route in re.findall(r"^\| (\+\d+) \| (.*) \|$", GUIDE, re.MULTILINE):
        if number in ROUTES:
            assert re.search(rf"^{re.escape(number[:5])}\S+ by sms: {route} \(", said, re.MULTILINE), said
    assert re.search(r"sms +database +mada:\+35987,\+35988", said)


def test_retries_are_switched_on_alike_in_yaml_and_toml(tmp_path):
    for name, text in (("otpcore.yaml", RETRY_IN_YAML), ("otpcore.toml", RETRY)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        settings = load_settings(tmp_path / name)
        assert (settings.sms.retry, settings.sms.max_retries, settings.retry.runner) == (True, 20, "background")


def test_a_worker_delivers_what_nobody_took(newcomer):
    newcomer.sets_up(RETRY, RUNNER, RECEIPTS_URL)
    arrived, deliver = threading.Event(), newcomer.gateway.deliver

    def tell(**message: Any) -> None:
        deliver(**message)
        arrived.set()

    newcomer.gateway.deliver = tell
    newcomer.gateway.down()
    _, send, _ = FIRST_CODE.splitlines()
    assert "queued" in newcomer.runs(send)
    newcomer.gateway.up()
    with newcomer.running(*WORKER.split()) as worker:
        assert arrived.wait(PATIENCE), "nothing arrived"
        worker.send_signal(signal.SIGTERM)
        said, _ = worker.communicate(timeout=PATIENCE)
        assert worker.returncode == 0, said
    assert [message.recipient for message in newcomer.gateway.inbox] == [PHONE]


def test_a_host_tests_its_application_with_the_outbox(newcomer):
    (newcomer.directory / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (newcomer.directory / "test_door.py").write_text(HOST_TEST, encoding="utf-8")
    (newcomer.directory / "test_retries.py").write_text(RETRY_TEST, encoding="utf-8")
    assert "3 passed" in newcomer.runs("python -m pytest -q -W error -p no:cacheprovider")


def test_a_host_tests_its_application_in_the_sandbox(newcomer):
    (newcomer.directory / "test_landline.py").write_text(SANDBOX_TEST, encoding="utf-8")
    assert "1 passed" in newcomer.runs("python -m pytest -q -W error -p no:cacheprovider")


def test_a_vendor_to_develop_against_runs_as_the_guide_says(newcomer, forked):
    _, *words = SIMULATOR.replace("8025", "0").split()
    with newcomer.running(forked.otp, *words) as vendor:
        assert re.match(r"# twilio at http://127\.0\.0\.1:\d+ until Ctrl-C", vendor.stdout.readline())
        assert vendor.stdout.readline() == "[providers.twilio]\n"


def test_codes_and_texts_of_ones_own_go_out_as_the_guide_says(otp_outbox):
    names: dict[str, Any] = {}
    exec(compile(OURS, "docs/guide.md", "exec"), names)
    with otp_outbox.blocking_service() as otp:
        names["send_what_is_ours"](otp, PHONE)
    assert [message.code for message in otp_outbox.messages] == ["408162", ""]
    assert otp_outbox.messages[-1].text == "Your order is ready."


class Acme(Simulator):
    """What the provider of the page about writing one talks to."""

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        assert (request.method, request.path) == ("POST", "/messages")
        assert request.headers["authorization"] == "Bearer of the account"
        message = request.json()
        self.deliver(recipient=message["to"], channel=Channel.SMS, text=message["text"])
        return SimulatedAnswer.json(201, {"id": "M1"})


def test_the_provider_of_fifty_lines_sends(newcomer, monkeypatch, importable):
    assert len(PROVIDER.splitlines()) < 60
    (importable / "otp_acme.py").write_text(PROVIDER, encoding="utf-8")
    newcomer.sets_up()
    file = newcomer.directory / "otpcore.toml"
    file.write_text(edited(file.read_text(encoding="utf-8"), ACME), encoding="utf-8")
    with Acme() as acme:
        monkeypatch.setenv("OTPCORE_PROVIDERS__ACME__BASE_URL", acme.base_url)
        with OTPService.from_settings(file) as otp:
            challenge = otp.send_sms(PHONE)
            assert challenge.provider == "acme"
            assert otp.verify(challenge_id=challenge.id, code=acme.inbox[-1].code)
    points = tomllib.loads(PACKAGE)["project"]["entry-points"]
    assert points[PROVIDERS] == {"acme": tomllib.loads(ACME)["providers"]["acme"]["plugin"]}
