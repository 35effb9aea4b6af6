"""One text of the settings for each instance, purpose and language: how it is written, and which of them counts; pure.

It is a text, which counts everywhere, or a table by instance, below it by purpose, and below that by language, where
``default`` stands for all that a table does not name. A text may stand at any of these levels, for all below it; an
empty one says that there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from otpcore.errors import SettingsError
from otpcore.messages.carrying import lookup_tags

__all__ = ["check_by_use", "instances_named", "text_for", "texts_for"]

_DEFAULT = "default"
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*")
_ORDER = "a table goes by instance, then by purpose, then by language"


def _tag(written: str) -> str:
    return written.replace("_", "-").casefold()


_FOLDED: Sequence[Callable[[str], str]] = (str.casefold, str, _tag)
"""How the names of each level are compared."""


def text_for(setting: str | Mapping[str, Any] | None, *, instance: str, purpose: str, locale: str) -> str | None:
    """The text that counts; None: there is none.

    The instance counts more than the purpose, and that more than the language, which is looked up with its region and
    without (RFC 4647, 3.4). Where a table has no text for what is left, the next one that fits is looked at.

    Args:
        setting: As it was checked by ``check_by_use``.
        locale: BCP 47 tag.
    """
    if setting is None or isinstance(setting, str):
        return setting or None
    found = _find(setting, ((instance, _DEFAULT), (purpose, _DEFAULT), (*lookup_tags(locale), _DEFAULT)))
    return found[1] or None if found is not None else None


def texts_for(setting: str | Mapping[str, Any] | None, instance: str) -> dict[str, str]:
    """Every text that may count for an instance, by where it stands: ``""``, or such as ``".mada.login"``."""
    if setting is None or isinstance(setting, str):
        return {"": setting} if setting else {}
    purposes, languages = (dict.fromkeys((*_names(setting, level), _DEFAULT)) for level in (1, 2))
    found: dict[str, str] = {}
    for purpose in purposes:
        for language in languages:
            one = _find(setting, ((instance, _DEFAULT), (purpose, _DEFAULT), (_tag(language), _DEFAULT)))
            if one is not None and one[1]:
                found[one[0]] = one[1]
    return found


def instances_named(setting: str | Mapping[str, Any] | None) -> tuple[str, ...]:
    """The instances that a table names."""
    return tuple(name for name in setting if name != _DEFAULT) if isinstance(setting, Mapping) else ()


def check_by_use(setting: object, *, key: str) -> None:
    """Refuse what is neither a text nor such a table.

    Raises:
        SettingsError: Names the key of what is wrong, and how it should be written.
    """
    _check(setting, key, 0)


def _check(part: object, key: str, level: int) -> None:
    if isinstance(part, str):
        return
    if not isinstance(part, Mapping):
        raise SettingsError(f"{key}: must be text, not {type(part).__name__}; write it in quotes")
    if level == len(_FOLDED):
        raise SettingsError(f"{key}: must be text; {_ORDER}, and no deeper")
    for name, inner in part.items():
        if not isinstance(name, str):  # in YAML, no is no name
            raise SettingsError(f"{key}.{name}: its name must be text, not {type(name).__name__}; write it in quotes")
        if level == len(_FOLDED) - 1 and name != _DEFAULT and not _LANGUAGE.fullmatch(name):
            raise SettingsError(f"{key}.{name}: is no language such as pt-BR, nor default; {_ORDER}")
        _check(inner, f"{key}.{name}", level + 1)


def _find(part: Any, wanted: Sequence[Sequence[str]], path: str = "") -> tuple[str, str] | None:
    """Where the text stands that counts, and the text; None: there is none."""
    if isinstance(part, str):
        return path, part
    if not wanted:
        return None
    folded = _FOLDED[-len(wanted)]
    known = {folded(name): (name, inner) for name, inner in part.items()}
    for name in map(folded, wanted[0]):
        if name in known:
            written, inner = known[name]
            found = _find(inner, wanted[1:], f"{path}.{written}")
            if found is not None:
                return found
    return None


def _names(part: Any, level: int) -> Iterator[str]:
    """All names of one level, below whatever stands above it."""
    if isinstance(part, Mapping):
        for name, inner in part.items():
            if level:
                yield from _names(inner, level - 1)
            else:
                yield name
