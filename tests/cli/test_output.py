"""What commands print on narrow terminals, and on those that do not know every character."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import anyio
import pytest

from otpcore import AsyncOTPService
from otpcore.cli.exits import ExitCode
from otpcore.cli.main import run
from otpcore.cli.plain import write_what_fits
from otpcore.cli.tree import COMMANDS, GROUPS
from otpcore.clock import when
from otpcore.errors import RateLimited
from otpcore.settings.tree import Settings, load_settings

from .desk import OTHER_PHONE, PHONE, Desk, Otp

INSTANCE = "mada-" + "west-" * 8 + "1"
RULES = f"{INSTANCE}:+35987;{INSTANCE}"
PURPOSE = "confirm-the-withdrawal-of-a-large-amount-from-the-savings-account"


@pytest.fixture
def waiting(desk: Desk) -> str:
    """The id of a send that waits, in a store with long prefixes, names and purposes; another one was approved, and one refused."""
    desk.write(
        otp_sms_provider=RULES,
        sms={"retry": True},
        retry={"first_delay": 30, "max_delay": 30, "breaker_threshold": 1},
        limits={"phone": ["1/1h"], "unverified": ["20/1d"]},
        providers={INSTANCE: {**desk.mada.provider_settings(), "plugin": "mada"}},
    )
    return anyio.run(_fill, load_settings(), desk)


async def _fill(settings: Settings, desk: Desk) -> str:
    async with AsyncOTPService(settings) as otp:
        await otp.send_sms(OTHER_PHONE, purpose=PURPOSE)
        assert await otp.verify(OTHER_PHONE, desk.code(OTHER_PHONE), purpose=PURPOSE)
        with pytest.raises(RateLimited):
            await otp.send_sms(OTHER_PHONE, purpose=PURPOSE)
        desk.mada.down()
        return (await otp.send_sms(PHONE, purpose=PURPOSE)).id


@contextlib.contextmanager
def terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Standard output is a real terminal of so many columns; what is yielded says what was written, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    read: list[bytes] = []

    def listen() -> None:
        with contextlib.suppress(OSError):  # how a terminal on Linux ends
            while chunk := os.read(ours, 65_536):
                read.append(chunk)

    listener = threading.Thread(target=listen)
    listener.start()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(theirs, "w", encoding="utf-8") as screen, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", screen)
        patched.setattr(sys, "stderr", screen)

        def shown() -> str:
            screen.close()
            listener.join(10)
            os.close(ours)
            return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(read).decode()).replace("\r\n", "\n")

        yield shown


def words(value: object) -> Iterator[str]:
    """Everything in a document that a person may have to copy: what has no blanks, and is no time."""
    if isinstance(value, dict):
        for one in value.values():
            yield from words(one)
    elif isinstance(value, list):
        for one in value:
            yield from words(one)
    elif isinstance(value, str) and " " not in value and not re.match(r"\d{4}-\d\d-\d\dT", value):
        yield value


def times(value: object) -> Iterator[str]:
    """Every time in a document, as people are shown it."""
    if isinstance(value, dict):
        for one in value.values():
            yield from times(one)
    elif isinstance(value, list):
        for one in value:
            yield from times(one)
    elif isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        yield f"{datetime.fromisoformat(value).astimezone():%Y-%m-%d %H:%M:%S}"


TABLES: tuple[tuple[str, ...], ...] = (
    ("retries", "list"),
    ("challenges", "show", "ID"),
    ("challenges", "show", OTHER_PHONE),
    ("limits", "show"),
    ("limits", "show", OTHER_PHONE),
    ("limits", "refused"),
    ("routes", "show"),
    ("routes", "check", RULES),
    ("routes", "explain", PHONE),
    ("providers",),
    ("db", "current"),
    ("doctor",),
    ("status",),
    ("status", "--since", "30d"),
)


@pytest.mark.parametrize("columns", [80, 60])
def test_what_has_to_be_copied_is_whole_on_a_narrow_terminal(
    otp: Otp, desk: Desk, waiting: str, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    otp("routes", "set", RULES)
    otp("limits", "deny", "+3598712345", "--for", "30m")
    for command in TABLES:
        arguments = [waiting if word == "ID" else word for word in command]
        document, piped = otp(*arguments, "--json").document, otp(*arguments).out
        with terminal(columns, monkeypatch) as shown:
            run(arguments)
            screen = shown()
        document.pop("since", None), document.pop("now", None)  # of the status: when it was asked
        to_copy = [one for one in [*words(document), *times(document)] if one in piped]
        assert [one for one in to_copy if one not in screen] == [], f"otp {' '.join(command)}:\n{screen}"
        assert "…" not in screen


@pytest.mark.parametrize("columns", ["80", "60"])
def test_no_word_of_any_help_is_cut(otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    del desk
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERMINAL_WIDTH", columns)  # of typer
    inner = [(group, name) for group, (_, commands) in GROUPS.items() for name in commands]
    for command in [(), *((name,) for name in (*COMMANDS, *GROUPS)), *inner]:
        assert "…" not in otp(*command, "--help").out, command


ENCODINGS = ("latin-1", "ascii")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_table_can_be_written_where_characters_are_missing(
    otp: Otp, desk: Desk, waiting: str, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    del waiting
    for command in (
        *TABLES[1:],
        ("sandbox",),
        ("keys", "new"),
        ("--help",),
        ("limits", "--help"),
        ("limits", "show", "x"),
    ):
        if "ID" in command:
            continue
        written = io.BytesIO()
        with io.TextIOWrapper(written, encoding=encoding) as stream, monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", stream)
            patched.setattr(sys, "stderr", stream)
            write_what_fits()
            code = run(list(command))
            stream.flush()
            shown = written.getvalue().decode(encoding)
        assert code != ExitCode.BUG, shown
        assert "\\u" not in shown, "a plain character stands for each one"
    del otp, desk


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({"PYTHONIOENCODING": "latin-1"}, ("sandbox",)),
        ({"PYTHONIOENCODING": "ascii"}, ("sandbox",)),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, ("status",)),
    ],
    ids=["latin-1", "ascii", "C"],
)
def test_a_process_of_its_own_writes_plain_characters(
    desk: Desk, environment: dict[str, str], command: tuple[str, ...]
) -> None:
    environ = {**os.environ, **environment}
    ended = subprocess.run(
        [sys.executable, "-m", "otpcore", *command], check=False, env=environ, cwd=desk.directory, capture_output=True
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout


def test_the_demo_writes_plain_characters_too(desk: Desk) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(
        [sys.executable, "-m", "otpcore", "demo"], check=False, env=environ, cwd=desk.directory, capture_output=True
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("zone", "told"),
    [("UTC", "12:00:00 UTC"), ("Asia/Kathmandu", "17:45:00 +05:45"), ("America/St_Johns", "08:30:00 -03:30")],
)
def test_a_time_says_its_zone(zone: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert when(datetime(2026, 1, 2, 12, tzinfo=UTC)) == f"2026-01-02 {told}"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "command", [(), ("send",), ("routes",), ("routes", "set"), ("status",), ("purge",)], ids=" ".join
)
def test_help_gives_flags_no_value(otp: Otp, command: tuple[str, ...]) -> None:
    shown = otp(*command, "--help")
    assert shown.code == ExitCode.OK
    assert "--help" in shown.out
    assert "bool" not in shown.out.lower()


def test_a_table_leaves_out_what_says_nothing_before_it_folds(
    otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = otp("send", PHONE, "--json").document["id"]
    for command in (("status",), ("challenges", "show", sent)):
        with terminal(80, monkeypatch) as shown:
            run(command)
            lines = shown().splitlines()
        assert max(map(len, lines)) <= 80
        assert [line.split() for line in lines if line.startswith(("mada ", "20"))], (
            lines
        )  # a row below a head, not lines


def test_in_a_pipe_no_line_is_wider_than_it_needs_or_ends_in_blanks(otp: Otp, desk: Desk) -> None:
    otp("pause", "--for", "30m", "--reason", "mada takes messages and delivers none")
    otp("resume", "--reason", "it does again")
    otp("routes", "set", "Mada")
    for command in (("audit",), ("status",), ("routes", "show"), ("routes", "history"), ("instances", "status")):
        lines = otp(*command).out.splitlines()
        assert max(map(len, lines)) <= 160, command
        assert [line for line in lines if line != line.rstrip()] == [], command


def test_the_trail_tells_times_as_every_other_command_does(otp: Otp, desk: Desk) -> None:
    otp("pause", "--for", "30m")
    otp("resume")
    told = otp("audit").out
    assert re.search(r"paused: not paused -> paused until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", told)
    assert " -> not paused" in told
    assert not re.search(r"\dT\d|null|\"", told)


def test_an_argument_is_told_as_it_is_typed(otp: Otp, desk: Desk) -> None:
    for command, message, fix in (
        (("series", "--by", "foo"), "error: --by: ", "fix: "),
        (("challenges", "list", "--state", "nope"), "error: --state: ", "fix: "),
        (("deliveries", "list", "--since", "1h", "--until", "2h"), "error: --until: is before since", "fix: exchange"),
        (("routes", "restore", "99"), "error: number: ", "`otp routes history`"),
        (("challenges", "show", "nope"), "error: target: ", "`otp challenges list`"),
    ):
        refused = otp(*command)
        assert refused.code == ExitCode.USAGE
        assert message in refused.err
        assert fix in refused.err
