"""Turn a mapping of settings into a frozen attrs class, naming the full key in each error."""

from __future__ import annotations

import difflib
import enum
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from otpcore.errors import OTPConfigurationError, SettingsError
from otpcore.settings import kinds as convert
from otpcore.settings.kinds import RefusedError

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["key_of", "structure"]

T = TypeVar("T")

_FROM_ENVIRONMENT = "environment variable"
_COLLECTIONS: dict[Any, Callable[[list[Any]], Any]] = {
    tuple: tuple,
    Sequence: tuple,
    list: list,
    frozenset: frozenset,
    AbstractSet: frozenset,
    set: set,
}


def structure(
    values: Mapping[str, Any], cls: type[T], *, prefix: str = "", where: Callable[[str], str] | None = None
) -> T:
    """Build ``cls`` from plain values, strictly.

    Text is never made from numbers (``+15005550006`` without quotes has lost its plus). The other way round text is
    read, because the environment has nothing else: ``true/false/yes/no/on/off/1/0``, decimal numbers, and comma-separated
    lists; dates as in ISO 8601. Lists and tables in text may also be written as in TOML: ``["a", "b"]``, ``{ key = "value" }``.

    Args:
        values: Setting names and values.
        cls: A frozen attrs class. A field ``global_`` is written ``global``. Fields with ``repr=False`` are secret: no error shows their value.
        prefix: The key of the whole, such as ``"providers.twilio"``.
        where: Says for a full key where it was read, such as a file name; "" where nobody knows.

    Raises:
        SettingsError: A key is unknown, missing, of the wrong type or refused by a validator of ``cls``. All problems
            are listed, each with its full key.
    """
    problems: list[_Problem] = []
    try:
        return _converter().structure(values, cls)
    except Exception as failure:  # noqa: BLE001 - sorted by _problems, which raises what is not about settings again
        problems.extend(_problems(failure, prefix, secret=False))
    if not prefix:
        problems = [_of_variable(_misplaced(problem, cls), cls, where) for problem in problems]
    # Outside the handler: the original exceptions quote values, secrets too, and must not travel along as context.
    if len(problems) == 1 and problems[0].error is not None:
        raise problems[0].error
    raise SettingsError(_listing(problems, where))


@attrs.frozen
class _Problem:
    """What is wrong with one key; ``error`` where it already has a narrower type than ``SettingsError``."""

    key: str
    text: str
    error: OTPConfigurationError | None = None


def _listing(problems: list[_Problem], where: Callable[[str], str] | None) -> str:
    lines = []
    for problem in problems:
        place = where(problem.key) if where else ""
        lines.append(f"{problem.key or 'settings'}{f' ({place})' if place else ''}: {problem.text}")
    return lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} settings are wrong:", *lines])


def _problems(failure: Exception, key: str, *, secret: bool) -> Iterator[_Problem]:
    """Each refused key with its problem; anything that is not about settings is raised as it is."""
    from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError  # noqa: PLC0415 - heavy: at first use

    match failure:
        case BaseValidationError():
            for inner in failure.exceptions:
                name = _noted_name(inner)
                name = "" if _gathers(failure.cl, name) else name  # the keys below it are written beside it
                hidden = secret or _is_secret(failure.cl, name)
                yield from _problems(inner, _join(key, name), secret=hidden)
        case ForbiddenExtraKeysError():
            known = [key_of(field) for field in _settings_of(failure.cl)]
            for unknown in sorted(map(str, failure.extra_fields)):
                yield _Problem(_join(key, unknown), _unknown(unknown, known, key))
        case RefusedError():
            yield _narrowest(key, failure.text(secret=secret))
        case OTPConfigurationError():
            failure.__notes__ = []  # cattrs' notes are about Python classes
            yield _Problem(key, str(failure), failure)
        case KeyError() if _noted_name(failure):
            yield _Problem(key, "is required")
        case _:
            raise failure


def _misplaced(problem: _Problem, cls: Any) -> _Problem:
    """A key of the whole tree, or a dotted one, that was written below the head of a section belongs to that section."""
    known = {key_of(field): field.type for field in _settings_of(cls)}
    section, _, name = problem.key.partition(".")
    if not problem.text.startswith("unknown key") or section not in known or name not in known:
        return problem
    if name == section:
        return attrs.evolve(
            problem, text=f"unknown key; below [{section}] write its keys without {section}. before them"
        )
    is_table = attrs.has(known[name] or str) or name in ("providers", "server")
    there = f"under a [{name}] of its own" if is_table else "above the first [section]"
    return attrs.evolve(problem, text=f"unknown key; {name} is no part of [{section}]: write it {there}")


