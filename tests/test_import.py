"""What ``import otpcore`` costs and pulls in, and that the public names are what they say."""

from __future__ import annotations

import subprocess
import sys

import pytest

import otpcore

HEAVY = (
    "sqlalchemy",
    "sqlmodel",
    "alembic",
    "dynaconf",
    "cryptography",
    "phonenumbers",
    "httpx",
    "aiohttp",
    "typer",
    "rich",
)


def _loaded_by(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(ran.stdout.split())


def test_import_pulls_in_no_heavy_library() -> None:
    assert not _loaded_by("import otpcore").intersection(HEAVY)


def test_the_services_pull_in_no_heavy_library_before_they_open() -> None:
    assert not _loaded_by("from otpcore import AsyncOTPService, OTPService; OTPService()").intersection(HEAVY)


@pytest.mark.parametrize("name", otpcore.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(otpcore, name) is not None
    assert name in dir(otpcore)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = otpcore.nonsense  # type: ignore[attr-defined] # that is the point
