"""`pyxlist list`: what a user sees."""

from __future__ import annotations

import pathlib

import click

from pyxlist.cli._arguments import asker, index_argument, json_option, view_of
from pyxlist.cli._output import print_json, print_table
from pyxlist.opened import open_index


@click.command("list", short_help="What a user sees, with rights and attributes.")
@index_argument
@asker
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--reference", metavar="REF", default="", help="What the patterns are relative to, as in IMAP.")
@json_option
def command(
    index_path: pathlib.Path,
    user: str,
    groups: tuple[str, ...],
    admin: bool,
    patterns: tuple[str, ...],
    reference: str,
    as_json: bool,
) -> None:
    """Mailboxes USER sees, with rights and attributes, in the server's order.

    Names and PATTERNs are spelled as USER's IMAP client spells them, modified UTF-7 included; `*` stands for
    anything, `%` for anything within one level; without PATTERN everything is listed. Rows without rights are
    no mailboxes but only lead to some.

    On a terminal the rows are a table; in a pipe they are lines of name, rights and attributes with tabs
    between.

    \b
    Examples:
      pyxlist list INDEX alice
      pyxlist list INDEX alice 'INBOX*' 'Shared Folders/%'
      pyxlist list INDEX bob --group staff --json | jq .name

    Exit status: 0, also for an empty list; 3 INDEX cannot be used.
    """
    with open_index(index_path) as index:
        items = view_of(index, user, groups, admin).list(reference, *patterns)
        rows = ((item.name, item.rights.format(index.config.deleteright), item.attributes) for item in items)
        if as_json:
            for name, rights, attributes in rows:
                print_json({"name": name, "rights": rights, "attributes": attributes})
        else:
            print_table(
                ("mailbox", "rights", "attributes"),
                ((name, rights, " ".join(attributes)) for name, rights, attributes in rows),
            )
