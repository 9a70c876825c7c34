"""The mailboxes of a made-up mail system and their records, worked out from a `WorldSpec`.

Nothing is kept for an ordinary mailbox but its place among the ids (8 octets): its name, ACL and id are
worked out from its number whenever a record is written.  Shared mailboxes, those of the big user and
grants to somebody else are drawn once and kept.

Values are spelt as Cyrus 3.6.1 does.  Source: files it wrote; imap/mboxlist.c, mboxlist_entry_cstring.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final, NamedTuple

from benchmarks.spec import MOST_MAILBOXES, WorldSpec, group_of, skewed, userid_of

__all__ = ["BIG_USER", "SEPARATOR", "Mailbox", "World"]

SEPARATOR: Final = b"\x1f"
_OWN_RIGHTS: Final = b"lrswipkxtecdan"
_EPOCH: Final = 1_700_000_000
_TOPS: Final = 50
_DEPTH: Final = 4
BIG_USER: Final = "big"
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


class Mailbox(NamedTuple):
    """A mailbox that is kept: its key name and its grants as the value spells them."""

    name: bytes
    acl: bytes


def _folder_sets(folders: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """What follows the owner's name, in key order, for most users and for those that nest."""
    extra = tuple(b"Projects/P%05d" % number for number in range(folders))
    plain = (*_FOLDERS, *extra)[: folders - 1]
    nested = plain if len(plain) < 6 else (*plain[:5], b"Work/2024", *plain[6:])
    return _suffixes(plain), _suffixes(nested)


def _suffixes(folders: Sequence[bytes]) -> tuple[bytes, ...]:
    """The INBOX' empty suffix and those of the folders, in key order."""
    return (b"", *sorted(SEPARATOR + folder.replace(b"/", SEPARATOR) for folder in folders))


def _tree(rng: Random, top: bytes, size: int) -> list[bytes]:
    """`size` key names: `top` and its descendants, at most four levels deep; parents exist."""
    names = [top]
    parents = [top]
    for number in range(1, size):
        parent = parents[skewed(rng, len(parents))]
        name = b"%b%b%b %04d" % (parent, SEPARATOR, rng.choice(_CHILD_NAMES), number)
        names.append(name)
        if name.count(SEPARATOR) < _DEPTH - 1:
            parents.append(name)
    return names


def _forest(rng: Random, tops: Sequence[bytes], size: int) -> list[bytes]:
    """`size` key names in trees of about one size."""
    quota, more = divmod(size, len(tops)) if tops else (0, 0)
    return [name for number, top in enumerate(tops) for name in _tree(rng, top, quota + (number < more))]


