"""`pyxlist verify`: is an index equal to its source?"""

from __future__ import annotations

import pathlib

import click

from pyxlist.cli._arguments import PATH, index_argument, json_option
from pyxlist.cli._output import print_json, print_line
from pyxlist.opened import open_index


@click.command("verify", short_help="Compare an index with its source.")
@index_argument
@click.argument("source", metavar="SOURCE", type=PATH)
@json_option
def command(index_path: pathlib.Path, source: pathlib.Path, as_json: bool) -> int:
    """Compare INDEX with SOURCE, mailbox by mailbox, and print every difference.

    Nothing is written. An index of a running server is behind by what the server did since; a build brings it
    up to date.

    With --json a difference has the internal name and both entries, null where there is none.

    \b
    Example:
      pyxlist verify INDEX /var/lib/imap/mailboxes.db || pyxlist build /var/lib/imap/mailboxes.db INDEX

    Exit status: 0 they agree; 1 they differ; 3 SOURCE or INDEX cannot be used.
    """
    count = 0
    with open_index(index_path) as index:
        for count, found in enumerate(index.verify(source), 1):  # noqa: B007 the number is what is wanted
            if as_json:
                sides = (None if entry is None else entry.as_dump() for entry in (found.in_index, found.in_source))
                print_json(dict(zip(("name", "index", "source"), (found.name, *sides), strict=True)))
            else:
                print_line(str(found))
    if not as_json:
        print_line("no differences" if not count else f"{count} difference{'s' if count > 1 else ''}")
    return 1 if count else 0
