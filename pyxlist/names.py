"""Names of mailboxes: key names and internal names, and what a name says about owner and place.

* key name, octets: ``example.com\\x1duser\\x1fcarol.ann\\x1fSent``, as in mailboxes.db and in the index
* internal name, text: ``example.com!user.carol^ann.Sent``, as Cyrus' tools and hooks spell it
* external name, octets: ``Other Users/carol.ann/Sent``, as one view spells it: `Namespace` in namespace.py

Octets that are not UTF-8 travel through text as surrogates, so nothing is lost on the way back.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pyxlist.config import Config

__all__ = [
    "DOMAIN_SEPARATOR",
    "HIERARCHY_SEPARATOR",
    "MailboxName",
    "internal_from_key",
    "is_inbox",
    "key_from_internal",
    "octets_of",
    "owner_of",
    "text_of",
]

HIERARCHY_SEPARATOR: Final = b"\x1f"
DOMAIN_SEPARATOR: Final = b"\x1d"

_DOT_TO_CARET: Final = bytes.maketrans(b".", b"^")
_CARET_TO_DOT: Final = bytes.maketrans(b"^", b".")
_KEY_TO_INTERNAL: Final = bytes.maketrans(b".\x1f", b"^.")
_INTERNAL_TO_KEY: Final = bytes.maketrans(b"^.", b".\x1f")
_PLAIN_OWNER: Final = re.compile(rb"user\x1f([^\x1d\x1f!^]+)(?:\x1f[^\x1d\x1f!^]+)*\Z")  # of most names, at once
_STRTOUL: Final = re.compile(rb"[ \t\n\v\f\r]*([+-]?)(?:0[xX](?=[0-9a-fA-F]))?([0-9a-fA-F]*)")


def octets_of(text: str) -> bytes:
    """The octets that `text_of` turned into this text."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except AttributeError:
        raise TypeError(f"a name is text: expected str, got {type(text).__name__}") from None


def text_of(octets: bytes) -> str:
    """Octets as text, without loss whatever they are."""
    return octets.decode("utf-8", "surrogateescape")


def key_from_internal(internal: str) -> bytes:
    """The key name of an internal name: ``^`` is a literal dot, the first ``!`` ends a domain.

    Source: imap/mboxlist.c, mboxname_to_dbname.
    """
    domain, path = _cut_domain(octets_of(internal), b"!")
    return (b"" if domain is None else domain + DOMAIN_SEPARATOR) + path.translate(_INTERNAL_TO_KEY)


def internal_from_key(key: bytes) -> str:
    """The internal name of a key name.  Source: imap/mboxlist.c, mboxname_from_dbname.

    Not always reversible: after surgery a key name may hold a literal ``^``, or ``!`` and no domain.
    """
    domain, path = _cut_domain(key, DOMAIN_SEPARATOR)
    return text_of((b"" if domain is None else domain + b"!") + path.translate(_KEY_TO_INTERNAL))


