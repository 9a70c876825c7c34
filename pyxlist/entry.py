"""A mailbox understood: `Entry`, its packed form in the directory table, and its form in a dump.

The packed form is written by the C core during a build and by `Entry.pack` when a hook changes one
mailbox; both write the same octets for the same entry, so that a build by difference finds nothing
to do where nothing changed.  Its grammar stands in csrc/pxl.h.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from typing import Any, Final

import msgpack

from pyxlist.names import internal_from_key, text_of

__all__ = ["Entry", "Mbtype"]

_FULL_RIGHTS: Final = "lrswipkxtecdan"


class Mbtype(enum.IntFlag):
    """The type of a mailbox: a class in the low four bits, then flags; Cyrus' own numbers.

    Source: imap/mboxlist.h.
    """

    EMAIL = 0
    NETNEWS = 0x1
    JMAPSUBMIT = 0x2
    JMAPPUSHSUB = 0x3
    SIEVE = 0x5
    COLLECTION = 0x8
    CALENDAR = 0x9
    ADDRESSBOOK = 0xA
    REMOTE = 0x10
    RESERVED = 0x20
    MOVING = 0x40
    TOMBSTONE = 0x80
    INTERMEDIATE = 0x100
    LEGACY_DIRS = 0x200

    @property
    def letters(self) -> str:
        """As mailboxes.db writes it: one letter of class, then flags. Source: mboxlist_mbtype_to_string."""
        flags = "".join(letter for letter, flag in _FLAGS.items() if self & flag)
        return _CLASSES.get(int(self) & _CLASS_MASK, "e") + flags


_NO_MAILBOX: Final = int(Mbtype.TOMBSTONE | Mbtype.INTERMEDIATE)  # as a number: see `_mbtype_of`
_CLASS_MASK: Final = 0xF
_CLASSES: Final = {0x0: "e", 0x1: "n", 0x2: "s", 0x3: "p", 0x5: "f", 0x8: "b", 0x9: "c", 0xA: "a"}
_FLAGS: Final = {
    "d": Mbtype.TOMBSTONE,
    "m": Mbtype.MOVING,
    "r": Mbtype.REMOTE,
    "z": Mbtype.RESERVED,
    "i": Mbtype.INTERMEDIATE,
    "l": Mbtype.LEGACY_DIRS,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What mailboxes.db says of one mailbox.

    `key`       key name, octets
    `acl`       (identifier, rights) pairs in stored order, rights as stored
    `uniqueid`, `partition`, `server`   None where absent
    `uidvalidity`, `createdmodseq`, `foldermodseq`   numbers, 0 where absent; `mtime` in seconds since 1970
    """

    key: bytes
    mbtype: Mbtype = Mbtype.EMAIL
    uniqueid: str | None = None
    partition: str | None = None
    server: str | None = None
    uidvalidity: int = 0
    createdmodseq: int = 0
    foldermodseq: int = 0
    mtime: int = 0
    acl: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Internal name."""
        return internal_from_key(self.key)

    @property
    def is_live(self) -> bool:
        """Neither a tombstone nor an intermediate: a mailbox that can be asked about."""
        return not int(self.mbtype) & _NO_MAILBOX

    @property
    def acl_owner(self) -> str | None:
        """The owner's identifier as ACLs have it, localpart[@domain], whatever the configuration."""
        return _acl_owner(self.key)

    def with_acl(self, acl: tuple[tuple[str, str], ...], foldermodseq: int, mtime: int) -> Entry:
        """This entry with another ACL, set at that time.  Cost: less than half of dataclasses.replace."""
        same = self.mbtype, self.uniqueid, self.partition, self.server, self.uidvalidity, self.createdmodseq
        return Entry(self.key, *same, foldermodseq, mtime, acl)

    @classmethod
    def unpack(cls, key: bytes, row: bytes) -> Entry:
        """The entry of a directory row.  Raises ValueError for octets that are none."""
        try:
            mbtype, rest = _read_varint(row)
            fields = msgpack.unpackb(rest, unicode_errors="surrogateescape")
            uniqueid, partition, server, uidvalidity, created, folder, mtime, flat = fields
            owner = _acl_owner(key)
            names: list[Any] = [owner if name is None else name for name in flat[::2]]
            rights = [_FULL_RIGHTS if text is None else text for text in flat[1::2]]
            acl: tuple[tuple[str, str], ...] = tuple(zip(names, rights, strict=True))
        except (TypeError, ValueError, msgpack.UnpackException) as error:
            raise ValueError(f"not a directory row: {error}") from error
        return cls(key, _mbtype_of(mbtype), uniqueid, partition, server, uidvalidity, created, folder, mtime, acl)

    def pack(self) -> bytes:
        """The directory row of this entry, octet for octet what a build writes."""
        owner = _acl_owner(self.key)
        acl: list[str | None] = []
        for name, rights in self.acl:
            acl += [None if name == owner else name, None if rights == _FULL_RIGHTS else rights]
        fields: list[Any] = [self.uniqueid, self.partition, self.server, self.uidvalidity]
        fields += [self.createdmodseq, self.foldermodseq, self.mtime, acl]
        packed: bytes = msgpack.packb(fields, unicode_errors="surrogateescape")
        return _varint(int(self.mbtype)) + packed

    def as_dump(self) -> dict[str, Any]:
        """The object that `ctl_mboxlist -d` prints for this mailbox, keys in its order.

        `name_history` is always empty there too: Cyrus keeps it in I records, which the dump does not read.
        Source: imap/ctl_mboxlist.c, dump_cb.
        """
        dump: dict[str, Any] = {
            "name": self.name,
            "mtime": str(self.mtime),
            "uidvalidity": str(self.uidvalidity & 0xFFFFFFFF),
            "createdmodseq": str(self.createdmodseq),
            "foldermodseq": str(self.foldermodseq),
            "mbtype": self.mbtype.letters,
            "partition": self.partition,
            "server": self.server,
            "acl": dict(self.acl),
            "uniqueid": self.uniqueid,
            "name_history": [],
        }
        return {name: value for name, value in dump.items() if value is not None}


@functools.lru_cache(maxsize=64)
def _acl_owner(key: bytes) -> str | None:
    """The owner's identifier as ACLs have it, localpart[@domain], whatever the configuration.

    The C core abbreviates by the same rule (pxl_name_owner): it knows no configuration either.
    """
    domain, mark, path = key.partition(b"\x1d")
    if not mark:
        domain, path = b"", key
    if not path.startswith(b"user\x1f"):
        return None
    local = path[5:].partition(b"\x1f")[0]
    if not local:
        return None
    return text_of(local + b"@" + domain if domain else local)


@functools.lru_cache(maxsize=1024)
def _mbtype_of(number: int) -> Mbtype:
    """The same as `Mbtype(number)`: making a flag of a number costs as much as reading the row it stands in."""
    return Mbtype(number)


@functools.lru_cache(maxsize=1024)
def _varint(number: int) -> bytes:
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def _read_varint(octets: bytes) -> tuple[int, bytes]:
    if octets and octets[0] < 0x80:  # nearly always
        return octets[0], octets[1:]
    number = 0
    for position, octet in enumerate(octets[:5]):
        number |= (octet & 0x7F) << (7 * position)
        if not octet & 0x80:
            return number, octets[position + 1 :]
    raise ValueError("not a directory row: its type does not end")
