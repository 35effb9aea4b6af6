"""What schemathesis is told of the service: numbers that could exist, and rules that no description can say."""

from __future__ import annotations

import itertools
from typing import Any

import schemathesis

_OURS = {"bug", "store_error", "otp_error"}
"""Reasons of errors that nothing in a request may cause."""
_BEYOND = {
    ("", "value_error"),
    ("/text", "value_error"),
    ("/bind/payee", "value_error"),
    ("/page/return_url", "not_registered"),
}
"""Faults that no schema can name: one field that does not fit another one, or the settings; characters that nobody sees."""
_numbers = itertools.count(1)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A text that could be a number becomes one that exists, of which nobody has heard before, in two of three cases."""
    body = case.body
    if isinstance(body, dict) and _could_be_number(body.get("to")) and (number := next(_numbers)) % 3:
        case.body = {**body, "to": f"+35987{number % 10**7:07d}"}


@schemathesis.check
def told_as_promised(context: Any, response: Any, case: Any) -> None:
    """Each answer has its id; each problem is one that docs/service.md tells of, and repeats nothing."""
    assert response.headers["x-request-id"], "no request id"
    text = response.text or ""
    for name in ("to", "code") if isinstance(case.body, dict) else ():
        value = case.body.get(name)
        assert not (isinstance(value, str) and len(value) > 5 and value in text), f"{name} is repeated"
    if response.status_code < 400:
        return
    problem = response.json()
    assert problem["status"] == response.status_code
    is_replay = "idempotent-replayed" in response.headers  # as it was told to the first request, under its id
    assert is_replay or problem["instance"] == response.headers["x-request-id"][0], "told under another id"
    assert problem["reason"] not in _OURS, problem["reason"]
    if problem["reason"] == "invalid" and case.meta.generation.mode is schemathesis.GenerationMode.POSITIVE:
        faults = [one for one in problem["errors"] if (one["pointer"], one["reason"]) not in _BEYOND]
        assert faults == [], f"the description allows it: {faults}"


def _could_be_number(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 64 and "\0" not in value
