"""Finds plugins by their entry points and imports the one that is asked for; a broken one hurts nobody else."""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import attrs

from otpcore.errors import PluginLoadError, UnknownProviderError
from otpcore.events import fields

__all__ = [
    "CHECKS",
    "HTTP_GATEWAYS",
    "PROVIDERS",
    "RETRY_RUNNERS",
    "SIMULATORS",
    "STORES",
    "InstalledPlugin",
    "find",
    "import_target",
    "installed",
]

PROVIDERS = "otpcore.providers"
STORES = "otpcore.stores"
RETRY_RUNNERS = "otpcore.retry_runners"
SIMULATORS = "otpcore.simulators"
HTTP_GATEWAYS = "otpcore.http_gateways"
"""Tables of gateways, which the plugin ``http`` reads: the name of one, and the package that has ``<name>.toml`` in it."""
CHECKS = "otpcore.checks"
"""Functions that are given the ``Settings``, and refuse what their distribution reads of them; ``otp doctor`` calls each."""

_USUAL = "http"
"""The plugin for gateways that have none of their own; it says itself how a gateway is named."""

_OUR_GROUPS = "otpcore."  # how their names begin

_OURS = frozenset({"aws", "http", "mada", "sinch", "twilio"})  # the packages otp-… that are known to be there
_logger = logging.getLogger("otpcore.plugins")


@attrs.frozen(kw_only=True)
class InstalledPlugin:
    """One entry point, as the metadata of its distribution says; nothing has been imported.

    Args:
        name: Casefolded.
        target: ``module:attribute``.
        distribution: Such as ``"otp-mada"``; empty for what was handed in or named as ``module:attribute``.
        version: Of the distribution, such as ``"0.1.0"``.
        problem: Why it cannot be used; empty when nothing speaks against it so far.
    """

    name: str
    target: str
    distribution: str = ""
    version: str = ""
    problem: str = ""

    @property
    def origin(self) -> str:
        """Where it comes from, for messages: ``otp-mada 0.1.0``."""
        return f"{self.distribution} {self.version}".strip() or self.target


def installed(group: str) -> tuple[InstalledPlugin, ...]:
    """What is installed in an entry-point group, by name. Imports nothing.

    Two entry points of one name with different targets both carry a ``problem``; the same target twice is one plugin.
    The metadata of all distributions takes tens of milliseconds to read, so it is read once for all groups, and again only
    when something was installed or removed, or Python's path has changed.

    Raises:
        PluginLoadError: Not even otpcore's own plugins are there: its metadata was left behind, as when an app is frozen.
    """
    places = tuple((entry, changed) for entry in sys.path if _holds_metadata(entry, changed := _changed(entry)))
    found = _read(group, tuple(map(id, sys.meta_path)), places)
    if not found and group in (STORES, RETRY_RUNNERS):  # in which otpcore's own are
        raise PluginLoadError(
            "the metadata of the distribution otpcore is not there, so neither its own plugins nor others can be found. "
            "Fix: install it (pip install otpcore), or take its metadata along into a frozen app, as PyInstaller does by itself "
            "where otpcore is installed when it runs (elsewhere --copy-metadata otpcore, and each otp-* plugin)."
        )
    return found


@functools.lru_cache(maxsize=16)
def _read(group: str, finders: tuple[int, ...], places: tuple[tuple[str, int], ...]) -> tuple[InstalledPlugin, ...]:
    """What is installed while the finders are those, and the places on Python's path as they were."""
    first: dict[tuple[str, str], InstalledPlugin] = {}
    for plugin in map(_described, (point for point in _entry_points(finders, places) if point.group == group)):
        first.setdefault((plugin.name, plugin.target), plugin)
    plugins = sorted(first.values(), key=lambda plugin: (plugin.name, plugin.origin))
    return tuple(attrs.evolve(plugin, problem=_problem(plugin, plugins)) for plugin in plugins)


def find(group: str, name: str, *, subject: str, section: str = "providers.NAME") -> InstalledPlugin:
    """The plugin of that name, or the in-house one that ``module:attribute`` names.

    Args:
        subject: Who needs it, for messages: ``provider 'mada_eu'``.
        section: Where the plugin of a provider is named.

    Raises:
        UnknownProviderError: There is no such provider.
        PluginLoadError: There is no such plugin in another group, or the name is ambiguous.
    """
    if ":" in name:
        return InstalledPlugin(name=name, target=name)
    every = installed(group)
    for plugin in every:
        if plugin.name == name.casefold():
            if plugin.problem:
                raise PluginLoadError(f"{subject}: {plugin.problem}. Fix: uninstall all but one of them.")
            return plugin
    if not every:
        installed(STORES)  # says so where nothing can be found at all
    if group == PROVIDERS and any(gateway.name == name.casefold() for gateway in installed(HTTP_GATEWAYS)):
        raise UnknownProviderError(
            f"{subject}: no plugin {name!r} is installed, but a gateway of this name is. "
            f'Fix: in [{section}]: gateway = "{name.casefold()}", without plugin'
        )
    names = [plugin.name for plugin in every]
    near = difflib.get_close_matches(name.casefold(), names, 1)
    meant = near[0] if near else _USUAL if _USUAL in names else "module:factory"
    there = f"{f'did you mean {near[0]!r}? ' if near else ''}installed: {', '.join(names) or 'none'}"
    if group == PROVIDERS:
        raise UnknownProviderError(
            f"{subject}: no plugin {name!r} is installed ({there}). Fix: {_remedy(name.casefold(), near, ' there and in the rules')}, "
            f'or in [{section}]: plugin = "{meant}"'
        )
    if group == SIMULATORS:
        raise PluginLoadError(
            f"no simulator {name!r} is installed ({there}). Fix: {_remedy(name.casefold(), near)}; `otp simulate --list` "
            "lists what is there"
        )
    raise PluginLoadError(f"{subject}: no plugin {name!r} is installed in the group {group} ({there}).")


