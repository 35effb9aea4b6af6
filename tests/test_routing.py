"""The rule grammar and the routes that follow from it: examples of the documentation, then properties."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otpcore.errors import OTPConfigurationError, RoutingSyntaxError
from otpcore.models import Channel
from otpcore.routing import RouteStep, RoutingTable, Rule, format_rules, parse_rules

DOCUMENTED = "Twilio;Mada:+35987,+35988;Sinch"
MADA_NUMBER = "+359871234567"
OTHER_NUMBER = "+4915112345678"

names = st.sampled_from(["twilio", "mada", "sinch", "mada_2", "x", "a-b"])
# Few digits, so that prefixes nest, repeat and match often.
prefixes = st.builds("+{}{}".format, st.sampled_from("12"), st.text("12", max_size=3))
numbers = st.builds("+{}{}".format, st.sampled_from("123"), st.text("123", max_size=8))


@st.composite
def clauses(draw):
    """Written clauses (instance, prefixes) without duplicates."""
    seen = set()
    written = []
    for name, wanted in draw(st.lists(st.tuples(names, st.lists(prefixes, max_size=3, unique=True)), max_size=8)):
        fresh = [prefix for prefix in wanted if (name, prefix) not in seen]
        if fresh or (not wanted and (name, "") not in seen):
            seen.update((name, prefix) for prefix in fresh or [""])
            written.append((name, tuple(fresh)))
    return written or [("twilio", ())]


def text_of(written):
    return ";".join(f"{name}:{','.join(own)}" if own else name for name, own in written)


@st.composite
def noisy_text(draw, written):
    """The same clauses with other letter case and white space around the tokens."""
    pieces = []
    for name, own in written:
        other = "".join(draw(st.sampled_from([letter, letter.upper()])) for letter in name)
        tokens = [other]
        for index, prefix in enumerate(own):
            tokens += [",", prefix] if index else [":", prefix]
        pieces += [*tokens, ";"]
    blank = st.text(" \t\n\u00a0", max_size=2)
    return "".join(draw(blank) + piece + draw(blank) for piece in pieces[:-1])


def oracle(written, number, *, fallback=False):
    """The route, computed the slow and obvious way from the words of the design."""
    matches = [
        (-len(prefix), position, name)
        for position, (name, own) in enumerate(written)
        for prefix in own
        if number.startswith(prefix)
    ]
    matched = [name for _, _, name in sorted(matches)]
    defaults = [name for name, own in written if not own]
    route = matched + (defaults if fallback or not matched else [])
    return tuple(name for position, name in enumerate(route) if name not in route[:position])


def test_documented_rules_read_as_written():
    table = parse_rules(DOCUMENTED)
    assert table.rules == (
        Rule(instance="twilio"),
        Rule(instance="mada", prefixes=("+35987", "+35988")),
        Rule(instance="sinch"),
    )
    assert table.instances == ("twilio", "mada", "sinch")


@pytest.mark.parametrize(
    ("number", "route"),
    [
        (MADA_NUMBER, ("mada",)),
        ("+359881234567", ("mada",)),
        ("+359891234567", ("twilio", "sinch")),
        (OTHER_NUMBER, ("twilio", "sinch")),
        ("+3598", ("twilio", "sinch")),
    ],
)
def test_documented_rules_route_numbers_as_documented(number, route):
    assert parse_rules(DOCUMENTED).candidates(number) == route


def test_a_call_to_a_mada_number_goes_to_twilio_as_mada_cannot_call():
    table = parse_rules(DOCUMENTED).restricted_to({"Twilio", "sinch"})
    assert table.candidates(MADA_NUMBER) == ("twilio", "sinch")
    assert table.instances == ("twilio", "sinch")


def test_fallback_to_default_appends_the_defaults_after_a_match():
    table = parse_rules(DOCUMENTED)
    assert table.candidates(MADA_NUMBER, fallback_to_default=True) == ("mada", "twilio", "sinch")
    assert table.candidates(OTHER_NUMBER, fallback_to_default=True) == ("twilio", "sinch")


def test_the_most_specific_prefix_comes_first_whatever_is_written_first():
    assert parse_rules("Wide:+359;Narrow:+35987").candidates(MADA_NUMBER) == ("narrow", "wide")


def test_instances_that_share_a_prefix_fail_over_in_written_order():
    assert parse_rules("B:+359;A:+359").candidates(MADA_NUMBER) == ("b", "a")


def test_an_instance_may_be_default_and_prefixed():
    table = parse_rules("Mada;Twilio;Mada:+359")
    assert table.candidates(MADA_NUMBER) == ("mada",)
    assert table.candidates(OTHER_NUMBER) == ("mada", "twilio")
    assert table.candidates(MADA_NUMBER, fallback_to_default=True) == ("mada", "twilio")


def test_an_instance_may_have_prefixes_in_two_clauses():
    table = parse_rules("Mada:+359;Twilio:+359;Mada:+35987")
    assert table.candidates(MADA_NUMBER) == ("mada", "twilio")
    assert table.candidates("+359281234567") == ("mada", "twilio")


def test_nobody_serves_a_number_outside_all_prefixes_without_a_default():
    assert parse_rules("Mada:+359").candidates(OTHER_NUMBER) == ()


def test_a_table_may_lose_all_its_instances():
    empty = parse_rules(DOCUMENTED).restricted_to(())
    assert (empty.rules, empty.instances, empty.candidates(MADA_NUMBER)) == ((), (), ())
    assert format_rules(empty) == ""


def test_the_longest_prefix_is_a_whole_number():
    table = parse_rules("A:+123456789012345;B")
    assert table.candidates("+123456789012345") == ("a",)
    assert table.candidates("+12345678901234") == ("b",)


def test_a_forced_list_is_the_route_of_every_number():
    table = RoutingTable.of(["Sinch", "Twilio"])
    assert table.candidates(MADA_NUMBER) == ("sinch", "twilio")
    assert table == parse_rules("sinch;twilio")


@pytest.mark.parametrize(
    ("forced", "column"),
    [([], 1), (["twilio", "Twilio"], 8), (["a", "b;c"], 3), (["a:+1"], 1), ([""], 1), (["a", "9"], 3), ([" a"], 1)],
)
def test_a_forced_list_that_is_not_a_list_of_names_is_refused(forced, column):
    with pytest.raises(RoutingSyntaxError) as refused:
        RoutingTable.of(forced)
    assert refused.value.column == column


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("", 1, "provider name is expected"),
        ("   ", 4, "provider name is expected"),
        (";", 1, "provider name is expected"),
        ("Twilio;", 8, "provider name is expected"),
        ("Twilio;;Sinch", 8, "provider name is expected"),
        ("9lives", 1, "provider name is expected"),
        ("Тwilio", 1, "provider name is expected"),  # noqa: RUF001 - a Cyrillic letter is the point
        ("Twilió", 6, "not part of a provider name"),
        ("Twilio Sinch", 8, "not part of a provider name"),
        ("Twilio,Sinch", 7, "not part of a provider name"),
        ("Mada:", 6, "beginning with +"),
        ("Mada:;Sinch", 6, "beginning with +"),
        ("Mada:35987", 6, "beginning with +"),
        ("Mada:0035987", 6, "beginning with +"),
        ("Mada:+35987,", 13, "beginning with +"),
        ("Mada:+35987,,+35988", 13, "beginning with +"),
        ("Mada:+", 7, "country code"),
        ("Mada:+0359", 7, "country code"),
        ("Mada:+٣٥٩", 7, "country code"),
        ("Mada:+35٩", 9, "not part of a prefix"),
        ("Mada:+359 87", 11, "not part of a prefix"),
        ("Mada:+359+48", 10, "not part of a prefix"),
        ("Mada:+35987:+1", 12, "not part of a prefix"),
        ("Mada:+1234567890123456", 22, "at most 15 digits"),
        ("Twilio;Sinch;TWILIO", 14, "twilio is named twice"),
        ("Mada:+359,+48,+359", 15, "mada has the prefix +359 twice"),
        ("Mada:+359;Sinch;mada: +359", 23, "mada has the prefix +359 twice"),
        ("Twilio\x00", 7, "not part of a provider name"),
        (f"Sinch; {'m' * 65}", 72, "a provider name has at most 64 characters"),
        ("Twilio\ud800", 7, "not part of a provider name"),
    ],
)
def test_a_mistake_is_named_with_its_column(text, column, problem):
    with pytest.raises(RoutingSyntaxError, match=problem.replace("+", r"\+")) as refused:
        parse_rules(text)
    assert refused.value.column == column
    assert isinstance(refused.value, OTPConfigurationError)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("text", ["Twilio;\n\tMada:+359;\n  Sinch.", "Twilio;\x1b[31m"])
def test_the_caret_stands_under_the_mistake_even_after_line_breaks(text):
    with pytest.raises(RoutingSyntaxError) as refused:
        parse_rules(text)
    _, shown, caret = str(refused.value).split("\n")
    assert shown.isprintable()
    assert caret.index("^") - 2 == refused.value.column - 1
    assert shown[caret.index("^")] in (".", " ")


def test_explain_says_of_every_instance_why_it_is_in_or_out():
    table = parse_rules("Twilio;Mada:+35987,+35988;Sinch;Bg:+359;Us:+1")
    assert table.explain(MADA_NUMBER) == (
        RouteStep(instance="mada", position=1, reason="prefix +35987 matches"),
        RouteStep(instance="bg", position=2, reason="prefix +359 matches"),
        RouteStep(instance="twilio", position=None, reason="default; not reached because a prefix matched"),
        RouteStep(instance="sinch", position=None, reason="default; not reached because a prefix matched"),
        RouteStep(instance="us", position=None, reason="prefix +1 does not match"),
    )


def test_explain_names_those_that_cannot_do_the_channel():
    steps = parse_rules(DOCUMENTED).explain(MADA_NUMBER, capable={"twilio"}, channel=Channel.CALL)
    assert steps == (
        RouteStep(instance="twilio", position=1, reason="default; no prefix matches"),
        RouteStep(instance="mada", position=None, reason="cannot place calls"),
        RouteStep(instance="sinch", position=None, reason="cannot place calls"),
    )


def test_explain_names_what_somebody_cannot_carry():
    table = parse_rules("Twilio;Mada:+35987,+35988;Sinch:+35987")
    steps = table.explain(MADA_NUMBER, unfit={"mada": "a text of your own", "twilio": "a text of your own"})
    assert steps == (
        RouteStep(instance="sinch", position=1, reason="prefix +35987 matches"),
        RouteStep(instance="twilio", position=None, reason="default; not reached because a prefix matched"),
        RouteStep(instance="mada", position=None, reason="cannot carry a text of your own"),
    )


def test_nobody_takes_the_place_of_those_who_cannot_carry_it():
    steps = parse_rules("Twilio;Mada:+35987").explain(MADA_NUMBER, unfit={"mada": "the language 'bg'"})
    assert [step.position for step in steps] == [None, None]


def test_explain_shows_the_defaults_behind_a_match():
    steps = parse_rules("Twilio;Mada:+35987,+35988").explain(MADA_NUMBER, fallback_to_default=True)
    assert [(step.instance, step.reason) for step in steps] == [
        ("mada", "prefix +35987 matches"),
        ("twilio", "default; tried after the prefixes that match"),
    ]


def test_explain_counts_the_prefixes_that_do_not_match():
    (*_, mada) = parse_rules(DOCUMENTED).explain(OTHER_NUMBER)
    assert mada == RouteStep(instance="mada", position=None, reason="none of its 2 prefixes matches")


@given(clauses())
def test_formatting_and_parsing_again_changes_nothing(written):
    table = parse_rules(text_of(written))
    assert parse_rules(format_rules(table)) == table
    assert format_rules(table) == text_of(written)


@given(clauses().flatmap(lambda written: st.tuples(st.just(written), noisy_text(written))))
def test_blanks_and_letter_case_do_not_matter(case):
    written, noisy = case
    assert parse_rules(noisy) == parse_rules(text_of(written))


@given(st.one_of(st.text(), st.text("aB1+0:;, \n٣-_", max_size=40)))
@example("Mada:+")
@example("a" * 10_000)
@example(";" * 10_000)
def test_any_text_is_rules_or_a_routing_syntax_error(text):
    try:
        table = parse_rules(text)
    except RoutingSyntaxError as refused:
        assert 1 <= refused.column <= len(text) + 1  # noqa: PT017 - both outcomes are right, each has its own check
        assert "^" in str(refused)  # noqa: PT017 - the same
    else:
        assert parse_rules(format_rules(table)) == table


@given(clauses(), numbers, st.booleans())
def test_routes_are_those_of_the_slow_and_obvious_way(written, number, fallback):
    route = parse_rules(text_of(written)).candidates(number, fallback_to_default=fallback)
    assert route == oracle(written, number, fallback=fallback)
    assert len(set(route)) == len(route)


@given(clauses(), numbers)
def test_the_matched_prefix_is_the_longest_of_all_that_the_number_begins_with(written, number):
    matching = [prefix for _, own in written for prefix in own if number.startswith(prefix)]
    assert parse_rules(text_of(written)).matched_prefix(number) == max(matching, key=len, default="")


@given(clauses(), st.sets(names), numbers, st.booleans())
def test_an_incapable_instance_is_as_good_as_not_written(written, capable, number, fallback):
    restricted = parse_rules(text_of(written)).restricted_to(capable)
    left = [(name, own) for name, own in written if name in capable]
    assert restricted.candidates(number, fallback_to_default=fallback) == oracle(left, number, fallback=fallback)
    assert set(restricted.instances) == {name for name, _ in left}


@given(clauses(), st.none() | st.sets(names), st.sets(names), numbers, st.booleans())
def test_explain_covers_every_instance_once_and_agrees_with_the_route(written, capable, unfit, number, fallback):
    table = parse_rules(text_of(written))
    lacks = dict.fromkeys(unfit, "a text of your own")
    steps = table.explain(number, capable=capable, unfit=lacks, fallback_to_default=fallback)
    able = table if capable is None else table.restricted_to(capable)
    chosen = able.candidates(number, fallback_to_default=fallback)
    route = tuple(name for name in chosen if name not in unfit)
    assert {step.instance for step in steps if step.reason.startswith("cannot carry")} == unfit.intersection(chosen)
    assert tuple(step.instance for step in steps[: len(route)]) == route
    assert [step.position for step in steps] == [*range(1, len(route) + 1), *[None] * (len(steps) - len(route))]
    assert sorted(step.instance for step in steps) == sorted(table.instances)
    assert all(step.reason for step in steps)


@given(clauses(), numbers, st.booleans(), st.data())
def test_written_order_matters_only_between_equal_prefixes_and_between_defaults(written, number, fallback, data):
    single = [(name, prefix) for name, own in written for prefix in (own or ("",))]
    shuffled = data.draw(st.permutations(single))
    # Clauses of one prefix (or of none) keep their order among themselves; everything else may move.
    queues = {prefix: iter([clause for clause in single if clause[1] == prefix]) for _, prefix in single}
    moved = [next(queues[prefix]) for _, prefix in shuffled]
    as_clauses = [(name, (prefix,) if prefix else ()) for name, prefix in moved]
    expected = parse_rules(text_of(written)).candidates(number, fallback_to_default=fallback)
    assert parse_rules(text_of(as_clauses)).candidates(number, fallback_to_default=fallback) == expected


def test_a_hundred_thousand_prefixes_route_like_two():
    many = ";".join(f"p{first}:{','.join(f'+{first}{rest:05}' for rest in range(20_000))}" for first in range(1, 6))
    table = parse_rules(f"rest;{many}")
    assert table.candidates("+300042777") == ("p3",)
    assert table.candidates("+320042777") == ("rest",)
