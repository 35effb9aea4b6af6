"""The README's project, made as a person would, and a browser that verifies a phone there."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import httpx

from otpcore import Operator

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PATIENCE = 60.0
WITH_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""  # a process that was started in the background by a shell ignores it, and so do its children


@attrs.frozen
class Project:
    """The directory of a project, and what its operator sees.

    Args:
        place: The directory.
        url: Where otpcore's tables are; empty: beside the project's SQLite file.
    """

    place: Path
    url: str = ""

    def run(self, script: str) -> str:
        """Commands of the README."""
        for name, program in (("python", ""), ("django-admin", "-m django"), ("otp", "-m otpcore")):
            script = re.sub(rf"^{name}\b", f"'{sys.executable}' {program}".strip(), script, flags=re.MULTILINE)
        ran = subprocess.run(
            ["sh", "-ec", script], cwd=self.place, capture_output=True, text=True, env=self.environment, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(("OTPCORE_", "DJANGO_"))}

    @contextlib.contextmanager
    def operator(self) -> Iterator[Operator]:
        keys = tomllib.loads((self.place / "otp.keys.toml").read_text())
        url = self.url or f"sqlite:///{self.place}/db.otp.sqlite3"
        with Operator({"sms": {"sandbox": True}, "storage": {"url": url}, **keys}) as made:
            yield made

    def code(self, phone: str) -> str:
        """What the sandbox kept from being sent."""
        with self.operator() as operator:
            code = operator.inbox(phone, reveal=True)[-1].code
        assert code
        return code

    def workers(self) -> set[str]:
        """Those who run retries, by what they leave in the store: a service that is open is one."""
        with self.operator() as operator:
            return {one.name for one in operator.status().workers}

    def wait_for_workers(self, are_right: Callable[[set[str]], bool]) -> set[str]:
        end = time.monotonic() + PATIENCE
        while not are_right(found := self.workers()):
            assert time.monotonic() < end, (found, (self.place / "log").read_text())
            time.sleep(0.3)
        return found

    @contextlib.contextmanager
    def served(self, *command: str, ends_with: signal.Signals) -> Iterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        words = [word.replace("PORT", str(port)) for word in command]
        with (self.place / "log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, "-c", WITH_CTRL_C, *words],
                cwd=self.place,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield f"http://127.0.0.1:{port}"
            os.killpg(server.pid, ends_with) if ends_with is signal.SIGINT else server.send_signal(ends_with)
            assert server.wait(PATIENCE) in (0, -ends_with, 130)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait(PATIENCE)


def begin(place: Path, url: str = "", more: str = "") -> Project:
    """The README's project, up to its tables.

    Args:
        place: An empty directory.
        url: As ``Project`` takes it.
        more: At the end of its settings.
    """
    made = Project(place, url)
    set_up, _serve, _ = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    made.run(set_up)
    settings, urls, wsgi = re.findall(r"```python\n# (shop/\w+\.py)[^\n]*\n(.*?)```", README, re.DOTALL)
    for name, text in (settings, urls):
        with (made.place / name).open("a") as file:
            file.write(f"\n{text}")
    with (made.place / "shop/settings.py").open("a") as file:
        file.write(more)
    _name, text = wsgi
    for file, line in (("shop/wsgi.py", text), ("shop/asgi.py", text.replace("wsgi", "asgi"))):
        path = made.place / file
        changed = re.sub(r"^from django\.core\.[aw]sgi import .*\n", line, path.read_text(), flags=re.MULTILINE)
        assert changed != path.read_text()
        path.write_text(changed)
    return made


def wait_until_it_listens(url: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), PATIENCE).close()
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return


def verify(project: Project, url: str, phone: str, read: Callable[[], str] | None = None) -> None:
    """As a browser without scripts.

    Args:
        read: How the person gets to know the code; None: from the sandbox.
    """
    with httpx.Client(base_url=url, follow_redirects=True, trust_env=False, timeout=PATIENCE) as client:

        def post(page: httpx.Response, **values: str) -> httpx.Response:
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
            assert token, page.text
            return client.post(page.url, data={"csrfmiddlewaretoken": token[1], **values})

        wait_until_it_listens(url)
        refused = client.post("/phone/", data={"phone": phone})
        assert refused.status_code == 403, "without the token"
        asked = post(client.get("/phone/"), phone=phone)
        assert asked.url.path == "/phone/code/"
        code = read() if read else project.code(phone)
        wrong = post(asked, code=str(int(code) + 1).rjust(6, "0")[-6:])
        assert "You can try 4 more times." in wrong.text
        done = post(wrong, code=code)
        assert (done.url.path, done.history[0].status_code) == ("/admin/login/", 302)
        assert done.status_code == 200, "the tutorial ends on a page that is there"
        assert client.get("/phone/code/").url.path == "/phone/"
