"""Where a gateway's table comes from: this package, another one, a file, or the settings themselves."""

from __future__ import annotations

import difflib
import functools
import importlib.resources
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from otp_http.checks import problems
from otp_http.meanings import nearest
from otp_http.tables import Table
from otpcore.providers import HTTP_GATEWAYS, InstalledPlugin, ProviderContext, SettingsError, installed

__all__ = ["built_in", "every_table", "find", "from_file", "packaged", "read_table", "table_of"]

_OURS = "otp_http.gateways"
_OWN = "webhook"
_INSTANCE = "table"  # stands where a table's own keys begin, and goes out of each message
_LARGEST = 1_000_000  # bytes of a file


@functools.cache
def built_in() -> tuple[str, ...]:
    """The gateways whose tables are in this package."""
    files = importlib.resources.files(_OURS).iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def packaged() -> Mapping[str, InstalledPlugin]:
    """Each gateway that is installed, by its name, with the package that has its table as ``target``.

    Those of this package are there without its metadata too, which a frozen app may lack.
    """
    ours = {name: InstalledPlugin(name=name, target=_OURS) for name in built_in()}
    return ours | {gateway.name: gateway for gateway in installed(HTTP_GATEWAYS)}


def table_of(context: ProviderContext) -> Table:
    """The table of an instance, by its settings ``gateway`` or ``gateway_file``.

    Raises:
        SettingsError: There is none, or it is wrong; with the key and the fix.
    """
    prefix, said = f"providers.{context.instance}", context.settings
    gateway, file = said.get("gateway"), said.get("gateway_file")
    if gateway is not None and file is not None:
        raise SettingsError(f"{prefix}.gateway: is there, and gateway_file too; write one of the two, not both")
    if gateway is None and file is None:
        raise SettingsError(
            f"{prefix}.gateway: is required: the name of a gateway ({', '.join(known := packaged())}), or its table; or "
            f'gateway_file. Fix: in [{prefix}]: gateway = "{_likely(context.instance, known)}"'
        )
    if file is not None:
        if not isinstance(file, str) or not file:
            raise SettingsError(f"{prefix}.gateway_file: must be the path of a file")
        return from_file(Path(context.directory or "", file).expanduser(), f"{prefix}.gateway_file")
    if isinstance(gateway, Mapping):
        return read_table(gateway, f"{prefix}.gateway", "")
    if not isinstance(gateway, str):
        raise SettingsError(f"{prefix}.gateway: must be the name of a gateway, or its table")
    failure = None
    try:
        return find(gateway)
    except SettingsError as error:
        failure = SettingsError(f"{prefix}.gateway: {error}")
    raise failure


def _likely(instance: str, known: Collection[str]) -> str:
    """The gateway that an instance may be named after, else one's own."""
    near = difflib.get_close_matches(instance.casefold(), sorted(known), 1)
    return near[0] if near else _OWN


def find(gateway: str) -> Table:
    """The table of a gateway that is installed.

    Raises:
        SettingsError: There is none of this name, two packages bring one, or it is wrong.
    """
    known = packaged()
    if gateway not in known:
        raise SettingsError(f"there is no gateway {gateway!r}; {nearest(gateway, known)}")
    if known[gateway].problem:
        raise SettingsError(f"{known[gateway].problem}. Fix: uninstall all but one of them")
    return _of_package(known[gateway].target, gateway)


def read_table(said: Mapping[str, Any], key: str, origin: str) -> Table:
    """A table from plain values, checked as a whole.

    Args:
        said: What it says.
        key: The setting that names it.
        origin: The file that it is from; empty: it is the setting itself.

    Raises:
        SettingsError: It is wrong: each key, what is wrong with it, and the nearest right name or what to do.
    """
    where = f"{key}: {origin}: " if origin else f"{key}."
    failure = None
    try:
        table = ProviderContext(instance=_INSTANCE, settings=said).structure(Table)
    except SettingsError as error:
        told = str(error).replace(f"did you mean providers.{_INSTANCE}.", "did you mean ") if origin else str(error)
        failure = SettingsError(told.replace(f"providers.{_INSTANCE}.", where))
    if failure is not None:
        raise failure  # outside the handler: the message before it names keys that there are not
    wrong = [f"{where}{place}: {problem}" for place, problem in problems(table)]
    if wrong:
        head = f"{len(wrong)} settings of the gateway's table are wrong:\n  " if len(wrong) > 1 else ""
        raise SettingsError(head + "\n  ".join(wrong))
    return table


@functools.cache
def _of_package(package: str, name: str) -> Table:
    """A table that is installed; read once, as it does not change."""
    key = f"the gateway {name!r} of {package}"
    failure = None
    try:
        text = (importlib.resources.files(package) / f"{name}.toml").read_text(encoding="utf-8")
    except (ImportError, OSError, TypeError) as error:
        failure = SettingsError(
            f"{key}: {name}.toml cannot be read ({type(error).__name__}). Fix: reinstall the package"
        )
    if failure is not None:
        raise failure
    return read_table(_toml(text, key), key, f"{name}.toml")


def from_file(path: Path, key: str) -> Table:
    """The table of a file.

    Args:
        path: Of the file.
        key: The setting that names it, for errors.

    Raises:
        SettingsError: It cannot be read, or is wrong.
    """
    failure, text = None, ""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST).decode("utf-8")
    except OSError as error:
        failure = SettingsError(
            f"{key}: {path} cannot be read ({error.strerror}); a relative path begins beside the settings"
        )
    except ValueError:
        failure = SettingsError(f"{key}: {path} is not UTF-8")
    if failure is not None:
        raise failure
    return read_table(_toml(text, f"{key}: {path.name}"), key, path.name)


def _toml(text: str, key: str) -> Mapping[str, Any]:
    failure = None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        failure = SettingsError(f"{key}: is not TOML: {error}")
    raise failure


def every_table() -> Iterator[tuple[str, Table]]:
    """Each installed gateway's name and table, in the order of their names."""
    for name in sorted(packaged()):
        yield name, find(name)
