"""What nobody may read is in no repr either: reprs end up in tracebacks, debuggers and error trackers."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import attrs
import pytest

import otpcore

UNREADABLE = frozenset(
    {
        "authorization",
        "body",
        "client",
        "code",
        "e164",
        "guess",
        "headers",
        "message",
        "metadata",
        "password",
        "phone",
        "proxy",
        "secret",
        "text",
    }
)
SHOWN = frozenset(
    {
        ("Event", "phone"),  # masked
        ("LimitSettings", "phone"),  # limits
        ("LimitSettings", "client"),  # the same
        ("LockRule", "client"),  # its keyed look-up
        ("NewSend", "client"),  # the same
        ("Wanted", "client"),  # the same
        ("BreakerRecord", "code"),  # a vendor's code
        ("Explanation", "code"),  # an exit code
        ("Explanation", "message"),  # which is printed
        ("MeasuredText", "text"),  # with a made-up code
        ("Prepared", "text"),  # SQL, whose values are apart
        ("_Problem", "text"),  # which is printed
    }
)
FOR_TESTS = ("otpcore.testing", "otpcore.simulators", "otpcore._simulator")
"""They keep what arrived, to be shown."""


def classes() -> Iterator[type[attrs.AttrsInstance]]:
    """Every attrs class of the package, once."""
    found: set[type] = set()
    for module in pkgutil.walk_packages(otpcore.__path__, "otpcore."):
        if (
            module.name.startswith((*FOR_TESTS, "otpcore._pyinstaller", "otpcore.__main__"))
            or ".migrations" in module.name
        ):
            continue
        for _, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if attrs.has(one) and one.__module__ == module.name and one not in found:
                found.add(one)
                yield one


def shown(one: type[attrs.AttrsInstance]) -> Iterator[str]:
    """The fields of a class that its repr shows though nobody may read them."""
    for field in attrs.fields(one):
        name = field.name.lstrip("_")
        if (
            (name in UNREADABLE or name.endswith(("_sealed", "_digest")))
            and field.repr
            and "PhoneNumber" not in str(field.type)
        ):
            yield name


def test_no_repr_shows_a_code_a_number_or_a_text() -> None:
    found = {(one.__name__, name) for one in classes() for name in shown(one)}
    assert found - SHOWN == {("PhoneNumber", "e164")}  # whose repr is its own, and masked
    assert SHOWN - found == set(), "named here for nothing"


@pytest.mark.parametrize("number", ["+359871234567", "+12125550123"])
def test_a_phone_number_shows_itself_masked(number: str) -> None:
    assert number[4:-3] not in repr(otpcore.PhoneNumber(number))
    assert number[4:-3] not in str(otpcore.PhoneNumber(number))
