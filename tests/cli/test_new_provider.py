"""``otp new-provider``: what it writes is whole, in style, and passes its contract suite; nothing is overwritten.

With ``OTPCORE_TEST_SCAFFOLD=required`` (``nox -s scaffold``) every variant goes the whole way; else one does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from otpcore.cli.develop import new_provider as _new_provider
from otpcore.cli.exits import ExitCode

from .desk import Otp, registered

ROOT = Path(__file__).parents[2]
VARIANTS = ("form", "json", "get", "none")
EVERYTHING = bool(os.environ.get("OTPCORE_TEST_SCAFFOLD"))
SHORT = "not trio and (service or receipts or genuine or changed_on or refusal_of or progress)"
"""Of a suite, what is particular about each variant."""
PATIENCE = 300.0  # seconds until a test gives up on a program

COMMON = {
    ".github/workflows/tests.yml",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "src/otp_acme/__init__.py",
    "src/otp_acme/errors.py",
    "src/otp_acme/provider.py",
    "src/otp_acme/py.typed",
    "src/otp_acme/settings.py",
    "src/otp_acme/simulator.py",
    "tests/test_contract.py",
    "tests/test_service.py",
}
OF_A_TABLE = COMMON - {f"src/otp_acme/{name}.py" for name in ("errors", "provider", "settings")}
OF_RECEIPTS = {"src/otp_acme/receipts.py", "tests/test_receipts.py"}

Write = Callable[..., Path]


@pytest.fixture
def write(otp: Otp, directory: Path) -> Write:
    """Write a package as a person does; where it lies."""

    def command(name: str = "acme", *words: str) -> Path:
        ended = otp("new-provider", name, *words, "--json")
        assert ended.code == ExitCode.OK, ended.out + ended.err
        return Path(ended.document["directory"])

    return command


def python(where: Path, *words: str, path: Path | None = None) -> str:
    """Run a module there, with what is on this path besides; its output."""
    ran = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=where,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(path or ""), os.environ.get("PYTHONPATH")])),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def required(module: str) -> None:
    """Not every environment of tests has it, but nox -s scaffold does, if it is in this repository at all."""
    is_ours = module.startswith("otp_")
    has_it = EVERYTHING and (not is_ours or (ROOT / "plugins" / module.replace("_", "-")).exists())
    if find_spec(module) is None and not has_it:
        pytest.skip(f"{module} is not installed; nox -s scaffold has it")


@pytest.mark.parametrize("receipts", VARIANTS)
def test_every_variant_is_a_whole_distribution(receipts: str, write: Write) -> None:
    package = write("acme", "--receipts", receipts)
    there = {file.relative_to(package).as_posix() for file in package.rglob("*") if file.is_file()}
    assert there == COMMON | (OF_RECEIPTS if receipts != "none" else set())
    for file in there:
        text = (package / file).read_text(encoding="utf-8")
        assert "_module_" not in text
        assert not re.search(r"\$(?!\{\{ matrix|\(ls )", text), f"{file} has a place that was not filled in"
        assert file.endswith("py.typed") or text.endswith("\n")
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours = tomllib.loads((ROOT / "plugins/otp-mada/pyproject.toml").read_text())["project"]
    assert project["dependencies"] == ours["dependencies"]


def test_it_ends_with_the_commands_to_go_on_with(otp: Otp, directory: Path) -> None:
    ended = otp("new-provider", "acme-sms", "--directory", "made here")
    assert ended.code == ExitCode.OK
    assert ended.out.splitlines() == [
        "wrote 16 files into made here/otp-acme-sms; go on with",
        "  cd 'made here/otp-acme-sms'",
        '  python -m pip install -e ".[tests]"',
        "  python -m pytest",
        "then follow the last section of its README, which says what to change for your vendor",
    ]
    assert (directory / "made here/otp-acme-sms/src/otp_acme_sms/provider.py").exists()


def test_what_is_there_is_never_overwritten(otp: Otp, write: Write) -> None:
    package = write("acme")
    (package / "README.md").write_text("mine", encoding="utf-8")
    ended = otp("new-provider", "acme", "--receipts", "get")
    assert ended.code == ExitCode.REFUSED
    assert f"{package} is there already, and is not overwritten" in ended.err
    assert "choose another --directory" in ended.err
    assert (package / "README.md").read_text(encoding="utf-8") == "mine"


def test_a_place_that_cannot_be_written_is_told_and_nothing_is_left(
    otp: Otp, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "file").write_text("", encoding="utf-8")
    ended = otp("new-provider", "acme", "--directory", "file/below")
    assert (ended.code, "choose a --directory that you may write to" in ended.err) == (ExitCode.CONFIGURATION, True)
    (directory / "file").unlink()

    def full(file: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(Path, "write_text", full)
    ended = otp("new-provider", "acme")
    assert (ended.code, "No space left on device" in ended.err) == (ExitCode.CONFIGURATION, True)
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "code", "said", "fix"),
    [
        ("Acme SMS", ExitCode.USAGE, "no name for a provider", ": acme-sms"),
        ("2way", ExitCode.USAGE, "no name for a provider", ": way"),
        ("akmé", ExitCode.USAGE, "no name for a provider", ": akm"),
        ("a" * 31, ExitCode.USAGE, "no name for a provider", "at most 30"),
        ("../acme", ExitCode.USAGE, "no name for a provider", ": acme"),
        ("€", ExitCode.USAGE, "no name for a provider", "by a hyphen, such as acme"),
        ("български", ExitCode.USAGE, "no name for a provider", "by a hyphen, such as acme"),
        ("twilio", ExitCode.REFUSED, "otp-twilio is a package of otpcore's own", "such as twilio-sms"),
        ("otp-core", ExitCode.REFUSED, "otp-core is a package of otpcore's own", "such as core-sms"),
        ("acme", ExitCode.REFUSED, "otp-acme is installed already: otp-acme 0.1.0 brings it", "such as acme-sms"),
        ("there", ExitCode.REFUSED, "there is another module otp_there", "such as there-sms"),
    ],
)
def test_a_name_that_cannot_be_is_told_with_one_that_can(
    name: str, code: ExitCode, said: str, fix: str, otp: Otp, write: Write, directory: Path
) -> None:
    source = registered(write("acme", "--directory", "elsewhere"))
    (source / "otp_acme-0.1.0.dist-info").rename(directory / "otp_acme-0.1.0.dist-info")
    (directory / "otp_there.py").write_text("", encoding="utf-8")
    before = set(directory.iterdir())
    ended = otp("new-provider", name)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert fix in ended.err.partition("fix: ")[2]
    assert set(directory.iterdir()) == before


def test_one_may_write_the_name_of_the_distribution(write: Write) -> None:
    assert write("otp-acme").name == "otp-acme"


@pytest.mark.parametrize("receipts", VARIANTS)
def test_a_table_stands_in_the_place_of_code(receipts: str, write: Write) -> None:
    package = write("acme", "--table", "--receipts", receipts)
    there = {file.relative_to(package).as_posix() for file in package.rglob("*") if file.is_file()}
    assert there == OF_A_TABLE | {"src/otp_acme/acme.toml"}
    table = tomllib.loads((package / "src/otp_acme/acme.toml").read_text(encoding="utf-8"))
    assert (table["name"], "receipts" in table) == ("Acme", receipts != "none")
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["otpcore.http_gateways"] == {"acme": "otp_acme"}


@pytest.mark.parametrize("receipts", VARIANTS)
def test_what_a_table_says_of_keys_and_numbers_is_so(receipts: str, write: Write) -> None:
    required("otp_http")
    from otp_http.catalogue import from_file  # noqa: PLC0415 - a plugin, which may be left out
    from otp_http.magic import REFUSED, UNREACHABLE, refusal_of  # noqa: PLC0415 - as above

    package = write("acme", "--table", "--receipts", receipts)
    file, readme = package / "src/otp_acme/acme.toml", (package / "README.md").read_text(encoding="utf-8")
    for text in (file.read_text(encoding="utf-8"), readme):
        (modules,) = re.findall("python -m pydoc ([a-z_. ]+)", text)
        assert all(map(find_spec, modules.split()))
    said = dict(re.findall(r"^\| (\+[0-9]+) \| refused: `(.*)` \|$", readme, re.MULTILINE))
    answer = from_file(file, "gateway_file").answer_of("sms")
    assert said == {number: code for number in REFUSED if (code := refusal_of(answer, number))}
    assert f"| {UNREACHABLE} | taken, and reported as not delivered" in readme


@pytest.mark.parametrize("receipts", VARIANTS if EVERYTHING else VARIANTS[:1])
def test_the_suite_of_a_table_passes_as_it_is_written(receipts: str, write: Write) -> None:
    required("otp_http")
    package = write("acme", "--table", "--receipts", receipts)
    chosen = [] if EVERYTHING else ["-k", SHORT]
    told = python(package, "pytest", "-q", *chosen, path=registered(package))
    (passed,) = re.findall(r"^(\d+) passed", told, re.MULTILINE)
    assert int(passed) >= (100 if EVERYTHING else 8), told


@pytest.mark.parametrize("kind", [(), ("--table",)], ids=["code", "table"])
@pytest.mark.parametrize("receipts", VARIANTS)
@pytest.mark.parametrize("name", ["a", "acme", "the-longest-module-name-of-a-v"])
def test_what_is_written_is_in_style(receipts: str, name: str, kind: tuple[str, ...], write: Write) -> None:
    required("ruff")
    package = write(name, "--receipts", receipts, *kind)
    python(package, "ruff", "check", "--no-cache")
    python(package, "ruff", "format", "--check", "--no-cache")
    prose = [line for file in package.rglob("*.md") for line in file.read_text().splitlines() if line[:1] != "|"]
    assert max(map(len, prose)) <= 120
    assert kind or f"`otp demo --with {name.replace('-', '_')}` sends through it too" in "\n".join(prose)


@pytest.mark.parametrize("kind", [(), ("--table",)], ids=["code", "table"])
@pytest.mark.parametrize("receipts", VARIANTS)
def test_what_is_written_is_typed(receipts: str, kind: tuple[str, ...], write: Write) -> None:
    if not EVERYTHING:
        pytest.skip("mypy takes its time: nox -s scaffold")
    if kind:
        required("otp_http")
    assert "Success" in python(write("acme", "--receipts", receipts, *kind), "mypy")


@pytest.mark.parametrize("receipts", VARIANTS if EVERYTHING else VARIANTS[1:])  # the first goes the whole way below
def test_its_suite_passes_as_it_is_written(receipts: str, write: Write) -> None:
    package = write("acme", "--receipts", receipts)
    chosen = [] if EVERYTHING else ["-k", SHORT]
    told = python(package, "pytest", "-q", *chosen, path=registered(package))
    (passed,) = re.findall(r"^(\d+) passed", told, re.MULTILINE)
    assert int(passed) >= (100 if EVERYTHING else 8 if receipts == "none" else 15), told


@pytest.mark.parametrize("receipts", VARIANTS if EVERYTHING else ["form"])
def test_its_wheel_passes_the_suite_and_takes_part(receipts: str, write: Write, directory: Path) -> None:
    package, site = write("acme", "--receipts", receipts), directory / "site"
    python(package, "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(directory), ".")
    (wheel,) = directory.glob("otp_acme-0.1.0-*.whl")
    python(package, "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel))
    chosen = [] if EVERYTHING else ["-k", "not trio"]
    told = python(package, "pytest", "-q", *chosen, path=site)
    (passed,) = re.findall(r"^(\d+) passed", told, re.MULTILINE)
    assert int(passed) >= 50, told
    assert "otp-acme" in python(directory, "otpcore", "simulate", "--list", path=site)


def test_no_template_is_left_out_and_none_is_in_two_layers() -> None:
    templates = Path(_new_provider.__file__).parent / "templates"
    every = [*_new_provider._LAYERS.values(), *_new_provider._TABLE_LAYERS.values()]
    assert {folder.name for folder in templates.iterdir()} == {layer for layers in every for layer in layers}
    for layers in every:
        places = [
            file.relative_to(templates / layer) for layer in layers for file in (templates / layer).rglob("*.tmpl")
        ]
        assert len(places) == len(set(places))
