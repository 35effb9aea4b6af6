"""``otp doctor``: everything that can be checked without sending anything, before anything is opened."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import attrs

from otpcore.cli.exits import CommandError, ExitCode, explain
from otpcore.cli.host import load_host, run
from otpcore.cli.layout import prose
from otpcore.cli.options import Options
from otpcore.errors import OTPConfigurationError
from otpcore.operator.findings.doctor import examine
from otpcore.operator.results.upkeep import Finding

__all__ = ["doctor"]

_STYLES = {"ok": "green", "note": "yellow", "problem": "red"}


def doctor(options: Options, *, online: bool) -> ExitCode:
    """Run every check and list what was found; what stops sending now comes first. ``online``: the vendors are asked too."""
    with options.progress("asking the vendors" if online else "looking"):
        examined = _examined(options, online=online)
    told = options.spelling.told
    found = [attrs.evolve(one, detail=told(one.detail), fix=told(one.fix)) for one in examined]
    problems = [one for one in found if one.level == "problem"]
    is_well = not problems
    options.say(
        {"ok": is_well, "checks": [one.to_dict() for one in found]},
        *(line for one in found for line in _lines(one)),
        "nothing stands in the way of sending" if is_well else f"problems: {len(problems)}; each has its fix above",
    )
    return ExitCode.OK if is_well else ExitCode.REFUSED


def _lines(one: Finding) -> Iterator[Any]:
    yield prose(f"{one.level}: {one.about}: {one.detail}", _STYLES[one.level])
    if one.fix:
        yield prose(f"fix: {one.fix}", indent="  ")


def _examined(options: Options, *, online: bool) -> tuple[Finding, ...]:
    try:
        host = load_host(options)
    except (OTPConfigurationError, CommandError) as error:
        told = explain(error)
        return (Finding(about="settings", level="problem", detail=told.message, fix=told.fix),)
    return run(partial(examine, host, online=online))