def _of_variable(problem: _Problem, cls: Any, where: Callable[[str], str] | None) -> _Problem:
    """An environment variable whose name would be right with two underscores for each dot, and with none elsewhere."""
    origin = where(problem.key) if where else ""
    if not origin.startswith(_FROM_ENVIRONMENT) or not problem.text.startswith("unknown key"):
        return problem
    meant = {re.sub(r"\W", "_", key): key for key in _keys_below(cls)}
    key = meant.get(re.sub(r"\W|__", "_", problem.key))
    if key is None:
        return problem
    name = f"OTPCORE_{key.upper().replace('.', '__')}"
    return attrs.evolve(problem, text=f"unknown key; the variable of {key} is {name}")


def _keys_below(cls: Any, prefix: str = "") -> Iterator[str]:
    for field in _settings_of(cls):
        key = _join(prefix, key_of(field))
        yield from _keys_below(field.type, key) if attrs.has(field.type or str) else (key,)


def _narrowest(key: str, text: str) -> _Problem:
    """A check may have put the full key before its text, of the field itself or of one below it."""
    named, colon, rest = text.partition(": ")
    is_key = f"{named}.".startswith(f"{key}.") if key else named.isidentifier()
    return _Problem(named, rest) if colon and is_key else _Problem(key, text)


def key_of(field: attrs.Attribute[Any]) -> str:
    """How a field is written in settings: a Python keyword carries an underscore only in Python."""
    key: str = field.metadata.get("key") or _written(field.name)
    return key


def _written(name: str) -> str:
    return name.removesuffix("_")


def _settings_of(cls: Any) -> list[attrs.Attribute[Any]]:
    """The fields that may be set; the metadata ``setting: False`` takes one out."""
    return [field for field in attrs.fields(cls) if field.init and field.metadata.get("setting", True)]


def _unknown(name: str, known: list[str], key: str) -> str:
    near = difflib.get_close_matches(name.casefold(), known, 1)
    return f"unknown key; did you mean {_join(key, near[0])}?" if near else f"unknown key; known are {', '.join(known)}"


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key and name else key or name


def _noted_name(failure: BaseException) -> str:
    """The attribute, index or mapping key that cattrs noted on an error of one part; "" for an error of the whole."""
    for note in getattr(failure, "__notes__", ()):
        if hasattr(note, "name"):
            return _written(note.name)
        if hasattr(note, "index"):
            return str(note.index)
    return ""


def _is_secret(cls: Any, name: str) -> bool:
    return attrs.has(cls) and any(key_of(field) == name and field.repr is False for field in attrs.fields(cls))


@functools.cache
def _converter() -> Converter:
    from cattrs import Converter  # noqa: PLC0415 - heavy: at first use

    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    hooks = {
        str: convert.text,
        bool: convert.boolean,
        int: convert.integer,
        float: convert.number,
        date: convert.day,
    }
    for cls, hook in hooks.items():
        converter.register_structure_hook(cls, hook)
    converter.register_structure_hook(enum.Enum, convert.member)
    converter.register_structure_hook_func(_is_literal, convert.literal)
    converter.register_structure_hook_factory(_is_collection, _collection_hook)
    converter.register_structure_hook_factory(_is_mapping, _mapping_hook)
    converter.register_structure_hook_factory(attrs.has, _class_hook)
    converter.register_structure_hook_func(lambda cls: cls == convert.TEXT_OR_TABLE, convert.text_or_table)
    return converter


def _is_literal(cls: Any) -> bool:
    origin: Any = get_origin(cls)
    return origin is Literal


def _is_collection(cls: Any) -> bool:
    """``tuple[X, ...]`` and the like; not ``tuple[X, Y]``, whose places have a meaning each."""
    return get_origin(cls) in _COLLECTIONS and (get_origin(cls) is not tuple or get_args(cls)[-1] is Ellipsis)


def _is_mapping(cls: Any) -> bool:
    origin = get_origin(cls)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _collection_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    from cattrs.cols import list_structure_factory  # noqa: PLC0415 - heavy: at first use

    collect = _COLLECTIONS[get_origin(cls)]
    items = list_structure_factory(cls, converter)

    def hook(value: Any, _: Any) -> Any:
        if isinstance(value, str):
            parts = [part.strip() for part in value.split(",") if part.strip()]
            value = convert.inline(value, "[", otherwise=parts)
        if not isinstance(value, (list, tuple, AbstractSet)):
            raise RefusedError("must be a list", value)
        return collect(items(value, cls))

    return hook


def _mapping_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    from cattrs.gen import make_mapping_structure_fn  # noqa: PLC0415 - heavy: at first use

    entries = make_mapping_structure_fn(cls, converter, structure_to=dict, detailed_validation=True)
    return lambda value, _: entries(convert.table(value), cls)


