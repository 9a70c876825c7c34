"""A seeded generator of mail systems: a `WorldSpec` -> a mailboxes.db that Cyrus itself accepts.

The same spec gives the same octets, on any machine with the same release of Python.  A world holds, in key order:

    I<uniqueid>     one record a mailbox, its name and ACL, in order of the ids
    N<key name>     one record a mailbox, its id and ACL: shared trees, then u000000, u000001, ...
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from benchmarks.companions import write_companions
from benchmarks.mailboxes import BIG_USER, World
from benchmarks.spec import WorldSpec, memberships
from benchmarks.twoskip_writer import Progress, random_levels, write_twoskip

__all__ = ["WorldSummary", "imapd_conf", "main", "write_world"]


class WorldSummary(NamedTuple):
    """What was written, and userids to ask as.  A userid is None when the world has nobody like that."""

    mailboxes: int
    records: int
    size_bytes: int
    anyone: int  # mailboxes that everybody sees
    ordinary: str | None  # in no group, shares nothing, and no ACL of another's (but `Wide`) names it
    member: str | None  # of at least one group
    member_groups: tuple[str, ...]  # the groups of that member, bare names
    big_user: str | None


def write_world(spec: WorldSpec, path: str | os.PathLike[str], *, progress: Progress | None = None) -> WorldSummary:
    """Write the world to `path`.  Memory: about 35 octets a record, and the shared mailboxes.

    Raises: OSError when the file cannot be written.
    """
    world = World(spec)
    levels = random_levels(Random(f"{spec.seed} levels"))
    written = write_twoskip(path, world.records, levels, progress=progress)
    groups = memberships(spec)
    members = {userid for users in groups.values() for userid in users}
    member = next((users[0] for users in groups.values() if users), None)
    return WorldSummary(
        mailboxes=spec.mailboxes,
        records=written.records,
        size_bytes=written.size_bytes,
        anyone=world.anyone,
        ordinary=world.ordinary(members),
        member=member,
        member_groups=tuple(group for group, users in groups.items() if member in users),
        big_user=BIG_USER if spec.big_user else None,
    )


_EPILOG: Final = """\
what a world looks like
  Users u000000, u000001, ... own INBOX, Sent, Drafts, Trash, Archive, Work and Junk; one in five nests
  Work/2024.  Shared trees lie below 50 top names, two to four levels deep; most of their ACLs name groups
  g000, g001, ..., the first ones far more often; one in twenty denies somebody something.  The same
  arguments give the same octets.

examples
  python -m benchmarks.world small.db
  python -m benchmarks.world big.db --users 300000 --imapd-conf big.conf --groups-file big.groups
  python -m benchmarks.world big.db --companions beside
  pyxlist build big.db INDEX --subscriptions beside/subscriptions --annotations beside/annotations.db
  python -m benchmarks.world flood.db --anyone-tops 50 --anyone-mailboxes 100000

to look at a world with Cyrus' own tool (absolute paths, and the user cyrus must be able to write the file)
  cyr_dbtool -C /path/big.conf /path/big.db twoskip show

exit status
  0 written; 1 the file cannot be written; 2 the arguments describe no world
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.world",
        description="Write the mailboxes.db of a made-up mail system: a twoskip file as Cyrus repacks it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", metavar="OUT", help="file to write; replaced when the new one is whole")
    for option, kind, metavar, text in (
        ("users", int, "N", "users"), ("folders", int, "N", "mailboxes of each user, the INBOX among them"),
        ("shared", int, "N", "shared mailboxes"), ("groups", int, "N", "groups"),
        ("seed", int, "N", "another seed, another world of the same size"),
        ("share-percent", float, "P", "of the users share one folder with a user or a group"),
        ("anyone-percent", float, "P", "of the shared mailboxes everybody can see"),
        ("big-user", int, "FOLDERS", "mailboxes of one more user, `big`"),
        ("anyone-tops", int, "N", "top names more, below which everybody sees everything"),
        ("anyone-mailboxes", int, "M", "mailboxes below those, the tops among them"),
        ("wide-acl", int, "N", "grants to single users on one more mailbox, `Wide`"),
    ):  # fmt: skip
        default = WorldSpec.__dataclass_fields__[option.replace("-", "_")].default
        text = f"{text} ({default})"
        parser.add_argument(f"--{option}", type=kind, metavar=metavar, default=default, help=text)
    parser.add_argument("--imapd-conf", metavar="FILE", help="also write an imapd.conf for the world")
    parser.add_argument("--groups-file", metavar="FILE", help="also write the groups, each a line group:user,user")
    parser.add_argument("--companions", metavar="DIR", help="also write subscriptions and an annotations.db there")
    return parser


def imapd_conf(out: Path) -> str:
    """Just enough for Cyrus' tools, and the namespace most sites have."""
    settings = {
        "configdirectory": out.parent, "mboxlist_db": "twoskip", "mboxlist_db_path": out,
        "defaultpartition": "default", "partition-default": out.parent / "spool", "admins": "cyrus",
        "altnamespace": 1, "unixhierarchysep": 1, "virtdomains": "off", "reverseacls": 0,
    }  # fmt: skip
    return "".join(f"{name}: {value}\n" for name, value in settings.items())


def _show(walk: str, done: int) -> None:
    print(f"\r{walk:8} {done:>12,} records", end="", file=sys.stderr, flush=True)


def _run(spec: WorldSpec, options: argparse.Namespace) -> WorldSummary:
    """Write the world and the files that go with it."""
    out = Path(options.out).absolute()
    terminal = sys.stderr.isatty()
    summary = write_world(spec, out, progress=_show if terminal else None)
    if terminal:
        print("\r\033[K", end="", file=sys.stderr)
    if options.imapd_conf:
        Path(options.imapd_conf).write_text(imapd_conf(out), encoding="utf-8")
    if options.groups_file:
        lines = (f"{group}:{','.join(users)}\n" for group, users in memberships(spec).items())
        Path(options.groups_file).write_text("".join(lines), encoding="utf-8")
    if options.companions:
        write_companions(World(spec), Path(options.companions))
    return summary


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        spec = WorldSpec(**{name: getattr(options, name) for name in WorldSpec.__dataclass_fields__})
    except ValueError as error:
        parser.error(str(error))
    try:
        summary = _run(spec, options)
    except OSError as error:
        print(f"{parser.prog}: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    for name, value in summary._asdict().items():
        print(f"{name:14}", " ".join(value) if isinstance(value, tuple) else value)
    return 0


if __name__ == "__main__":
    sys.exit(main())
