"""A framework's own configuration with the settings of otpcore in it: read, and kept out of what shows a configuration."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import attrs

from otpcore.embedding.clients import TrustedProxies
from otpcore.embedding.spelling import Spelling
from otpcore.errors import OTPConfigurationError, SettingsError
from otpcore.settings.tree import Settings, load_settings

__all__ = ["Embedding", "Hidden", "in_sandbox"]

_FILE, _PROXIES = "settings_file", "trusted_proxies"


class Hidden(MutableMapping[str, Any]):
    """Settings, to be read and changed as the dictionary that they were; no ``repr`` and no debug page shows them.

    A ``dict`` would not do: debug pages go through it and mask by name, and neither a database URL nor most credentials
    of providers have a name that they know. A section, such as ``OTPCORE["keys"]``, is hidden the same; a value in it is
    not, once a variable holds it.

    Args:
        variable: What stands in the place of the values.
        values: The dictionary.
    """

    def __init__(self, variable: str, values: Mapping[str, Any]) -> None:
        self._variable = variable
        self._values = {name: self._hidden(one) for name, one in values.items()}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = self._hidden(value)

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<{self._variable}: hidden>"

    def _hidden(self, value: Any) -> Any:
        return Hidden(self._variable, value) if isinstance(value, Mapping) else value


@attrs.frozen(kw_only=True)
class Embedding:
    """How the configuration of one framework holds otpcore's settings.

    What is held is a dictionary with the settings of otpcore as nested dictionaries, and keys that otpcore does not
    know: ``settings_file``, a file that then has all the other settings (None: there is none), ``trusted_proxies`` (see ``TrustedProxies``),
    and the framework package's own.

    Args:
        variable: Its name, such as ``OTPCORE``, with which every error begins.
        written: How the framework's users write it, such as ``app.config["OTPCORE"]``.
        command: What stands before the words of a command, such as ``flask otp``.
        own: Keys besides those two that the framework's package reads itself.
    """

    variable: str = "OTPCORE"
    written: str
    command: str
    own: tuple[str, ...] = ()

    def hidden(self, given: object) -> object:
        """What the configuration is to hold in the place of the dictionary; what is none stays as it is."""
        is_open = isinstance(given, Mapping) and not isinstance(given, Hidden)
        return Hidden(self.variable, given) if isinstance(given, Mapping) and is_open else given

    def checked(self, given: object) -> Mapping[str, Any]:
        """The dictionary.

        Raises:
            SettingsError: There is none, or a key of the package's own is misspelt.
        """
        if given is None:
            raise self.error(f"is not set. Fix: {self.written} = {{...}}, with the settings of otpcore")
        if not isinstance(given, Mapping):
            raise self.error("must be a dictionary with the settings of otpcore")
        known = self.keys
        for name in given:
            if isinstance(name, str) and name not in known and (near := difflib.get_close_matches(name, known, 1, 0.8)):
                raise self.error(f"{name}: unknown; {near[0]} is meant?")
        return given

    def settings(self, given: object) -> Settings:
        """What is said to otpcore; with ``settings_file`` the environment and the secrets file beside it count too.

        Raises:
            SettingsError: All that is wrong, each with its key and the fix, in the words of the framework's users.
            RoutingSyntaxError: A rule cannot be read.
        """
        try:
            return self._read(self.checked(given))
        except OTPConfigurationError as error:
            wrong = self.spelling(given).retold(error).with_traceback(None)
        raise wrong from None  # without the frames in which the values lie open

    def proxies(self, given: object) -> TrustedProxies:
        """What ``trusted_proxies`` says.

        Raises:
            SettingsError: It cannot be meant.
        """
        return TrustedProxies.of(self.checked(given).get(_PROXIES, ()), f"{self.variable}: {_PROXIES}")

    def spelling(self, given: object) -> Spelling:
        """How what helps is told: settings as they are written here, or as in the settings file that is named."""
        is_in_file = isinstance(given, Mapping) and _names_a_file(given)
        return Spelling(command=self.command, settings="" if is_in_file else self.written)

    def error(self, text: str) -> SettingsError:
        """An error about the dictionary itself."""
        return SettingsError(f"{self.variable}: {text}")

    @property
    def keys(self) -> tuple[str, ...]:
        """Those that otpcore does not know, sorted."""
        return tuple(sorted((_FILE, _PROXIES, *self.own)))

    def _read(self, values: Mapping[str, Any]) -> Settings:
        tree = {name: value for name, value in values.items() if name not in self.keys}
        if not _names_a_file(values):
            return Settings.from_mapping(tree)
        if tree:
            there = ", ".join(map(str, tree))
            raise self.error(f"{_FILE} names a file, and {there} stand here. Fix: write them there")
        if not isinstance(file := values[_FILE], str | os.PathLike):
            raise self.error(f"{_FILE}: must be the path of a settings file")
        return load_settings(file)


def _names_a_file(values: Mapping[str, Any]) -> bool:
    """None and an empty text name none, as a variable of the environment that is not set."""
    return values.get(_FILE) not in (None, "")


def in_sandbox(settings: Settings, *, refused: SettingsError) -> Settings:
    """The settings of a test, in which nothing may be sent to people: the sandbox stands in for every provider.

    Args:
        settings: As the application has them.
        refused: What is raised where they are those of production, which has no sandbox.

    Raises:
        SettingsError: That.
    """
    if settings.sms.sandbox:
        return settings
    if settings.environment == "production":
        raise refused
    return attrs.evolve(settings, sms=attrs.evolve(settings.sms, sandbox=True))
