"""What an index of packages shows of each distribution: complete, alike, and true of what lies beside it."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from .licences import listed, required

ROOT = Path(__file__).parents[1]
FOLDERS = {"otpcore": ROOT, **{path.name: path for path in sorted(ROOT.glob("plugins/*/"))}}
COMMON_CLASSIFIERS = {
    "Development Status :: 4 - Beta",
    "Intended Audience :: Developers",
    "Operating System :: POSIX :: Linux",
    "Programming Language :: Python :: 3",
    "Programming Language :: Python :: 3 :: Only",
    "Programming Language :: Python :: 3.11",
    "Programming Language :: Python :: 3.12",
    "Programming Language :: Python :: 3.13",
    "Programming Language :: Python :: 3.14",
    "Programming Language :: Python :: Implementation :: CPython",
    "Topic :: Communications :: Telephony",
    "Topic :: Security",
    "Typing :: Typed",
}
ALIKE = ("authors", "license", "license-files", "readme", "requires-python", "urls")


def pyproject(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


CORE = pyproject(ROOT)["project"]


def packages(folder: Path) -> list[Path]:
    """What the wheel has."""
    built = pyproject(folder)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return [folder / name for name in built]


@pytest.fixture(params=FOLDERS.values(), ids=FOLDERS)
def folder(request):
    return request.param


@pytest.fixture
def project(folder):
    return pyproject(folder)["project"]


def test_a_plugin_is_named_as_its_folder_and_its_module(folder, project):
    (package,) = packages(folder)
    assert project["name"] == next(name for name, path in FOLDERS.items() if path == folder)
    assert package.name == project["name"].replace("-", "_")
    assert (package / "py.typed").is_file(), "Typing :: Typed"


def test_it_says_what_the_others_say(project):
    assert project["authors"]
    assert project["license"] == "MIT"
    assert {key: project.get(key) for key in ALIKE} == {key: CORE.get(key) for key in ALIKE}


def test_its_classifiers_are_complete_and_in_order(project):
    classifiers = project["classifiers"]
    assert set(classifiers) >= COMMON_CLASSIFIERS, sorted(COMMON_CLASSIFIERS - set(classifiers))
    assert classifiers == sorted(set(classifiers), key=_in_order)
    assert not [one for one in classifiers if one.startswith("License")], "`license` says it (PEP 639)"


def _in_order(classifier: str) -> list[tuple[int, int | str]]:
    """3.9 before 3.10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"([0-9]+)", classifier)]


def test_its_description_is_one_sentence_and_its_keywords_say_what_it_is_for(project):
    assert re.fullmatch(r"\S.{30,139}\.", project["description"])
    keywords = project["keywords"]
    assert {"otp", "one-time passcode"} <= set(keywords)
    assert 4 <= len(keywords) == len(set(keywords)) <= 10
    assert keywords == [word.lower() for word in keywords]


def test_the_pythons_are_those_that_it_takes(project):
    versions = [one.rpartition(" ")[2] for one in project["classifiers"] if re.search(r":: 3\.[0-9]+$", one)]
    assert project["requires-python"] == f">={versions[0]}"
    numbers = [int(version.partition(".")[2]) for version in versions]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_it_has_the_papers_of_a_package(folder, project):
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (folder / "README.md").read_text(encoding="utf-8").startswith(f"# {project['name']}\n")
    version = (
        project.get("version") or re.search(r'__version__ = "(.+)"', (ROOT / "otpcore/__init__.py").read_text())[1]
    )
    changes = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)}\b", changes, re.MULTILINE)


def test_a_plugin_takes_the_core_of_its_own_series(folder, project):
    if folder == ROOT:
        pytest.skip("it is the core")
    asked = [one for one in project["dependencies"] if re.match(r"otpcore\b", one)]
    assert [re.sub(r"\[.*\]", "", one) for one in asked] == ["otpcore>=0.1,<0.2"]


def test_its_entry_points_name_what_is_there(project):
    groups = {**project.get("entry-points", {}), "otpcore.scripts": project.get("scripts", {})}
    for group, targets in groups.items():
        for name, value in targets.items():
            found = EntryPoint(name, value, group).load()
            assert callable(found) or isinstance(found, ModuleType), value


def test_its_source_has_its_tests(folder):
    if folder == ROOT:
        pytest.skip("its tests need the plugins, and are not in it")
    included = pyproject(folder)["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"/src", "/tests", "/README.md", "/CHANGELOG.md", "/LICENSE"} <= set(included)


def test_each_dependency_is_listed_with_its_licence(project):
    extras = project.get("optional-dependencies", {})
    for_users = [one for name, some in extras.items() if name not in ("tests", "testing", "demo") for one in some]
    wanted = required([*project.get("dependencies", []), *for_users])
    assert wanted <= listed().keys(), "see docs/licences.md, and nox -s licences"
