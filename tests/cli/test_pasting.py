"""A fix that names a setting says it so that it can be pasted: ``in [sms]: retry = true``, below the head of that section."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import otpcore
from otpcore.cli.exits import ExitCode
from otpcore.settings.tree import Settings, documented_keys

from .desk import Otp

_ROOT = Path(otpcore.__file__).parent.parent
_SECTIONS = sorted({one.key.partition(".")[0] for one in documented_keys() if "." in one.key})
_DOTTED = re.compile(rf"\b(?:{'|'.join(_SECTIONS)})\.[\w.\"+<>{{}}-]+ ?= ?(?:true|false|[\[\"'\d{{])")
_PASTED = re.compile(r"in \[([\w.]+)\]: (.+)")


def _told(source: Path) -> Iterator[tuple[int, str]]:
    """The texts of a module, without its docstrings."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in comments:
            yield node.lineno, node.value


def test_no_text_sets_a_key_in_dotted_form() -> None:
    """Behind a table that is another key, and before it the table may not be opened again."""
    sources = [*_ROOT.glob("otpcore/**/*.py"), *_ROOT.glob("plugins/*/src/**/*.py")]
    assert len(sources) > len(_SECTIONS)
    found = [(str(one), line, text) for one in sources for line, text in _told(one) if _DOTTED.search(text)]
    assert found == []


def _paste(text: str, fix: str) -> str:
    """The file with what is told below the head of its section, in place of what it said there of the same key."""
    section, rest = _PASTED.search(fix).groups()  # type: ignore[union-attr] # asserted by who calls
    line = next(rest[:end] for end in range(len(rest), 0, -1) if _is_toml(rest[:end]))
    head, sign, below = f"\n{text}".partition(f"\n[{section}]\n")
    if not sign:
        return f"{text}\n[{section}]\n{line}\n"
    own, other, others = below.partition("\n[")
    kept = [one for one in own.splitlines() if one.partition(" = ")[0] != line.partition(" = ")[0]]
    return "\n".join([head.removeprefix("\n"), f"[{section}]", line, *kept, ""]) + f"{other}{others}"


def _is_toml(line: str) -> bool:
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return False
    return True


@pytest.fixture
def started(otp: Otp, directory: Path) -> Path:
    """The settings file that `otp init` writes, with notes of every kind to be got rid of."""
    assert otp("init").code == ExitCode.OK
    return directory / "otpcore.toml"


@pytest.mark.parametrize(
    ("said", "environment"),
    [
        ("", {}),
        ("[limits]\nphone = []\nclient = []\nunverified = []\n", {}),
        ("[storage]\nstore = 'memory'\n", {}),
        ("", {"HTTPS_PROXY": "http://proxy.example:3128"}),
        ("[otp.templates.default]\nen = '{app}: {code}'\n", {}),
        ("[call]\nretry = true\nmax_retries = 0\n", {}),
    ],
)
def test_what_doctor_tells_is_pasted_into_the_first_file_and_ends_the_note(
    otp: Otp, started: Path, said: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    started.write_text(started.read_text("utf-8").replace('otp_sms_provider = ""', "") + said, encoding="utf-8")
    told = [one for one in otp("doctor", "--json").document["checks"] if _PASTED.search(one["fix"])]
    assert told
    for one in told:
        started.write_text(_paste(started.read_text("utf-8"), one["fix"]), encoding="utf-8")
    Settings.from_mapping(tomllib.loads(started.read_text("utf-8")))
    left = [one["detail"] for one in otp("doctor", "--json").document["checks"]]
    assert not {one["detail"] for one in told}.intersection(left)
