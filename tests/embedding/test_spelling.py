"""What helps, in the words of a host; the tests follow each fix that a source of ours has, as a person would."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from otpcore import InvalidArgument, RoutingSyntaxError, Settings, SettingsError, StoreError
from otpcore.cli import tree
from otpcore.embedding import Spelling, spelling
from otpcore.operator.fixes import FIXES

DJANGO = Spelling(command="manage.py otp", settings="OTPCORE")
FLASK = Spelling(command="flask otp", settings='app.config["OTPCORE"]')
IN_A_FILE = Spelling(command="manage.py otp")
PLAIN = Spelling()
ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "otpcore").rglob("*.py"), *(ROOT / "plugins").glob("*/src/**/*.py")]
NO_HOST = ("testing", "embedding", "otp_server", "_pyinstaller")  # otp-server reads a settings file of its own


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("in [sms]: sandbox = false", 'in OTPCORE: "sms": {"sandbox": False}'),
        ('in [limits]: phone = ["3/10m", "10/1d"]', 'in OTPCORE: "limits": {"phone": ["3/10m", "10/1d"]}'),
        ('in [limits.prefix]: "+35987" = ["500/1h"]', 'in OTPCORE: "limits": {"prefix": {"+35987": ["500/1h"]}}'),
        ("in [limits]: client = []", 'in OTPCORE: "limits": {"client": []}'),
        ("in [call]: max_retries = 20", 'in OTPCORE: "call": {"max_retries": 20}'),
        ("x (or, in [storage]: store = 'memory')", 'x (or, in OTPCORE: "storage": {"store": "memory"})'),
        ("set `otp_sms_provider` above the first [section] of the settings file", 'set "otp_sms_provider" in OTPCORE'),
        ("write it above the first [section]", "write it directly in OTPCORE"),
        ("a is no part of [sms]: write it under a [http] of its own",
         'a is no part of OTPCORE["sms"]: write it in OTPCORE["http"]'),
        ("configure one, in [providers.<name>]", 'configure one, in OTPCORE["providers"]["<name>"]'),
        ("pip install 'otpcore[postgres]' and psycopg[binary]", "pip install 'otpcore[postgres]' and psycopg[binary]"),
        ("otp db upgrade", "manage.py otp db upgrade"),
        ("start the host, or `otp worker`", "start the host, or `manage.py otp worker`"),
        ("otp keys rotate --retire k1", "manage.py otp keys rotate --retire k1"),
        ("`otp keys new` prints some", "`otp keys new` prints some"),
        ("no keys. Fix: make keys with `otp init`", 'no keys. Fix: in OTPCORE: "keys": what `otp keys new` prints'),
        ("the settings of otp stand here, otp in them", "the settings of otp stand here, otp in them"),
        ("see `otp ours`, which a plugin brings", "see `manage.py otp ours`, which a plugin brings"),
        ("", ""),
    ],
)  # fmt: skip
def test_settings_and_commands_are_written_as_a_project_has_them(text, told):
    assert DJANGO.told(text) == told
    assert DJANGO.told(told) == told, "twice is as once"
    assert PLAIN.told(text) == text


def test_the_commands_are_those_that_there_are():
    assert sorted({*tree.COMMANDS, *tree.GROUPS}) == [*spelling.COMMANDS]


def test_each_host_has_words_of_its_own():
    text = "in [sms]: retry = true, or `otp worker`"
    assert FLASK.told(text) == 'in app.config["OTPCORE"]: "sms": {"retry": True}, or `flask otp worker`'
    assert IN_A_FILE.told(text) == "in [sms]: retry = true, or `manage.py otp worker`"
    assert IN_A_FILE.told("correct the path, or run `otp init`") == "correct the path, or run `otp init`"


def _texts():
    """Each text of our sources that says how a setting is written, with a word for what stands between."""
    for file in SOURCES:
        if any(part in NO_HOST for part in file.parts):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                text = node.value
            elif isinstance(node, ast.JoinedStr):
                text = "".join(part.value if isinstance(part, ast.Constant) else "call" for part in node.values)
            else:
                continue
            if re.search(r"in \[[\w.]+\]:", text) and '"""' not in text and "\n" not in text:
                yield text


def _followed(told, settings):
    """The settings of somebody who wrote what stands in the text."""
    for entry in re.findall(r"in OTPCORE: (\"\w+\": \{.*?\}+)", told):
        for section, values in ast.literal_eval(f"{{{entry}}}").items():
            settings = {**settings, section: {**settings.get(section, {}), **values}}
    return settings


def test_every_fix_of_our_sources_can_be_written_into_a_dictionary():
    texts = sorted({*_texts()})
    assert len(texts) > 20
    for text in texts:
        told = DJANGO.told(text)
        assert not re.search(r"in \[\w", told), told
        followed = _followed(told, {})
        assert followed, told
        if "call" not in text.partition("]: ")[2]:  # else the value is another each time
            Settings.from_mapping(followed)


@pytest.mark.parametrize("row", FIXES, ids=str)
def test_what_helps_against_an_error_names_neither_a_file_nor_a_command_of_ours(row):
    told = DJANGO.told(FIXES[row])
    assert "[" not in told.replace("OTPCORE[", "")
    assert "settings file" not in told
    assert not re.search(r"(?<!manage\.py )\botp [a-z]", told)


def test_an_error_is_told_anew_and_stays_what_it_is():
    error = DJANGO.retold(SettingsError("keys: none. Fix: make keys with `otp init`"))
    assert str(error) == 'keys: none. Fix: in OTPCORE: "keys": what `otp keys new` prints'
    assert str(DJANGO.retold(StoreError("old. Fix: otp db upgrade"))) == "old. Fix: manage.py otp db upgrade"
    wrong = RoutingSyntaxError("no", "Twilio;;", 7)
    assert DJANGO.retold(wrong) is wrong
    assert (wrong.column, wrong.text) == (7, "Twilio;;")
    assert "otp.life" in str(DJANGO.retold(InvalidArgument("otp.life: no")))
