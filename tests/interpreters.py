"""The CPythons of this machine that start: those in PATH, and all of pyenv's, whichever of them pyenv is set to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

_ASK = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
_PATIENCE = 30.0  # seconds for an interpreter to start on a machine with much else to do


def with_pyenv(environ: Mapping[str, str]) -> str:
    """The folders of pyenv's versions from 3.11 on, the newest first, and behind them PATH.

    In PATH, pyenv has a name for each of its versions that ends with an error where pyenv is set to another; nox and
    virtualenv do not always pass over it.
    """
    root = Path(environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = (folder for folder in root.glob("versions/3.*/bin") if _version(folder) >= (3, 11))
    newest_first = sorted(folders, key=_version, reverse=True)
    return os.pathsep.join([*map(str, newest_first), environ.get("PATH", os.defpath)])


def cpythons(versions: Iterable[str], path: str) -> dict[str, Path]:
    """The first of each version (``3.12``) in the folders of ``path`` that starts; a version without any is left out."""
    found: dict[str, Path] = {}
    for version in versions:
        names = (Path(folder) / f"python{version}" for folder in path.split(os.pathsep))
        first = next((name for name in names if name.exists() and _starts(name, version)), None)
        if first is not None:
            found[version] = first
    return found


def _version(folder: Path) -> tuple[int, ...]:
    """``versions/3.12.10/bin``: (3, 12, 10). A beta comes before what it is to become."""
    return tuple(int(part) if part.isdecimal() else -1 for part in folder.parent.name.split("."))


def _starts(name: Path, version: str) -> bool:
    """Whether it is that CPython."""
    try:
        answer = subprocess.run([name, "-c", _ASK], capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.split() == ["cpython", version]
