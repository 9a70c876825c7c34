"""A seeded generator of mail systems: a `WorldSpec` -> a mailboxes.db that Cyrus itself accepts.

The same spec gives the same octets, on any machine with the same release of Python.  A world holds, in key order:

    I<uniqueid>     one record a mailbox, its name and ACL, in order of the ids
    N<key name>     one record a mailbox, its id and ACL: shared trees, then u000000, u000001, ...

Nothing is kept for an ordinary mailbox but its place among the ids (8 octets): its name, ACL and id are
worked out from its number whenever a record is written.  Shared mailboxes, those of the big user and
grants to somebody else are drawn once and kept.

Values are spelt as Cyrus 3.6.1 does.  Source: files it wrote; imap/mboxlist.c, mboxlist_entry_cstring.
"""

from __future__ import annotations

import argparse
import os
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from benchmarks.twoskip_writer import Progress, random_levels, write_twoskip

__all__ = ["WorldSpec", "WorldSummary", "imapd_conf", "main", "memberships", "write_world"]

_SEP: Final = b"\x1f"
_OWN_RIGHTS: Final = b"lrswipkxtecdan"
_EPOCH: Final = 1_700_000_000
_TOPS: Final = 50
_DEPTH: Final = 4
_BIG_USER: Final = "big"
_WIDE: Final = b"Wide"

_FOLDERS: Final = (
    b"Sent", b"Drafts", b"Trash", b"Archive", b"Work", b"Junk", b"Lists", b"Work/Meetings", b"Archive/2023",
    b"Archive/2024", b"Entw&APw-rfe", b"Projects", b"Notes", b"Receipts",
)  # fmt: skip
_TOP_NAMES: Final = (
    b"Accounting", b"Board", b"Campus", b"Design", b"Engineering", b"Facilities", b"Gr&APw-ne", b"Helpdesk",
    b"Human Resources", b"IT", b"Journal", b"Kitchen", b"Legal", b"Marketing", b"News", b"Office", b"Press",
    b"Quality", b"Research", b"Sales", b"Training", b"Union", b"Vendors", b"Web", b"info", b"zentral",
)  # fmt: skip
_CHILD_NAMES: Final = (b"Project", b"Inbox", b"2024", b"Minutes of", b"Invoices", b"Team", b"Requests", b"log")
_GRANTED: Final = (b"lrs", b"lrs", b"lrs", b"lr", b"lrsw", b"lrswi", b"lrswipkxte", b"lrswipkxtecda", b"lrp", b"p")
_DENIED: Final = (b"lrs", b"w", b"lrswipkxtecda")

_DIGITS: Final = b"0123456789abcdefghijklmnopqrstuvwxyz"
_TRIPLES: Final = tuple(bytes((a, b, c)) for a in _DIGITS for b in _DIGITS for c in _DIGITS)
_HEADS: Final = len(_TRIPLES) ** 2  # the first six characters tell ids apart, so no world has more mailboxes


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """What to generate.  Percentages are 0 to 100.  Raises: ValueError when a world like that cannot be."""

    users: int = 3000
    folders: int = 7  # mailboxes of one user, the INBOX among them
    shared: int = 20000  # mailboxes below at most 50 top names, the tops among them
    groups: int = 200
    seed: int = 1
    share_percent: float = 10.0  # of the users share one folder with another user or a group
    anyone_percent: float = 10.0  # of the shared mailboxes are `anyone lrs`
    big_user: int = 0  # mailboxes of the userid `big`; 0: there is none
    anyone_tops: int = 0  # further top names, below which ...
    anyone_mailboxes: int = 0  # ... so many mailboxes, the tops among them, are all `anyone lrs`
    wide_acl: int = 0  # grants on one further mailbox, `Wide`; 0: there is none

    def __post_init__(self) -> None:
        for what, value, least, most in (
            ("users", self.users, 1, 10**8), ("folders", self.folders, 1, 10**5),
            ("shared", self.shared, 0, 10**7), ("groups", self.groups, 0, 10**5), ("seed", self.seed, 0, 2**64),
            ("share-percent", self.share_percent, 0, 100), ("anyone-percent", self.anyone_percent, 0, 100),
            ("big-user", self.big_user, 0, 10**7), ("anyone-tops", self.anyone_tops, 0, self.anyone_mailboxes),
            ("anyone-mailboxes", self.anyone_mailboxes, 0, 10**7 if self.anyone_tops else 0),
            ("wide-acl", self.wide_acl, 0, self.users),
            ("mailboxes in all", self.mailboxes, 1, _HEADS),
        ):  # fmt: skip
            if not least <= value <= most:
                raise ValueError(f"{what}: {value}, expected {least} to {most}")

    @property
    def mailboxes(self) -> int:
        """How many mailboxes there will be; the file has twice as many records."""
        others = self.shared + self.big_user + self.anyone_mailboxes + bool(self.wide_acl)
        return self.users * self.folders + others


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


