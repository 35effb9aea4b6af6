"""Read settings files and the environment into one plain tree that remembers where each key came from."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
import sys
import threading
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from otpcore._logs import fields
from otpcore.errors import SettingsError

__all__ = ["SettingsTree", "read_settings"]

_FILE_VARIABLE = "OTPCORE_SETTINGS_FILE"
_PREFIX = "OTPCORE_"
_NOT_SETTINGS = {_FILE_VARIABLE, "OTPCORE_APP"}
_TESTS_PREFIX = "OTPCORE_TEST_"  # of our own test runs
_NAMES = ("otpcore.toml", "otpcore.yaml", "otpcore.json")
_SECRETS_NAME = ".otpcore.secrets.toml"
_LOADERS = {".toml": "toml_loader", ".yaml": "yaml_loader", ".yml": "yaml_loader", ".json": "json_loader"}
_OLD_DYNACONF_NAMES = {"SETTINGS_MODULE", "PROJECT_ROOT"}  # dynaconf still obeys these; the others carry its name
_LOWERED_LEVELS = {"providers": 3}  # providers.<instance>.<key>; deeper, and below other keys, names are data
_USUAL_LOWERED_LEVELS = 2

_environment_lock = threading.Lock()
_logger = logging.getLogger("otpcore.config")


@attrs.frozen(kw_only=True)
class SettingsTree:
    """What was read.

    Args:
        values: Nested tables; from the environment always text.
        files: Absolute paths, in the order in which they were read.
        directory: Where the settings file is; None without any file.
        origins: For each full key and table, the file or environment variable that set it last.
    """

    values: Mapping[str, Any] = attrs.field(repr=False)
    files: tuple[str, ...]
    directory: str | None
    origins: Mapping[str, str]

    def where(self, key: str) -> str:
        """Where a key, or the list or text that it is a part of, was read; "" if nowhere."""
        if key in self.origins:
            return self.origins[key]
        parent = key.rpartition(".")[0]
        is_table = any(other.startswith(f"{parent}.") for other in self.origins)
        return self.where(parent) if parent and not is_table else ""


def read_settings(path: str | os.PathLike[str] | None) -> SettingsTree:
    """Read the settings file, the secrets file beside it, and the environment; each overrides what comes before.

    Tables are merged; lists, like every other value, are replaced. A null counts as absent.

    Raises:
        SettingsError: A file that was asked for is missing, a file cannot be read, or one lies there that would be
            taken for settings elsewhere (``otpcore.local.toml``).
    """
    main = _main_file(path)
    secrets = (main.parent if main else Path.cwd()) / _SECRETS_NAME
    files = [file for file in dict.fromkeys((main, secrets)) if file and (file == main or file.exists())]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for file in files:
        _refuse_local_file(file)
        _merge(values, _lowered(_read_file(file)), origins, str(file))
    if secrets in files:
        _warn_if_readable_by_others(secrets)
    for name, tree in _environment():
        _merge(values, tree, origins, f"environment variable {name}")
    source = ", ".join(map(str, files)) or "the environment only: there is no file"
    _logger.info("settings read from %s", source, extra=fields("settings_read"))
    return SettingsTree(
        values=values, files=tuple(map(str, files)), directory=str(files[0].parent) if files else None, origins=origins
    )


def _main_file(path: str | os.PathLike[str] | None) -> Path | None:
    asked = path or os.environ.get(_FILE_VARIABLE)
    if not asked:
        return next((file for file in map(Path.cwd().joinpath, _NAMES) if file.exists()), None)
    file = Path(asked).expanduser().absolute()
    by = "" if path else f"; {_FILE_VARIABLE} asks for it"
    if file.suffix not in _LOADERS:
        raise SettingsError(f"{file}: the name of a settings file must end in {', '.join(_LOADERS)}{by}")
    if not file.is_file():
        raise SettingsError(f"{file}: there is no such settings file{by}. Correct the path, or run `otp init`")
    return file


def _refuse_local_file(file: Path) -> None:
    """Dynaconf would merge it without a word."""
    local = file.with_name(f"{file.stem}.local{file.suffix}")
    if local.exists():
        raise SettingsError(f"{local}: local overrides are not read; move what it says into {file.name} and delete it")


def _warn_if_readable_by_others(file: Path) -> None:
    if os.name == "posix" and file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        _logger.warning(
            "%s holds secrets and other users can read it: chmod 600 %s",
            file,
            file,
            extra=fields("secrets_readable"),
        )


def _read_file(file: Path) -> Mapping[str, Any]:
    problem = ""
    try:
        file.read_bytes()  # dynaconf only warns about a file that it may not read
        return _read_with_dynaconf(file)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not UTF-8 text"
    except Exception as error:  # noqa: BLE001 - each parser has its own errors, and they quote lines with secrets
        line = _line(error)
        kind = _LOADERS[file.suffix].removesuffix("_loader").upper()
        problem = f"line {line} is not valid {kind}" if line else f"is not a table of settings in valid {kind}"
    raise SettingsError(f"{file}: {problem}")


def _line(error: Exception) -> int | None:
    """1-based line of a parser's error; None if it does not say."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    found = re.search(r"line (\d+),? column", str(error))
    return int(found[1]) if found else None


