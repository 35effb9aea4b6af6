"""Which CPythons ``nox -s pythons`` finds on a machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from .interpreters import cpythons, with_pyenv

OWN = "{}.{}".format(*sys.version_info)
OTHER = "3.99"


def interpreter(folder: Path, text: str, version: str = OWN) -> Path:
    """What stands there under an interpreter's name."""
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / f"python{version}"
    name.write_text(f"#!/bin/sh\n{text}\n")
    name.chmod(0o755)
    return name


def working(folder: Path) -> Path:
    return interpreter(folder, f'exec "{sys.executable}" "$@"')


def found(tmp_path: Path, *folders: Path) -> dict[str, Path]:
    environ = {"PATH": os.pathsep.join(map(str, folders)), "PYENV_ROOT": str(tmp_path / "pyenv")}
    return cpythons([OWN, OTHER], with_pyenv(environ))


def test_one_in_the_path_is_found_and_a_version_that_is_not_there_is_left_out(tmp_path):
    name = working(tmp_path / "bin")
    assert found(tmp_path, tmp_path / "nowhere", tmp_path / "bin") == {OWN: name}


@pytest.mark.parametrize("text", ["echo pyenv: command not found >&2; exit 127", "echo pypy $1", "kill -9 $$"])
def test_one_that_does_not_start_is_passed_over(tmp_path, text):
    interpreter(tmp_path / "shims", text)
    name = working(tmp_path / "bin")
    assert found(tmp_path, tmp_path / "shims", tmp_path / "bin") == {OWN: name}


def test_a_file_that_is_no_program_is_passed_over(tmp_path):
    interpreter(tmp_path / "bin", "exit 0").chmod(0o644)
    assert found(tmp_path, tmp_path / "bin") == {}


def test_another_version_under_the_name_is_passed_over(tmp_path):
    interpreter(tmp_path / "bin", f'exec "{sys.executable}" "$@"', OTHER)
    assert found(tmp_path, tmp_path / "bin") == {}


def test_the_newest_of_pyenv_is_taken_before_what_stands_in_the_path(tmp_path):
    versions = tmp_path / "pyenv" / "versions"
    for one in ("3.12.9", "3.12.10", "3.12.10b1"):
        working(versions / one / "bin")
    interpreter(tmp_path / "shims", "echo pyenv: command not found >&2; exit 127")
    assert found(tmp_path, tmp_path / "shims") == {OWN: versions / "3.12.10" / "bin" / f"python{OWN}"}


def test_what_pyenv_has_of_older_ones_stays_out_of_the_path(tmp_path):
    old = tmp_path / "pyenv" / "versions" / "3.9.18" / "bin"
    old.mkdir(parents=True)
    assert with_pyenv({"PATH": "/bin", "PYENV_ROOT": str(tmp_path / "pyenv")}) == "/bin"
