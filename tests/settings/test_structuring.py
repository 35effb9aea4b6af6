"""Settings become frozen attrs classes strictly, and every refusal says which key and what to do."""

from __future__ import annotations

import enum
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otpcore.errors import OTPConfigurationError, RoutingSyntaxError, SettingsError
from otpcore.providers.hooks import ProviderContext
from otpcore.settings.structuring import structure


class Mode(enum.StrEnum):
    VERIFY = "verify"
    MESSAGING = "messaging"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


def _not_longer_than_code(instance: Any, _: Any, value: int) -> None:
    if value > instance.digits:
        raise ValueError(f"must not be longer than the code ({instance.digits} digits)")


def _route(_: Any, __: Any, value: str) -> None:
    if value == "!":
        raise RoutingSyntaxError("a name is expected", value, 1)


@attrs.frozen(kw_only=True)
class Voice:
    speed: float = 1.0
    pin: str = attrs.field(default="", repr=False)
    languages: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.speed > 9:
            raise ValueError(f"too fast for {self.pin}")


@attrs.frozen(kw_only=True)
class Vendor:
    account: str
    token: str = attrs.field(default="", repr=False, validator=attrs.validators.matches_re("[a-z0-9]*"))
    mode: Mode = Mode.VERIFY
    level: Level = Level.LOW
    colour: Literal["red", "green"] = "red"
    digits: int = attrs.field(default=6, validator=attrs.validators.ge(4))
    spoken: int = attrs.field(default=2, validator=_not_longer_than_code)
    enabled: bool = False
    timeout: float = 5.0
    region: str | None = None
    senders: frozenset[str] = frozenset()
    headers: Mapping[str, str] = attrs.field(factory=dict)
    voice: Voice = attrs.field(factory=Voice)
    backup: Voice | None = None
    voices: Mapping[str, Voice] = attrs.field(factory=dict)
    secrets: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    route: str = attrs.field(default="", validator=_route)
    started: str = attrs.field(default="", metadata={"setting": False})


