"""``otp new-provider``: writes a distribution with a provider that passes its contract suite as it stands."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

import otpcore
from otpcore.cli.develop.names import Names, names_of
from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.options import Options
from otpcore.clock import utc_now

__all__ = ["new_provider"]


_LAYERS: Mapping[str, Sequence[str]] = {
    "form": ("every", "common", "plain", "unsigned", "form"),
    "json": ("every", "common", "json"),
    "get": ("every", "common", "plain", "unsigned", "get"),
    "none": ("every", "common", "plain", "none"),
}
"""The folders of templates that a package is made of, by how its vendor reports; no file is in two of them."""

_TABLE_LAYERS: Mapping[str, Sequence[str]] = {
    "form": ("every", "table", "table_plain", "table_form"),
    "json": ("every", "table", "table_json"),
    "get": ("every", "table", "table_plain", "table_get"),
    "none": ("every", "table", "table_plain", "table_none"),
}
"""The same of a package that is a table for ``otp-http``."""

_SUFFIX = ".tmpl"
_PLACE = re.compile(r"_(module|name)_")
_INSTALL = 'python -m pip install -e ".[tests]"'


def new_provider(options: Options, typed: str, receipts: str, directory: Path, *, table: bool) -> ExitCode:
    """Write it below ``directory``, in a folder of its own name that must not be there.

    Args:
        options: Of the command.
        typed: The name.
        receipts: How the vendor reports.
        directory: Is made where it is not there.
        table: Write a table for ``otp-http`` instead of code.
    """
    names = names_of(typed)
    layers = (_TABLE_LAYERS if table else _LAYERS)[receipts]
    target = directory.absolute() / names.distribution
    written = _write(target, {place: text for layer in layers for place, text in _filled(layer, names)})
    commands = [f"cd {shlex.quote(str(directory / names.distribution))}", _INSTALL, "python -m pytest"]
    options.say(
        {
            "distribution": names.distribution,
            "module": names.module,
            "directory": str(target),
            "files": written,
            "commands": commands,
        },
        f"wrote {len(written)} files into {directory / names.distribution}; go on with",
        *(f"  {command}" for command in commands),
        "then follow the last section of its README, which says what to change for your vendor",
    )
    return ExitCode.OK


def _filled(layer: str, names: Names) -> Iterator[tuple[str, str]]:
    """The files of one folder of templates, as they are written: path and text."""
    major, minor, *_ = otpcore.__version__.split(".")
    words = {
        "name": names.name,
        "slug": names.slug,
        "distribution": names.distribution,
        "module": names.module,
        "title": names.title,
        "prefix": names.prefix,
        "versions": f">={major}.{minor},<{major}.{int(minor) + 1}",
        "year": str(utc_now().year),
    }
    for path, template in _templates(files("otpcore.cli.develop") / "templates" / layer):
        place = _PLACE.sub(lambda found: words[found[1]], path)  # in one pass: a name may have "_name_" in it
        yield place, Template(template.read_text(encoding="utf-8")).substitute(words)


def _templates(folder: Traversable, above: str = "") -> Iterator[tuple[str, Traversable]]:
    """Every template below a folder, by the path of what is made of it."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = entry.name.replace("dot.", ".", 1) if entry.name.startswith("dot.") else entry.name
        if entry.is_dir():
            yield from _templates(entry, f"{above}{name}/")
        elif name.endswith(_SUFFIX):
            yield above + name.removesuffix(_SUFFIX), entry


def _write(target: Path, texts: Mapping[str, str]) -> list[str]:
    """Write all files, or none.

    Raises:
        CommandError: Something is there already, or it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.mkdir()
    except FileExistsError as error:
        raise CommandError(
            f"{error.filename} is there already, and is not overwritten",
            "choose another --directory, or move away what is there",
            ExitCode.REFUSED,
        ) from error
    except OSError as error:
        raise _unwritable(error) from error
    try:
        for place, text in texts.items():
            file = target / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)  # half of it would pass for the whole
        raise _unwritable(error) from error
    return sorted(texts)


def _unwritable(error: OSError) -> CommandError:
    return CommandError(
        f"{error.filename}: {error.strerror}", "choose a --directory that you may write to", ExitCode.CONFIGURATION
    )
