"""The README's app and the shop of the examples, on the servers that people run; codes are verified over HTTP."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import httpx
import pytest

from otpcore import Operator, load_settings

HERE = Path(__file__)
README = (HERE.parents[1] / "README.md").read_text(encoding="utf-8")
SHOP = HERE.parents[3] / "examples" / "flask"
PHONE = "+359871234567"
PATIENCE = 60.0


@attrs.frozen
class Project:
    """A directory in which an app runs."""

    place: Path
    more: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("OTPCORE_", "FLASK_"))}
        return {**own, **self.more}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.place,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def code(self, phone: str = PHONE) -> str:
        """What the sandbox kept from being sent, as a person reads it."""
        ran = self.run("flask", "otp", "sandbox", phone, "--reveal")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return re.findall(r"\b\d{6}\b", ran.stdout)[-1]

    @contextlib.contextmanager
    def served(self, *command: str) -> Iterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        words = [word.replace("PORT", str(port)) for word in command]
        with (self.place / "log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=self.place, env=self.environment, stdout=log, stderr=log
            )
        try:
            until(lambda: listens(port), self.log)
            yield f"http://127.0.0.1:{port}"
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) in (0, -signal.SIGTERM)
        finally:
            server.kill()
            server.wait(PATIENCE)
        assert "Traceback" not in self.log()

    def log(self) -> str:
        return (self.place / "log").read_text()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


def until(holds: Callable[[], object], told: Callable[[], object]) -> None:
    """Wait for another process."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, told()
        time.sleep(0.05)


@pytest.fixture
def readme(tmp_path: Path) -> Project:
    """As a person would make it."""
    keys, _, _ = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    project = Project(tmp_path)
    project.run(*keys.replace("otp ", "otpcore ", 1).split())
    assert (tmp_path / "otp.keys.toml").stat().st_mode & 0o077 == 0, "the keys are their owner's alone"
    (app,) = re.findall(r"```python\n# app\.py\n(.*?)```", README, re.DOTALL)
    (tmp_path / "app.py").write_text(app)
    return project


def test_the_readme_verifies_a_code(readme: Project):
    _, serve, ask = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    sends, sandbox, verifies = ask.strip().splitlines()
    assert sandbox == f"flask otp sandbox {PHONE} --reveal"
    (send_path,) = re.findall(r":5000(/\S+)", sends)
    (verify_path,) = re.findall(r":5000(/\S+)", verifies)
    with readme.served(*serve.split(), "--port", "PORT") as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        assert client.post(send_path, data={"phone": PHONE}).status_code == 202
        code = readme.code()
        answers = [client.post(verify_path, data={"code": one}).json() for one in (code[::-1] + "0", code, code)]
        assert answers == [{"code_valid": False}, {"code_valid": True}, {"code_valid": False}]
        assert client.post(send_path, data={"phone": "+35987"}).json()["error"] == "InvalidPhoneNumber"
    assert (readme.place / "instance" / "otp.sqlite3").exists()
    for words, status in ((["doctor"], 0), (["status"], 0), (["send", "+35987"], 2)):
        ran = readme.run("flask", "otp", *words)
        assert ran.returncode == status, ran.stdout + ran.stderr


def test_the_readme_s_app_is_short():
    (app,) = re.findall(r"```python\n# app\.py\n(.*?)```", README, re.DOTALL)
    assert len([line for line in app.splitlines() if line.strip() and "import" not in line]) <= 13


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    if not SHOP.is_dir():
        pytest.skip("the examples lie in the repository, not in the distribution")
    made = Project(tmp_path).run("otpcore", "keys", "new")
    (tmp_path / "otpcore.toml").write_text(
        f'otp_sms_provider = "Carrier"\n[sms]\nsandbox = true\n[storage]\nurl = "sqlite:///{tmp_path}/otp.sqlite3"\n'
        f'[limits]\nphone = ["2/1h"]\n[otp]\ncooldown = 0\n{made.stdout}'
    )
    return Project(
        tmp_path,
        {
            "OTPCORE_SETTINGS_FILE": str(tmp_path / "otpcore.toml"),
            "FLASK_SECRET_KEY": "of the test",
            "FLASK_APP": "shop:create_app",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(SHOP), os.environ.get("PYTHONPATH")])),
        },
    )


class Person:
    """Somebody with a browser that runs no scripts."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        client.headers["Accept"] = "text/html,*/*;q=0.8"

    def fill(self, page: httpx.Response, **values: str) -> httpx.Response:
        token = re.search(r'name="csrf_token" type="hidden" value="([^"]+)"', page.text)
        assert token, page.text
        return self.client.post(page.url, data={"csrf_token": token[1], **values})


def test_the_shop_verifies_a_phone_with_two_workers(shop: Project):
    conf = str(SHOP / "shop.conf.py")
    with (
        shop.served("gunicorn", "--config", conf, "--bind", "127.0.0.1:PORT") as url,
        httpx.Client(base_url=url, timeout=PATIENCE, follow_redirects=True) as client,
    ):
        settings = load_settings(shop.more["OTPCORE_SETTINGS_FILE"])
        with Operator(settings) as operator:
            until(lambda: len(operator.status().workers) == 2, shop.log)  # open in each, before a request
        person = Person(client)
        page = client.get("/")
        assert page.url.path == "/phone/", "led to where the phone is asked for"
        assert client.post("/phone/", data={"phone": PHONE}).status_code == 400, "without the token"
        assert "with + and the country code" in person.fill(page, phone="+35987").text
        page = person.fill(page, phone=PHONE)
        assert page.url.path == "/phone/code"
        code = shop.code()
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        assert "You can try 4 more times." in person.fill(page, code=wrong).text
        page = person.fill(page, code=f"{code[:3]} {code[3:]}")
        assert (page.url.path, "ends with 67" in page.text) == ("/", True)
        assert client.post("/receipts/another", data={"x": "1"}).status_code == 404, "without a token"
        person.fill(client.get("/phone/"), phone=PHONE)
        refused = person.fill(client.get("/phone/"), phone=PHONE)
        assert (refused.status_code, "Please wait" in refused.text) == (429, True)
        assert int(refused.headers["Retry-After"]) > 0
    with Operator(settings) as operator:
        assert operator.status().workers == (), "each closed at its end"
    assert not re.search(rf"{code}|{PHONE[1:]}", shop.log())
    ran = shop.run("flask", "otp", "status", "--check")
    assert ran.returncode in (0, 1), ran.stderr
