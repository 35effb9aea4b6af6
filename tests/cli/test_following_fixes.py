"""Every error tells one fix, in text and in JSON the same, and who follows it gets out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from otpcore.cli.exits import ExitCode, explain
from otpcore.errors import OTPConfigurationError, PluginLoadError, SettingsError, StoreError, UnknownProviderError

from .desk import PHONE, Desk, Ended, Otp

HOST = "settings = {'nonsense': 1}\ndef needs(argument): ...\nnumber = 3\n"


@attrs.frozen
class Case:
    """One situation that a person gets into.

    Args:
        command: What fails.
        arrange: Makes it fail.
        fix: What is told.
        follow: Does what is told.
        again: What works then; None: the same command.
    """

    name: str
    command: tuple[str, ...]
    arrange: Callable[[Otp, Desk], object]
    fix: str
    follow: Callable[[Otp, Desk], object]
    again: tuple[str, ...] | None = None


def nothing(_: Otp, __: Desk) -> None:
    """The command is the situation, or the fix is in the command."""


def _write_new_keys(otp: Otp, desk: Desk) -> None:
    assert otp("keys", "new", "--into", str(desk.directory / ".otpcore.secrets.toml")).code == ExitCode.OK


def _lose_the_keys(_: Otp, desk: Desk) -> None:
    (desk.directory / ".otpcore.secrets.toml").unlink()


def _set(**sections: object) -> Callable[[Otp, Desk], object]:
    return lambda _, desk: desk.write(**sections)


def _write(name: str, text: str) -> Callable[[Otp, Desk], object]:
    return lambda _, desk: (desk.directory / name).write_text(text, encoding="utf-8")


def _remove(name: str) -> Callable[[Otp, Desk], object]:
    return lambda _, desk: (desk.directory / name).unlink()


def _number(otp: Otp, desk: Desk) -> None:
    otp("send", PHONE)


def _switch_off(_: Otp, desk: Desk) -> None:
    desk.mada.down()


def _switch_on(_: Otp, desk: Desk) -> None:
    desk.mada.up()


def _misspell(_: Otp, desk: Desk) -> None:
    settings = {**desk.settings, "providers": {"madda": desk.mada.provider_settings()}}
    (desk.directory / "otpcore.json").write_text(json.dumps(settings), encoding="utf-8")


def _misspell_everywhere(otp: Otp, desk: Desk) -> None:
    _misspell(otp, desk)
    file = desk.directory / "otpcore.json"
    file.write_text(file.read_text("utf-8").replace('"Mada"', '"Madda"'), encoding="utf-8")


def _name_the_plugin(_: Otp, desk: Desk) -> None:
    desk.write(otp_sms_provider="madda", providers={"madda": {**desk.mada.provider_settings(), "plugin": "mada"}})


CASES = [
    Case("value", ("status",), _set(otp={"length": 99}), "correct otp.length in {}/otpcore.json", _set()),
    Case("values", ("status",), _set(otp={"length": 99, "lfe": 1}), "correct each of them where it stands", _set()),
    Case("key", ("status",), _set(otp={"lfe": 99}), "correct otp.lfe in {}/otpcore.json", _set()),
    Case("rules", ("status",), _set(otp_sms_provider="Mada;;"), "correct the rules at the mark", _set()),
    Case("rules typed", ("routes", "set", "Mada;;"), nothing, "correct the rules at the mark", nothing, ("routes", "set", "Mada")),
    Case("no rules typed", ("routes", "set"), nothing, "see `otp routes set --help`", nothing, ("routes", "set", "--help")),
    Case("keys", ("status",), _lose_the_keys, "otp keys new --into {}/.otpcore.secrets.toml", _write_new_keys),
    Case("file", ("--settings", "other.toml", "status"), nothing, "correct the path, or run `otp init`", nothing, ("status",)),
    Case("local file", ("status",), _write("otpcore.local.json", "{}"), "move what it says into otpcore.json", _remove("otpcore.local.json")),
    Case("plugin", ("send", PHONE), _set(otp_sms_provider="Acme"), 'install the package that brings it, or in [providers.acme]: plugin = "http"', _set()),
    Case("section", ("send", PHONE), _misspell, "write [providers.mada] there, or madda in the rules", _set()),
    Case("section and rules", ("send", PHONE), _misspell_everywhere, "write mada there and in the rules", _set()),
    Case("section's plugin", ("send", PHONE), _misspell_everywhere, 'in [providers.madda]: plugin = "mada"', _name_the_plugin),
    Case("plugin's setting", ("send", PHONE), _set(providers={"mada": {"url": ""}}), "correct ", _set()),
    Case("store", ("limits", "show"), _set(storage={"store": "memory"}), 'in [storage]: store = "sql"', _set(storage={"store": "sql"})),
    Case("worker's store", ("worker",), _set(storage={"store": "memory"}), 'in [storage]: store = "sql"', _set(storage={"store": "sql"}), ("status",)),
    Case("directory", ("status",), _set(storage={"url": "sqlite:////nowhere/otp.sqlite3"}), "create it", _set()),
    Case("option", ("status", "--snice", "1h"), nothing, "see `otp status --help`", nothing, ("status", "--help")),
    Case("command", ("stauts",), nothing, "see `otp --help`", nothing, ("--help",)),
    Case("time", ("status", "--since", "1"), nothing, "such as 90m", nothing, ("status", "--since", "90m")),
    Case("span", ("pause", "--for", "soon"), nothing, "--for 2h", nothing, ("pause", "--for", "2h")),
    Case("prefix", ("limits", "deny", "35987"), nothing, "such as +35987", nothing, ("limits", "deny", "+35987")),
    Case("whole number", ("limits", "deny", PHONE), nothing, "leave out some of its last digits", nothing, ("limits", "deny", PHONE[:-4])),
    Case("both options", ("limits", "deny", "+359", "--clear", "--for", "2h"), nothing, "give one of them", nothing, ("limits", "deny", "+359", "--clear")),
    Case("nobody asked", ("purge", "--phone", PHONE), nothing, "give --yes", nothing, ("purge", "--phone", PHONE, "--yes")),
    Case("unknown retry", ("retries", "requeue", "0" * 40), nothing, "`otp retries list` shows", nothing, ("retries", "list")),
    Case("neither", ("retries", "drop"), nothing, "give one of them", nothing, ("retries", "drop", "--prefix", "+359")),
    Case("message", ("send", PHONE, "--message", "no code"), nothing, "write {code} where", nothing, ("send", PHONE, "--message", "{code}")),
    Case("half a character", ("send", PHONE, "--purpose", "\udcff"), nothing, "encoding", nothing, ("send", PHONE)),
    Case("init again", ("init",), nothing, "choose another --directory", nothing, ("init", "--directory", "elsewhere")),
    Case("app", ("--app", "host", "status"), _write("host.py", HOST), "module:name", nothing, ("status",)),
    Case("app's setting", ("--app", "host:settings", "status"), _write("host.py", HOST), "correct ", nothing, ("status",)),
    Case("app's module", ("--app", "nowhere:otp", "status"), nothing, "in the directory of the module", nothing, ("status",)),
    Case("app's factory", ("--app", "host:needs", "status"), _write("host.py", HOST), "a function without arguments", nothing, ("status",)),
    Case("app's type", ("--app", "host:number", "status"), _write("host.py", HOST), "name a Settings", nothing, ("status",)),
    Case("two apps", ("--app", "a:b", "--settings", "c.toml", "status"), nothing, "give one of them", nothing, ("status",)),
    Case("key in use", ("keys", "rotate", "--use", "k9"), nothing, "add it as readable first", nothing, ("keys", "rotate")),
    Case("two steps", ("keys", "rotate", "--use", "a", "--retire", "b"), nothing, "give one of them", nothing, ("keys", "rotate")),
    Case("gateway away", ("send", PHONE), _switch_off, "mada: see whether the provider's URL names the right host and port", _switch_on),
    Case("sandbox off", ("sandbox", PHONE), _number, "in [sms]: sandbox = true", nothing, ("sandbox",)),
]  # fmt: skip


def _told(ended: Ended) -> list[str]:
    return [line for line in ended.err.splitlines() if line.startswith("fix: ")]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_one_fix_is_told_and_it_leads_out(otp: Otp, desk: Desk, case: Case) -> None:
    case.arrange(otp, desk)
    ended, document = otp(*case.command), otp(*case.command, "--json").document["error"]
    assert ended.code not in (ExitCode.OK, ExitCode.BUG)
    fix = case.fix.replace("{}", str(desk.directory))
    assert fix in document["fix"]
    assert "Fix:" not in document["message"]
    assert _told(ended) == [f"fix: {document['fix']}"], "one, and the same"
    case.follow(otp, desk)
    assert otp(*(case.again or case.command)).code == ExitCode.OK


def test_without_any_file_init_leads_out(otp: Otp, directory: Path) -> None:
    del directory
    ended = otp("limits", "show", "--json")
    assert "with `otp init`" in ended.document["error"]["fix"]
    assert otp("init").code == ExitCode.OK
    assert otp("limits", "show").code == ExitCode.OK


def test_secrets_that_others_can_read_are_closed_by_the_command_that_doctor_names(otp: Otp, desk: Desk) -> None:
    secrets = desk.directory / ".otpcore.secrets.toml"
    secrets.chmod(0o644)
    [finding] = [one for one in otp("doctor", "--json").document["checks"] if "can read" in one["detail"]]
    command, mode, file = finding["fix"].split()
    assert (command, file) == ("chmod", str(secrets))
    secrets.chmod(int(mode, 8))
    assert "can read" not in otp("doctor").out


def test_a_settings_file_with_keys_that_others_can_read_is_told_too(otp: Otp, desk: Desk) -> None:
    secrets, file = desk.directory / ".otpcore.secrets.toml", desk.directory / "all of it.toml"
    file.write_text(f'otp_sms_provider = ""\n{secrets.read_text("utf-8")}', encoding="utf-8")
    secrets.unlink()
    file.chmod(0o644)
    asked = ("--settings", str(file), "doctor")
    [finding] = [one for one in otp(*asked, "--json").document["checks"] if "can read" in one["detail"]]
    assert shlex.split(finding["fix"]) == ["chmod", "600", str(file)]
    file.chmod(0o600)
    assert "can read" not in otp(*asked).out


def test_refused_rules_in_the_database_are_cleared_by_the_command_that_doctor_names(otp: Otp, desk: Desk) -> None:
    desk.write(otp_sms_provider="Mada", providers={"spare": {**desk.mada.provider_settings(), "plugin": "mada"}})
    assert otp("routes", "set", "spare;mada").code == ExitCode.OK
    desk.write()
    [finding] = [one for one in otp("doctor", "--json").document["checks"] if one["level"] == "problem"]
    assert finding["fix"] == "otp routes set --clear"
    assert otp(*finding["fix"].split()[1:]).code == ExitCode.OK
    assert otp("doctor").code == ExitCode.OK


def test_every_problem_of_doctor_has_a_fix(otp: Otp, desk: Desk) -> None:
    for sections in (
        {"otp": {"length": 99}},
        {"otp_sms_provider": "Acme"},
        {"otp_sms_provider": "", "otp_call_provider": ""},
        {"providers": {"mada": {}}},
        {"storage": {"url": "sqlite:////nowhere/otp.sqlite3"}},
    ):
        desk.write(**sections)
        problems = [one for one in otp("doctor", "--json").document["checks"] if one["level"] == "problem"]
        assert problems, sections
        assert all(one["fix"] and "Fix:" not in one["detail"] for one in problems), problems


def test_no_kind_of_error_is_told_without_a_fix() -> None:
    for error in (
        OTPConfigurationError("x"),
        SettingsError("x"),
        PluginLoadError("x"),
        UnknownProviderError("x"),
        StoreError("x"),
    ):
        assert explain(error).fix, error
    told = explain(SettingsError("otp.length (/etc/otp/otpcore.toml): must be 6 to 10 digits, not 99"))
    assert told.fix == "correct otp.length in /etc/otp/otpcore.toml, then run `otp doctor`"


# Errors quote the place, not the whole.

HUGE = 500_000
MOST = 6_000  # characters that a person may be shown


@pytest.mark.parametrize(
    "key",
    [
        ("otp_sms_provider",),
        ("environment",),
        ("otp", "default_region"),
        ("otp", "locale"),
        ("otp", "life"),
        ("otp", "web_otp_host"),
        ("otp", "android_hash"),
        ("otp", "templates", "en.sms"),
        ("otp", "verify_by"),
        ("limits", "phone"),
        ("limits", "deny"),
        ("storage", "url"),
        ("retry", "runner"),
        ("keys", "current"),
        ("providers", "mada"),
        ("unknown",),
    ],
    ids=".".join,
)
def test_an_error_about_a_huge_setting_is_short(otp: Otp, desk: Desk, key: tuple[str, ...]) -> None:
    for filling in (" ", "a", "\u05d0"):
        value: object = [filling * HUGE] if key[0] == "limits" else filling * HUGE
        for name in reversed(key[1:]):
            value = {name: value}
        settings = json.dumps({**desk.settings, key[0]: value}, ensure_ascii=False)
        (desk.directory / "otpcore.json").write_text(settings, encoding="utf-8")
        ended = otp("status", "--json")
        assert len(ended.out) + len(ended.err) < MOST, filling
        assert ended.code != ExitCode.BUG


@pytest.mark.parametrize(
    "command",
    [
        ("send", "X"),
        ("send", PHONE, "--purpose", "X"),
        ("send", PHONE, "--client", "X"),
        ("send", PHONE, "--locale", "X"),
        ("send", PHONE, "--message", "X"),
        ("verify", PHONE, "X"),
        ("verify", "X", "123456"),
        ("challenges", "show", "X"),
        ("retries", "requeue", "X"),
        ("retries", "list", "--limit", "X"),
        ("retries", "drop", "--prefix", "X"),
        ("limits", "deny", "X"),
        ("limits", "show", "X"),
        ("routes", "check", "X"),
        ("routes", "explain", "X"),
        ("pause", "--for", "X"),
        ("status", "--since", "X"),
        ("keys", "rotate", "--use", "X"),
        ("--app", "X", "status"),
        ("--app", "X:Y", "status"),
        ("--settings", "X", "status"),
        ("X",),
        ("limits", "X"),
        ("status", "--X"),
    ],
    ids=" ".join,
)
def test_an_error_about_a_huge_argument_is_short(otp: Otp, desk: Desk, command: tuple[str, ...]) -> None:
    for filling in "9a ":
        ended = otp(*(word.replace("X", filling * HUGE) for word in command), "--json")
        assert ended.code != ExitCode.BUG
        if ended.code != ExitCode.OK:
            assert len(ended.out) + len(ended.err) < MOST, filling
