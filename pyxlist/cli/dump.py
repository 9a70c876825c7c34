"""`pyxlist dump`: everything, as Cyrus' own tool prints it."""

from __future__ import annotations

import json
import pathlib
import sys

import click

from pyxlist.cli._arguments import index_argument
from pyxlist.entry import Mbtype
from pyxlist.opened import open_index


@click.command("dump", short_help="Everything as JSON, like ctl_mboxlist -d.")
@index_argument
@click.option("-y", "--intermediates", is_flag=True, help="Intermediate mailboxes too.")
def command(index_path: pathlib.Path, intermediates: bool) -> None:
    """Every mailbox of INDEX as JSON, the same that `ctl_mboxlist -d` prints of a mailboxes.db.

    One object whose members are internal names; each mailbox is on a line of its own, in the order of the
    mailboxes.db. It is printed as it is read, from one snapshot. name_history is empty: it is in records that
    no LIST needs and no index has.

    \b
    Examples:
      pyxlist dump INDEX > mailboxes.json
      pyxlist dump INDEX | jq -r 'keys[]'

    Exit status: 0 printed; 3 INDEX cannot be used.
    """
    before = "{\n"
    with open_index(index_path) as index:
        for entry in index.entries():
            if intermediates or not entry.mbtype & Mbtype.INTERMEDIATE:
                sys.stdout.write(f"{before}{json.dumps(entry.name)}: {json.dumps(entry.as_dump())}")
                before = ",\n"
    sys.stdout.write("\n}\n" if before == ",\n" else "{\n}\n")
