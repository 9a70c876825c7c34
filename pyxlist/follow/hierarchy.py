"""Where a mailbox stands among the others: its parent, what is missing above it, what a rename means.

Source: imap/mboxlist.c; imap/imapd.c, cmd_create.
"""

from __future__ import annotations

from pyxlist.entry import Entry, Mbtype
from pyxlist.errors import MailboxError, MailboxMissing
from pyxlist.index.transaction import Transaction
from pyxlist.names import MailboxName, internal_from_key, owner_of

__all__ = ["Hierarchy", "ancestors_of", "stands"]


class Hierarchy:
    """The tree of names as one transaction has it."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._config = transaction.config

    def parent(self, key: bytes) -> Entry | None:
        """The nearest ancestor that is a mailbox.  Source: imap/mboxlist.c, mboxlist_findparent."""
        for ancestor in reversed(ancestors_of(key)):
            entry = self._transaction.entry(ancestor)
            if entry is not None and entry.is_live:
                return entry
        return None

    def missing_ancestors(self, key: bytes) -> list[bytes]:
        """Ancestors to create, outermost first: those below the nearest one there is.

        `user.x.INBOX` is never created on the way.  Source: imap/imapd.c, cmd_create.
        """
        name = MailboxName.from_key(key, self._config)
        missing: list[bytes] = []
        for ancestor in reversed(ancestors_of(key)):
            entry = self._transaction.entry(ancestor)
            if entry is not None and entry.is_live:
                break
            missing.insert(0, ancestor)
        else:
            if name.deleted:
                return []
            if name.localpart is not None and name.boxes:
                raise MailboxMissing(internal_from_key(missing[0]))
        magic = name._replace(boxes=(b"INBOX",)).to_key(self._config) if name.localpart is not None else None
        return [ancestor for ancestor in missing if ancestor != magic]

    def renamed_users(self, key: bytes, new_key: bytes, name: str) -> tuple[str, str] | None:
        """Old and new userid of a user rename.  Source: mboxlist_renamemailbox, "RENAME of some user's INBOX"."""
        old, new = MailboxName.from_key(key, self._config), MailboxName.from_key(new_key, self._config)
        if old.localpart is None or old.boxes or old.deleted:
            return None
        if new.deleted:
            return None
        if new.localpart is None or new.boxes:
            raise MailboxError(name)
        return owner_of(key, self._config) or "", owner_of(new_key, self._config) or ""


def stands(entry: Entry) -> bool:
    """Whether it is a mailbox or an intermediate: no tombstone."""
    return not entry.mbtype & Mbtype.TOMBSTONE


def ancestors_of(key: bytes) -> list[bytes]:
    """Key names above one, outermost first; `user` itself is none."""
    domain, mark, path = key.rpartition(b"\x1d")
    parts = path.split(b"\x1f")
    first = 2 if parts[0] == b"user" else 1
    return [domain + mark + b"\x1f".join(parts[:size]) for size in range(first, len(parts))]
