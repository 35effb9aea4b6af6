"""The page's texts in every language: read once, checked as a whole, and filled in without trusting what they are given."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files

import attrs
from markupsafe import Markup, escape

from otpcore.runners import SettingsError

__all__ = ["PLURALS", "Words", "check", "languages", "read", "words_for"]

Entry = str | Mapping[str, str]

_REFERENCE = "en"
_RIGHT_TO_LEFT = {"ar"}
_PLACE = re.compile(r"\{([a-z]+)\}")
_ACCEPTED = re.compile(r"\s*([A-Za-z]{2,3})(?:-[A-Za-z0-9-]{1,20})?\s*(?:;\s*q=(0(?:\.\d{1,3})?|1(?:\.0{1,3})?)\s*)?")
_LONGEST_HEADER = 500  # characters
_FEW_FIRST, _FEW_LAST, _MANY_FIRST, _MANY_LAST = 3, 10, 11, 99
_TEENS = range(12, 15)
_TWO_TO_FOUR = range(2, 5)


def _one_or_other(n: int) -> str:
    return "one" if n == 1 else "other"


def _up_to_one(n: int) -> str:
    return "one" if n in (0, 1) else "other"


def _russian(n: int) -> str:
    last, tail = n % 10, n % 100
    if last == 1 and tail != 11:  # noqa: PLR2004 - CLDR's own rule
        return "one"
    return "few" if last in _TWO_TO_FOUR and tail not in _TEENS else "many"


def _arabic(n: int) -> str:
    tail = n % 100
    if n <= 2:  # noqa: PLR2004 - CLDR's own rule
        return ("zero", "one", "two")[n]
    if _FEW_FIRST <= tail <= _FEW_LAST:
        return "few"
    return "many" if _MANY_FIRST <= tail <= _MANY_LAST else "other"


PLURALS: Mapping[str, tuple[frozenset[str], Callable[[int], str]]] = {
    "ar": (frozenset({"zero", "one", "two", "few", "many", "other"}), _arabic),
    "bg": (frozenset({"one", "other"}), _one_or_other),
    "de": (frozenset({"one", "other"}), _one_or_other),
    "en": (frozenset({"one", "other"}), _one_or_other),
    "es": (frozenset({"one", "many", "other"}), _one_or_other),
    "fr": (frozenset({"one", "many", "other"}), _up_to_one),
    "hi": (frozenset({"one", "other"}), _up_to_one),
    "it": (frozenset({"one", "many", "other"}), _one_or_other),
    "pt": (frozenset({"one", "many", "other"}), _up_to_one),
    "ru": (frozenset({"one", "few", "many", "other"}), _russian),
    "tr": (frozenset({"one", "other"}), _one_or_other),
    "zh": (frozenset({"other"}), lambda _: "other"),
}
"""By language: CLDR's categories, and the one of a whole number below a million."""


@attrs.frozen(kw_only=True)
class Words:
    """The texts of one language.

    Args:
        language: BCP 47.
        texts: By key; a table has a form for each plural category.
    """

    language: str
    texts: Mapping[str, Entry] = attrs.field(repr=False)

    @property
    def direction(self) -> str:
        """Of the script: ``ltr`` or ``rtl``."""
        return "rtl" if self.language in _RIGHT_TO_LEFT else "ltr"

    def say(self, key: str, **values: object) -> Markup:
        """A text, ready for HTML; what fills it in is escaped, unless it is markup of ours."""
        text = self.texts[key]
        if not isinstance(text, str):
            text = text[PLURALS[self.language][1](int(str(values["n"])))]
        parts = _PLACE.split(text)
        return Markup("").join(escape(values[one] if place % 2 else one) for place, one in enumerate(parts))


@functools.cache
def read() -> Mapping[str, Words]:
    """All languages, checked.

    Raises:
        SettingsError: A catalogue lacks a text, a plural form or a place to fill in, or has one too many.
    """
    found: dict[str, Mapping[str, Entry]] = {
        one.name.removesuffix(".toml"): tomllib.loads(one.read_text(encoding="utf-8"))
        for one in files("otp_server").joinpath("texts").iterdir()
        if one.name.endswith(".toml")
    }
    check(found)
    return {language: Words(language=language, texts=texts) for language, texts in found.items()}


def check(catalogues: Mapping[str, Mapping[str, Entry]]) -> None:
    """That every language can say everything.

    Args:
        catalogues: Texts by key, by language.

    Raises:
        SettingsError: All that is wrong, each with its language and key.
    """
    wrong = [f"{language}.toml: is missing" for language in sorted(PLURALS.keys() - catalogues.keys())]
    model = catalogues.get(_REFERENCE, {})
    for language, texts in sorted(catalogues.items()):
        if language not in PLURALS:
            wrong.append(f"{language}.toml: the plural rules of this language are not known")
            continue
        wrong += [f"{language}.toml: {key}: is missing" for key in model if key not in texts]
        wrong += [f"{language}.toml: {key}: nothing asks for it" for key in texts if key not in model]
        wrong += [
            f"{language}.toml: {key}: {fault}"
            for key, entry in texts.items()
            if key in model
            for fault in _faults(entry, model[key], PLURALS[language][0])
        ]
    if wrong:
        raise SettingsError("texts of the verification page: " + "; ".join(wrong) + ". Fix: install otp-server anew")


def _faults(entry: Entry, model: Entry, categories: frozenset[str]) -> list[str]:
    if isinstance(entry, str) != isinstance(model, str):
        return ["is a text in one language and a table in another"]
    forms = {"": entry} if isinstance(entry, str) else dict(entry)
    found = [] if isinstance(entry, str) or forms.keys() == categories else [f"needs the forms {sorted(categories)}"]
    places = _places(model if isinstance(model, str) else model.get("other", ""))
    for name, text in forms.items():
        own = _places(text)
        without_n = own == places - {"n"} and name in ("zero", "one", "two")
        if not text.strip() or (own != places and not without_n):
            found.append(f"{name or 'the text'} must have exactly the places {sorted(places)}")
    return found


def _places(text: str) -> set[str]:
    return set(_PLACE.findall(text))


def languages() -> frozenset[str]:
    """All that the page speaks."""
    return frozenset(PLURALS)


def words_for(*locales: str | None, accepted: str = "") -> Words:
    """The texts in the first language that is known.

    Args:
        locales: BCP 47, in order; of ``pt-BR`` without an entry of its own ``pt`` is taken.
        accepted: ``Accept-Language`` of the browser, which counts behind the first of them.
    """
    known = read()
    first, *others = locales or (None,)
    for locale in (first, *_accepted(accepted), *others):
        language = (locale or "").replace("_", "-").partition("-")[0].lower()
        if language in known:
            return known[language]
    return known[_REFERENCE]


def _accepted(header: str) -> list[str]:
    found = [_ACCEPTED.fullmatch(one) for one in header[:_LONGEST_HEADER].split(",")]
    wanted = [(float(one[2] or 1), one[1]) for one in found if one is not None]
    return [language for weight, language in sorted(wanted, key=lambda one: -one[0]) if weight > 0]
