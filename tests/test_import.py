"""What ``import otpcore`` costs and pulls in, and that the public names are what they say."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import otpcore
from otpcore import errors

PUBLIC = (
    "otpcore",
    "otpcore.cli",
    "otpcore.embedding",
    "otpcore.http",
    "otpcore.messages",
    "otpcore.operator",
    "otpcore.providers",
    "otpcore.runners",
    "otpcore.simulators",
    "otpcore.stores",
    "otpcore.testing",
)
ERRORS = {
    "otpcore": {name for name in otpcore.__all__ if hasattr(errors, name)},
    "otpcore.cli": {"main", "run_command"},
}  # come with the package
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


@pytest.mark.parametrize("package", PUBLIC)
def test_a_public_package_pulls_in_no_heavy_library_by_itself(package: str) -> None:
    assert not _loaded_by(f"import {package}").intersection(HEAVY)


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))
    given = [name for names in module._MODULES.values() for name in names]
    assert sorted(given) == sorted(set(module.__all__) - {"__version__", *ERRORS.get(package, ())})


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = otpcore.nonsense  # type: ignore[attr-defined] # that is the point
