"""The pages for contributors name places, rules, words and commands: each of them is there."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`((?:otpcore|plugins|tests)/[\w./-]+(?:::[\w.]+)?)`", PAGE + CONTRIBUTING)))
COMMANDS = "".join(re.findall(r"^ *```sh\n(.*?)```", CONTRIBUTING, re.DOTALL | re.MULTILINE))


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the first table, without its head."""
    table = re.search(r"(?:^\|.*\|\n)+", text, re.MULTILINE)[0]
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in table.splitlines()[2:]]


@cache
def names_in(path: str) -> frozenset[str]:
    """What a module holds: its functions, classes and values, and those of its classes as ``Class.name``."""
    return frozenset(held(ast.parse((ROOT / path).read_text(encoding="utf-8")).body, ""))


def held(body: list[ast.stmt], prefix: str) -> list[str]:
    found = list[str]()
    for node in body:
        if isinstance(node, ast.ClassDef):
            found += [prefix + node.name, *held(node.body, f"{prefix}{node.name}.")]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(prefix + node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [prefix + target.id for target in targets if isinstance(target, ast.Name)]
    return found


@pytest.mark.parametrize("place", PLACES)
def test_every_named_place_is_there(place):
    path, _, name = place.partition("::")
    assert (ROOT / path).exists()
    assert not name or name in names_in(path)


def test_every_session_and_every_file_that_a_contributor_runs_is_there():
    sessions = {
        node.name
        for node in ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }
    named = {one for line in re.findall(r"nox -s ([a-z_ ]+)", CONTRIBUTING) for one in line.split()}
    assert named <= sessions
    assert sessions - named == {"core_alone", "plugin_alone"}, "which `alone` starts"
    for path in re.findall(r"(?:tests|plugins)/[\w/-]+\.py", COMMANDS):
        assert (ROOT / path).exists(), path


def test_every_change_names_a_file_and_a_thing_in_it():
    changes = rows(section("Where do I change …?"))
    assert len(changes) >= 20
    for what, where in changes:
        assert re.fullmatch(r"`(?:otpcore|plugins)/[\w./-]+\.py::[\w.]+`", where), what


def test_every_folder_has_its_line_in_the_order_in_which_they_may_import():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (one["layers"] for one in contracts if one["type"] == "layers")
    floors = [layer.split(" | ") for layer in reversed(layers)]
    floor_of = {name: number for number, names in enumerate(floors) for name in names}
    listed = [re.fullmatch(r"`otpcore/(\w+)(?:\.py|/)`", row[0])[1] for row in rows(section("The folders"))]
    assert [floor_of[name] for name in listed] == sorted(floor_of[name] for name in listed)
    unlisted = {"__main__", "_pyinstaller", "clock", "lazily"}
    assert set(listed) == set(floor_of) - unlisted


def test_every_word_of_the_glossary_is_one_of_the_code():
    source = "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "otpcore").rglob("*.py")))
    words = [row[0] for row in rows(section("Glossary"))]
    assert words == sorted(words), "in the order of the alphabet"
    for word in words:
        pattern = r"[ _\n-]+".join(map(re.escape, word.split()))
        assert re.search(rf"(?i)(?<![a-z]){pattern}", source), word
