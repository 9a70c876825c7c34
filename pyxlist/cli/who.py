"""`pyxlist who`: who can see a mailbox."""

from __future__ import annotations

import pathlib

import click

from pyxlist.cli._arguments import index_argument, json_option
from pyxlist.cli._output import print_json, print_table, printable
from pyxlist.opened import open_index


@click.command("who", short_help="Who can see a mailbox.")
@index_argument
@click.argument("mailbox", metavar="MAILBOX")
@json_option
def command(index_path: pathlib.Path, mailbox: str, as_json: bool) -> int:
    """Identifiers that can see MAILBOX, with their rights, in the order of its ACL.

    MAILBOX is the name Cyrus' own tools use: user.alice.Work, `^` for a dot within a component. Groups are
    not expanded; denials are taken off where they surely apply, to the same identifier or to anyone.

    \b
    Example:
      pyxlist who INDEX user.alice.Work

    Exit status: 0 printed; 1 there is no such mailbox; 3 INDEX cannot be used.
    """
    with open_index(index_path) as index:
        entry = index.lookup(mailbox)
        if entry is None or not entry.is_live:
            hint = "" if "/" not in mailbox else "; give its internal name, like user.alice.Work"
            click.echo(f"pyxlist: there is no mailbox {printable(mailbox)}{hint}", err=True)
            return 1
        rows = ((identifier, rights.format(index.config.deleteright)) for identifier, rights in index.who(mailbox))
        if as_json:
            for identifier, rights in rows:
                print_json({"identifier": identifier, "rights": rights})
        else:
            print_table(("identifier", "rights"), rows)
    return 0
