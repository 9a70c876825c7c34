"""`pyxlist records`: the raw content of a cyrusdb file."""

from __future__ import annotations

import pathlib

import click

from pyxlist.cli._arguments import PATH
from pyxlist.cli._output import write_octets
from pyxlist.cyrusdb import iter_records


@click.command("records", short_help="Raw records of a Cyrus database.")
@click.argument("file", metavar="FILE", type=PATH)
def command(file: pathlib.Path) -> None:
    """Every record of FILE, a Cyrus database of any format, as key, tab, value and line feed.

    The same that `cyr_dbtool FILE FORMAT show` prints, in the same order, but the format is found out, and
    the server never waits: mailboxes.db, annotations.db, a user's sub.db, or - for standard input. Octets are
    printed as they are, except on a terminal.

    \b
    Examples:
      pyxlist records /var/lib/imap/mailboxes.db | wc -l
      pyxlist records user/uuid/x/y/xyz/sub.db

    Exit status: 0 printed; 3 FILE cannot be used.
    """
    for key, value in iter_records(file, as_stored=True):
        write_octets(b"%s\t%s\n" % (key, value))
