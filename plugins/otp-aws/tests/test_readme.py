"""The README says what is so."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import attrs
from otp_aws import AwsSettings, create_provider
from otp_aws.simulator import ENDS, REFUSALS
from otp_aws.simulator.topic import certificate_of

from otpcore.providers import ProviderContext

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_example_runs():
    (example,) = blocks("python")
    names = {}
    exec(example, names)
    assert names["settings"]["providers"]["aws"]["base_url"].startswith("http://127.0.0.1:")


def test_the_settings_files_make_an_instance():
    files, secrets, receipts = (tomllib.loads(block)["providers"]["aws"] for block in blocks("toml"))
    settings = {**files, **secrets, **receipts, "sns_certificates": [certificate_of("sns")]}
    assert create_provider(ProviderContext(instance="aws", settings=settings)).topic.arn == receipts["sns_topic_arn"]


def test_the_policy_allows_every_operation_and_no_other():
    (policy,) = map(json.loads, blocks("json"))
    source = (Path(__file__).parent.parent / "src/otp_aws/provider.py").read_text(encoding="utf-8")
    called = re.findall(r'(?:\.call|_send)\("([A-Za-z]+)"', source)
    assert {f"sms-voice:{name}" for name in called} == set(policy["Statement"][0]["Action"])


def test_every_setting_is_in_the_table_with_its_default():
    rows = dict(re.findall(r"^\| `([a-z_]+)` \|(.*?)\|", README, re.MULTILINE))
    fields = attrs.fields(AwsSettings)
    assert list(rows) == [field.name for field in fields]
    shown = {attrs.NOTHING: "required", False: "`false`", "": "", (): "none"}
    for field in fields:
        default = "none" if isinstance(field.default, attrs.Factory) else shown[field.default]
        assert rows[field.name].strip() == ("that of the region" if field.name == "base_url" else default)


def test_every_number_that_fails_is_named_with_what_is_answered():
    rows = dict(re.findall(r"^\| (\+1206555[0-9]{4}) \| (.*) \|$", README, re.MULTILINE))
    assert list(rows) == [*REFUSALS, *ENDS]
    for number, refused in REFUSALS.items():
        assert f"`{refused.exception}`" in rows[number]
        assert refused.reason in rows[number]
    for number, events in ENDS.items():
        assert rows[number] == ", ".join(f"`{event}`" for event in events)