class World:
    """The mailboxes of a spec, numbered 0, 1, ... in the order of their key names.

    `before` and `after` are those that sort before and after the users' own.  `named` holds the numbers of
    users that grant something or are granted something.
    """

    def __init__(self, spec: WorldSpec) -> None:
        self.spec = spec
        self.named: set[int] = set()
        kept = sorted((*self.of_big_user(), *self._shared(), *self._anyone(), *self._wide()))
        self.before = [mailbox for mailbox in kept if mailbox.name < b"user\x1fu"]
        self.after = kept[len(self.before) :]
        self.anyone = sum(mailbox.acl.startswith(b"anyone ") for mailbox in kept)
        self.suffixes = _folder_sets(spec.folders)
        self.grants = self._grants()
        self.rank_of, self.number_at = self._ranks()
        self._tails, self._step = self._ids()

    def of_big_user(self) -> Iterator[Mailbox]:
        """INBOX, then `Archive` with folders of about a hundred children each."""
        acl = b"%b %b" % (BIG_USER.encode(), _OWN_RIGHTS)
        for number in range(self.spec.big_user):
            year, rest = divmod(number, 100)
            path = (b"user", BIG_USER.encode(), b"Archive %03d" % year, b"Folder %02d" % rest)
            yield Mailbox(SEPARATOR.join(path[: 2 if not number else 4 if rest else 3]), acl)

    def _shared(self) -> Iterator[Mailbox]:
        rng = Random(f"{self.spec.seed} shared")
        extra = (b"Department %02d" % number for number in range(_TOPS))
        tops = (*_TOP_NAMES, *extra)[: min(_TOPS, self.spec.shared)]
        for name in _forest(rng, tops, self.spec.shared):
            everybody = rng.random() * 100 < self.spec.anyone_percent
            yield Mailbox(name, b"anyone lrs" if everybody else self._shared_acl(rng))

    def _shared_acl(self, rng: Random) -> bytes:
        """One to three grants; one ACL in twenty also denies somebody something."""
        grants = {self._grantee(rng, 85): rng.choice(_GRANTED) for _ in range(rng.randint(1, 3))}
        if rng.random() < 0.05:
            grants[b"-" + self._grantee(rng, 30)] = rng.choice(_DENIED)
        return b" ".join(b"%b %b" % grant for grant in grants.items())

    def _grantee(self, rng: Random, group_percent: int) -> bytes:
        """An identifier: a group in so many cases of a hundred, else a user."""
        if self.spec.groups and rng.random() * 100 < group_percent:
            return b"group:" + group_of(skewed(rng, self.spec.groups))
        number = skewed(rng, self.spec.users)
        self.named.add(number)
        return userid_of(self.spec, number)

    def _anyone(self) -> Iterator[Mailbox]:
        rng = Random(f"{self.spec.seed} anyone")
        tops = [b"Public %02d" % number for number in range(self.spec.anyone_tops)]
        for name in _forest(rng, tops, self.spec.anyone_mailboxes):
            yield Mailbox(name, b"anyone lrs")

    def _wide(self) -> Iterator[Mailbox]:
        if self.spec.wide_acl:
            users = (userid_of(self.spec, number) for number in range(self.spec.wide_acl))
            yield Mailbox(_WIDE, b" ".join(user + b" lrs" for user in users))

    def _grants(self) -> dict[int, bytes]:
        """Number of a user's mailbox -> what its ACL says after the owner's grant, for those that share."""
        spec, rng = self.spec, Random(f"{self.spec.seed} grants")
        grants: dict[int, bytes] = {}
        for owner in sorted(rng.sample(range(spec.users), int(spec.users * spec.share_percent / 100))):
            folder = rng.randrange(1, spec.folders) if spec.folders > 1 else 0
            grantee = self._grantee(rng, 30)
            if grantee != userid_of(spec, owner):
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
        high, low = divmod(rank * MOST_MAILBOXES // len(self.rank_of), 46656)
        mixed = rank * self._step & 0xFFFFFF
        return _TRIPLES[high] + _TRIPLES[low] + self._tails[mixed >> 12] + self._tails[mixed & 4095]

    def nests(self, user: int) -> bool:
        """Whether this user is one of those that nest folders: which of the two `suffixes` are his."""
        return user % 5 == 3

    def mailbox(self, number: int) -> tuple[bytes, bytes]:
        """Key name and grants of a mailbox."""
        index = number - len(self.before)
        if index < 0:
            return self.before[number]
        user, folder = divmod(index, self.spec.folders)
        if user >= self.spec.users:
            return self.after[index - self.spec.users * self.spec.folders]
        userid = userid_of(self.spec, user)
        suffix = self.suffixes[self.nests(user)][folder]
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
            userid = userid_of(self.spec, number).decode()
            if number not in self.named and userid not in members:
                return userid
        return None


def _fields(number: int, acl: bytes) -> bytes:
    """What both records of a mailbox say; the folder's modification sequence counts its grants."""
    born = _EPOCH + number
    return b"P default V %d C 1 F %d M %d A %%(%b)" % (born, (acl.count(b" ") + 1) // 2, born, acl)
