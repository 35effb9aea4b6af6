"""What a vendor's codes and statuses mean: ``"rejected_number: the handset is unknown"``, read from a table."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Collection, Mapping

import attrs

from otpcore.providers import ErrorKind

__all__ = ["DELIVERED", "PROGRESS", "UNDELIVERED", "Meaning", "Meanings", "nearest", "plain_code"]

DELIVERED, UNDELIVERED, PROGRESS = "delivered", "undelivered", "progress"
_KINDS = tuple(kind.value for kind in ErrorKind)
_LONGEST_CODE = 40
_PLAIN_CODE = re.compile(r"[A-Za-z0-9_./-]+")
_NUMBER = re.compile(r"[0-9]{7}")  # as long as a phone number or a passcode may be


@attrs.frozen
class Meaning:
    """One code's.

    Args:
        kind: What it means for the send.
        words: What it means for people; empty: nothing is said.
    """

    kind: ErrorKind
    words: str = ""

    @classmethod
    def read(cls, text: str) -> Meaning:
        """``kind``, or ``kind: words``.

        Raises:
            ValueError: There is no such kind; says which is near.
        """
        kind, _, words = (part.strip() for part in text.partition(":"))
        if kind not in _KINDS:
            raise ValueError(f"{kind!r} is no kind; {nearest(kind, _KINDS)}")
        return cls(ErrorKind(kind), words)


@attrs.frozen
class Meanings:
    """A table of codes.

    Args:
        exact: By the code, in lower case.
        patterns: Those with ``*`` in them, the longest first.
    """

    exact: Mapping[str, Meaning]
    patterns: tuple[tuple[re.Pattern[str], Meaning], ...] = ()

    @classmethod
    def read(cls, table: Mapping[str, str]) -> Meanings:
        """From a table, which has been checked."""
        known = {code.casefold(): Meaning.read(text) for code, text in table.items()}
        starred = sorted((code for code in known if "*" in code), key=len, reverse=True)
        return cls(
            {code: meaning for code, meaning in known.items() if "*" not in code},
            tuple((_pattern(code), known[code]) for code in starred),
        )

    def of(self, code: str, detail: str = "") -> Meaning | None:
        """What a code means, of two that are written alike the one with this detail; None: it is not listed."""
        if not code:
            return None
        return (self._of(f"{code}/{detail}") if detail else None) or self._of(code)

    def _of(self, code: str) -> Meaning | None:
        folded = code.casefold()
        if folded in self.exact:
            return self.exact[folded]
        return next((meaning for pattern, meaning in self.patterns if pattern.fullmatch(folded)), None)


def nearest(word: str, known: Collection[str]) -> str:
    """``did you mean …?``, or all there are."""
    folded = {name.casefold(): name for name in sorted(known)}
    near = difflib.get_close_matches(word.casefold(), folded, 1)
    return f"did you mean {folded[near[0]]!r}?" if near else f"there are {', '.join(sorted(known)) or 'none'}"


def plain_code(code: str) -> str:
    """A vendor's code as an error may show it; empty where it is too long, or may hold a number or passcode."""
    shows = len(code) <= _LONGEST_CODE and _PLAIN_CODE.fullmatch(code) and not _NUMBER.search(code)
    return code if shows else ""


@functools.cache
def _pattern(code: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, code.split("*"))), re.DOTALL)
