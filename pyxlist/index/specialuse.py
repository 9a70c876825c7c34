"""Special-use attributes of RFC 6154 from an annotations.db in any cyrusdb format.

A record's key is mailbox NUL entry NUL userid NUL, where the mailbox is a uniqueid since 3.6 and an
internal name before, and the userid of the owner is written "[.OwNeR.]" since 3.6.  Its value is a C long in
network order - of eight octets or four, as the server's machine has it -, that many octets, a NUL,
and more.  Attributes are private: only those that a mailbox's owner set are anybody's business.

Source: imap/annotate.c, make_key, split_key, make_entry.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from pyxlist.cyrusdb import iter_records

__all__ = ["OWNER", "SpecialUse", "read_special_uses"]

OWNER: Final = b"[.OwNeR.]"

_ENTRY: Final = b"/specialuse"


class SpecialUse(NamedTuple):
    """One user's attributes of one mailbox: uniqueid or internal name, userid or OWNER, text like rb"\\Sent"."""

    mailbox: bytes
    userid: bytes
    attributes: bytes


def read_special_uses(path: str | os.PathLike[str]) -> Iterator[SpecialUse]:
    """Every special-use annotation, in key order.  Raises SourceError for what is no annotations.db."""
    for key, value in iter_records(path):
        mailbox, _, rest = key.partition(b"\x00")
        entry, _, userid = rest.partition(b"\x00")
        if entry == _ENTRY and mailbox and (attributes := _text_of_value(value)):
            yield SpecialUse(mailbox, userid.rstrip(b"\x00"), attributes)


def _text_of_value(value: bytes) -> bytes:
    """The annotation itself; empty if the value cannot be one.

    htonl() of a long leaves the size in the first four of eight octets on little-endian machines, and
    in the last four on big-endian ones; a long of four octets is just the size.
    """
    head = int.from_bytes(value[:8], "big")
    for size, start in ((head >> 32, 8), (head & 0xFFFFFFFF, 8), (head >> 32, 4)):
        wide = start == 4 or not head >> 32 or not head & 0xFFFFFFFF
        if wide and size and value[start + size : start + size + 1] == b"\x00":
            return value[start : start + size]
    return b""
