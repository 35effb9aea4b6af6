"""The README's project on the servers that people run; codes are verified over HTTP."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
from otp_django_project import README, Project, begin, verify


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = begin(tmp_path_factory.mktemp("project"))
    _, serve, _ = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    migrate, _ = serve.splitlines()
    assert "The tables of otpcore are up to date." in made.run(migrate)
    return made


TESTS = """
from django.test import SimpleTestCase, TestCase
from otp_django import otp, testing
from otp_django.testing import OTPTestMixin
from otpcore import SettingsError


class PhoneTest(OTPTestMixin, TestCase):
    def test_a_phone_is_verified(self):
        self.client.post("/phone/", {"phone": "+359871234567"})
        answer = self.client.post("/phone/code/", {"code": testing.outbox.code})
        self.assertEqual(answer.status_code, 302)


class OtherTest(SimpleTestCase):  # in parallel, Django gives each class a process
    def test_nothing_is_sent_without_an_outbox(self):
        with self.assertRaisesMessage(SettingsError, "in tests use otp_django.testing"):
            otp.send_sms("+359871234567")
"""


@pytest.mark.parametrize("options", ["", "--parallel 2"])
def test_the_test_runner_of_django_runs_the_tests_of_a_project(project, options):
    (project.place / "tests.py").write_text(TESTS)
    said = project.run(f"python -W error::RuntimeWarning manage.py test {options} 2>&1")
    assert "Found 2 test(s)." in said
    assert "no issues" in said, "the checks ran"
    assert "Ran 2 tests" in said
    assert "memory store" not in said


def lines_of_code() -> int:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return sum(1 for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#"))


def test_the_tutorial_is_as_short_as_it_says():
    assert lines_of_code() <= 12


def test_the_keys_are_for_their_owner_alone(project):
    assert (project.place / "otp.keys.toml").stat().st_mode & 0o077 == 0


SERVERS = {
    "gunicorn": (["-m", "gunicorn", "--workers", "2", "--bind", "127.0.0.1:PORT", "shop.wsgi"], 2),
    "preloaded": (["-m", "gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:PORT", "shop.wsgi"], 1),
    "uvicorn": (["-m", "uvicorn", "--port", "PORT", "shop.asgi:application"], 1),
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_opens_at_its_start_verifies_a_phone_and_closes_at_its_end(project, server):
    command, count = SERVERS[server]
    phone = f"+3598712345{[*SERVERS].index(server) + 70}"
    with project.served(*command, ends_with=signal.SIGTERM) as url:
        project.wait_for_workers(lambda found: len(found) == count)  # before the first request
        verify(project, url, phone)
    assert project.workers() == set(), (project.place / "log").read_text()
    said = (project.place / "log").read_text()
    assert "Traceback" not in said
    assert phone[1:] not in said


def test_runserver_opens_anew_when_it_reloads_and_closes_with_ctrl_c(project):
    with project.served("manage.py", "runserver", "PORT", ends_with=signal.SIGINT) as url:
        first = project.wait_for_workers(lambda found: len(found) == 1)
        *_, command = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
        verify(project, url, "+359871234567", lambda: re.findall(r"\b[0-9]{6}\b", project.run(command))[-1])
        (project.place / "shop" / "urls.py").touch()
        project.wait_for_workers(lambda found: len(found) == 1 and found != first)
    assert project.workers() == set(), (project.place / "log").read_text()


def test_the_commands_of_the_project_end_as_those_of_otp(project):
    def ended(*words: str) -> int:
        return subprocess.run(
            [sys.executable, "manage.py", "otp", *words],
            check=False,
            cwd=project.place,
            env=project.environment,
            capture_output=True,
        ).returncode

    assert ended("send", "+359871239999", "--settings", "shop.settings") == 0
    assert ended("verify", "+359871239999", "0") == 1
    assert ended("send", "nonsense") == 2
