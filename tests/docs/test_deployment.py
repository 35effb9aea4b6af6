"""The recipes of docs/deployment.md: each file and command is taken from the page and run, against the sandbox or a gateway on loopback."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from otpcore.settings.tree import generate_keys, starter_file

from ..preloaded import Preloaded  # noqa: TID252 - tests are no package that could be imported by name

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE.partition("\n## ")[2], flags=re.MULTILINE)}
BIN = Path(sys.executable).parent
PHONE = "+12025550123"
PATIENCE = 60.0  # seconds for a process on a machine with much else to do
IN_NOX = os.environ.get("OTPCORE_TEST_HOSTS") == "required"
SANDBOX = {"OTPCORE_OTP_SMS_PROVIDER": "twilio", "OTPCORE_SMS__SANDBOX": "true", "OTPCORE_SMS__RETRY": "true"}
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
"""Root without any of its powers can write as little as somebody else where it may only read."""


FROZEN = f"""
from otpcore import OTPService

with OTPService.from_settings() as otp:
    challenge = otp.send_sms({PHONE!r})
    print(bool(otp.verify(challenge_id=challenge.id, code=otp.sandbox_inbox()[-1].code)))
"""


def block(title: str, language: str) -> str:
    """The one of this language in the section."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", SECTIONS[title], re.DOTALL)
    return found


def command(title: str) -> list[str]:
    """The section's command, of this virtualenv."""
    program, *words = shlex.split(block(title, "sh"))
    return [str(BIN / program), *words]


def needs(module: str) -> None:
    """Skip what needs a package that the tests do not install, except in ``nox -s hosts``."""
    if importlib.util.find_spec(module) is None:
        reason = f"{module} is not installed here; nox -s hosts does it"
        (pytest.fail if IN_NOX else pytest.skip)(reason)


