"""Answers that are a text, such as ``OK:12345``: how an example of one is written, and whether its table can read it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from otp_http.paths import as_text, look_up, place
from otp_http.sections import Answer

__all__ = ["TEXT", "problems_of_text", "text_of"]

TEXT = "text"
"""The key of an example that holds the text; its others are the values."""


def text_of(example: Mapping[str, Any]) -> str:
    """The text of an example, with its values in the place of their names."""
    text = as_text(example.get(TEXT))
    for name, value in example.items():
        if name != TEXT:
            text = text.replace(f"{{{name}}}", as_text(value))
    return text


def problems_of_text(answer: Answer) -> Iterator[tuple[str, str]]:
    """The key within the section, and what is wrong with it; of an answer that is a text."""
    if not answer.pattern:
        yield "pattern", 'is required beside body = "text": its named groups are the values'
        return
    try:
        pattern = re.compile(answer.pattern)
    except re.error:
        return  # told of already
    missing = [(key, path) for key, path in _paths(answer) if path and path not in pattern.groupindex]
    for key, path in missing:
        yield "pattern", f"has no group (?P<{path}>...), which {key} names"
    if missing:
        return
    yield from _of_example(answer, pattern, "accepted", {})
    if answer.code:
        yield from _of_example(answer, pattern, "refused", {answer.code[0]: next(iter(answer.codes), "13")})


def _paths(answer: Answer) -> Iterator[tuple[str, str]]:
    """Each value that is looked for, by the key that names it."""
    yield "accepted.path", answer.accepted.path
    yield "reference", answer.reference
    for path in answer.code:
        yield "code", path
    yield "detail", answer.detail
    yield "retry_after.path", answer.retry_after.path
    if answer.price is not None:
        yield "price.amount", answer.price.amount
        if answer.price.currency.startswith("="):
            yield "price.currency", answer.price.currency[1:]


def _of_example(
    answer: Answer, pattern: re.Pattern[str], name: str, more: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Whether the simulator can make such an answer of the example."""
    key, example = f"examples.{name}", getattr(answer.examples, name)
    if not as_text(example.get(TEXT)):
        yield key, 'needs text = "…", the answer with {…} for each value, beside an example of each value'
        return
    for path, value in more.items():
        example = example if as_text(look_up(example, path)) else place(example, path, value)
    text = text_of(example)
    if not pattern.search(text):
        yield key, f"the pattern does not find {text!r}; give an example of each value that stands in {{…}}"
