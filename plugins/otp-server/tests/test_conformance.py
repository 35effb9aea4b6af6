"""What ``/openapi.json`` says is what the server does: schemathesis asks it, on SQLite and on PostgreSQL; a generated client too."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otpcore.stores.sql.store import upgrade

LONG = os.environ.get("OTPCORE_TEST_CONFORMANCE") == "required"
HERE = Path(__file__).parent
PHASES = ["--phases", "examples,coverage,fuzzing,stateful", "--max-time", "45"]
SHORT = ["--phases", "examples,coverage", "--max-examples", "1", "--generation-deterministic"]
OPEN = {"limits": {"phone": [], "client": [], "unverified": []}, "otp": {"number_policy": "possible"}}


def needs(module: str) -> None:
    """Skip what a module is missing for, unless this is the session that has them all."""
    if not LONG and importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed; nox -s conformance has it")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_schemathesis_finds_nothing(
    kind: str, request: pytest.FixtureRequest, run_server: Callable[..., Any], tmp_path: Path
) -> None:
    needs("schemathesis")
    url = f"sqlite:///{tmp_path}/otp.sqlite3"
    if kind == "postgres":
        url = request.getfixturevalue("postgres")
        upgrade(url)
    with run_server(url, **OPEN) as server:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "conformance.toml")),
            *("run", f"{server.url}/openapi.json", "--checks", "all"),
            *("--request-timeout", "60", "--workers", "2", "--no-color", *(PHASES if LONG else SHORT)),
        ]
        own = {"SCHEMATHESIS_HOOKS": "conformance_hooks", "PYTHONPATH": str(HERE), "OTP_KEY": server.token()}
        ran = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=600
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr


PROGRAM = """
import json, sys
from otpcore_client import AuthenticatedClient
from otpcore_client.api.verifications import (
    verifications_cancel, verifications_check, verifications_resend, verifications_see, verifications_start
)
from otpcore_client.models import CancelBody, CheckBody, ProblemDocument, ResendBody, StartBody

url, token, phone = sys.argv[1:4]
with AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True) as client:
    begun = verifications_start.sync(
        client=client, body=StartBody(to=phone, channels=["sms", "call"], purpose="sign-in"), idempotency_key="one"
    )
    again = verifications_start.sync(
        client=client, body=StartBody(to=phone, channels=["sms", "call"], purpose="sign-in"), idempotency_key="one"
    )
    assert (begun.id, begun.status, begun.channel) == (again.id, "pending", "sms"), (begun, again)
    wrong = verifications_check.sync(begun.id, client=client, body=CheckBody(code="000"))
    assert (wrong.valid, wrong.status, wrong.attempts_left) == (False, "pending", 5), wrong  # none that could be right
    early = verifications_resend.sync(begun.id, client=client)
    assert isinstance(early, ProblemDocument), early
    assert (early.status, early.reason) == (429, "too_early") and early.retry_after > 0, early
    resent = verifications_resend.sync(begun.id, client=client, body=ResendBody(channel="next"))
    assert (resent.id, resent.channel) == (begun.id, "call"), resent
    seen = verifications_see.sync(begun.id, client=client)
    assert [one.channel for one in seen.deliveries] == ["sms", "call"], seen
    ended = verifications_cancel.sync(begun.id, client=client, body=CancelBody())
    assert ended.status == "canceled", ended
    unknown = verifications_see.sync("nothing", client=client)
    assert (unknown.status, unknown.reason) == (404, "not_found"), unknown
    begun = verifications_start.sync(client=client, body=StartBody(to=phone))
    print(json.dumps({"id": begun.id}), flush=True)
    checked = verifications_check.sync(begun.id, client=client, body=CheckBody(code=sys.stdin.readline().strip()))
    assert (checked.valid, checked.status) == (True, "approved"), checked
"""
"""An application of somebody's, who has nothing but the description."""


def test_a_generated_client_verifies(shared: Any, phone: str, tmp_path: Path) -> None:
    needs("openapi_python_client")
    here = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # it tidies with ruff
    (tmp_path / "config.yml").write_text("package_name_override: otpcore_client\n")
    where = ["--url", f"{shared.url}/openapi.json", "--output-path", "otpcore_client"]
    made = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", *where, "--meta", "none", "--config", "config.yml"],
        cwd=tmp_path,
        env=here,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "WARNING" not in made.stdout + made.stderr, made.stdout + made.stderr
    command = [sys.executable, "-c", PROGRAM, shared.url, shared.token(), phone]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asks:
        assert asks.stdout is not None
        begun = asks.stdout.readline()
        _, told = asks.communicate(shared.code() if begun else "", timeout=60)
    assert asks.returncode == 0, told
