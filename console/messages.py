"""What commands print: results on standard output, all else on standard error.

Every text goes through `plain`, because any of them may hold a file name, an answer of a server
or an error of a library: nothing in it is markup, and no escape sequence in it reaches the
terminal.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

# A file or a pipe has no width of its own: it gets wide tables.
_WIDTH = None if sys.stdout.isatty() else 120

notes = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
results = Console(highlight=False, width=_WIDTH, markup=False, emoji=False)


def fail(message: str) -> None:
    """One line on standard error that says what is wrong."""
    _labelled("error:", "bold red", message)


def warn(message: str) -> None:
    """One line on standard error that says what may be wrong."""
    _labelled("warning:", "yellow", message)


def say(message: str) -> None:
    """One line on standard error that says what happens."""
    notes.print(plain(message, notes.encoding))


def show(line: str) -> None:
    """One line of the result, on standard output."""
    results.print(plain(line, results.encoding), soft_wrap=True)


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1
) -> None:
    """A table of the result, without a title where it is "".

    All but the first `left` columns are aligned to the right.
    """
    encoding = results.encoding
    table = Table(
        title=f"\n{plain(title, encoding)}" if title else None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,  # a terminal of 80 characters is narrow for eight columns
    )
    for number, name in enumerate(columns):
        justify: Literal["left", "right"] = "left" if number < left else "right"
        # What is too wide is broken, never cut
        table.add_column(plain(name, encoding), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(plain(cell, encoding) for cell in row))
    results.print(table)


def show_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values of the result, a pair in each line."""
    grid = Table.grid(padding=(0, 2))
    for name, value in pairs:
        grid.add_row(plain(name, results.encoding), plain(value, results.encoding))
    results.print(grid)


def show_json(value: Any) -> None:
    """The result for programs: nothing else goes to standard output."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    lines = (_replaced(line, results.encoding, _json_escape) for line in text.split("\n"))
    sys.stdout.write("\n".join(lines) + "\n")


def plain(text: str, encoding: str = "utf-8") -> str:
    """The text without anything that could move a cursor, hide, or break a line.

    Control characters, and those that the encoding lacks, are escaped as in Python: \\x1b, \\n.
    """
    return _replaced(text, encoding, _python_escape)


def _labelled(label: str, style: str, message: str) -> None:
    notes.print(Text.assemble((label, style), " ", plain(message, notes.encoding)))


def _replaced(text: str, encoding: str, escape: Callable[[str], str]) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_shown(c, encoding) else escape(c) for c in text)


def _is_shown(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    # The ASCII space is the only one that isprintable accepts.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _python_escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) != 0x7F else "\\u007f"
