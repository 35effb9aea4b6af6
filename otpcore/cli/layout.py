"""How values are laid out for people: a table where it fits, else each row as lines; what is to be copied is never cut."""

# ruff: noqa: PLC0415 - rich takes longer to import than most commands take to run
from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from otpcore.clock import when

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

__all__ = ["Prose", "Rows", "fields", "prose", "table", "text"]


class Rows:
    """Rows under a head. Where they are too wide, columns that say nothing are left out, or each becomes lines of name and value.

    Before that, times lose their year and seconds, and the columns that can be spared go, the first of them first. A line
    that is too long even so is left to the terminal, which breaks it without putting anything in between.
    """

    def __init__(
        self, columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str, spare: Sequence[str] = ()
    ) -> None:
        self._columns = columns
        self._spare = spare
        self._values = [tuple(row) for row in rows]
        self._title = title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As a table, or as lines."""
        from rich.text import Text

        rows = [[_cell(value) for value in row] for row in self._values]
        every = range(len(self._columns))
        said = [place for place in every if any(row[place].plain != _NOTHING for row in rows)]
        is_one_line_each = not any("\n" in cell.plain for row in rows for cell in row)
        shortened = [
            [_shortened(value, cell) for value, cell in zip(*both, strict=True)]
            for both in zip(self._values, rows, strict=True)
        ]
        tries = [(rows, every), (rows, said), *((shortened, places) for places in self._fewer(said))]
        for shown, places in tries if is_one_line_each else ():
            lines = self._aligned(shown, places)
            if all(line.cell_len <= options.max_width for line in lines):
                yield Text("\n").join([Text(), *lines, Text()])
                return
        yield Text("\n").join(self._lines(rows))

    def _fewer(self, places: Sequence[int]) -> Iterable[Sequence[int]]:
        """The columns, then without one after another of those that can be spared; nothing where none can."""
        for count in range(len(self._spare) + 1) if self._spare else ():
            yield [place for place in places if self._columns[place] not in self._spare[:count]]

    def _aligned(self, rows: list[list[Text]], places: Sequence[int]) -> list[Text]:
        """A line for the head, one below it, and one for each row."""
        from rich.text import Text

        columns = [[Text(self._columns[place], style="bold"), *(row[place] for row in rows)] for place in places]
        widths = [max(cell.cell_len for cell in column) for column in columns]
        head, *body = ([column[line] for column in columns] for line in range(len(rows) + 1))
        rule = Text("─" * (sum(widths) + len(_GAP) * (len(widths) - 1)))
        return [*self._titles(), _spaced(head, widths), rule, *(_spaced(row, widths) for row in body)]

    def _lines(self, rows: list[list[Text]]) -> Iterable[Text]:
        from rich.text import Text

        yield from self._titles()
        for row in rows:
            told = [pair for pair in zip(self._columns, row, strict=True) if pair[1].plain != _NOTHING]
            yield Text("\n").join(_named(told))
            yield Text()

    def _titles(self) -> Iterable[Text]:
        from rich.text import Text

        if self._title:
            yield Text(self._title, style="italic")


def _spaced(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    """Cells below those of the other lines; nothing stands behind the last one."""
    from rich.text import Text

    padded = [cell + " " * (width - cell.cell_len) for cell, width in zip(cells[:-1], widths, strict=False)]
    return Text(_GAP).join([*padded, cells[-1]])


class Prose:
    """A sentence. On a terminal it is broken between words, but in no time and in no command; in a file or a pipe nowhere."""

    def __init__(self, words: str, style: str, indent: str) -> None:
        self._words = words
        self._style = style
        self._indent = indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As lines of whole words; one that is too long is left to the terminal."""
        from rich.text import Text

        lines = [self._indent + self._words]
        if console.is_terminal and "\n" not in self._words:
            glued = _WHOLE.sub(lambda found: found[0].replace(" ", _GLUE), self._words)
            lines = textwrap.wrap(
                glued,
                options.max_width,
                initial_indent=self._indent,
                subsequent_indent=self._indent + "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        yield Text("\n".join(lines).replace(_GLUE, " "), style=self._style)


_GLUE = "\x1f"  # a blank that does not end a line
_WHOLE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: UTC| [+-]\d\d:\d\d)?|`[^`]*`|\([^()]{1,40}\)")
_NOTHING = "-"
_GAP = "  "


def text(words: str, style: str) -> Text:
    """Words in a colour."""
    from rich.text import Text

    return Text(words, style=style)


def prose(words: str, style: str = "", *, indent: str = "") -> Prose:
    """A sentence of any length."""
    return Prose(words, style, indent)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", spare: Sequence[str] = ()) -> Rows:
    """Rows under a head; nothing is shown as a dash, and a ``datetime`` as a time of the reader's.

    Args:
        columns: Their heads.
        rows: A value for each column.
        title: Above it.
        spare: Columns that a narrow terminal does without, the least telling first.
    """
    return Rows(columns, rows, title, spare)


def fields(values: Mapping[str, Any]) -> Text:
    """Names and values below one another."""
    from rich.text import Text

    return Text("\n").join(_named((name, _cell(value)) for name, value in values.items()))


def _named(pairs: Iterable[tuple[str, Text]]) -> Iterable[Text]:
    """A line for each name and value, the values below one another."""
    from rich.cells import cell_len
    from rich.text import Text

    known = [(name or "-", value) for name, value in pairs]
    width = max((cell_len(name) for name, _ in known), default=0)
    for name, value in known:
        yield Text.assemble((name + " " * (width - cell_len(name)), "dim"), "  ", value)


def _cell(value: Any) -> Text:
    from rich.text import Text

    if isinstance(value, Text):
        return value
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, datetime):
        return Text(when(value))
    return Text(_NOTHING if value is None or value == "" else str(value))


def _shortened(value: Any, cell: Text) -> Text:
    """The cell on a narrow terminal: of a time month, day and minute, in the reader's own time zone."""
    from rich.text import Text

    return Text(f"{value.astimezone():%m-%d %H:%M}") if isinstance(value, datetime) else cell