class Place:
    """A directory with settings of the sandbox, and one for data."""

    def __init__(self, directory: Path) -> None:
        self.code, self.data = directory / "code", directory / "data"
        for one in (self.code, self.data):
            one.mkdir(mode=0o755)
        settings, secrets = starter_file(generate_keys(datetime.now(UTC)))
        (self.code / "otpcore.toml").write_text(settings, encoding="utf-8")
        (self.code / ".otpcore.secrets.toml").write_text(secrets, encoding="utf-8")
        (self.code / ".otpcore.secrets.toml").chmod(0o600)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "HOME"},
            **SANDBOX,
            "OTPCORE_SETTINGS_FILE": str(self.code / "otpcore.toml"),
            "OTPCORE_STORAGE__URL": f"sqlite:///{self.data / 'otp.sqlite3'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SECRET_KEY": "of the test",
            "PUBLIC_URL": "http://127.0.0.1",
        }

    def write(self, name: str, content: str) -> None:
        (self.code / name).write_text(content, encoding="utf-8")

    def lock(self) -> None:
        """Nothing can be written beside the code any more."""
        self.code.chmod(0o555)

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.data / "otp.sqlite3")) as database:
            try:
                return database.execute(statement).fetchall()
            except sqlite3.OperationalError:  # no tables yet
                return []

    def workers(self) -> int:
        """How many processes have opened it."""
        return len(self.rows("SELECT name FROM otp_worker"))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=self.code, env=self.environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    @property
    def log(self) -> str:
        return (self.data / "log").read_text(encoding="utf-8", errors="replace")

    @contextlib.contextmanager
    def started(self, *words: str, fd: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """A process, until SIGTERM, after which it ends in good order and leaves no sign of life."""
        with (self.data / "log").open("wb") as log:
            self.process = process = subprocess.Popen(
                words, cwd=self.code, env=self.environment, stdout=log, stderr=log, pass_fds=[fd] if fd else []
            )
        with process:
            try:
                yield process
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE) in (0, -signal.SIGTERM), self.log
            finally:
                process.kill()
        assert self.workers() == 0, self.log
        assert "Traceback" not in self.log, self.log

    def until(self, holds: Callable[[], object]) -> None:
        """Wait for the process that was started, and for no longer than it lives."""
        given_up = time.monotonic() + PATIENCE
        while not holds():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}\n{self.log}"
            assert time.monotonic() < given_up, self.log
            time.sleep(0.05)

    @contextlib.contextmanager
    def served(self, *words: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
        """A client of a web server; ``{fd}`` and ``{port}`` are where it listens."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            fd, port = listener.fileno(), listener.getsockname()[1]
            if not any("{fd}" in word for word in words):
                listener.close()
            words = tuple(word.replace("{fd}", str(fd)).replace("{port}", str(port)) for word in words)
            with (
                self.started(*words, fd=fd if listener.fileno() >= 0 else None) as process,
                httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as client,
            ):
                yield client, process


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.code.chmod(0o755)


def flask_app(place: Place) -> None:
    shutil.copy(ROOT / "examples" / "flask" / "app.py", place.code)
    place.write("gunicorn.conf.py", block("gunicorn", "python"))


def test_every_recipe_says_whether_it_was_run():
    for title, text in SECTIONS.items():
        assert re.search(r"^\*(Run by a test|Read here)", text, re.MULTILINE), title


def test_without_privileges_home_or_a_place_to_write_it_sends(place):
    place.write("program.py", block("What holds everywhere", "python"))
    place.lock()
    ran = place.run(*UNPRIVILEGED, sys.executable, "program.py")
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
    assert len(place.rows("SELECT * FROM otp_delivery")) == 1


def test_where_nothing_can_be_written_the_error_names_the_file_and_the_fix(place):
    place.write("program.py", block("What holds everywhere", "python"))
    place.lock()
    del place.environment["OTPCORE_STORAGE__URL"]
    ran = place.run(*UNPRIVILEGED, sys.executable, "program.py")
    assert ran.returncode == 1
    said = ran.stderr.splitlines()[-1]
    assert str(place.code) in said
    assert "storage.url" in said


def test_systemd_takes_the_unit(place):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there")
    unit = block("systemd", "ini").replace("/opt/otp/bin/otp", str(BIN / "otp"))
    place.write("otp-worker.service", unit)
    done = place.run("systemd-analyze", "verify", "--man=no", str(place.code / "otp-worker.service"))
    assert (done.returncode, "otp-worker" in done.stderr) == (0, False), done.stderr


def test_the_worker_of_the_unit_runs_until_it_is_stopped(place):
    unit = block("systemd", "ini")
    given = dict(word.split("=", 1) for word in re.findall("^Environment=(.*)$", unit, re.MULTILINE))
    own = {name: place.environment[name] for name in given if name in place.environment}
    assert set(given) - set(own) == {"OTPCORE_RETRY__RUNNER"}
    place.environment.update(given | own)
    _, *words = shlex.split(re.search("^ExecStart=(.*)$", unit, re.MULTILINE)[1])
    place.lock()
    with place.started(*UNPRIVILEGED, str(BIN / "otp"), *words):
        place.until(place.workers)


def test_the_container_needs_nothing_but_its_volume(place):
    flask_app(place)
    shutil.copy(ROOT / "examples" / "flask" / "gunicorn.conf.py", place.code)
    dockerfile = block("Container", "dockerfile")
    given = dict(word.split("=", 1) for word in re.findall("^ENV (.*)$", dockerfile, re.MULTILINE))
    place.environment.update(given | {name: place.environment[name] for name in given})
    program, *words = json.loads(re.search("^CMD (.*)$", dockerfile, re.MULTILINE)[1])
    assert words == ["--bind", "0.0.0.0:8000"]
    place.lock()
    with place.served(*UNPRIVILEGED, str(BIN / program), "--bind", "fd://{fd}") as (client, _):
        assert client.post("/codes", json={"phone": PHONE}).status_code == 202
        place.until(lambda: place.workers() == 2)


@pytest.mark.parametrize("preload", [[], ["--preload"]])
def test_gunicorn_opens_in_each_worker_and_again_when_it_is_reloaded(place, preload):
    flask_app(place)
    with place.served(str(BIN / "gunicorn"), "--bind", "fd://{fd}", *preload) as (client, server):
        place.until(lambda: place.workers() == 2)
        before = place.rows("SELECT name FROM otp_worker ORDER BY name")
        assert client.post("/codes", json={"phone": PHONE}).status_code == 202
        server.send_signal(signal.SIGHUP)
        place.until(lambda: place.workers() == 2 and not set(before) & set(place.rows("SELECT name FROM otp_worker")))


def test_gevent(place):
    needs("gevent")
    flask_app(place)
    with place.served(*command("gevent"), "--bind", "fd://{fd}") as (client, _):
        place.until(lambda: place.workers() == 2)
        assert client.post("/codes", json={"phone": PHONE}).status_code == 202


def test_uvicorn_opens_in_each_worker(place):
    shutil.copy(ROOT / "examples" / "fastapi" / "app.py", place.code)
    with place.served(*command("uvicorn"), "--fd", "{fd}") as (client, _):
        place.until(lambda: place.workers() == 2)
        assert client.post("/codes", json={"phone": PHONE}).status_code == 202


def test_celery_opens_in_each_child(place):
    needs("celery")
    place.write("tasks.py", block("Celery", "python"))
    (place.data / "broker").mkdir()
    folders = {"data_folder_in": f"{place.data}/broker", "data_folder_out": f"{place.data}/broker"}
    place.write(
        "celeryconfig.py",
        f"broker_url = 'filesystem://'\nbroker_transport_options = {folders}\n"
        f"result_backend = 'file://{place.data}/broker'\nworker_proc_alive_timeout = 60\n",
    )
    place.environment["CELERY_CONFIG_MODULE"] = "celeryconfig"
    ask = f"from tasks import send_code; print(send_code.delay({PHONE!r}).get(timeout={PATIENCE}))"
    with place.started(*command("Celery")):
        place.until(lambda: place.workers() == 2)
        asked = place.run(sys.executable, "-c", ask)
        assert asked.returncode == 0, asked.stderr
        assert place.rows("SELECT id FROM otp_challenge") == [(asked.stdout.strip(),)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(place, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("not on this system")
    program = block("multiprocessing", "python").replace(
        "    pool =", f"    multiprocessing.set_start_method({method!r})\n    pool ="
    )
    place.write("program.py", program)
    ran = place.run(sys.executable, "program.py")
    assert (ran.stdout, ran.returncode) == ("['sent', 'sent']\n", 0), ran.stderr
    assert place.workers() == 0


def test_an_executor_ends_its_children_properly(place):
    program = block("multiprocessing", "python")
    head, _, _ = program.partition("if __name__")
    place.write(
        "program.py",
        f"import concurrent.futures\n{head}if __name__ == '__main__':\n"
        "    with concurrent.futures.ProcessPoolExecutor(1, initializer=start) as pool:\n"
        f"        print(list(pool.map(send, [{PHONE!r}])))\n",
    )
    ran = place.run(sys.executable, "program.py")
    assert (ran.stdout, ran.returncode) == ("['sent']\n", 0), ran.stderr
    assert place.workers() == 0


def uwsgi(place: Place, *, threads: bool) -> list[str]:
    flask_app(place)
    place.write("uwsgi_app.py", block("uWSGI", "python"))
    ini = block("uWSGI", "ini")
    place.write("uwsgi.ini", ini if threads else ini.replace("enable-threads = true\n", ""))
    prefix = [] if (Path(sys.prefix) / "lib").exists() and sys.prefix == sys.base_prefix else ["--venv", sys.prefix]
    return [str(BIN / "uwsgi"), "--ini", "uwsgi.ini", "--http-socket", "127.0.0.1:{port}", *prefix]


@pytest.mark.parametrize("threads", [True, False])
def test_uwsgi_opens_in_each_worker_and_says_where_threads_stand_still(place, threads):
    if not (BIN / "uwsgi").exists():
        needs("uwsgi")
    with place.served(*uwsgi(place, threads=threads)) as (client, _):
        place.until(lambda: place.workers() == 2)
        assert client.post("/codes", json={"phone": PHONE}).status_code == 202
        assert ("enable-threads = true" in place.log) is not threads
        place.until(lambda: "POST /codes" in place.log)
        time.sleep(0.5)  # until its worker is at nothing: one that is ends without Python's exit handlers


def test_a_lambda_that_was_frozen_goes_on(place):
    settings = tomllib.loads(block("AWS Lambda", "toml"))
    place.environment["OTPCORE_RETRY__RUNNER"] = settings["retry"]["runner"]
    place.write("function.py", block("AWS Lambda", "python"))
    place.write(
        "runtime.py",
        "import json, sys\nfrom function import handler\n"
        "for line in sys.stdin:\n    print(json.dumps(handler(json.loads(line), None)), flush=True)\n",
    )
    with subprocess.Popen(
        [sys.executable, "runtime.py"],
        cwd=place.code,
        env=place.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as runtime:
        answers = []
        for phone in (PHONE, "+12025550124", "+1202"):
            event = {"phone": phone, "requestContext": {"http": {"sourceIp": "203.0.113.1"}}}
            runtime.stdin.write(json.dumps(event) + "\n")
            runtime.stdin.flush()
            answers.append(json.loads(runtime.stdout.readline())["statusCode"])
            runtime.send_signal(signal.SIGSTOP)
            runtime.send_signal(signal.SIGCONT)
        runtime.stdin.close()
        assert (answers, runtime.wait(PATIENCE)) == ([202, 202, 422], 0)
    assert place.workers() == 0


@pytest.mark.skipif(not IN_NOX, reason="a frozen app is built in a minute, by nox -s hosts")
def test_a_frozen_app_sends_and_verifies(place):
    place.write("host.py", FROZEN)
    built = subprocess.run(
        command("PyInstaller"),
        cwd=place.code,
        env=place.environment | {"HOME": str(place.data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-3000:]
    ran = place.run(*UNPRIVILEGED, str(place.code / "dist" / "host" / "host"))
    assert (ran.stdout, ran.returncode) == ("True\n", 0), ran.stderr


def test_readiness(place, forked: Preloaded):
    program, *doctor = shlex.split(block("Readiness", "sh"))
    assert program == "otp"
    ready = place.run(forked.otp, *doctor)
    assert ready.returncode == 0, ready.stdout + ready.stderr
    paused = place.run(forked.otp, "pause")
    assert paused.returncode == 0, paused.stderr
    ready = place.run(forked.otp, *doctor)
    assert ready.returncode == 1, ready.stdout + ready.stderr
    assert len(ready.stdout.splitlines()) == 1
