"""How answers are judged."""

from __future__ import annotations

import json

import pytest
from otp_http.answers import Judge
from otp_http.sections import Accepted, Answer, Wait

from otpcore.http import HttpAnswer
from otpcore.providers import ErrorKind, ProviderError

TABLE = Answer(
    accepted=Accepted(status=(200, 201), path="state", is_=("ok", 7, True)),
    reference="id",
    code=("error.code", "state"),
    detail="error.field",
    duplicates=("twice",),
    codes={
        "9": "misconfigured: a field is wrong",
        "9/to": "rejected_number: not a number",
        "WAIT_*": "throttled",
        "WAIT_LONG_*": "limit_reached",
        "Gone": "blocked: opted out",
    },
    http={"402": "limit_reached: used up"},
    retry_after=Wait(path="error.code", pattern="WAIT_([0-9]+)"),
)


def answer(status, body, **more):
    return HttpAnswer(status=status, body=json.dumps(body).encode(), **more)


@pytest.mark.parametrize(
    ("status", "body", "reference"),
    [
        (200, {"state": "ok", "id": "m1"}, "m1"),
        (201, {"state": 7, "id": 12}, "12"),
        (200, {"state": True}, ""),
        (200, {"state": "ok", "id": "x" * 300}, ""),
        (409, {"error": {"code": "twice"}, "id": "m1"}, ""),
    ],
)
def test_an_acceptance(status, body, reference):
    assert Judge.of(TABLE).receipt(answer(status, body)).reference == reference


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (200, {"state": "no"}, "ambiguous", "no"),
        (200, {}, "ambiguous", "http-200"),
        (202, {"state": "ok"}, "ambiguous", "ok"),
        (200, {"error": {"code": 9}}, "misconfigured", "9"),
        (400, {"error": {"code": "9", "field": "to"}}, "rejected_number", "9"),
        (400, {"error": {"code": "9", "field": "text"}}, "misconfigured", "9"),
        (500, {"error": {"code": "gone"}}, "blocked", "gone"),
        (400, {"error": {"code": "WAIT_LONG_3"}}, "limit_reached", "WAIT_LONG_3"),
        (400, {"error": {"code": "new"}}, "misconfigured", "new"),
        (400, {"error": {"code": "359871234567"}}, "misconfigured", "http-400"),
        (400, {"error": {"code": "no such number, sorry"}}, "misconfigured", "http-400"),
        (401, {}, "misconfigured", "http-401"),
        (402, {}, "limit_reached", "http-402"),
        (404, {}, "misconfigured", "http-404"),
        (408, {}, "ambiguous", "http-408"),
        (302, {}, "misconfigured", "http-302"),
        (429, {}, "throttled", "http-429"),
        (500, {}, "ambiguous", "http-500"),
        (503, {}, "ambiguous", "http-503"),
    ],
)
def test_a_refusal(status, body, kind, code):
    with pytest.raises(ProviderError) as refused:
        Judge.of(TABLE).receipt(answer(status, body))
    assert (refused.value.kind, refused.value.provider_code) == (ErrorKind(kind), code)
    assert refused.value.summary


def test_the_seconds_to_wait():
    def wait(body, table=TABLE, **more):
        with pytest.raises(ProviderError) as refused:
            Judge.of(table).receipt(answer(429, body, **more))
        return refused.value.retry_after

    assert wait({"error": {"code": "WAIT_17"}}) == 17
    assert wait({"error": {"code": "WAIT_"}}, retry_after=3.0) == 3
    by_header = Answer(reference="id", retry_after=Wait(header="X-Wait"))
    assert wait({}, by_header, headers={"x-wait": "40 s"}) == 40
    assert wait({}, by_header) is None


def test_an_id_is_an_acceptance_where_nothing_else_says_so():
    table = Answer(reference="id", otherwise="misconfigured", code=("error",))
    assert Judge.of(table).receipt(answer(202, {"id": "m1"})).reference == "m1"
    for body, kind in (({"error": "x"}, ErrorKind.MISCONFIGURED), ({}, ErrorKind.AMBIGUOUS)):
        with pytest.raises(ProviderError) as refused:
            Judge.of(table).receipt(answer(202, body))
        assert refused.value.kind is kind


@pytest.mark.parametrize(
    ("body", "reference"), [(b"OK 4711", "4711"), (b"ERROR 13", None), (b"\xff\xfe", None), (b"", None)]
)
def test_an_answer_may_be_a_text(body, reference):
    table = Answer(
        body="text",
        pattern="(?P<state>OK|ERROR) (?P<value>[0-9]+)",
        accepted=Accepted(path="state", is_=("OK",)),
        reference="value",
        code=("value",),
        codes={"13": "rejected_number"},
    )
    if reference is not None:
        assert Judge.of(table).receipt(HttpAnswer(status=200, body=body)).reference == reference
        return
    with pytest.raises(ProviderError) as refused:
        Judge.of(table).receipt(HttpAnswer(status=200, body=body))
    assert refused.value.kind is (ErrorKind.REJECTED_NUMBER if b"13" in body else ErrorKind.AMBIGUOUS)


def test_an_answer_may_be_a_form():
    table = Answer(body="form", accepted=Accepted(path="status", is_=("success",)), reference="id")
    said = HttpAnswer(status=200, body=b"status=success&id=m%201\r\n")
    assert Judge.of(table).receipt(said).reference == "m 1"
