"""The page on how better-auth is set up: its functions, called by Node.js as better-auth calls them, and its command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from otpcore.testing import wrong_code

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "from-better-auth.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the page is in the repository")
CALLS = """
const ids = new Map();
const own = { get: async (key) => ids.get(key), set: async (key, value) => void ids.set(key, value) };
const plugin = { ...verified(own), carried };
const read = (await import("node:readline")).createInterface({ input: process.stdin });
for await (const line of read) {
  const [name, phoneNumber, code] = JSON.parse(line);
  const does = name === "carry" ? plugin.carried.sendOTP : plugin[name];
  try {
    console.log(JSON.stringify((await does({ phoneNumber, code })) ?? null));
  } catch (error) {
    console.log(JSON.stringify(error.message));
  }
}
"""


@pytest.fixture
def node(shared: Any, client: httpx.Client, tmp_path: Path) -> Any:
    """Calls a function of the page, and tells what it resolved to."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no node here")
    source = "".join(re.findall(r"```js\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    (tmp_path / "page.mjs").write_text(source + CALLS, encoding="utf-8")
    with subprocess.Popen(
        [program, "page.mjs"],
        cwd=tmp_path,
        env={"OTP_URL": shared.url, "OTP_KEY": client.headers["Authorization"].split()[1]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program_running:
        stdin, stdout = program_running.stdin, program_running.stdout
        assert stdin is not None
        assert stdout is not None

        def call(*words: str) -> Any:
            stdin.write(json.dumps(words) + "\n")
            stdin.flush()
            return json.loads(stdout.readline())

        yield call
        stdin.close()


def test_a_code_of_better_auths_is_carried_and_not_verified_here(node: Any, shared: Any, phone: str) -> None:
    assert node("carry", phone, "408162")["delivery_state"] == "sent"
    assert shared.code() == "408162"
    assert node("verifyOTP", phone, "408162") is False, "it is better-auth that knows it"


def test_a_code_is_made_and_checked_here(node: Any, shared: Any, phone: str) -> None:
    node("sendOTP", phone, "408162")
    code = shared.code()
    assert code != "408162", "the one that better-auth made goes to no one"
    assert node("verifyOTP", phone, wrong_code(code)) is False
    assert node("verifyOTP", phone, code) is True
    assert node("verifyOTP", phone, code) is False


def test_what_otp_server_refuses_is_an_error(node: Any) -> None:
    assert node("sendOTP", "no number") == "otp-server: 422"


def test_the_command_makes_a_key_that_may_do_both(tmp_path: Path) -> None:
    (command,) = re.findall(r"```sh\n(otp keys api new .*)\n```", PAGE.read_text(encoding="utf-8"))
    told = ""
    for words in (["init"], [*command.split()[1:], "--json"]):
        command_line = [sys.executable, "-m", "otpcore", *words]
        ran = subprocess.run(command_line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        told = ran.stdout
    assert '"otp_live_' in told
    assert all(f'"{scope}"' in told for scope in ("relay", "verify"))