class _Mailbox(NamedTuple):
    """A mailbox that is kept: its key name and its grants as the value spells them."""

    name: bytes
    acl: bytes


def _userid(spec: WorldSpec, number: int) -> bytes:
    """u000000 and up, wide enough that numbers sort as octets."""
    return b"u%0*d" % (max(6, len(str(spec.users - 1))), number)


def _group(number: int) -> bytes:
    """g000 and up, the bare name."""
    return b"g%03d" % number


def _skewed(rng: Random, size: int) -> int:
    """A number below `size`: the first tenth gets almost half of the draws."""
    return int(size * rng.random() ** 3)


def memberships(spec: WorldSpec) -> dict[str, list[str]]:
    """Group -> userids, both in order; every fifth user is in one to three groups, mostly the first ones."""
    rng = Random(f"{spec.seed} memberships")
    members: list[list[str]] = [[] for _ in range(spec.groups)]
    for number in range(spec.users if spec.groups else 0):
        if rng.random() < 0.2:
            userid = _userid(spec, number).decode()
            for group in {_skewed(rng, spec.groups) for _ in range(rng.randint(1, 3))}:
                members[group].append(userid)
    return {_group(number).decode(): users for number, users in enumerate(members)}


def _folder_sets(folders: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """What follows the owner's name, in key order, for most users and for those that nest."""
    extra = tuple(b"Projects/P%05d" % number for number in range(folders))
    plain = (*_FOLDERS, *extra)[: folders - 1]
    nested = plain if len(plain) < 6 else (*plain[:5], b"Work/2024", *plain[6:])
    return _suffixes(plain), _suffixes(nested)


def _suffixes(folders: Sequence[bytes]) -> tuple[bytes, ...]:
    """The INBOX' empty suffix and those of the folders, in key order."""
    return (b"", *sorted(_SEP + folder.replace(b"/", _SEP) for folder in folders))


def _tree(rng: Random, top: bytes, size: int) -> list[bytes]:
    """`size` key names: `top` and its descendants, at most four levels deep; parents exist."""
    names = [top]
    parents = [top]
    for number in range(1, size):
        parent = parents[_skewed(rng, len(parents))]
        name = b"%b%b%b %04d" % (parent, _SEP, rng.choice(_CHILD_NAMES), number)
        names.append(name)
        if name.count(_SEP) < _DEPTH - 1:
            parents.append(name)
    return names


def _forest(rng: Random, tops: Sequence[bytes], size: int) -> list[bytes]:
    """`size` key names in trees of about one size."""
    quota, more = divmod(size, len(tops)) if tops else (0, 0)
    return [name for number, top in enumerate(tops) for name in _tree(rng, top, quota + (number < more))]


class _World:
    """The mailboxes of a spec, numbered 0, 1, ... in the order of their key names.

    `before` and `after` are those that sort before and after the users' own.  `named` holds the numbers of
    users that grant something or are granted something.
    """

    def __init__(self, spec: WorldSpec) -> None:
        self.spec = spec
        self.named: set[int] = set()
        kept = sorted((*self._big_user(), *self._shared(), *self._anyone(), *self._wide()))
        self.before = [mailbox for mailbox in kept if mailbox.name < b"user\x1fu"]
        self.after = kept[len(self.before) :]
        self.anyone = sum(mailbox.acl.startswith(b"anyone ") for mailbox in kept)
        self.suffixes = _folder_sets(spec.folders)
        self.grants = self._grants()
        self.rank_of, self.number_at = self._ranks()
        self._tails, self._step = self._ids()

    def _big_user(self) -> Iterator[_Mailbox]:
        """INBOX, then `Archive` with folders of about a hundred children each."""
        acl = b"%b %b" % (_BIG_USER.encode(), _OWN_RIGHTS)
        for number in range(self.spec.big_user):
            year, rest = divmod(number, 100)
            path = (b"user", _BIG_USER.encode(), b"Archive %03d" % year, b"Folder %02d" % rest)
            yield _Mailbox(_SEP.join(path[: 2 if not number else 4 if rest else 3]), acl)

    def _shared(self) -> Iterator[_Mailbox]:
        rng = Random(f"{self.spec.seed} shared")
        extra = (b"Department %02d" % number for number in range(_TOPS))
        tops = (*_TOP_NAMES, *extra)[: min(_TOPS, self.spec.shared)]
        for name in _forest(rng, tops, self.spec.shared):
            everybody = rng.random() * 100 < self.spec.anyone_percent
            yield _Mailbox(name, b"anyone lrs" if everybody else self._shared_acl(rng))

    def _shared_acl(self, rng: Random) -> bytes:
        """One to three grants; one ACL in twenty also denies somebody something."""
        grants = {self._grantee(rng, 85): rng.choice(_GRANTED) for _ in range(rng.randint(1, 3))}
        if rng.random() < 0.05:
            grants[b"-" + self._grantee(rng, 30)] = rng.choice(_DENIED)
        return b" ".join(b"%b %b" % grant for grant in grants.items())

    def _grantee(self, rng: Random, group_percent: int) -> bytes:
        """An identifier: a group in so many cases of a hundred, else a user."""
        if self.spec.groups and rng.random() * 100 < group_percent:
            return b"group:" + _group(_skewed(rng, self.spec.groups))
        number = _skewed(rng, self.spec.users)
        self.named.add(number)
        return _userid(self.spec, number)

    def _anyone(self) -> Iterator[_Mailbox]:
        rng = Random(f"{self.spec.seed} anyone")
        tops = [b"Public %02d" % number for number in range(self.spec.anyone_tops)]
        for name in _forest(rng, tops, self.spec.anyone_mailboxes):
            yield _Mailbox(name, b"anyone lrs")

    def _wide(self) -> Iterator[_Mailbox]:
        if self.spec.wide_acl:
            users = (_userid(self.spec, number) for number in range(self.spec.wide_acl))
            yield _Mailbox(_WIDE, b" ".join(user + b" lrs" for user in users))

    def _grants(self) -> dict[int, bytes]:
        """Number of a user's mailbox -> what its ACL says after the owner's grant, for those that share."""
        spec, rng = self.spec, Random(f"{self.spec.seed} grants")
        grants: dict[int, bytes] = {}
        for owner in sorted(rng.sample(range(spec.users), int(spec.users * spec.share_percent / 100))):
            folder = rng.randrange(1, spec.folders) if spec.folders > 1 else 0
            grantee = self._grantee(rng, 30)
            if grantee != _userid(spec, owner):
                self.named.add(owner)
                grants[owner * spec.folders + folder] = b" %b %b" % (grantee, rng.choice(_GRANTED))
        return grants

    def _ranks(self) -> tuple[array[int], array[int]]:
        """Where each mailbox's id stands among all ids, and back: ids tell nothing about names."""
        number_at = array("I", range(self.spec.mailboxes))
        Random(f"{self.spec.seed} ids").shuffle(number_at)
        rank_of = array("I", bytes(4 * len(number_at)))
        for rank, number in enumerate(number_at):
            rank_of[number] = rank
        return rank_of, number_at

    def _ids(self) -> tuple[list[bytes], int]:
        """Endings of ids, nine characters each, and an odd number to draw two of them by."""
        rng = Random(f"{self.spec.seed} tails")
        return [b"".join(rng.choices(_TRIPLES, k=3)) for _ in range(4096)], rng.getrandbits(24) | 1

    def uniqueid(self, rank: int) -> bytes:
        """24 characters [0-9a-z] that rise with the rank: six of order, 18 that look random."""
        high, low = divmod(rank * _HEADS // len(self.rank_of), 46656)
        mixed = rank * self._step & 0xFFFFFF
        return _TRIPLES[high] + _TRIPLES[low] + self._tails[mixed >> 12] + self._tails[mixed & 4095]

    def mailbox(self, number: int) -> tuple[bytes, bytes]:
        """Key name and grants of a mailbox."""
        index = number - len(self.before)
        if index < 0:
            return self.before[number]
        user, folder = divmod(index, self.spec.folders)
        if user >= self.spec.users:
            return self.after[index - self.spec.users * self.spec.folders]
        userid = _userid(self.spec, user)
        suffix = self.suffixes[user % 5 == 3][folder]
        return b"user\x1f%b%b" % (userid, suffix), b"%b %b%b" % (userid, _OWN_RIGHTS, self.grants.get(index, b""))

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """All records in key order; called anew, all of them again."""
        for rank, number in enumerate(self.number_at):
            name, acl = self.mailbox(number)
            quoted = b'"%b"' % name if b" " in name else name
            yield b"I" + self.uniqueid(rank), b"%%(T e N %b %b H ())" % (quoted, _fields(number, acl))
        for number, rank in enumerate(self.rank_of):
            name, acl = self.mailbox(number)
            yield b"N" + name, b"%%(T e I %b %b)" % (self.uniqueid(rank), _fields(number, acl))

    def ordinary(self, members: set[str]) -> str | None:
        """The first user from the middle on that only owns its mailboxes."""
        for step in range(self.spec.users):
            number = (self.spec.users // 2 + step) % self.spec.users
            userid = _userid(self.spec, number).decode()
            if number not in self.named and userid not in members:
                return userid
        return None


def _fields(number: int, acl: bytes) -> bytes:
    """What both records of a mailbox say; the folder's modification sequence counts its grants."""
    born = _EPOCH + number
    return b"P default V %d C 1 F %d M %d A %%(%b)" % (born, (acl.count(b" ") + 1) // 2, born, acl)


def write_world(spec: WorldSpec, path: str | os.PathLike[str], *, progress: Progress | None = None) -> WorldSummary:
    """Write the world to `path`.  Memory: about 35 octets a record, and the shared mailboxes.

    Raises: OSError when the file cannot be written.
    """
    world = _World(spec)
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
        big_user=_BIG_USER if spec.big_user else None,
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
