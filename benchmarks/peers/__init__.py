"""Peers, each in an environment of its own that is made when it is first measured; the project depends on none of them."""

from __future__ import annotations

import shutil
import subprocess
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["PeerAbsentError", "peer_command"]

_ROOT = Path(__file__).parent.parent.parent
_HOME = _ROOT / ".nox" / "bench-peers"
_WITHIN = 1200  # seconds for an installation

_REQUIREMENTS: Mapping[str, Sequence[str]] = {
    "sdks": ("twilio>=9.13,<10", "aiohttp", "sinch>=2.3,<3"),
    "django": (
        *("django>=5.2,<6", "django-otp>=1.7,<2", "django-otp-twilio>=1.0,<2", "django-phone-verify>=3.3,<4"),
        "psycopg[binary]>=3.2",
    ),
    "retrying": ("celery>=5.5,<6", "redis>=5", "procrastinate>=3.5,<4", "psycopg[binary,pool]>=3.2"),
}
_PYTHON: Mapping[str, tuple[str, str]] = {  # each lane's environment and what runs in it
    "sdks": ("sdks", "benchmarks.peers.sdks"),
    "django_sqlite": ("django", "benchmarks.peers.django_apps"),
    "django_postgres": ("django", "benchmarks.peers.django_apps"),  # Django is configured once in a process
    "retrying": ("retrying", "benchmarks.peers.retrying"),
}
_NODE: Mapping[str, tuple[str, Sequence[str]]] = {
    "better_auth": ("better_auth.mjs", ("better-auth@1.7", "better-sqlite3@12", "pg@8")),
}


class PeerAbsentError(Exception):
    """A peer's environment could not be made."""


def peer_command(lane: str) -> tuple[list[str], Path]:
    """What runs a peer's lane, and where.

    Raises:
        PeerAbsentError: Why its environment could not be made.
    """
    try:
        return _python(lane) if lane in _PYTHON else _node(lane)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise PeerAbsentError(f"could not be installed: {said.strip().splitlines()[-1][:200]}") from error


def _python(lane: str) -> tuple[list[str], Path]:
    environment, module = _PYTHON[lane]
    place, requirements = _HOME / environment, _REQUIREMENTS[environment]
    python = place / "bin" / "python"
    if not _is_made(place, requirements):
        venv.create(place, with_pip=True, clear=True)
        _run([str(python), "-m", "pip", "install", "-q", *requirements], place)
        _mark_made(place, requirements)
    return [str(python), "-m", module], _ROOT


def _node(lane: str) -> tuple[list[str], Path]:
    script, packages = _NODE[lane]
    place = _HOME / lane
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise PeerAbsentError("there is no node and npm here")
    if not _is_made(place, packages):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        (place / "package.json").write_text("{}", encoding="utf-8")
        _run([npm, "install", "--no-audit", "--no-fund", "--silent", *packages], place)
        _mark_made(place, packages)
    shutil.copy(Path(__file__).parent / script, place)  # Node looks for packages beside the script
    return [node, "--expose-gc", script], place


def _run(command: Sequence[str], place: Path) -> None:
    subprocess.run(command, cwd=place, check=True, capture_output=True, text=True, timeout=_WITHIN)  # noqa: S603 - pip and npm


def _is_made(place: Path, requirements: Sequence[str]) -> bool:
    stamp = place / "requirements.txt"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == "\n".join(requirements)


def _mark_made(place: Path, requirements: Sequence[str]) -> None:
    (place / "requirements.txt").write_text("\n".join(requirements), encoding="utf-8")