def _remedy(name: str, near: Sequence[str], where: str = "") -> str:
    """Never the installation of a name that is only misspelt: a stranger may have registered it."""
    if name in _OURS:
        return f"pip install otp-{name}"
    return f"write {near[0]}{where}" if near else "install the package that brings it"


def import_target(plugin: InstalledPlugin, group: str, *, subject: str) -> Any:
    """Import what a plugin's target names.

    Args:
        subject: As for ``find``.

    Raises:
        PluginLoadError: Importing failed; with the distribution, version and cause.
    """
    try:
        return EntryPoint(name=plugin.name, value=plugin.target, group=group).load()
    except (Exception, SystemExit) as error:
        # SystemExit: a script named by mistake must not end the host. An import's message has seen no settings.
        cause = f"{type(error).__name__}: {error}"
        if not isinstance(error, ImportError | AttributeError):
            fix = "mend or update that package"
        elif plugin.distribution:
            fix = f"reinstall it (pip install --force-reinstall {plugin.distribution})"
        else:
            fix = "write it as module:attribute, with the module on Python's path (`otp` looks beside the settings file and in the current directory too)"
        raise PluginLoadError(
            f"{subject} ({plugin.origin}): importing {plugin.target} failed with {cause}. Fix: {fix}."
        ) from error


def _changed(entry: str) -> int:
    """When something was last installed into, or removed from, a place on Python's path: nanoseconds; 0 if it is not there."""
    try:
        return Path(entry).stat().st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=64)
def _holds_metadata(entry: str, changed: int) -> bool:
    """Whether distributions may lie there; a folder without any, such as one in which a database grows, changes nothing."""
    del changed
    try:
        return any(each.suffix.lower() in (".dist-info", ".egg-info", ".egg") for each in Path(entry).iterdir())
    except NotADirectoryError:
        return True  # an archive, or what a finder of its own understands
    except OSError:
        return False


@functools.lru_cache(maxsize=2)
def _entry_points(finders: tuple[int, ...], places: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """All of our groups, in the order of Python's path; unreadable metadata costs only its own distribution."""
    del finders, places
    try:
        everything = importlib.metadata.entry_points()
        ours = sorted(group for group in everything.groups if group.startswith(_OUR_GROUPS))
        return tuple(point for group in ours for point in everything.select(group=group))
    except Exception as error:  # noqa: BLE001 - one damaged file spoils the whole answer, with whatever the parser raises
        _logger.warning(
            "the entry points of some distribution cannot be read (%s)",
            type(error).__name__,
            extra=fields("plugins_unreadable", reason=type(error).__name__),
        )
    points: dict[str, list[EntryPoint]] = {}
    for distribution in importlib.metadata.distributions():
        name = "?"
        try:
            name = str(distribution.name)
            found = [point for point in distribution.entry_points if point.group.startswith(_OUR_GROUPS)]
        except Exception as error:  # noqa: BLE001 - the same, in the file of this one
            _logger.warning(
                "the entry points of the distribution %s are ignored (%s)",
                name,
                type(error).__name__,
                extra=fields("plugins_unreadable", reason=type(error).__name__),
            )
        else:
            points.setdefault(name, found)  # the first on the path is the one that Python imports
    return tuple(point for found in points.values() for point in found)


def _described(point: EntryPoint) -> InstalledPlugin:
    try:
        metadata = point.dist.metadata  # type: ignore[union-attr] # caught; parsed anew each time that it is asked for
        distribution, version = str(metadata["Name"] or ""), str(metadata["Version"] or "")
    except Exception:  # noqa: BLE001 - without readable metadata it may still be importable
        distribution, version = "", ""
    return InstalledPlugin(name=point.name.casefold(), target=point.value, distribution=distribution, version=version)


def _problem(plugin: InstalledPlugin, every: list[InstalledPlugin]) -> str:
    same = [f"{other.origin} ({other.target})" for other in every if other.name == plugin.name]
    return f"the name {plugin.name!r} is claimed by {' and by '.join(same)}" if len(same) > 1 else ""