class MailboxName(NamedTuple):
    """The parts of a name, all octets without any escaping; the common form all spellings are made from.

    `domain` is None for the default domain; `localpart` is None for shared mailboxes; `boxes` are the
    components below the owner (or of the shared name), empty for an INBOX; `deleted` is the time stamp that
    ends the name of a mailbox whose removal is delayed, else 0.  Source: imap/mboxname.c, struct
    mbname_parts.
    """

    domain: bytes | None
    localpart: bytes | None
    boxes: tuple[bytes, ...]
    deleted: int = 0

    @classmethod
    def from_key(cls, key: bytes, config: Config) -> MailboxName:
        """Read a key name.  Source: imap/mboxlist.c, mbname_from_dbname."""
        domain, path = _cut_domain(key, DOMAIN_SEPARATOR)
        return cls._from_components(domain, path.split(HIERARCHY_SEPARATOR), config)

    @classmethod
    def from_internal(cls, internal: bytes, config: Config) -> MailboxName:
        """Read the octets of an internal name.  Source: imap/mboxname.c, mbname_from_intname."""
        domain, path = _cut_domain(internal, b"!")
        if domain == octets_of(config.defaultdomain):
            domain = None
        return cls._from_components(domain, path.translate(_INTERNAL_TO_KEY).split(HIERARCHY_SEPARATOR), config)

    @classmethod
    def _from_components(cls, domain: bytes | None, split: list[bytes], config: Config) -> MailboxName:
        boxes, deleted, localpart = [box for box in split if box], 0, None
        if len(boxes) > 2 and boxes[0] == octets_of(config.deletedprefix):
            deleted = read_stamp(boxes[-1])
            boxes = boxes[1:-1]
        if len(boxes) > 1 and boxes[0] == b"user":
            localpart = boxes[1]
            boxes = boxes[2:]
        return cls(domain, localpart, tuple(boxes), deleted)

    def to_key(self, config: Config) -> bytes:
        """The key name, empty if there is nothing to name.  Source: imap/mboxlist.c, mbname_dbname."""
        path = HIERARCHY_SEPARATOR.join(self._components(config, self.localpart, self.boxes))
        return path and (b"" if self.domain is None else self.domain + DOMAIN_SEPARATOR) + path

    def to_internal(self, config: Config) -> bytes:
        """The internal name as octets.  Source: imap/mboxname.c, mbname_intname."""
        localpart = None if self.localpart is None else self.localpart.translate(_DOT_TO_CARET)
        boxes = tuple(box.translate(_DOT_TO_CARET) for box in self.boxes)
        path = b".".join(self._components(config, localpart, boxes))
        return path if self.domain is None else self.domain + b"!" + path

    def _components(self, config: Config, localpart: bytes | None, boxes: tuple[bytes, ...]) -> tuple[bytes, ...]:
        user = () if localpart is None else (b"user", localpart)
        if not self.deleted:
            return user + boxes
        return (octets_of(config.deletedprefix), *user, *boxes, write_stamp(self.deleted))

    @property
    def userid(self) -> bytes | None:
        """The owner's userid, without the default domain; None for shared mailboxes."""
        if self.localpart is None or self.domain is None:
            return self.localpart
        return self.localpart + b"@" + self.domain

    def as_read_by_acl(self, config: Config) -> MailboxName:
        """This name after a round trip through the internal name, as every ACL decision of Cyrus sees it.

        It differs only for key names with a literal ``^`` or with ``!`` and no domain: those lose their
        owner.
        """
        return MailboxName.from_internal(self.to_internal(config), config)


def owner_of(key: bytes, config: Config) -> str | None:
    """The userid that owns a mailbox (deleted ones too), without the default domain; None for shared
    mailboxes.

    Source: imap/mboxname.c, mboxname_userownsmailbox.
    """
    plain = _PLAIN_OWNER.match(key)
    if plain is not None and config.deletedprefix != "user":
        return text_of(plain[1])
    name = MailboxName.from_key(key, config)
    if b"!" in key or b"^" in key:
        name = name.as_read_by_acl(config)
    elif name.domain is not None and name.domain == octets_of(config.defaultdomain):
        name = name._replace(domain=None)
    return None if name.userid is None else text_of(name.userid)


def is_inbox(key: bytes, config: Config) -> bool:
    """Whether a mailbox is some user's INBOX.  Source: imap/mboxname.c, mboxname_isusermailbox."""
    name = MailboxName.from_key(key, config).as_read_by_acl(config)
    return name.localpart is not None and not name.deleted and not name.boxes


def _cut_domain(name: bytes, mark: bytes) -> tuple[bytes | None, bytes]:
    """Domain (None without mark) and the rest, cut at the first mark."""
    domain, found, path = name.partition(mark)
    return (domain, path) if found else (None, name)


def read_stamp(octets: bytes) -> int:
    """The hexadecimal stamp of a deleted mailbox as C's strtoul reads it: what is no number is 0."""
    match = _STRTOUL.match(octets)
    if match is None or not match[2]:
        return 0
    value = min(int(match[2], 16), (1 << 64) - 1)
    return -value % (1 << 64) if match[1] == b"-" else value


def write_stamp(deleted: int) -> bytes:
    """A stamp as Cyrus prints it: upper-case hexadecimal of its low 32 bits."""
    return b"%X" % (deleted & 0xFFFFFFFF)
