"""Whether the wheels and source archives come out the same, byte for byte, wherever and whenever they are built.

``python -m tests.distributions OUT`` builds each distribution twice, from two copies of what git knows that differ in
all that must not matter: folder, times and modes of the files, time zone, umask, hash seed, and what Python left lying
about. Then it builds a wheel from each source archive. It prints the digests of what is in OUT, and names what differs.

Needs ``hatchling``, the backend that all of them name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EPOCH = "1767225600"  # 2026-01-01; the time that every file in an archive has, where a release does not set its own
_ZONES = ("UTC", "Asia/Tokyo")
_UMASKS = (0o022, 0o077)


def main(out: Path) -> int:
    """Build and compare; 0 where nothing differs."""
    folders = [".", *sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("plugins/*/pyproject.toml"))]
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        made = []
        for number in range(2):
            tree, built = place / f"tree-{'x' * number}", place / f"built-{number}"
            _copy(tree, disturbed=bool(number))
            for folder in folders:
                build(tree / folder, built, number=number)
            made.append(digests(built))
        shutil.copytree(place / "built-0", out)
        again = place / "again"
        for archive in sorted(out.glob("*.tar.gz")):
            build(unpacked(archive, place), again, number=1, target="wheel")
        wrong = [
            *different(*made),
            *(
                f"{name}: the wheel of its source archive differs"
                for name in different(digests(out, "*.whl"), digests(again))
            ),
        ]
    for name, digest in digests(out).items():
        print(f"{digest}  {name}")  # noqa: T201 - a program that prints what it has made
    verdict = "\n".join(wrong) or f"{len(digests(out))} archives, each the same twice"
    print(verdict, file=sys.stderr)  # noqa: T201 - the same
    return 1 if wrong else 0


def build(folder: Path, out: Path, *, number: int, target: str = "") -> None:
    """Build the wheel and the source archive of a folder, or one of them."""
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", EPOCH),
        "TZ": _ZONES[number],
        "PYTHONHASHSEED": str(number + 1),
    }
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    subprocess.run(
        [*command, *(("-t", target) if target else ())],
        cwd=folder,
        env=environment,
        umask=_UMASKS[number],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def digests(folder: Path, pattern: str = "*") -> dict[str, str]:
    """SHA-256 of each archive, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob(pattern))}


def different(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The names that are in one of them only, or stand for something else."""
    return sorted({name for name, _ in one.items() ^ other.items()})


def unpacked(archive: Path, place: Path) -> Path:
    """The folder in a source archive."""
    with tarfile.open(archive) as opened:
        careful: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4
        opened.extractall(place, **careful)
    return place / archive.name.removesuffix(".tar.gz")


def _copy(tree: Path, *, disturbed: bool) -> None:
    """Copy what git knows; disturbed: with all that may be otherwise on another machine."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    for name in listed.stdout.decode().split("\0"):
        source, target = ROOT / name, tree / name
        if not name or not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        if disturbed:
            target.chmod(0o600)
            os.utime(target, (981_158_400, 981_158_400))
    if disturbed:
        for package in (tree / "otpcore", *tree.glob("plugins/*/src/*")):
            (package / "__pycache__").mkdir()
            (package / "__pycache__" / "left.cpython-311.pyc").write_bytes(b"left")


def _arguments(given: Sequence[str]) -> Path:
    if len(given) != 1:
        sys.exit("python -m tests.distributions OUT")
    return Path(given[0]).absolute()


if __name__ == "__main__":
    sys.exit(main(_arguments(sys.argv[1:])))
