"""An application goes from its file to Redis by one line of its settings; so does the command line."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
from redis_servers import redis_sentinel

from otpcore import AsyncOTPService
from otpcore.settings.tree import load_settings

pytestmark = pytest.mark.anyio

PHONE = "+359871234567"


@pytest.fixture
def settings_file(tmp_path):
    """As ``otp init`` writes one, for a sandbox; ``{url}`` is the line that differs."""

    def write(url):
        path = tmp_path / "otpcore.toml"
        path.write_text(
            f"""
            otp_sms_provider = "acme"

            [sms]
            sandbox = true

            [storage]
            url = "{url}"

            [limits]
            phone = []

            [keys]
            index = "{"a" * 43}="
            current = "k1"
            code.k1 = "{"b" * 42}c="
            """
        )
        return path

    return write


def otp(path, *command):
    done = subprocess.run(
        [sys.executable, "-m", "otpcore", "--settings", str(path), "--json", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_the_same_application_runs_by_changing_one_url(kind, server, settings_file, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    url = server.url if kind == "redis" else f"sqlite:///{tmp_path / 'otp.sqlite3'}"
    settings = load_settings(settings_file(url))
    async with AsyncOTPService(settings) as service:
        challenge = await service.send_sms(PHONE)
        code = challenge.code
        assert not await service.verify(PHONE, "000000" if code != "000000" else "111111")
    async with AsyncOTPService(settings) as service:  # another process later
        assert await service.verify(PHONE, code)
        assert not await service.verify(PHONE, code)
        assert (await service.diagnose())["store"]["store"] == ("redis" if kind == "redis" else "sql")
    dump = server.dump() if kind == "redis" else (tmp_path / "otp.sqlite3").read_bytes()
    assert f'"{code}"'.encode() not in dump
    assert PHONE.encode() not in dump
    assert PHONE[1:] not in caplog.text


def test_the_command_line_needs_nothing_but_the_url(server, settings_file):
    path = settings_file(server.url)
    code, out, err = otp(path, "send", PHONE, "--reveal")
    assert code == 0, err
    sent = json.loads(out)
    code, out, err = otp(path, "verify", PHONE, sent["code"])
    assert (code, json.loads(out)["code_valid"]) == (0, True), err
    code, out, err = otp(path, "doctor")
    (said,) = [one["detail"] for one in json.loads(out)["checks"] if "eviction" in one["detail"]]
    assert f"place: {server.url}" in said
    assert "eviction: noeviction; persistence: none: a restart of the server forgets everything" in said
    code, out, err = otp(path, "db", "current")
    assert code != 0
    assert "the store is not otpcore's own for SQL databases" in out + err


def test_the_command_line_looks_behind_sentinels(server, settings_file, tmp_path):
    with redis_sentinel(tmp_path / "sentinel", server) as sentinel:
        path = settings_file(f"redis+sentinel://127.0.0.1:{sentinel.port}/otp-main")
        code, out, err = otp(path, "send", PHONE)
        assert code == 0, err
        _, out, _ = otp(path, "doctor")
        (said,) = [one["detail"] for one in json.loads(out)["checks"] if "eviction" in one["detail"]]
        assert f"primary: 127.0.0.1:{server.port}; sentinels: 1 of 1 answer" in said
        _, out, _ = otp(settings_file(f"redis+sentinel://127.0.0.1:{sentinel.port}/shop"), "doctor")
    problems = [one["detail"] for one in json.loads(out)["checks"] if one["level"] == "problem"]
    assert any("the sentinels know no service 'shop'; they know: otp-main" in one for one in problems)
