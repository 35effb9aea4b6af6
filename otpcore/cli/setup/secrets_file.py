"""Change the keys in a TOML file: line by line, so that comments stay, and in one step, so that nobody reads half of it."""

from __future__ import annotations

import os
import re
import shlex
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["CannotEdit", "add_code_key", "add_key_set", "change_file", "remove_code_key", "set_current_key"]

_HEADER = re.compile(r"\s*\[")
_ENTRY = re.compile(r"""\s*(?P<quote>["']?)(?P<name>[A-Za-z0-9_-]+)(?P=quote)\s*=""")
_CURRENT = re.compile(r"""(?P<before>\s*current\s*=\s*)(?:"[^"]*"|'[^']*')""")


class CannotEdit(Exception):  # noqa: N818 - what it says
    """The file is written in a way that only a person should change.

    Args:
        problem: What is in the way.
        fix: What that person does.
    """

    def __init__(self, problem: str, fix: str = "write the keys there by hand") -> None:
        super().__init__(problem)
        self.fix = fix


def add_code_key(text: str, key_id: str, secret: str) -> str:
    """The text with one more code key, after the others.

    Raises:
        CannotEdit: It would not say exactly that.
    """
    lines = text.splitlines(keepends=True)
    first, last = _table(lines, "keys.code")
    entries = [number for number in range(first, last) if _ENTRY.match(lines[number])]
    place = entries[-1] + 1 if entries else first
    ending = "\r\n" if "\r\n" in lines[first - 1] else "\n"
    if not lines[place - 1].endswith("\n"):
        lines[place - 1] += ending
    lines.insert(place, f'{key_id} = "{secret}"{ending}')
    return _checked(text, "".join(lines), lambda keys: keys["code"].update({key_id: secret}))


def set_current_key(text: str, key_id: str) -> str:
    """The text with another current key; raises as ``add_code_key``."""
    lines = text.splitlines(keepends=True)
    first, last = _table(lines, "keys")
    for number in range(first, last):
        lines[number] = _CURRENT.sub(rf'\g<before>"{key_id}"', lines[number], count=1)
    return _checked(text, "".join(lines), lambda keys: keys.update(current=key_id))


def remove_code_key(text: str, key_id: str) -> str:
    """The text without one code key; raises as ``add_code_key``."""
    lines = text.splitlines(keepends=True)
    first, last = _table(lines, "keys.code")
    kept = [
        line
        for number, line in enumerate(lines)
        if not (first <= number < last and (entry := _ENTRY.match(line)) and entry["name"] == key_id)
    ]
    return _checked(text, "".join(kept), lambda keys: keys["code"].pop(key_id))


def add_key_set(file: Path, text: str) -> None:
    """Write a first set of keys into a file, at its end; one that is not there is made, and only its owner can read it.

    Args:
        text: Of a whole secrets file.

    Raises:
        CannotEdit: The file is not TOML, holds keys, or can be read by everybody.
        OSError: It cannot be read or written.
    """
    if file.suffix != ".toml":
        raise CannotEdit("its name does not end in .toml", "name .otpcore.secrets.toml, beside the settings file")
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if os.name == "posix" and file.stat().st_mode & stat.S_IROTH:
            raise CannotEdit("everybody on this machine can read it", f"chmod 600 {shlex.quote(str(file))}") from None
        change_file(file, lambda before: _with_keys(before, text))
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _with_keys(before: str, text: str) -> str:
    try:
        said = tomllib.loads(before)
    except tomllib.TOMLDecodeError:
        raise CannotEdit("it is not valid TOML", "correct it: `otp doctor` names the place") from None
    if "keys" in said:
        raise CannotEdit("it has keys", "restore the keys that were used, or delete what is left of them there")
    keys = text.partition("\n\n")[2].partition("\n\n# [providers")[0]
    return f"{before.rstrip()}\n\n{keys}\n".lstrip()


def change_file(file: Path, change: Callable[[str], str]) -> None:
    """Put a changed file in the place of a file, for the same owner and with the same rights; all of it or nothing.

    Raises:
        CannotEdit: The change says so, or somebody else is at it.
        OSError: The file or its directory cannot be read or written.
    """
    place = file.resolve()  # a link stays a link
    new = place.with_name(f"{place.name}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # nobody else reads it, not for a moment
    except FileExistsError:
        raise CannotEdit(f"{new} exists: another change is under way, or was cut short; then delete it") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(change(place.read_bytes().decode("utf-8")).encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
        _give_rights(place.stat(), new)
        new.replace(place)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    _keep(place.parent)


def _give_rights(old: os.stat_result, new: Path) -> None:
    """Whoever runs the service must still be able to read it, though an administrator changed it."""
    if hasattr(os, "chown") and (old.st_uid, old.st_gid) != (new.stat().st_uid, new.stat().st_gid):
        os.chown(new, old.st_uid, old.st_gid)
    new.chmod(stat.S_IMODE(old.st_mode))


def _keep(directory: Path) -> None:
    """The new name survives a power cut too."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _table(lines: list[str], name: str) -> tuple[int, int]:
    """The lines of a table, from behind its head to the next head."""
    head = re.compile(rf"\s*\[\s*{name.replace('.', '[ ]*[.][ ]*')}\s*\]\s*(#.*)?")
    first = next((number for number, line in enumerate(lines, 1) if head.fullmatch(line.rstrip("\r\n"))), None)
    if first is None:
        raise CannotEdit(f"it has no [{name}]")
    last = next((number for number in range(first, len(lines)) if _HEADER.match(lines[number])), len(lines))
    return first, last


def _checked(before: str, after: str, change: Callable[[dict[str, Any]], Any]) -> str:
    """Read both as a parser does: nothing but the change may differ."""
    wanted = tomllib.loads(before)
    try:
        change(wanted["keys"])
        is_right = tomllib.loads(after) == wanted
    except (tomllib.TOMLDecodeError, KeyError):
        is_right = False
    if not is_right:
        raise CannotEdit("its keys are written in an unusual way")
    return after
