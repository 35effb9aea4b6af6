"""The global options, and how a command says something with them."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from otpcore.cli.exits import CommandError, ExitCode, Explanation
from otpcore.embedding.spelling import Spelling
from otpcore.events import fields as log_fields
from otpcore.events import fields_of

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Options", "lasting", "parse_span"]

_logger = logging.getLogger("otpcore.cli")

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_PIPE_WIDTH = 160  # columns of a file or a pipe: a wider table is as hard to read there as on a terminal


@attrs.define(kw_only=True)
class Options:
    """What stands before or after a command's name; filled in by the root command.

    Args:
        settings: Path of the settings file.
        app: ``module:name`` of the host's object.
        json: One JSON document on standard output instead of text.
        reveal: Show full numbers and codes.
        verbose: Log everything.
        spelling: How people write settings and commands here.
    """

    settings: Path | None = None
    app: str | None = None
    json: bool = False
    reveal: bool = False
    verbose: bool = False
    spelling: Spelling = attrs.field(factory=Spelling)

    def say(self, document: Mapping[str, Any], *lines: Any) -> None:
        """Print a result: the document for programs, or the lines (text, or rich's own) for people."""
        if self.json:
            sys.stdout.write(json.dumps(document, indent=2) + "\n")
            sys.stdout.flush()
            return
        if all(map(_is_plain, lines)):
            sys.stdout.write("".join(f"{self.spelling.told(line)}\n" for line in lines if line))
            sys.stdout.flush()
            return
        out = console()
        for line in filter(None, lines):
            # A terminal breaks long lines by itself; text that is broken here cannot be copied.
            out.print(self.spelling.told(line) if isinstance(line, str) else line, soft_wrap=True)

    def note(self, line: str) -> None:
        """Tell people something that is no result; with ``--json`` as a record of the log, so that every line is one."""
        line = self.spelling.told(line)
        if self.json:
            _logger.warning("%s", line, extra=log_fields("note"))
            return
        console(stderr=True).print(line, soft_wrap=True)

    def say_error(self, told: Explanation) -> None:
        """Print an error: one document on standard output, or a line and the fix on standard error."""
        told = attrs.evolve(told, message=self.spelling.told(told.message), fix=self.spelling.told(told.fix))
        if self.json:
            self.say(told.to_dict())
            return
        err = console(stderr=True)
        err.print(f"error: {told.message}", style="red", soft_wrap=True)
        if told.fix:
            err.print(f"fix: {told.fix}", soft_wrap=True)

    def show_stack(self, error: BaseException) -> None:
        """With ``--verbose``, where an unforeseen error came from: places only, as texts may quote numbers and codes."""
        if self.verbose:
            for frame in traceback.extract_tb(error.__traceback__):
                self.note(f"  {frame.filename}:{frame.lineno} in {frame.name}")

    def configure_logging(self) -> None:
        """Log otpcore's own loggers to standard error; other libraries' may quote what must not be read."""
        logger = logging.getLogger("otpcore")
        for old in [handler for handler in logger.handlers if isinstance(handler, _StderrHandler)]:
            logger.removeHandler(old)
        handler = _StderrHandler(sys.stderr)
        as_text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S %z")
        handler.setFormatter(_JsonFormatter() if self.json else as_text)
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if self.verbose else logging.WARNING)

    def confirm(self, question: str, consequence: str, *, confirmed: bool) -> None:
        """Go on only if somebody says yes, at the terminal or with ``--yes``.

        Args:
            question: Put to a person.
            consequence: What would be done, for whoever cannot be asked.
            confirmed: ``--yes`` was given.

        Raises:
            CommandError: Nobody said yes.
        """
        if confirmed:
            return
        if self.json or not sys.stdin.isatty():
            raise CommandError(consequence, "give --yes to do it", ExitCode.USAGE)
        import typer  # noqa: PLC0415 - heavy: imported at first use

        if not typer.confirm(question, err=True):
            raise CommandError("nothing was done, as nobody said yes", "say yes, or give --yes", ExitCode.REFUSED)

    @contextlib.contextmanager
    def progress(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show on a terminal that something takes its time; what is yielded says how far it is."""
        err = console(stderr=True)
        if self.json or not err.is_terminal:
            yield lambda _: None
            return
        with err.status(what) as shown:
            yield shown.update


class _JsonFormatter(logging.Formatter):
    """One JSON document a line: what every record has, and the fields that otpcore adds."""

    def format(self, record: logging.LogRecord) -> str:
        """One line. A traceback is left out: its text may quote a number or a code."""
        head = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps({**fields_of(record), **head})


class _StderrHandler(logging.StreamHandler[Any]):
    """Ours, to be told from a host's handlers; it writes to what is standard error by then."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def console(*, stderr: bool = False) -> Console:
    """A console that takes text as it is: no markup, no guessed colours."""
    from rich.console import Console  # noqa: PLC0415 - heavy: imported at first use

    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = _PIPE_WIDTH
    return made


def parse_span(given: str, option: str, example: str = "90m") -> float:
    """Seconds, written as a number with s, m, h or d.

    Raises:
        CommandError: It is written otherwise.
    """
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", given.strip())
    if found is None:
        raise CommandError(
            f"{option}: not a time",
            f"write a number with s, m, h or d, such as {example}",
            ExitCode.USAGE,
        )
    return float(found[1]) * _UNITS[found[2]]


def lasting(given: str | None) -> float | None:
    """Seconds of ``--for``; None: it was not given.

    Raises:
        CommandError: It is written otherwise, or is no time at all.
    """
    span = None if given is None else parse_span(given, "--for", "--for 2h")
    if span == 0:
        raise CommandError("--for: is no time at all", "write it like --for 2h", ExitCode.USAGE)
    return span


def _is_plain(line: Any) -> bool:
    """Text that rich, which takes longer to import than most commands to run, would print as it is."""
    return isinstance(line, str) and line.replace("\n", "").isprintable()
