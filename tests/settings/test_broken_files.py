"""Files that cannot be read as settings: which one, where, and what to mend; never what is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from otpcore.errors import SettingsError
from otpcore.settings.tree import load_settings

from .reading import Write, refusal


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("otpcore.toml", '[sms]\nretry = true\ntoken = "hush\n', "line 3 is not valid TOML"),
        ("otpcore.yaml", "sms: retry: true\nhush: [\n", "line 1 is not valid YAML"),
        (
            "otpcore.yaml",
            "token: hush1\ntoken: hush2\n",
            "line 2: token is there already in this table. Fix: keep one of the two, with all that both say",
        ),
        (
            "otpcore.json",
            '{"hush": "a",\n"token": {"b": 1,\n"b": "hush"}}',
            'line 3: "b" is there already in this table. Fix: keep one of the two, with all that both say',
        ),
        (
            "otpcore.toml",
            "[sms]\nretry = true\n[call]\n[sms]\nsandbox = false\n",
            "line 4: [sms] is there already, since line 1. Fix: put the keys of both under one [sms]",
        ),
        (
            "otpcore.toml",
            "sms.retry = true\n\n[ sms ]  # again\n",
            "line 3: [sms] is there already, since line 1. Fix: put the keys of both under one [sms]",
        ),
        (
            "otpcore.toml",
            '[providers.mada]\npassword = "hush1"\n"password" = "hush2"\n',
            "line 3: password is there already in [providers.mada], since line 2. Fix: keep one of the two",
        ),
        (
            "otpcore.toml",
            'environment = "hush"\nenvironment = """\nhush"""\n',
            "line 2: environment is there already, since line 1. Fix: keep one of the two",
        ),
        (
            "otpcore.toml",
            '[limits]\ndeny = ["hush"\n',
            "is not valid TOML: it ends before something is complete, such as a list without its last bracket",
        ),
        ("otpcore.json", '{"hush": 1,\n  hush}', "line 2 is not valid JSON"),
        ("otpcore.json", '["hush"]', "is not a table of settings in valid JSON"),
        ("otpcore.yaml", "hush", "is not a table of settings in valid YAML"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_named_with_the_line_and_not_quoted(
    write: Write, name: str, text: str, problem: str
) -> None:
    file = write(name, text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == f"{file}: {problem}"
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '[sms]\notp_sms_provider = "Mada"\n',
            "otp_sms_provider is no part of [sms]: write it above the first [section]",
        ),
        ("[sms]\nlimits.phone = []\n", "limits is no part of [sms]: write it under a [limits] of its own"),
        ("[sms]\nsms.retry = true\n", "below [sms] write its keys without sms. before them"),
    ],
)
def test_what_was_pasted_into_another_section_is_told_where_it_belongs(write: Write, text: str, told: str) -> None:
    write("otpcore.toml", text)
    assert told in refusal(load_settings)


def test_the_broken_one_of_two_files_is_named(write: Write) -> None:
    write("otpcore.toml", "[sms]\nretry = true\n")
    secrets = write(".otpcore.secrets.toml", "[keys\n")
    assert refusal(load_settings) == f"{secrets}: line 1 is not valid TOML"


def test_a_file_that_is_not_text_is_named(directory: Path) -> None:
    (directory / "otpcore.toml").write_bytes(b"\xff\xfe[sms]")
    assert refusal(load_settings) == f"{directory / 'otpcore.toml'}: is not UTF-8 text"
