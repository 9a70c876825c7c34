"""What a mail server keeps beside mailboxes.db, for a made-up one: users' subscriptions and special-use attributes.

    subscriptions/NNN/USERID.sub   a flat cyrusdb file for every user, as Cyrus 3.6 fills it
    annotations.db                 a twoskip file with /specialuse of four users in five

A user is subscribed to most of his own folders, one in eight to a folder that is gone, some to folders of
others and to shared ones, whether they may see them or not.  A subscription names the user's own tree by "INBOX",
so people with the same habits have the same file: some hundred are drawn, and the users' files are links
to them.  Three hundred thousand files would cost more than the rest of the world.

Source: files that Cyrus 3.6.1 wrote; imap/mboxlist.c, mboxlist_dbname_to_key; imap/annotate.c, make_entry.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.mailboxes import BIG_USER, SEPARATOR, Mailbox, World
from benchmarks.spec import skewed, userid_of
from benchmarks.twoskip_writer import random_levels, write_twoskip

__all__ = ["ANNOTATIONS", "SUBSCRIPTIONS", "write_companions"]

SUBSCRIPTIONS: Final = "subscriptions"
ANNOTATIONS: Final = "annotations.db"

_HABITS: Final = 512  # files of a kind of user
_A_FOLDER: Final = 1000  # users whose files share one
_USES: Final = {b"Sent": rb"\Sent", b"Drafts": rb"\Drafts", b"Trash": rb"\Trash", b"Junk": rb"\Junk"}


def write_companions(world: World, folder: Path) -> None:
    """Write both below `folder`, which is made; what stands there already is not looked at.

    Raises: OSError when a file cannot be written, FileExistsError among them.
    """
    _write_subscriptions(world, folder / SUBSCRIPTIONS)
    levels = random_levels(Random(f"{world.spec.seed} annotation levels"))
    write_twoskip(folder / ANNOTATIONS, lambda: _annotations(world), levels)


# --- subscriptions ---


def _write_subscriptions(world: World, folder: Path) -> None:
    users, rng = world.spec.users, Random(f"{world.spec.seed} habits")
    others = [mailbox for mailbox in (*world.before, *world.after) if not mailbox.name.startswith(b"user")]
    drawn = folder / "drawn"
    drawn.mkdir(parents=True)
    for kind, suffixes in enumerate(world.suffixes):
        for number in range(min(_HABITS, users)):
            names = _habit(rng, world, suffixes, others)
            (drawn / f"{kind}-{number}").write_bytes(_flat(names))
    for user in range(users):
        place = folder / f"{user // _A_FOLDER:03}"
        if user % _A_FOLDER == 0:
            place.mkdir(parents=True)
        file = f"{world.nests(user):d}-{rng.randrange(min(_HABITS, users))}"
        os.link(drawn / file, f"{place}/{userid_of(world.spec, user).decode()}.sub")
    if world.spec.big_user:
        own = (b"user", BIG_USER.encode())
        folders = (b"INBOX" + mailbox.name[len(SEPARATOR.join(own)) :] for mailbox in world.of_big_user())
        (folder / f"{BIG_USER}.sub").write_bytes(_flat(folders))


def _habit(rng: Random, world: World, suffixes: Iterable[bytes], others: list[Mailbox]) -> set[bytes]:
    """Stored names that somebody is subscribed to."""
    names = {b"INBOX" + suffix for suffix in suffixes if not suffix or rng.random() < 0.75}
    if rng.random() < 0.125:
        names.add(b"INBOX\x1fGone %d" % rng.randrange(10))
    if rng.random() < 0.3:
        owner = rng.randrange(world.spec.users)
        suffix = rng.choice(world.suffixes[world.nests(owner)])
        names.add(b"user\x1f%b%b" % (userid_of(world.spec, owner), suffix))
    for _ in range(rng.randrange(4) if others else 0):
        names.add(others[skewed(rng, len(others))].name)
    return names


def _flat(names: Iterable[bytes]) -> bytes:
    """A subscription file of version 2.  No name has an octet that flat would escape or sort otherwise."""
    return b"\x1fVER\x1f\t2\n" + b"".join(b"N%b\t\n" % name for name in sorted(names))


# --- special use ---


def _annotations(world: World) -> Iterator[tuple[bytes, bytes]]:
    """Records in order of the ids.  Every folder of the big user has a use, to see what many of them cost."""
    rng = Random(f"{world.spec.seed} uses")
    marked = bytes(rng.random() < 0.8 for _ in range(world.spec.users))
    uses = [[_USES.get(suffix[1:]) for suffix in suffixes] for suffixes in world.suffixes]
    first, folders, big = len(world.before), world.spec.folders, b"user\x1f%b\x1f" % BIG_USER.encode()
    for rank, number in enumerate(world.number_at):
        user, folder = divmod(number - first, folders)
        if 0 <= user < world.spec.users:
            use = uses[world.nests(user)][folder] if marked[user] else None
        else:
            use = rb"\Archive" if world.mailbox(number)[0].startswith(big) else None
        if use:
            yield world.uniqueid(rank) + b"\0/specialuse\0[.OwNeR.]\0", _value(use)


def _value(use: bytes) -> bytes:
    """Size, text, content type, and when it was set (not at all): numbers as a 64-bit machine writes them."""
    return struct.pack(">Ixxxx", len(use)) + use + b"\0text/plain\0" + bytes(16)