def _class_hook(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    from cattrs.errors import ClassValidationError  # noqa: PLC0415 - heavy: at first use
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415 - heavy: at first use

    attrs.resolve_types(cls)
    left_out: Any = {field.name: override(omit=True) for field in attrs.fields(cls) if field not in _settings_of(cls)}
    renamed: Any = {
        field.name: override(rename=key_of(field)) for field in _settings_of(cls) if key_of(field) != field.name
    }
    build = make_dict_structure_fn(
        cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True, **left_out, **renamed
    )

    def hook(value: Any, _: Any) -> Any:
        table = _gathered(convert.table(value), cls)
        try:
            return build(table, cls)
        except ClassValidationError as failure:
            errors = _completed(failure.exceptions, table, cls, converter)
            raise ClassValidationError(failure.message, errors, cls) from None

    return hook


def _gathered(table: Mapping[str, Any], cls: Any) -> Mapping[str, Any]:
    """The section with the keys that a field gathers put together under that field."""
    known = {key_of(field) for field in _settings_of(cls)}
    for field in _settings_of(cls):
        looks = field.metadata.get("gathers")
        own = {key: value for key, value in table.items() if looks and key not in known and looks.fullmatch(str(key))}
        if own:
            table = {**{key: value for key, value in table.items() if key not in own}, key_of(field): own}
    return table


def _gathers(cls: Any, name: str) -> bool:
    return attrs.has(cls) and any(field.name == name and "gathers" in field.metadata for field in attrs.fields(cls))


def _completed(found: Sequence[Exception], table: Mapping[str, Any], cls: Any, converter: Converter) -> list[Exception]:
    """What cattrs found, with every validator's refusal (the constructor stops at the first) and without secrets."""
    from cattrs.errors import ForbiddenExtraKeysError  # noqa: PLC0415 - heavy: at first use

    refusals = list(_refusals(table, cls, converter))
    if refusals:
        found = [error for error in found if _noted_name(error) or isinstance(error, ForbiddenExtraKeysError)]
    secrets = {text for text in _secret_texts(table, cls) if text}
    return [_speakable(error, secrets) for error in [*found, *refusals]]


def _refusals(table: Mapping[str, Any], cls: Any, converter: Converter) -> Iterator[Exception]:
    """Run each field's validator on its own, against an instance that carries all fields that could be read."""
    from cattrs.errors import AttributeValidationNote  # noqa: PLC0415 - heavy: at first use

    draft = object.__new__(cls)
    readable = []
    for field in attrs.fields(cls):
        try:
            given = key_of(field) in table
            value = converter.structure(table[key_of(field)], field.type) if given else _default(field, draft)
            value = field.converter(value) if field.converter else value
        except Exception:  # noqa: BLE001, S112 - already among what cattrs found
            continue
        object.__setattr__(draft, field.name, value)
        readable.append((field, value))
    for field, value in readable:
        try:
            if field.validator is not None:
                field.validator(draft, field, value)
        except (ValueError, TypeError, SettingsError) as refusal:
            refusal.add_note(AttributeValidationNote("", field.name, field.type))
            yield refusal
        except AttributeError:  # it looks at another field, which could not be read
            continue


def _default(field: attrs.Attribute[Any], draft: Any) -> Any:
    default: Any = field.default
    if default is attrs.NOTHING:
        raise LookupError(field.name)
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type] # the stubs call the class a function
        return default
    return default.factory(draft) if default.takes_self else default.factory()


def _speakable(error: Exception, secrets: set[str]) -> Exception:
    """A validator's error as text that quotes no secret; other errors as they are."""
    if isinstance(error, RefusedError) or not isinstance(error, (ValueError, TypeError, SettingsError)):
        return error
    if isinstance(error, OTPConfigurationError) and not isinstance(error, SettingsError):
        return error
    text = str(error.args[0]) if error.args else "is refused by its check"
    for secret in sorted(secrets, key=len, reverse=True):
        for quoted in (secret, repr(secret)[1:-1]):
            text = text.replace(quoted, "***")
    refused = RefusedError(text)
    for note in getattr(error, "__notes__", ()):
        refused.add_note(note)
    return refused


def _secret_texts(value: Any, cls: Any, *, secret: bool = False) -> Iterator[str]:
    """All texts below fields with ``repr=False``."""
    if get_origin(cls) in (Union, UnionType):
        for choice in get_args(cls):
            yield from _secret_texts(value, choice, secret=secret)
    elif isinstance(value, Mapping) and attrs.has(cls):
        for field in attrs.fields(cls):
            hidden = secret or field.repr is False
            yield from _secret_texts(value.get(key_of(field)), field.type, secret=hidden)
    elif isinstance(value, (Mapping, list, tuple, AbstractSet)):
        for part in value.values() if isinstance(value, Mapping) else value:
            for inner in get_args(cls) or (cls,):
                yield from _secret_texts(part, inner, secret=secret)
    elif secret and value is not None:
        yield str(value)
