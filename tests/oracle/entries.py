"""One mailboxes.db value understood: dlist `%(T e A %(...))` or one of the two older text forms.

A dlist string is a bare atom, "quoted", or a literal `{n+}` CRLF octets; an ACL is a list whose keys are
identifiers, so those may be spelled in all three ways as well (fact 14).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_ATOM = re.compile(rb"[^ ()\r\n]+")


@dataclass(frozen=True)
class Entry:
    """What the oracle needs to know of one mailbox.

    `acl` holds (identifier, rights) as stored and in stored order, `kind` is the type letter (e mail, n
    netnews, b collection, c calendar, a address book, s p JMAP, f sieve), `flags` any of d tombstone,
    i intermediate, m moving, r remote, z reserved, l old directories (fact 13).
    """

    acl: tuple[tuple[bytes, bytes], ...] = ()
    kind: str = "e"
    flags: str = ""
    uniqueid: bytes = b""
    uidvalidity: int = 0

    @property
    def tombstone(self) -> bool:
        """Deleted: nobody ever sees it."""
        return "d" in self.flags

    @property
    def intermediate(self) -> bool:
        """A place holder in the hierarchy, not a mailbox."""
        return "i" in self.flags

    @property
    def moving(self) -> bool:
        """On its way to another server."""
        return "m" in self.flags

    @property
    def reserved(self) -> bool:
        """Being made."""
        return "z" in self.flags


def make_entry(acl: str = "", mbtype: str = "e", uniqueid: str = "") -> Entry:
    """An entry from texts, for worlds written by hand: `make_entry("anyone lrs bob l", "ei")`."""
    words = acl.encode().split(b" ") if acl else []
    pairs = tuple(zip(words[::2], words[1::2], strict=True))
    return _entry(pairs, mbtype, uniqueid.encode(), 0)


def read_entry(value: bytes) -> Entry:
    """The entry in one value; raises ValueError if it is none."""
    if value.startswith(b"%"):
        return _read_dlist_entry(value)
    return _read_legacy_entry(value)


def _entry(acl: tuple[tuple[bytes, bytes], ...], mbtype: str, uniqueid: bytes, uidvalidity: int) -> Entry:
    """Type letter and flags are one word; a word that starts with a flag, or is empty, means mail."""
    kind, flags = (mbtype[0], mbtype[1:]) if mbtype[:1] in tuple("abcenps") else ("e", mbtype)
    if "f" in flags:  # sieve is the one type written where a flag is
        kind = "f"
    return Entry(acl, kind, flags.replace("f", ""), uniqueid, uidvalidity)


def _read_dlist_entry(value: bytes) -> Entry:
    """`%(T ei I uniqueid V 12 A %(anyone lrs))`; a missing T means mail, a missing A nobody."""
    fields, _ = _read_value(value, 0)
    found = dict(fields)
    return _entry(
        tuple(found.get(b"A", [])),
        found.get(b"T", b"").decode(),
        found.get(b"I", b""),
        int(found.get(b"V", b"0")),
    )


# A dlist value is a string (bytes) or the list of (key, value) pairs of `%(...)`; in a plain `(...)` the keys
# are empty.  Unknown fields are read and ignored (fact 13).
_Value = Any


def _read_value(text: bytes, at: int) -> tuple[_Value, int]:
    """One dlist value starting at `at`, and the position behind it."""
    if text[at : at + 2] == b"%(":
        return _read_list(text, at + 2, keyed=True)
    if text[at : at + 1] == b"(":
        return _read_list(text, at + 1, keyed=False)
    return _read_string(text, at)


def _read_list(text: bytes, at: int, *, keyed: bool) -> tuple[_Value, int]:
    """The items of a list up to its closing parenthesis."""
    items: list[tuple[bytes, _Value]] = []
    while text[at : at + 1] != b")":
        key = b""
        if keyed:
            key, at = _read_string(text, at)
            at += 1  # the space after the key
        item, at = _read_value(text, at)
        items.append((key, item))
        if text[at : at + 1] == b" ":
            at += 1
    return items, at + 1


def _read_string(text: bytes, at: int) -> tuple[bytes, int]:
    """An atom, a quoted string or a literal; NIL is an ordinary atom here."""
    if text[at : at + 1] == b'"':
        match = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(text, at)
        if not match:
            raise ValueError(f"quoted string without end at {at} of {text!r}")
        return re.sub(rb"\\(.)", rb"\1", match[1], flags=re.DOTALL), match.end()
    literal = re.compile(rb"\{(\d+)\+?\}\r\n").match(text, at)
    if literal:
        end = literal.end() + int(literal[1])
        return text[literal.end() : end], end
    atom = _ATOM.match(text, at)
    if not atom:
        raise ValueError(f"no value at {at} of {text!r}")
    return atom[0], atom.end()


def _read_legacy_entry(value: bytes) -> Entry:
    """`[(name value ...) ]type [server!]partition acl`, the ACL as identifier TAB rights TAB ..."""
    extended = re.compile(rb"\((.*?)\) ").match(value)
    words = extended[1].split(b" ") if extended else []
    extensions = dict(zip(words[::2], words[1::2], strict=False))
    match = re.compile(rb"(\d+) ([^ ]*) ?(.*)", re.DOTALL).fullmatch(value, extended.end() if extended else 0)
    if not match:
        raise ValueError(f"neither a dlist nor an older mailbox entry: {value!r}")
    parts = match[3].split(b"\t")
    acl = tuple(zip(parts[0::2], parts[1::2], strict=False))[: (len(parts) - 1) // 2]
    return Entry(acl, uniqueid=extensions.get(b"uniqueid", b""))
