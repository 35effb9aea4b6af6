"""How deep the command line reaches: operators' commands to the operator alone, set-up to a short list of names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import otpcore

CLI = Path(otpcore.__file__).parent / "cli"
EVERYWHERE = ("otpcore.cli", "otpcore.clock", "otpcore.errors", "otpcore.models")
"""The command line itself, and what every folder may use."""

SET_UP = {
    "otpcore.operator.asynchronous": {"AsyncOperator", "operator_of"},
    "otpcore.operator.findings.doctor": {"examine"},
    "otpcore.operator.findings.key_states": {"keys_in_use", "needed_until", "waiting_keys"},
    "otpcore.operator.findings.places": {"database_url"},
    "otpcore.operator.results.upkeep": {"Finding"},
    "otpcore.runners.background": {"BackgroundRunner"},
    "otpcore.runners.contract": {"RetryRunner"},
    "otpcore.service.assembly": {"make_store", "without_providers"},
    "otpcore.service.asynchronous": {"AsyncOTPService", "service_of"},
    "otpcore.service.blocking": {"OTPService"},
    "otpcore.service.setup": {"Setup", "setup_of"},
    "otpcore.settings.files": {"read_settings"},
    "otpcore.settings.tree": {"KeySettings", "Settings", "generate_keys", "load_settings", "starter_file"},
    "otpcore.stores.counts": {"KeyUse"},
    "otpcore.stores.sql": {"store"},
    "otpcore.stores.sql.schema": {"HEAD"},
}
"""What sets up works before a service is there. Whatever can be a method of the operator is one, and not in this list."""


def used(*files: Path) -> dict[str, set[str]]:
    """What these files import of otpcore, by module."""
    found: dict[str, set[str]] = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "otpcore":
                found.setdefault(str(node.module), set()).update(one.name for one in node.names)
    return {module: names for module, names in found.items() if not module.startswith(EVERYWHERE)}


def test_set_up_uses_these_names_of_the_inside_and_no_others() -> None:
    assert used(CLI / "host.py", *(CLI / "setup").glob("*.py")) == SET_UP


@pytest.mark.parametrize("file", sorted((CLI / "operate").glob("[a-z]*.py")), ids=lambda file: file.stem)
def test_a_command_of_operators_uses_the_operator_and_public_names(file: Path) -> None:
    found = used(file)
    assert found.pop("otpcore", set()) <= set(otpcore.__all__)
    assert all(module.startswith("otpcore.operator.") for module in found), found
