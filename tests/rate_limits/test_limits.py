"""Which counters a send is charged to, and which prefixes and regions are sent to: the pure parts."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore import SettingsError
from otpcore.phone.numbers import region_of
from otpcore.rate_limits.admission import (
    Barrier,
    BudgetRecord,
    BudgetRule,
    BudgetWindow,
    LimitReason,
    allowance,
    overdrawn,
)
from otpcore.routing import parse_rules
from otpcore.service.charging import (
    Origin,
    TargetMap,
    block_of,
    budget_of,
    charges_of,
    closed,
    neighbour_charges,
    stronger,
)
from otpcore.service.live import Switches
from otpcore.service.switches import PAUSED, Switch, prefix_setting, stored_switches, switch_text
from otpcore.settings.tree import Settings, parse_seconds

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PHONE = "+359871234567"

few_prefixes = [
    f"+{country}{''.join(more)}"
    for country in "17"
    for length in range(4)
    for more in itertools.product("012", repeat=length)
]
prefixes = st.sampled_from(["+", *few_prefixes])
numbers = st.builds("+{}{}".format, st.sampled_from("17"), st.text("012", min_size=1, max_size=6))


def limits(**values: Any) -> Any:
    return Settings.from_mapping({"limits": values}).limits


# Prefixes.


@given(st.dictionaries(prefixes, st.integers()), numbers)
def test_the_longest_prefix_comes_first(said: dict[str, int], number: str) -> None:
    matching = sorted((prefix for prefix in said if number.startswith(prefix)), key=len, reverse=True)
    assert list(TargetMap(said).matches(number)) == [said[prefix] for prefix in matching]


@given(st.sets(prefixes), st.sets(prefixes), numbers)
def test_the_settings_decide_by_the_longest_prefix(allow: set[str], deny: set[str], number: str) -> None:
    deny -= allow
    matching = [prefix for prefix in allow | deny if number.startswith(prefix)]
    longest = max(matching, key=len, default=None)
    allowed = longest in allow if longest is not None else not allow
    barrier = Switches(limits(allow=list(allow), deny=list(deny))).barrier(number, NOW)
    assert barrier == (None if allowed else Barrier(reason=LimitReason.DENIED, unless_verified=True))


switches = st.dictionaries(prefixes, st.tuples(st.booleans(), st.sampled_from((None, -1, 0, 1, 60))))


@given(switches, st.sets(prefixes, max_size=2), numbers)
def test_an_operator_decides_before_the_settings_and_by_the_longest_prefix_that_has_not_ended(
    switched: dict[str, tuple[bool, int | None]], deny: set[str], number: str
) -> None:
    given_switches = [
        Switch(prefix=prefix, allows=allows, until=None if ends is None else NOW + timedelta(seconds=ends))
        for prefix, (allows, ends) in switched.items()
    ]
    stored = {prefix_setting(one.prefix): switch_text(one) for one in given_switches}
    assert sorted(stored_switches(stored), key=repr) == sorted(given_switches, key=repr)
    found = Switches(limits(deny=list(deny)))
    found.take_up(stored, first=True)
    matching = [one for one in given_switches if number.startswith(one.prefix) and (not one.until or one.until > NOW)]
    longest = max(matching, key=lambda one: len(one.prefix), default=None)
    denied_by_settings = any(number.startswith(prefix) for prefix in deny)
    expected = None
    if longest is None and denied_by_settings:
        expected = Barrier(reason=LimitReason.DENIED, unless_verified=True)
    elif longest is not None and not longest.allows:
        expected = Barrier(reason=LimitReason.DENIED, ends_at=longest.until)
    assert found.barrier(number, NOW) == expected


def test_a_pause_goes_before_an_allowance_and_ends_by_itself() -> None:
    said: list[str] = []
    found = Switches(limits(), said.append)
    found.take_up({prefix_setting("+359"): "allow"}, first=True)
    found.take_up({prefix_setting("+359"): "allow", PAUSED: "on until 2026-05-01T14:00:00+02:00"}, first=False)
    assert found.barrier(PHONE, NOW) is None, "it ended at noon UTC"
    assert found.barrier(PHONE, NOW - timedelta(seconds=1)) == Barrier(reason=LimitReason.PAUSED, ends_at=NOW)
    found.take_up({}, first=False)
    assert said == [
        "paused: on until 2026-05-01T14:00:00+02:00",
        "+359: no longer switched",
        "paused: no longer switched",
    ]


def test_a_switch_whose_end_cannot_be_read_holds_and_one_that_says_nothing_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = Switches(limits())
    found.take_up({prefix_setting("+359"): "deny until noon", prefix_setting("+3598"): "perhaps"}, first=True)
    assert found.barrier(PHONE, NOW) == Barrier(reason=LimitReason.DENIED)
    assert sum(record.levelname == "ERROR" for record in caplog.records) == 2


# Regions.


@pytest.mark.parametrize(
    ("lists", "passes", "stops"),
    [
        ({"allow": ["US"]}, ["+12025550123"], ["+14165550123", "+18765550123", PHONE, "+80012345678"]),
        ({"deny": ["CN"]}, [PHONE, "+85261234567"], ["+8613123456789"]),
        ({"deny": ["JM"]}, ["+12025550123"], ["+18765550123", "+16585550123"]),
        (
            {"allow": ["+1"], "deny": ["JM"]},
            ["+12025550123"],
            ["+18765550123"],
        ),  # a calling code is wider than a region
        ({"allow": ["US"], "deny": ["+1"]}, ["+12025550123"], ["+14165550123"]),
        ({"allow": ["BG"], "deny": ["+35987"]}, ["+359881234567"], [PHONE]),  # a longer prefix is narrower
        ({"allow": ["+35987"], "deny": ["BG"]}, [PHONE], ["+359881234567"]),
        ({"allow": ["+"], "deny": ["bg"]}, ["+12025550123"], [PHONE]),
        ({"deny": ["+", "+359"], "allow": ["BG"]}, [PHONE], ["+12025550123"]),
        ({"deny": ["US"]}, ["+14165550123"], ["+13575550131"]),  # in no range: the main region's
        ({"deny": ["+5411"]}, [], ["+541123456789", "+5491123456789"]),  # one phone, two spellings
        ({"deny": ["SM"]}, ["+390669812345"], ["+3780549886377", "+390549886377"]),
        ({"deny": ["+549"]}, [], ["+541123456789", "+5491123456789"]),
    ],
)
def test_a_region_stands_beside_prefixes(lists: dict[str, Any], passes: list[str], stops: list[str]) -> None:
    found = Switches(limits(**lists))
    assert [number for number in (*passes, *stops) if found.barrier(number, NOW) is None] == passes


def test_an_operator_switches_regions_and_prefixes_within_them() -> None:
    found = Switches(limits())
    found.take_up({prefix_setting("BG"): "deny", prefix_setting("+35987"): "allow"}, first=True)
    assert found.barrier("+359881234567", NOW) == Barrier(reason=LimitReason.DENIED)
    assert found.barrier(PHONE, NOW) is None


def test_none_at_all_is_a_barrier_that_holds_for_verified_phones_too() -> None:
    charges = charges_of(Origin(e164=PHONE, phone_key="p", region="BG"), limits(countries={"bg": ["0/1d"]}))
    assert closed(charges) == Barrier(reason=LimitReason.DENIED)
    weak = Barrier(reason=LimitReason.DENIED, unless_verified=True)
    assert stronger(weak, closed(charges)) == closed(charges)
    assert stronger(weak, None) == weak
    assert (
        closed(charges_of(Origin(e164=PHONE, phone_key="p", region="BG"), limits(countries={"JM": ["0/1d"]}))) is None
    )


# Counters.


def test_all_counters_of_a_send_and_which_of_them_are_refunded() -> None:
    settings = limits(
        phone=["3/10m"],
        client=["20/1h"],
        prefix={"+359": ["7/1m"], "+35987": ["5/1m"], "+1": ["1/1m"]},
        country=["50/1h"],
        countries={"BG": ["40/1h"], "US": []},
        **{"global": ["100/1h"]},
    )
    origin = Origin(e164=PHONE, phone_key="p", client_key="c", region="BG")
    charges = charges_of(origin, settings)
    assert [(one.reason, one.key, one.limit, one.refundable) for one in charges] == [
        ("phone", "p/send/600", 3, True),
        ("client", "c/client/3600", 20, False),
        ("prefix", "+359/prefix/60", 7, False),
        ("prefix", "+35987/prefix/60", 5, False),
        ("country", "BG/country/3600", 40, True),
        ("global", "all/global/3600", 100, True),
    ]
    without = charges_of(Origin(e164="+12025550123", phone_key="p", region="US"), settings)
    assert [one.reason for one in without] == ["phone", "prefix", "global"]
    alone = charges_of(origin, limits(phone=[], client=[], prefix={PHONE: ["1/1m"]}))
    assert [one.key for one in alone] == ["p/prefix/60"], "a whole number is not stored"
    others = charges_of(Origin(e164="+33612345678", phone_key="p", region="FR"), settings)
    assert [(one.reason, one.limit) for one in others] == [("phone", 3), ("country", 50), ("global", 100)]
    nowhere = charges_of(Origin(e164="+80012345678", phone_key="p"), settings)
    assert [one.key for one in nowhere if one.reason == "country"] == ["none/country/3600"]


def test_neighbours_share_a_block_and_a_phones_mark_is_erased_with_it() -> None:
    assert block_of(PHONE) == block_of("+359871234599") != block_of("+359871234699")
    ((mark, block),) = neighbour_charges("p", "b", limits(neighbours=["10/1h"]))
    assert (mark.key, mark.limit, block.key, block.limit) == ("p/near/3600", 1, "b/near/3600", 10)


def test_a_budget_names_country_and_rule_prefix_but_never_a_whole_number() -> None:
    assert budget_of(PHONE, "BG", "+35987") == "BG/+35987"
    assert budget_of(PHONE, "", "") == "none/"
    assert PHONE not in budget_of(PHONE, "BG", PHONE)


def test_the_budget_is_the_least_or_a_share_of_those_who_verify() -> None:
    window = BudgetWindow(least=3, length=timedelta(hours=1))
    rule = BudgetRule(windows=(window,), share=0.3)

    def record(**more: int) -> BudgetRecord:
        values = {"used": 0, "verified": 0, "base": 0, **more}
        return BudgetRecord(key="BG//3600", window_ends_at=NOW + timedelta(minutes=1), **values)

    assert [allowance(rule, window, record(verified=phones)) for phones in (0, 10, 20, 100)] == [3, 3, 6, 30]
    assert allowance(rule, window, record(verified=10, base=100)) == 30
    assert overdrawn(rule, "BG/", [record(used=2)], NOW) is None
    assert overdrawn(rule, "BG/", [record(used=3)], NOW) == (window, NOW + timedelta(minutes=1))
    assert overdrawn(rule, "BG/", [record(used=3)], NOW + timedelta(minutes=1)) is None


@pytest.mark.parametrize(
    ("e164", "region"),
    [
        (PHONE, "BG"),
        ("+12025550123", "US"),
        ("+14165550123", "CA"),
        ("+79161234567", "RU"),
        ("+77012345678", "KZ"),
        ("+80012345678", ""),
        ("+88213300000", ""),
        ("+2475123", "AC"),
        ("+13575550131", "US"),  # no region's: the main one of its calling code
        ("+1", "US"),
        ("+447", "GB"),
        ("+87012345678", ""),
        ("+883510000000094", ""),
        ("+999123", ""),
        ("+9", ""),
    ],
)
def test_the_country_of_a_number(e164: str, region: str) -> None:
    assert region_of(e164) == region


@given(st.sets(st.sampled_from(few_prefixes), min_size=1), numbers)
def test_the_matched_prefix_is_the_longest_of_the_rules(rule_prefixes: set[str], number: str) -> None:
    table = parse_rules(f"twilio;mada:{','.join(sorted(rule_prefixes))}")
    matching = [prefix for prefix in rule_prefixes if number.startswith(prefix)]
    assert table.matched_prefix(number) == max(matching, key=len, default="")


# Settings.


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"global": ["3 a minute"]}, "limits.global"),
        ({"client": ["3/1m", "4/60s"]}, "limits.client"),
        ({"prefix": {"359": ["1/1m"]}}, "limits.prefix"),
        ({"prefix": {"+359": ["often"]}}, "limits.prefix"),
        ({"countries": {"Bulgaria": ["1/1m"]}}, "limits.countries"),
        ({"allow": ["+359", "0888"]}, "limits.allow"),
        ({"allow": ["Bulgaria"]}, "limits.allow"),
        ({"deny": ["XX"]}, "limits.deny"),
        ({"neighbours": ["0/1h"]}, "limits.neighbours"),
        ({"unverified": ["0/1d"]}, "limits.unverified"),
        ({"allow": ["+359"], "deny": ["+359"]}, "limits.deny"),
        ({"unverified_mode": "refuse"}, "limits.unverified_mode"),
        ({"globally": []}, "limits.globally"),
    ],
)
def test_a_wrong_limit_is_named_by_its_key(values: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=f"^{named}"):
        limits(**values)


def test_a_time_is_read() -> None:
    assert [parse_seconds(text) for text in ("30s", "5m", "2h", "1d")] == [30, 300, 7200, 86_400]
    for wrong in ("", "2", "h", "0h", "2 h", "2w", "-2h"):
        with pytest.raises(SettingsError):
            parse_seconds(wrong)
