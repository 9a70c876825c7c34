"""`pyxlist rights`: what a user may do with a mailbox."""

from __future__ import annotations

import pathlib

import click

from pyxlist.cli._arguments import asker, index_argument, json_option, view_of
from pyxlist.cli._output import print_json, print_line, printable
from pyxlist.opened import open_index


@click.command("rights", short_help="A user's rights on one mailbox.")
@index_argument
@asker
@click.argument("mailbox", metavar="MAILBOX")
@json_option
def command(
    index_path: pathlib.Path, user: str, groups: tuple[str, ...], admin: bool, mailbox: str, as_json: bool
) -> int:
    """USER's rights on MAILBOX, as MYRIGHTS answers.

    MAILBOX is spelled as USER's IMAP client spells it (INBOX, Other Users/bob/Work). The letters are those of
    RFC 4314 and, as the server prints them, the older c and d.

    \b
    Examples:
      pyxlist rights INDEX alice INBOX
      pyxlist rights INDEX guest 'Shared Folders/news' --group staff

    Exit status: 0 printed; 1 USER sees no such mailbox; 3 INDEX cannot be used.
    """
    with open_index(index_path) as index:
        rights = view_of(index, user, groups, admin).rights(mailbox)
        text = None if rights is None else rights.format(index.config.deleteright)
    if as_json:
        print_json({"mailbox": mailbox, "user": user, "rights": text})
    elif text is not None:
        print_line(text)
    else:
        click.echo(f"pyxlist: {printable(user)} sees no mailbox {printable(mailbox)}", err=True)
    return 0 if text is not None else 1
