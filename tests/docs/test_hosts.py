"""Hosts of a kind of their own, each run as it is deployed: gevent's greenlets, children of multiprocessing, handlers at exit."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ..servers import do_without  # noqa: TID252 - tests are no package that could be imported by name

PATIENCE = 60.0

DJANGO_ON_GEVENT = """
import os

from django.conf import settings

settings.configure(
    SECRET_KEY="of the test", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "host.sqlite3"}},
)

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import JsonResponse
from django.urls import path

from otpcore import OTPService

otp = OTPService({
    "sms": {"sandbox": True, "retry": True}, "otp_sms_provider": "twilio", "storage": {"url": "sqlite:///otp.sqlite3"},
})


def code(request, number):
    phone = f"+1202555{number:04}"
    challenge = otp.send_sms(phone)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        rows = cursor.fetchall()
    right = otp.verify(challenge_id=challenge.id, code=otp.sandbox_inbox(phone)[-1].code)
    return JsonResponse({"rows": rows, "right": bool(right)})


urlpatterns = [path("codes/<int:number>", code)]
application = get_wsgi_application()
"""

AT_EXIT = """
import atexit

def goodbye():
    try:
        otp.send_sms("+359871234567")
        print(bool(otp.verify("+359871234567", outbox.code)))
    except RuntimeError as error:
        print(error)

BEFORE
from otpcore import OTPService
from otpcore.testing import Outbox
AFTER

outbox = Outbox()
otp = outbox.blocking_service({"storage": {"store": "sql", "url": "sqlite:///otp.sqlite3"}})
OPEN
"""


def run(program: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        cwd=directory,
    )


@contextlib.contextmanager
def gunicorn(directory: Path, *options: str) -> Iterator[httpx.Client]:
    """A client of the host in the directory, served until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener, (directory / "log").open("wb") as log:
        fd, port = listener.fileno(), listener.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--bind", f"fd://{fd}", *options, "host:application"],
            cwd=directory,
            pass_fds=[fd],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    with server:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as client:
                yield client
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) == 0
        finally:
            server.kill()


def test_on_gevent_the_loop_is_in_a_thread_of_its_own_and_django_may_use_its_database(tmp_path: Path) -> None:
    if subprocess.run([sys.executable, "-c", "import gevent"], capture_output=True, check=False).returncode:
        do_without("gevent is not installed here")
    (tmp_path / "host.py").write_text(DJANGO_ON_GEVENT)
    with gunicorn(tmp_path, "--worker-class", "gevent", "--workers", "1") as client:
        for number in range(100, 103):
            answer = client.get(f"/codes/{number}")
            assert answer.status_code == 200, (tmp_path / "log").read_text()
            assert answer.json() == {"rows": [[1]], "right": True}


@pytest.mark.parametrize("opens", [True, False])
@pytest.mark.parametrize("where", ["BEFORE", "AFTER"])
def test_a_handler_at_exit_may_use_it_or_is_told_why_not(tmp_path: Path, where: str, *, opens: bool) -> None:
    program = AT_EXIT.replace("OPEN", "otp.open()" if opens else "")
    for place in ("BEFORE", "AFTER"):
        program = program.replace(place, "atexit.register(goodbye)" if place == where else "")
    ran = run(program, tmp_path)
    told = ran.stdout.strip()
    assert (ran.stderr, ran.returncode) == ("", 0)
    if where == "AFTER" and opens:
        assert told == "True"
    elif where == "AFTER":  # whether threads still start is the interpreter's affair
        assert told == "True" or told.startswith("the interpreter is shutting down")
    else:
        assert told.startswith("the interpreter is shutting down")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_of_multiprocessing_leaves_no_sign_of_life_behind(tmp_path: Path) -> None:
    ran = run(
        """
        import multiprocessing
        from otpcore import OTPService
        settings = {
            "sms": {"sandbox": True, "retry": True}, "otp_sms_provider": "twilio", "storage": {"url": "sqlite:///otp.sqlite3"},
        }

        def child():
            OTPService(settings).open()

        if __name__ == "__main__":
            children = [multiprocessing.get_context("fork").Process(target=child) for _ in range(2)]
            for one in children:
                one.start()
            for one in children:
                one.join()
            with OTPService(settings, runner="inline") as otp:
                print(len(otp.status().workers), [one.exitcode for one in children])
        """,
        tmp_path,
    )
    of_the_sandbox = ("sms.sandbox is on", "the sandbox has no keys")
    unexpected = [line for line in ran.stderr.splitlines() if not line.startswith(of_the_sandbox)]
    assert (ran.stdout.strip(), unexpected, ran.returncode) == ("0 [0, 0]", [], 0)
