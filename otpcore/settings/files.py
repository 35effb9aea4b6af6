"""Read settings files and the environment into one plain tree that remembers where each key came from."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import stat
import sys
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from otpcore.errors import SettingsError
from otpcore.events import fields
from otpcore.settings.twice import twice_in_json, twice_in_toml, twice_in_yaml

__all__ = ["SettingsTree", "read_settings"]

_FILE_VARIABLE = "OTPCORE_SETTINGS_FILE"
_PREFIX = "OTPCORE_"
_NOT_SETTINGS = {_FILE_VARIABLE, "OTPCORE_APP"}
_TESTS_PREFIX = "OTPCORE_TEST_"  # of our own test runs
_NAMES = ("otpcore.toml", "otpcore.yaml", "otpcore.json")
_SECRETS_NAME = ".otpcore.secrets.toml"
_LOADERS = {".toml": "toml_loader", ".yaml": "yaml_loader", ".yml": "yaml_loader", ".json": "json_loader"}
_DYNACONF_ALONE = {
    "dynaconf_skip_loaders": True,  # they read what a host tells its own dynaconf, in the environment and in other files
    "dynaconf_skip_validators": True,
    "ENVIRONMENTS_FOR_DYNACONF": False,
    "AUTO_CAST_FOR_DYNACONF": False,
    "ENCODING_FOR_DYNACONF": "utf-8",
    "YAML_LOADER_FOR_DYNACONF": "safe_load",
    "DOTTED_LOOKUP_FOR_DYNACONF": True,
    "MERGE_ENABLED_FOR_DYNACONF": False,
}
"""All that a settings object of dynaconf would otherwise take from the environment; the loaders ask for it by these names."""
_OF_DYNACONF = {name.upper() for name in _DYNACONF_ALONE}
_LOWERED_LEVELS = {"providers": 3}  # providers.<instance>.<key>; deeper, and below other keys, names are data
_USUAL_LOWERED_LEVELS = 2

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
        SettingsError: A file that was asked for is missing, a file cannot be read or says something twice, or one lies there that would be
            taken for settings elsewhere (``otpcore.local.toml``).
    """
    main = _main_file(path)
    secrets = (main.parent if main else _current_directory()) / _SECRETS_NAME
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
        return next((file for file in map(_current_directory().joinpath, _NAMES) if file.exists()), None)
    by = "" if path else f"; {_FILE_VARIABLE} asks for it"
    try:
        file = Path(asked).expanduser()
    except RuntimeError:
        raise SettingsError(f"{asked}: whose home directory ~ is cannot be told{by}. Write the whole path") from None
    if not file.is_absolute():
        file = _current_directory() / file
    if file.suffix not in _LOADERS:
        raise SettingsError(f"{file}: the name of a settings file must end in {', '.join(_LOADERS)}{by}")
    if not file.is_file():
        raise SettingsError(f"{file}: there is no such settings file{by}. Fix: correct the path, or run `otp init`")
    return file


def _current_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise SettingsError(
            f"the current directory cannot be looked at ({error.strerror}), so no settings file was found in it. "
            f"Fix: name the file by its whole path in {_FILE_VARIABLE}, or start in a directory that exists"
        ) from None


def _refuse_local_file(file: Path) -> None:
    """Dynaconf would merge it without a word."""
    local = file.with_name(f"{file.stem}.local{file.suffix}")
    if local.exists():
        raise SettingsError(
            f"{local}: local overrides are not read. Fix: move what it says into {file.name} and delete it"
        )


def _warn_if_readable_by_others(file: Path) -> None:
    if os.name == "posix" and file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        _logger.warning(
            "%s holds secrets and other users can read it: chmod 600 %s",
            file,
            shlex.quote(str(file)),
            extra=fields("secrets_readable"),
        )


def _read_file(file: Path) -> Mapping[str, Any]:
    problem = ""
    try:
        content = file.read_bytes()  # dynaconf only warns about a file that it may not read
        values = _read_with_dynaconf(file)
        problem = twice_in_json(content.decode("utf-8-sig")) if file.suffix == ".json" else ""
        if not problem:
            return values
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not UTF-8 text"
    except Exception as error:  # noqa: BLE001 - each parser has its own errors, and they quote lines with secrets
        line = _line(error)
        kind = _LOADERS[file.suffix].removesuffix("_loader").upper()
        problem = f"line {line} is not valid {kind}" if line else f"is not a table of settings in valid {kind}"
        if "at end of document" in str(error):
            problem = (
                f"is not valid {kind}: it ends before something is complete, such as a list without its last bracket"
            )
        problem = _twice(kind, content, error, line) or problem
    raise SettingsError(f"{file}: {problem}")


def _twice(kind: str, content: bytes, error: Exception, line: int | None) -> str:
    """What is there twice, where that is why a file cannot be read."""
    text = content.decode(errors="replace")
    if kind == "TOML":
        return twice_in_toml(text)
    return twice_in_yaml(text, line) if line and type(error).__name__ == "DuplicateKeyError" else ""


def _line(error: Exception) -> int | None:
    """1-based line of a parser's error; None if it does not say."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    found = re.search(r"line (\d+),? column", str(error))
    return int(found[1]) if found else None


def _read_with_dynaconf(file: Path) -> Mapping[str, Any]:
    # One file at a time: merging inside dynaconf would append lists, and its errors do not all name the file.
    with contextlib.ExitStack() as stack:
        if "dynaconf" not in sys.modules:  # its import looks at what a host tells its own dynaconf, and may warn
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", DeprecationWarning)
        from dynaconf import loaders  # noqa: PLC0415 - heavy: imported at first use
        from dynaconf.base import Settings as DynaconfSettings  # noqa: PLC0415 - as above
    settings = DynaconfSettings(**_DYNACONF_ALONE)
    getattr(loaders, _LOADERS[file.suffix]).load(settings, env="default", filename=str(file), silent=False)
    return {key: value for key, value in settings.as_dict().items() if key not in _OF_DYNACONF}


def _environment() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each variable with the tree it stands for: raw text, except that ``{ … }`` for a whole section is a table."""
    for name in sorted(os.environ):  # a section before its keys
        if not name.startswith(_PREFIX) or name.startswith(_TESTS_PREFIX) or name in _NOT_SETTINGS:
            continue
        path = name.removeprefix(_PREFIX).lower().split("__")
        value: Any = os.environ.get(name)
        if value is None:  # another thread has taken it away meanwhile
            continue
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
