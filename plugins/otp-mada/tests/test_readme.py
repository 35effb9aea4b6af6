"""The README says what is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import attrs
from otp_mada import MadaSettings, create_provider
from otp_mada.simulator import MAGIC_NUMBERS

from otpcore.providers import ProviderContext

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_example_runs():
    (example,) = blocks("python")
    names = {}
    exec(example, names)
    assert names["settings"]["providers"]["mada"]["url"].startswith("http://127.0.0.1:")


def test_the_settings_files_make_an_instance():
    files, secrets = (tomllib.loads(block) for block in blocks("toml"))
    settings = {**files["providers"]["mada"], **secrets["providers"]["mada"]}
    assert create_provider(ProviderContext(instance="mada", settings=settings))


def test_every_setting_is_in_the_table_with_its_default():
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (\S+) \|", README, re.MULTILINE))
    shown = {attrs.NOTHING: "required", False: "`false`", 1: "`1`", 5: "`5`", "refuse": '`"refuse"`'}
    fields = attrs.fields(MadaSettings)
    assert list(rows) == [field.name for field in fields]
    assert list(rows.values()) == [shown[field.default] for field in fields]


def test_every_magic_number_is_named():
    assert set(MAGIC_NUMBERS) == {f"+{number}" for number in re.findall(r"^\| \+([0-9]+) \|", README, re.MULTILINE)}