def _read_with_dynaconf(file: Path) -> Mapping[str, Any]:
    # One file at a time: merging inside dynaconf would append lists, and its errors do not all name the file.
    with _dynaconf_alone():
        from dynaconf import Dynaconf, loaders  # noqa: PLC0415 - heavy: imported at first use

        settings = Dynaconf(
            envvar_prefix=None,  # it would make numbers and dates of texts; see _environment
            settings_files=[],  # named here, a file would bring along .local files and a host's dynaconf_hooks.py
            environments=False,
            load_dotenv=False,
            auto_cast=False,
        )
        getattr(loaders, _LOADERS[file.suffix]).load(settings, filename=str(file), silent=False)
        return {key: value for key, value in settings.as_dict().items() if key != "LOAD_DOTENV"}


@contextlib.contextmanager
def _dynaconf_alone() -> Iterator[None]:
    """Hide from dynaconf what a host tells its own dynaconf through the environment."""
    with _environment_lock:
        hidden = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("DYNACONF_") or name.endswith("_FOR_DYNACONF") or name in _OLD_DYNACONF_NAMES
        }
        host_uses_dynaconf = "dynaconf" in sys.modules
        for name in hidden:
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(hidden)
            if hidden and host_uses_dynaconf:
                from dynaconf import default_settings  # noqa: PLC0415 - heavy: imported at first use

                default_settings.reload()


def _environment() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each variable with the tree it stands for: raw text, except that ``{ … }`` for a whole section is a table."""
    for name in sorted(os.environ):  # a section before its keys
        if not name.startswith(_PREFIX) or name.startswith(_TESTS_PREFIX) or name in _NOT_SETTINGS:
            continue
        path = name.removeprefix(_PREFIX).lower().split("__")
        value: Any = os.environ[name]
        if len(path) <= _USUAL_LOWERED_LEVELS and value.lstrip().startswith("{"):
            with contextlib.suppress(tomllib.TOMLDecodeError):
                value = tomllib.loads(f"value = {value.strip()}")["value"]
        for part in reversed(path):
            value = {part: value}
        yield name, _lowered(value)


def _lowered(values: Mapping[str, Any], level: int = 1, last_level: int = 0) -> dict[str, Any]:
    """Setting and instance names in lower case; names that are data (locales, headers) as they are."""
    result: dict[str, Any] = {}
    for written, value in values.items():
        last = last_level or _LOWERED_LEVELS.get(str(written).lower(), _USUAL_LOWERED_LEVELS)
        key = str(written).lower() if level <= last else written
        result[key] = _lowered(value, level + 1, last) if isinstance(value, Mapping) else value
    return result


def _merge(
    into: dict[str, Any], values: Mapping[str, Any], origins: dict[str, str], origin: str, table: str = ""
) -> None:
    for written, value in values.items():
        if value is None:
            continue
        folded = str(written).casefold()  # the environment knows no case
        name = next((known for known in into if str(known).casefold() == folded), written)
        key = f"{table}.{name}" if table else str(name)
        origins[key] = origin
        if isinstance(value, Mapping):
            if not isinstance(into.get(name), dict):
                into[name] = {}
            _merge(into[name], value, origins, origin, key)
        else:
            into[name] = value
