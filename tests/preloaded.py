"""An interpreter and the command ``otp`` that start at once, as forks of a process that has imported everything."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

_HERE = Path(__file__).parent
_PATIENCE = 120.0  # seconds, for a machine with much else to do


@attrs.frozen
class Preloaded:
    """Programs to start as any others. Signals reach them, SIGKILL too, a moment later; SIGSTOP does not: for that, start a real one.

    Args:
        folder: For the beginning of ``PATH``: it has ``otp``, and ``python`` for ``-c PROGRAM``, ``-m MODULE`` and files.
    """

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "python")

    @property
    def otp(self) -> str:
        return str(self.folder / "otp")


@contextmanager
def preloaded(folder: Path) -> Iterator[Preloaded]:
    place = folder / "mother"
    for name, before in (("python", []), ("otp", ["-m", "otpcore"])):
        program = folder / name
        program.write_text(
            f"#!{sys.executable} -IS\nimport sys\nsys.path.append({str(_HERE)!r})\nfrom stand_in import ask\n"
            f"sys.exit(ask({str(place)!r}, [*{before!r}, *sys.argv[1:]]))\n"
        )
        program.chmod(0o755)
    command = [sys.executable, str(_HERE / "mother.py"), str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=folder) as mother:
        deadline = time.monotonic() + _PATIENCE
        while not place.exists():
            assert mother.poll() is None, "the mother ended before she was ready"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield Preloaded(folder)
        assert mother.stdin is not None
        mother.stdin.close()
