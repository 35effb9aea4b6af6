"""Whether docs/licences.md names everything that comes with otpcore and its plugins, each with its licence.

``python -m tests.licences PYTHON`` asks ``pip-licenses`` about the environment of that interpreter, which must hold
what users install and nothing else, and prints the table as it should be where the page has another. A licence of a
kind that is not in ``KINDS`` is an error by itself: somebody has to look at it first.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "licences.md"
KINDS = ("Apache", "BSD", "ISC", "LGPL", "MIT", "MPL", "Python Software Foundation", "PSF")
"""What stands in the names of licences that ask nothing of an application which changes none of the packages."""

OLDER_ONLY = frozenset({"async-timeout"})
"""What comes with some patch releases only, here with those before Python 3.11.3; the page has it whichever asks."""

_OURS = re.compile(r"otp-[a-z]+|otpcore")
_ROW = re.compile(r"^\| `([^`]+)` \| (.+) \|$", re.MULTILINE)


def main(python: str) -> int:
    """Compare; 0 where the page is right."""
    found = installed(python)
    strange = sorted(name for name, licence in found.items() if not any(kind in licence for kind in KINDS))
    rows = [f"| `{name}` | {licence} |" for name, licence in sorted(found.items())]
    page = {name: licence for name, licence in listed().items() if name in found or name not in OLDER_ONLY}
    wrong = ["docs/licences.md should have this table:", *rows] if page != found else []
    wrong += [f"{name}: {found[name]} is a kind of licence that tests/licences.py does not know" for name in strange]
    for line in wrong:
        print(line)  # noqa: T201 - a program that says what is wrong
    return 1 if wrong else 0


def installed(python: str) -> dict[str, str]:
    """The licences of an environment, by the normalised name of the package, without our own."""
    command = ["pip-licenses", f"--python={python}", "--from=mixed", "--format=json"]
    answered = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return {
        normalised(one["Name"]): one["License"]
        for one in json.loads(answered.stdout)
        if not _OURS.fullmatch(normalised(one["Name"]))
    }


def listed() -> dict[str, str]:
    """What the page says."""
    return dict(_ROW.findall(PAGE.read_text(encoding="utf-8")))


def normalised(name: str) -> str:
    """A name as indexes compare them (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirements: Iterable[str]) -> set[str]:
    """The names in requirements, without our own."""
    names = {normalised(re.split(r"[^A-Za-z0-9._-]", one, maxsplit=1)[0]) for one in requirements}
    return {name for name in names if not _OURS.fullmatch(name)}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or sys.exit("python -m tests.licences PYTHON")))
