"""`pyxlist build`: make an index, or bring it up to date."""

from __future__ import annotations

import dataclasses
import pathlib

import click

from pyxlist.cli._arguments import PATH, index_argument, json_option
from pyxlist.cli._output import print_json, print_line, progress_bar, size_text
from pyxlist.config import Config
from pyxlist.index.build import BuildReport, build


@click.command("build", short_help="Make an index of a mailboxes.db, or bring it up to date.")
@click.argument("source", metavar="SOURCE", type=PATH)
@index_argument
@click.option("--imapd-conf", metavar="FILE", type=PATH, help="The server's imapd.conf; stored in the index.")
@click.option("--groups", metavar="FILE", type=PATH, help="Who is in which group; stored in the index.")
@click.option("--subscriptions", metavar="DIR", type=PATH, help="The configdirectory, or a folder of *.sub.db files.")
@click.option("--annotations", metavar="DB", type=PATH, help="The annotations.db, for special-use attributes.")
@click.option("--salvage", is_flag=True, help="Build what can be trusted of a damaged SOURCE, and say what was lost.")
@json_option
def command(
    source: pathlib.Path,
    index_path: pathlib.Path,
    imapd_conf: pathlib.Path | None,
    groups: pathlib.Path | None,
    subscriptions: pathlib.Path | None,
    annotations: pathlib.Path | None,
    salvage: bool,
    as_json: bool,
) -> None:
    """Make INDEX equal to SOURCE, a Cyrus mailboxes.db of any format.

    Where no INDEX is, one is made beside its place and renamed into it when it is whole. Where one is, only
    what differs is written, in one transaction: who reads meanwhile sees the old state or the new one. A
    SOURCE that is damaged, a full disk and Ctrl-C leave INDEX as it was. Doing it again changes nothing.

    With --salvage damage does not stop the build: records that are sound and whose transaction is whole are
    taken, and each place that could not be read is listed with its offset. INDEX is then equal to what could
    be read, and the exit status is 0: look for lines that begin with "lost", or at "lost" in the JSON.

    SOURCE may be the live file of a running server, which is never made to wait; a dump that Cyrus' tools
    wrote; or - for either of them on standard input.

    What an option does not give stays as INDEX has it. A new INDEX without --imapd-conf answers as a server
    with an empty imapd.conf. The file of --groups has a line for each group, in the form of
    `getent group` (staff:x:50:alice,bob) or without its middle (staff:alice,bob); the commands that take USER
    look USER's groups up there unless they are told.

    \b
    Examples:
      pyxlist build mailboxes.db INDEX --imapd-conf /etc/imapd.conf
      ssh mail ctl_mboxlist -d -y | pyxlist build - INDEX
      getent group > groups
      pyxlist build mailboxes.db INDEX --groups groups --subscriptions /var/lib/imap

    Exit status: 0 INDEX is equal to SOURCE, or with --salvage to what could be read of it; 3 SOURCE or INDEX
    cannot be used.
    """
    config = None if imapd_conf is None else Config.from_imapd_conf(imapd_conf)
    with progress_bar(not as_json) as progress:
        report = build(source, index_path, config, subscriptions, annotations, progress, groups, salvage)
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        print_line(_sentence(report, index_path))
        for loss in report.lost.listed:
            print_line(f"lost {loss}")
        if report.lost.places:
            print_line(f"lost in all: {report.lost.places} places, {report.lost.size_bytes} octets")


def _sentence(report: BuildReport, index_path: pathlib.Path) -> str:
    """A report for people."""
    what = {
        "create": f"made {index_path}: {report.mailboxes} mailboxes",
        "update": f"updated {index_path}: {report.added} added, {report.changed} changed, {report.removed} removed"
        f" of {report.mailboxes} mailboxes",
        "none": f"{index_path} was up to date: {report.mailboxes} mailboxes",
    }[report.mode]
    skipped = "".join(f", {count} {kind} passed over" for kind, count in report.skipped.items())
    return f"{what}{skipped}; {report.source_format}, {report.seconds:.2f} s, {size_text(report.index_bytes)}"
