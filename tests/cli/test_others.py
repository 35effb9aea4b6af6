"""Commands that other distributions bring: real distributions on the path, real entry points, in this and in other processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from .desk import Desk, Otp

GREET = """
    from typing import Annotated
    import typer
    from otpcore.cli import CommandError, ExitCode, Options, operator_for, run, settings_for

    def command(context: typer.Context, name: Annotated[str, typer.Argument(help="Whom.")] = "all") -> ExitCode:
        '''Greet somebody.'''
        options: Options = context.obj
        if name == "nobody":
            raise CommandError("nobody is there", "name somebody", ExitCode.REFUSED)
        options.say({"name": name, "store": settings_for(options).store_name}, f"hello {name}")
        return ExitCode.OK
"""


def bring(
    site: Path,
    distribution: str,
    command: str,
    source: str = GREET,
    function: str = "command",
    *,
    group: str = "otpcore.commands",
) -> None:
    """A distribution as pip leaves it behind, with one command."""
    module = distribution.replace("-", "_")
    (site / f"{module}.py").write_text(textwrap.dedent(source))
    info = site / f"{module}-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2.3\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{command} = {module}:{function}\n")


@pytest.fixture
def site(importable: Path) -> Path:
    return importable


def test_a_command_of_another_distribution_runs_as_ours_do(site: Path, otp: Otp) -> None:
    bring(site, "otp-greet", "greet")
    greeted = otp("greet", "Ann")
    assert (greeted.code, greeted.out, greeted.err) == (0, "hello Ann\n", "")
    assert json.loads(otp("greet", "Ann", "--json").out) == {"name": "Ann", "store": "sql"}
    refused = otp("greet", "nobody")
    assert (refused.code, refused.out) == (1, "")
    assert "error: nobody is there" in refused.err
    assert "fix: name somebody" in refused.err
    assert otp("greet", "--frobnicate").code == 2
    assert "Greet somebody." in otp("--help").out


def test_doctor_tells_what_another_distribution_would_not_start_with(site: Path, otp: Otp, desk: Desk) -> None:
    check = """
        from otpcore import SettingsError

        def command(settings):
            if settings.sms.max_retries == 7:
                raise SettingsError('greet.name: must be a name. Fix: in [greet]: name = "Ann"')
    """
    bring(site, "otp-greet", "greet", check, group="otpcore.checks")
    assert otp("doctor", "--json").document["ok"]
    desk.write(sms={"max_retries": 7})
    ended = otp("doctor", "--json")
    assert ended.code == 1
    problem = next(one for one in ended.document["checks"] if one["level"] == "problem")
    assert (problem["detail"], problem["fix"]) == ("greet.name: must be a name", 'in [greet]: name = "Ann"')
    assert {"rules", "providers", "retries"} <= {one["about"] for one in ended.document["checks"]}


def test_it_may_stand_below_a_group_of_ours_and_below_one_of_its_own(site: Path, otp: Otp) -> None:
    bring(site, "otp-greet", "keys.api.greet")
    assert otp("keys", "api", "greet", "Ann").out == "hello Ann\n"
    listed = otp("keys", "--help").out
    assert "rotate" in listed
    assert "Commands of otp-greet 1.2.3." in listed
    assert "Greet somebody." in otp("keys", "api", "--help").out


def test_no_command_of_ours_imports_theirs(site: Path, otp: Otp) -> None:
    bring(site, "otp-greet", "keys.api.greet")
    assert otp("keys", "new").code == 0
    assert otp("sandbox").code in (0, 3)
    assert "otp_greet" not in sys.modules


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("raise SystemExit(9)", "SystemExit: 9"),
        ("1 / 0", "ZeroDivisionError"),
        ("command = 7", "no plain function"),
        ("class command: pass", "no plain function"),
        ("async def command(): pass", "no plain function"),
        ("def command(one: int | str): pass", "no command that typer takes"),
        ("def other(): pass", "has no attribute 'command'"),
    ],
)
def test_a_broken_one_breaks_itself_alone(site: Path, otp: Otp, source: str, cause: str) -> None:
    bring(site, "otp-broken", "broken", source)
    bring(site, "otp-greet", "greet")
    ended = otp("broken", "--port", "7", "more")
    assert ended.code == 3
    assert "otp-broken 1.2.3" in ended.err
    assert cause in ended.err
    assert "fix: " in ended.err
    helped = otp("--help")
    assert helped.code == 0
    assert "Greet somebody." in helped.out
    assert "Cannot be used" in helped.out
    assert otp("greet").code == 0


@pytest.mark.parametrize("name", ["send", "keys", "keys.new", "send.more", "Not_a_word", "a.b.c.d", "--help"])
def test_a_name_that_is_taken_or_no_name_is_left_out_and_told(
    site: Path, otp: Otp, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    bring(site, "otp-greet", name)
    helped = otp("--help")
    assert helped.code == 0
    assert "Greet" not in helped.out
    if name not in ("send", "send.more"):  # nobody looks for what cannot be meant
        assert "otp-greet 1.2.3" in helped.err + caplog.text


def test_two_of_one_name_are_told_apart_by_nobody(site: Path, otp: Otp) -> None:
    bring(site, "otp-greet", "greet")
    bring(site, "otp-hello", "greet")
    ended = otp("greet")
    assert ended.code == 3
    assert "otp-greet 1.2.3" in ended.err
    assert "otp-hello 1.2.3" in ended.err


@pytest.mark.parametrize(("result", "code"), [("None", 0), ("4", 4), ("True", 1), ("'done'", 70), ("99", 70)])
def test_what_it_returns_is_an_exit_code(site: Path, otp: Otp, result: str, code: int) -> None:
    bring(site, "otp-greet", "greet", f"def command():\n        '''Greet.'''\n        return {result}")
    assert otp("greet").code == code


def test_the_command_of_the_reference_works(site: Path, otp: Otp, desk: Desk) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    told = page.partition("**Commands of others.**")[2]
    source, points = (re.findall(rf"```{kind}\n(.*?)```", told, re.DOTALL)[0] for kind in ("python", "toml"))
    ((words, target),) = tomllib.loads(points)["project"]["entry-points"]["otpcore.commands"].items()
    bring(site, "acme-greet", words, source, function=target.partition(":")[2])
    assert otp("db", "upgrade").code == 0
    assert otp("greet").out == "ready\n"
    assert otp("pause").code == 0
    assert otp("greet", "--json").code == 1


def test_the_console_script_runs_it_too(site: Path) -> None:
    bring(site, "otp-greet", "greet")
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(site)!r}); from otpcore.cli import main; main()",
            "greet",
            "Ann",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=site,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "hello Ann\n", "")
