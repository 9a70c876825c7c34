"""What goes to people and programs: text that cannot move a cursor, tables, JSON lines, raw octets, a bar.

On a terminal people get rich's tables; in a pipe the same rows are lines with tabs.  rich is imported only
where it is used, because it takes longer to load than most commands to run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from pyxlist.cyrusdb import Progress

__all__ = ["print_json", "print_line", "print_table", "printable", "progress_bar", "size_text", "write_octets"]

_TABLE_ROWS: Final = 1000  # a table is laid out this many rows at a time, so that millions need no memory
_UNITS: Final = ("octets", "KiB", "MiB", "GiB", "TiB")


def printable(text: str) -> str:
    r"""Text with everything that is no visible character or space as ``\xNN``, octets that are no UTF-8 included."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    octets = char.encode("utf-8", "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass")
    return "".join(f"\\x{octet:02x}" for octet in octets)


def size_text(size_bytes: int) -> str:
    """A size as people read it: 3 significant figures and a binary unit."""
    size, unit = float(size_bytes), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.3g} {_UNITS[unit]}"


def print_line(text: str) -> None:
    """One line of text, made printable."""
    sys.stdout.write(_encodable(printable(text)) + "\n")


def _encodable(text: str) -> str:
    """Text that standard output's encoding can take."""
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def print_json(value: Any) -> None:
    r"""One object in one line of ASCII; octets that are no UTF-8 are lone surrogates ``\udcNN``."""
    sys.stdout.write(json.dumps(value) + "\n")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows of text: aligned under headings on a terminal, otherwise one line a row, its cells cut by tabs."""
    if sys.stdout.isatty():
        _print_aligned(headings, rows)
        return
    for row in rows:
        sys.stdout.write(_encodable("\t".join(map(printable, row))) + "\n")


def _print_aligned(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    source = iter(rows)
    first = True
    while batch := tuple(itertools.islice(source, _TABLE_ROWS)):
        table = Table(box=None, pad_edge=False, show_header=first)
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in batch:
            table.add_row(*(Text(_encodable(printable(cell))) for cell in row))
        console.print(table)
        first = False


def write_octets(octets: bytes) -> None:
    """Octets as they are into a pipe or file; on a terminal what is not printable is escaped, line ends apart."""
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(octets)
        return
    for line in octets.splitlines(keepends=True):
        body = line.rstrip(b"\r\n")
        sys.stdout.write(_encodable(printable(body.decode("utf-8", "surrogateescape"))))
        sys.stdout.write("\n" if len(body) < len(line) else "")


@contextlib.contextmanager
def progress_bar(wanted: bool) -> Iterator[Progress | None]:
    """A progress callback that draws a bar on stderr, gone when the block ends; None where nobody would see it."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:8}"), BarColumn(), DownloadColumn(binary_units=True), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _teller(bar)


def _teller(bar: Any) -> Callable[[str, int, int], None]:
    """The callback: one line of the bar for each stage, in the order they come."""
    tasks: dict[str, Any] = {}

    def tell(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=total or None)
        bar.update(tasks[stage], completed=done, total=total or None)

    return tell