def refusal(**values: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        structure({"account": "AC1", **values}, Vendor, prefix="providers.twilio")
    # Whoever logs the error with its traceback must not get the values either.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return str(caught.value)


def accepted(name: str, value: Any) -> Any:
    return getattr(structure({"account": "AC1", name: value}, Vendor), name)


def test_values_of_the_right_type_are_taken_and_the_rest_has_its_default() -> None:
    vendor = structure(
        {"account": "AC1", "voice": {"speed": 2, "languages": ["de", "en"]}, "headers": {"X-Team": "a"}}, Vendor
    )
    assert vendor == Vendor(account="AC1", voice=Voice(speed=2.0, languages=("de", "en")), headers={"X-Team": "a"})
    assert isinstance(vendor.voice.speed, float)


@pytest.mark.parametrize("value", [15005550006, 6, 1.5, True])
def test_a_number_is_never_taken_for_text_because_its_plus_or_zeros_are_lost(value: object) -> None:
    message = refusal(account=value)
    assert message.startswith("providers.twilio.account: must be text")
    assert "write it in quotes" in message


@pytest.mark.parametrize("text", ["true", "YES", "on", "1", " True "])
def test_words_for_true_are_true(text: str) -> None:
    assert accepted("enabled", text) is True


@pytest.mark.parametrize("text", ["false", "No", "OFF", "0"])
def test_words_for_false_are_false(text: str) -> None:
    assert accepted("enabled", text) is False


@pytest.mark.parametrize("value", ["maybe", "", 1, 0, None, []])
def test_nothing_else_is_a_boolean(value: object) -> None:
    assert "providers.twilio.enabled: must be true or false" in refusal(enabled=value)


@pytest.mark.parametrize(("value", "number"), [("7", 7), ("+7", 7), (" 08 ", 8), (9, 9)])
def test_whole_numbers_are_read_from_text(value: object, number: int) -> None:
    assert accepted("digits", value) == number


@pytest.mark.parametrize("value", ["7.0", 7.0, True, "1e1", "1_0", "\u0667", "", None])
def test_what_only_looks_like_a_whole_number_is_refused(value: object) -> None:
    assert "providers.twilio.digits: must be a whole number" in refusal(digits=value)


@pytest.mark.parametrize(("value", "number"), [("0.5", 0.5), ("1e1", 10.0), (3, 3.0), ("3", 3.0)])
def test_numbers_are_read_from_text(value: object, number: float) -> None:
    result = accepted("timeout", value)
    assert (result, type(result)) == (number, float)


@pytest.mark.parametrize("value", ["soon", "nan", "inf", float("nan"), True, None, 10**400])
def test_a_timeout_that_is_no_finite_number_is_refused(value: object) -> None:
    assert "providers.twilio.timeout: must be a number" in refusal(timeout=value)


def test_enums_and_literals_are_read_by_value_in_any_case_and_errors_list_the_choices() -> None:
    assert accepted("mode", "Messaging") is Mode.MESSAGING
    assert accepted("mode", Mode.MESSAGING) is Mode.MESSAGING
    assert accepted("level", "2") is Level.HIGH
    assert accepted("level", 2) is Level.HIGH
    assert accepted("colour", "GREEN") == "green"
    assert refusal(mode="sms") == "providers.twilio.mode: must be one of verify, messaging, not 'sms'"
    assert refusal(level=3) == "providers.twilio.level: must be one of 1, 2, not 3"
    assert refusal(colour="blue") == "providers.twilio.colour: must be one of red, green, not 'blue'"


@pytest.mark.parametrize("value", ["a, b", ["a", "b"], '["a", "b"]', ("a", "b"), "a,b,"])
def test_a_list_may_be_written_as_a_list_or_as_text(value: object) -> None:
    assert accepted("voice", {"languages": value}).languages == ("a", "b")
    assert accepted("senders", value) == {"a", "b"}


@pytest.mark.parametrize("value", ["", "[]", []])
def test_an_empty_list_is_a_list(value: object) -> None:
    assert accepted("voice", {"languages": value}).languages == ()


def test_each_item_of_a_list_is_checked() -> None:
    assert "providers.twilio.voice.languages.1: must be text" in refusal(voice={"languages": ["de", 5]})
    assert "providers.twilio.voice.languages: must be a list, not 5" in refusal(voice={"languages": 5})
    assert "begins with [ but" in refusal(voice={"languages": "[a"})


def test_a_table_may_be_written_inline_as_the_environment_must() -> None:
    assert accepted("headers", '{ X-Team = "a" }') == {"X-Team": "a"}
    assert accepted("voice", "{ speed = 2 }") == Voice(speed=2.0)
    assert refusal(voice="fast") == "providers.twilio.voice: must be a table of settings, but is text"


def test_nothing_is_allowed_where_the_type_says_so_and_only_there() -> None:
    assert accepted("region", None) is None
    assert accepted("backup", None) is None
    assert accepted("backup", {"speed": 3}) == Voice(speed=3.0)
    assert "providers.twilio.account: must be text" in refusal(account=None)


def test_an_unknown_key_is_an_error_that_offers_the_nearest_name() -> None:
    assert refusal(timeuot=3) == "providers.twilio.timeuot: unknown key; did you mean providers.twilio.timeout?"
    assert "did you mean providers.twilio.voices.a.speed?" in refusal(voices={"a": {"Speed": 3}})
    assert "unknown key; known are speed, pin, languages" in refusal(voice={"xyz": 1})


def test_what_the_program_fills_in_is_no_setting() -> None:
    message = refusal(started="now")
    assert "providers.twilio.started: unknown key" in message
    assert message.count("started") == 1


def test_a_missing_key_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^providers\.twilio\.account: is required$"):
        structure({}, Vendor, prefix="providers.twilio")


def test_all_problems_are_listed_at_once_also_those_that_validators_find() -> None:
    message = refusal(digits=1, timeuot=3, enabled="maybe", voice={"speed": "x", "languages": 1}, token="UPPER")
    assert message.startswith("7 settings are wrong:\n")
    for key in ("digits", "timeuot", "enabled", "voice.speed", "voice.languages", "token", "spoken"):
        assert f"\n  providers.twilio.{key}: " in message


def test_a_validator_may_look_at_other_settings_even_at_their_defaults() -> None:
    assert refusal(spoken=7) == "providers.twilio.spoken: must not be longer than the code (6 digits)"
    assert refusal(spoken=7, digits="x").count("\n") == 0  # what it compares with is not known: no second complaint


def test_a_mapping_as_a_whole_may_be_refused_by_its_class() -> None:
    assert refusal(voice={"speed": 10, "pin": "4711"}) == "providers.twilio.voice: too fast for ***"


def test_a_narrower_configuration_error_stays_what_it_is() -> None:
    with pytest.raises(RoutingSyntaxError) as caught:
        structure({"account": "AC1", "route": "!"}, Vendor)
    assert caught.value.column == 1
    assert "providers.twilio.route: column 1: a name is expected" in refusal(route="!", digits=1)


@pytest.mark.parametrize(
    "values",
    [
        {"token": "Top-Secret-99"},
        {"token": ["Top-Secret-99"]},
        {"token": "it's\nTop-Secret-99"},
        {"secrets": "Top-Secret-99"},
        {"secrets": {"nested": {"deep": "Top-Secret-99"}}, "digits": 1},
        {"voice": {"pin": {"a": "Top-Secret-99"}}},
        {"backup": {"pin": "Top-Secret-99", "speed": 10}},
        {"voices": {"a": {"pin": "Top-Secret-99", "speed": 10}}},
    ],
)
def test_no_error_shows_the_value_of_a_secret(values: dict[str, Any]) -> None:
    message = refusal(**values)
    assert "providers.twilio." in message
    assert "Secret" not in message


def test_a_bug_in_a_validator_is_not_dressed_up_as_a_wrong_setting() -> None:
    @attrs.frozen
    class Buggy:
        size: int = 1

        def __attrs_post_init__(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        structure({}, Buggy)


def test_the_place_where_a_key_was_read_is_told() -> None:
    with pytest.raises(SettingsError, match=r"^mode \(otpcore\.toml\): must be one of"):
        structure({"account": "AC1", "mode": "x"}, Vendor, where={"mode": "otpcore.toml"}.__getitem__)


def test_settings_that_are_no_table_at_all_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"^settings: must be a table of settings, but is a list$"):
        structure(["sms"], Vendor)  # type: ignore[arg-type] # on purpose


def test_a_provider_gets_its_settings_under_its_instance_name() -> None:
    context = ProviderContext(instance="twilio_eu", settings={"account": "AC1", "plugin_": 1})
    with pytest.raises(SettingsError, match=r"^providers\.twilio_eu\.plugin_: unknown key"):
        context.structure(Vendor)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from([field.name for field in attrs.fields(Vendor)]) | st.text()


@settings(deadline=None)  # the first example imports cattrs
@given(st.dictionaries(names, json_like, max_size=6))
def test_whatever_is_written_it_is_settings_or_a_configuration_error(values: dict[str, Any]) -> None:
    try:
        vendor = structure(values, Vendor)
    except OTPConfigurationError:
        return
    assert isinstance(vendor.account, str)
    assert isinstance(vendor.digits, int)
    assert all(isinstance(text, str) for text in vendor.headers.values())


def test_importing_it_does_not_import_cattrs() -> None:
    program = "import sys, otpcore.settings.structuring; sys.exit('cattrs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@attrs.frozen
class _Reserved:
    global_: int = 1
    import_: str = attrs.field(default="", repr=False)


def test_a_key_that_python_reserves_carries_an_underscore_only_there() -> None:
    assert structure({"global": "7", "import": "x"}, _Reserved) == _Reserved(7, "x")
    with pytest.raises(SettingsError, match=r"limits\.global: must be a whole number, not 'x'"):
        structure({"global": "x"}, _Reserved, prefix="limits")
    with pytest.raises(SettingsError, match=r"limits\.import: must be text") as hidden:
        structure({"import": 47_110_815}, _Reserved, prefix="limits")
    assert "47110815" not in str(hidden.value)
    with pytest.raises(SettingsError, match="unknown key"):
        structure({"global_": 7}, _Reserved)
