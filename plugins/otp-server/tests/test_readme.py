"""The README's commands, as a person would type them; and the tables of docs/service.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from otp_server.console_settings import ConsoleSettings
from otp_server.page_settings import PageSettings
from otp_server.problems import OURS
from otp_server.relay_settings import RelaySettings
from otp_server.settings import AppSettings, ServerSettings, WebhookSettings

PLUGIN = Path(__file__).parents[1]
README = (PLUGIN / "README.md").read_text(encoding="utf-8")
PAGE = PLUGIN.parents[1] / "docs" / "service.md"


def test_the_commands_of_the_readme_verify_a_code(serve: Callable[..., Any]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    running = serve()
    begin, check = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    begin = begin.replace("otp_test_…", running.told["token"]).replace("http://127.0.0.1:8025", running.url)
    head = "".join(re.findall(r"^(?:KEY|URL)=.*\n", begin, re.MULTILINE))

    def shell(script: str) -> list[dict[str, Any]]:
        ran = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True, timeout=60)
        decoder, found, rest = json.JSONDecoder(), [], ran.stdout.strip()
        while rest:
            document, end = decoder.raw_decode(rest)
            found.append(document)
            rest = rest[end:].strip()
        return found

    (begun,) = shell(begin)
    assert begun["status"] == "pending"
    (inbox, _) = shell(f"{head}ID={begun['id']} CODE=000\n{check}")
    (_, checked) = shell(f"{head}ID={begun['id']} CODE={inbox['messages'][0]['code']}\n{check}")
    assert checked == {"valid": True, "status": "approved", "attempts_left": 4, "reason": None}


GO = """package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

func main() {
	var begun struct{ ID string }
	if err := otp("verifications", map[string]any{"to": "+12025550110"}, &begun); err != nil {
		panic(err)
	}
	fmt.Println(begun.ID)
	var code string
	fmt.Scanln(&code)
	var checked struct{ Valid bool }
	if err := otp("verifications/"+begun.ID+"/check", map[string]any{"code": code}, &checked); err != nil {
		panic(err)
	}
	fmt.Println(checked.Valid)
}
"""
"""The application around the README's function; the others are whole as they stand, but for who types the code."""


def _typed(name: str, source: str) -> str:
    """A program that writes the id, reads the code that a person types, and writes whether it is right."""
    if name == "js":
        read = 'const typed = (await import("node:fs")).readFileSync(0, "utf8").trim();\n'
        return source.replace("const { valid }", f"console.log(id);\n{read}const {{ valid }}") + "console.log(valid);\n"
    if name == "php":
        read = 'echo "$id\\n";\n$typed = trim(fgets(STDIN));\n'
        return f"<?php\n{source.replace('$valid =', read + '$valid =')}" + 'echo json_encode($valid), "\\n";\n'
    return GO + source


@pytest.mark.parametrize(
    ("name", "command"), [("js", ["node", "it.mjs"]), ("php", ["php", "it.php"]), ("go", ["go", "run", "it.go"])]
)
def test_the_examples_of_other_languages_verify_a_code(
    name: str, command: list[str], serve: Callable[..., Any], tmp_path: Path
) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]} here")
    running = serve()
    (source,) = re.findall(rf"```{name}\n(.*?)```", README, re.DOTALL)
    whole = _typed(name, source)
    assert whole.count("http://127.0.0.1:8025") == 1
    (tmp_path / command[-1]).write_text(whole.replace("http://127.0.0.1:8025", running.url))
    key = {"Authorization": f"Bearer {running.told['token']}"}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "OTP_KEY": running.told["token"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as asks:
        assert asks.stdout is not None
        verification = asks.stdout.readline().strip()
        (message,) = httpx.get(f"{running.url}/v1/inbox", headers=key).json()["messages"]
        told, _ = asks.communicate(f"{message['code']}\n", timeout=120)
    assert (message["verification"], told.strip(), asks.returncode) == (verification, "true", 0)


def rows(title: str) -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [
        [cell.strip().strip("`") for cell in row.strip("|").split("|")]
        for row in re.findall(r"^\|.*\|$", text, re.MULTILINE)
    ]


@pytest.mark.skipif(not PAGE.exists(), reason="the page is in the repository")
def test_the_page_has_every_problem_and_every_setting() -> None:
    told = [row for row in rows("Problems") if row[0].isdigit()]
    assert told == sorted([str(answer.http_status), reason, answer.meaning] for reason, answer in OURS.items())
    of_server = {
        f"server.{one.name}"
        for one in attrs.fields(ServerSettings)
        if one.name not in ("apps", "page", "relay", "console")
    }
    of_apps = {
        f"server.apps.<app>.{one.name}"
        for one in attrs.fields(AppSettings)
        if one.name not in ("webhook", "page", "relay")
    }
    of_apps |= {f"server.apps.<app>.webhook.{one.name}" for one in attrs.fields(WebhookSettings)}
    of_apps |= {f"server.{of}page.{one.name}" for one in attrs.fields(PageSettings) for of in ("", "apps.<app>.")}
    of_apps |= {
        f"server.{of}relay.<name>.{one.name}" for one in attrs.fields(RelaySettings) for of in ("", "apps.<app>.")
    }
    of_console = {f"server.console.{one.name}" for one in attrs.fields(ConsoleSettings)}
    assert {row[0] for row in rows("Settings")[2:]} == of_server | of_apps | of_console


@pytest.mark.skipif(not PAGE.exists(), reason="the page is in the repository")
def test_the_page_has_every_address(shared: Any, client: Any) -> None:
    told = {row[0] for row in rows("Endpoints")[2:]}
    described = client.get("/openapi.json").json()["paths"]
    every = {f"{method.upper()} {path}" for path, ways in described.items() for method in ways}
    named = {re.sub(r"\{\w+_id\}", "{id}", one) for one in every}
    assert named <= told
