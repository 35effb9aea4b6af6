"""The README says what is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import otp_rabbitmq
from otp_rabbitmq import RabbitMQSettings, create_runner
from otp_rabbitmq.link import queue_names
from otp_rabbitmq.steps import STEPS

from otpcore.runners import Settings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_settings_files_make_a_runner() -> None:
    settings: dict[str, Any] = {"retry": {}, "storage": {"url": "sqlite:///otp.sqlite3"}}
    for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL):
        settings["retry"].update(tomllib.loads(block)["retry"])
    assert settings["retry"]["runner"] == "rabbitmq"
    assert create_runner(Settings.from_mapping(settings))


def test_the_table_of_settings_is_that_of_the_settings() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", README.partition("## Settings")[2].partition("\n## ")[0], re.MULTILINE))
    assert told == {field.name for field in attrs.fields(RabbitMQSettings)}


def test_queues_are_named_as_they_are() -> None:
    work, waits = queue_names(RabbitMQSettings(url="amqp://host").prefix)
    assert f"`{work}`" in README
    assert f"and {len(STEPS)} queues" in README
    assert f"from `{waits[STEPS[0]]}` to `{waits[STEPS[-1]]}`" in README.replace("\n", " ")


def test_what_is_logged_is_told() -> None:
    sources = "".join(file.read_text(encoding="utf-8") for file in Path(otp_rabbitmq.__file__).parent.glob("*.py"))
    logs = README.partition("\n## Logs\n")[2].partition("\n## ")[0]
    events = set(re.findall(r'"otp_event": "(\w+)"', sources))
    assert len(events) == 7
    assert events == {
        name for row in re.findall(r"^\| (`.*?) \|", logs, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    } - {"otp_event"}
