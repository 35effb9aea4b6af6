"""The name of a new provider, and every other name that follows from it."""

from __future__ import annotations

import re
from importlib.util import find_spec

import attrs

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.errors import quoted
from otpcore.providers.provider import HTTP_GATEWAYS, PROVIDERS, SIMULATORS, installed

__all__ = ["Names", "names_of"]

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_LONGEST = 30  # characters; lines of what is written stay within their width

_TAKEN = frozenset({"aws", "core", "django", "flask", "http", "mada", "rabbitmq", "redis", "server", "sinch", "twilio"})
"""Of the distributions that are otpcore's own, installed or not."""


@attrs.frozen(kw_only=True)
class Names:
    """What a distribution and its parts are called.

    Args:
        slug: As a part of the distribution's name, such as ``acme-sms``.
    """

    slug: str

    @property
    def name(self) -> str:
        """The entry point, and the instance in settings and rules."""
        return self.slug.replace("-", "_")

    @property
    def distribution(self) -> str:
        """As pip knows it."""
        return f"otp-{self.slug}"

    @property
    def module(self) -> str:
        """As Python imports it."""
        return f"otp_{self.name}"

    @property
    def title(self) -> str:
        """For people."""
        return self.slug.replace("-", " ").title()

    @property
    def prefix(self) -> str:
        """How its classes begin."""
        return self.title.replace(" ", "")


def names_of(typed: str) -> Names:
    """Those that follow from what a person typed, with or without ``otp-`` before it.

    Raises:
        CommandError: It is no name for a package, or is taken.
    """
    if not _NAME.fullmatch(typed) or len(typed) > _LONGEST:
        raise CommandError(f"{quoted(typed)} is no name for a provider", _fix_of(typed), ExitCode.USAGE)
    names = Names(slug=typed.removeprefix("otp-").removeprefix("otp_").replace("_", "-"))
    if names.slug in _TAKEN:
        raise _taken(names, "is a package of otpcore's own")
    for group in (PROVIDERS, SIMULATORS, HTTP_GATEWAYS):
        for one in installed(group):
            if one.name == names.name:
                raise _taken(names, f"is installed already: {one.origin} brings it")
    if find_spec(names.module) is not None:
        raise _taken(names, f"cannot be imported: there is another module {names.module}")
    return names


def _taken(names: Names, why: str) -> CommandError:
    return CommandError(
        f"{names.distribution} {why}",
        f"choose another name, such as {names.slug}-sms, or uninstall what has it",
        ExitCode.REFUSED,
    )


def _fix_of(typed: str) -> str:
    """The nearest name that can be one."""
    meant = "-".join(re.findall(r"[a-z0-9]+", typed.casefold()))[:_LONGEST].strip("-").lstrip("0123456789-")
    said = f"at most {_LONGEST} of a to z and 0 to 9, a letter first, words apart by a hyphen"
    return f"{said}: {meant}" if meant else f"{said}, such as acme"
