"""The pages on how an auth system is set up: what they show is what runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from otp_server.relay.routes import ADAPTERS
from otp_server.settings import read_settings
from relay_callers import AUTH0, KRATOS, SETTINGS, SHARED, SIGNING

PAGES = Path(__file__).parents[3] / "docs" / "relay"
pytestmark = pytest.mark.skipif(not PAGES.exists(), reason="the pages are in the repository")

RUN = """
const api = { notification: { retry: (why) => console.log("retry", why), drop: (why) => console.log("drop", why) } };
exports.onExecuteCustomPhoneProvider(JSON.parse(process.argv[2]), api).then(() => console.log("done"));
"""


def blocks(name: str, language: str) -> list[str]:
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


@pytest.mark.parametrize("name", [one.name for one in ADAPTERS])
def test_each_auth_system_has_a_page_with_its_address_and_setting(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert f"https://otp.example.com/v1/relay/{name}/shop" in text
    assert "## Sources, and what is not certain" in text
    assert f"](relay/{name}.md)" in (PAGES.parent / "service.md").read_text(encoding="utf-8")
    settings = [tomllib.loads(one) for one in blocks(name, "toml") if "[server." in one]
    (told,) = [one["server"] for one in settings]
    told["apps"]["shop"]["relay"][name]["secrets"] = SETTINGS[name]["secrets"]
    assert read_settings(told).apps["shop"].relay.of(name).secrets


def node() -> str:
    """Debian's, or the one that Playwright brings."""
    return shutil.which("node") or str(pytest.importorskip("playwright._impl._driver").compute_driver_executable()[0])


def test_auth0s_action_hands_its_message_over_and_does_what_it_is_answered(
    run_server: Callable[..., Any], tmp_path: Path, phone: str
) -> None:
    (action,) = blocks("auth0", "js")
    (tmp_path / "action.js").write_text(action + RUN, encoding="utf-8")

    def acted(url: str, to: str, secret: str = SIGNING.removeprefix("v1,")) -> list[str]:
        event = json.loads(json.dumps(AUTH0.document["event"]).replace("PHONE", to))
        event["secrets"] = {"OTP_SECRET": secret, "OTP_URL": f"{url}/v1/relay/auth0"}
        command = [node(), str(tmp_path / "action.js"), json.dumps(event)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return ran.stdout.splitlines()

    url = f"sqlite:///{tmp_path}/otp.sqlite3"
    with run_server(url, server={"relay": SETTINGS}, limits={"phone": ["1/1h"], "client": []}) as server:
        assert acted(server.url, phone) == ["done"]
        (message,) = server.server.sandbox.sandbox_inbox()
        assert (message.phone.e164, message.text) == (phone, AUTH0.document["body"]["notification"]["as_text"])
        assert acted(server.url, phone) == ["done"]
        assert len(server.server.sandbox.sandbox_inbox()) == 1
        assert acted(server.url, "+12025550113") == ["drop otpcore: 422", "done"]
        assert acted(server.url, phone, "whsec_" + "b3RoZXIh" * 4) == ["drop otpcore: 401", "done"]
        server.do(server.server.sandbox.operator.sending.pause(by="the test"))
        assert acted(server.url, phone[:-1] + "x".replace("x", str((int(phone[-1]) + 1) % 10))) == [
            "retry otpcore: 503",
            "done",
        ]
    assert acted(server.url, phone)[0] == "retry otpcore: TypeError"


def test_kratos_jsonnet_makes_of_its_data_what_is_carried(
    run_server: Callable[..., Any], tmp_path: Path, phone: str
) -> None:
    jsonnet = pytest.importorskip("_jsonnet", reason="needs jsonnet")
    (template,) = blocks("kratos", "jsonnet")
    context = KRATOS.body(phone)
    made = jsonnet.evaluate_snippet("otpcore.jsonnet", f"({template})({json.dumps(context)})")
    body = json.loads(made)
    assert body == {
        "recipient": phone,
        "body": context["body"],
        "template_type": "login_code_valid",
        "template_data": {"login_code": "561166"},
    }
    relay = {"kratos": {"secrets": [SHARED], "kind": "test", "text": "otpcore"}}
    with run_server(f"sqlite:///{tmp_path}/otp.sqlite3", server={"relay": relay}) as server:
        assert KRATOS.call(server.url, made.encode(), app="").status_code == 200
        (message,) = server.server.sandbox.sandbox_inbox()
        assert (message.code, message.purpose) == ("561166", "login_code_valid")
