"""What becomes of the templates of a table."""

from __future__ import annotations

import pytest
from otp_http.placeholders import LEFT_OUT, PlaceholderError, compiled, fill, names_in

VALUES = {"a": "1", "b": "two", "empty": "", "yes": "true"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("plain", "plain"),
        ("{a}", "1"),
        ("App {b}!", "App two!"),
        ("{a}{b}", "1two"),
        ("{a:int}", 1),
        ("{a:float}", 1.0),
        ("{yes:bool}", True),
        ("{{a}} {b}", "{a} two"),
        ("{empty}", LEFT_OUT),
        ("App {empty}", LEFT_OUT),
        ("{a} {empty}", "1 "),
        ("{unknown}", LEFT_OUT),
        (5, 5),
        (False, False),
        ({"x": "{a}", "y": "{empty}"}, {"x": "1"}),
        ({"amount": "{empty}", "unit": "MINUTES"}, LEFT_OUT),
        ({"unit": "MINUTES"}, {"unit": "MINUTES"}),
        ({"deep": {"amount": "{empty}", "unit": "MINUTES"}, "x": "{a}"}, {"x": "1"}),
        (["{a}", "{empty}", "c"], ["1", "c"]),
        (["{empty}"], LEFT_OUT),
        ([{"x": "{empty}"}], LEFT_OUT),
        ({"list": ["{empty}", "c"], "x": "{a}"}, {"x": "1"}),
    ],
)
def test_a_field_goes_with_the_last_of_its_placeholders(template, filled):
    result = fill(compiled(template), VALUES)
    assert result == filled
    assert type(result) is type(filled)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{", "a brace stands alone"),
        ("a } b", "a brace stands alone"),
        ("{a b}", "a brace stands alone"),
        ("{a:number}", "number is no type; there are int, float, bool"),
        ("x{a:int}", "with the type int a placeholder stands alone"),
        ({"x": ["{"]}, "a brace stands alone"),
        (None, "is NoneType"),
    ],
)
def test_what_is_no_template_is_refused(template, problem):
    with pytest.raises(PlaceholderError, match=problem):
        compiled(template)


def test_all_names_are_found():
    assert list(names_in(compiled({"x": ["{a}", {"y": "z{b}{a}"}], "u": 1}))) == ["a", "b", "a"]
