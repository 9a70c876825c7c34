"""What a server calls when it has changed a mailbox: Cyrus' mboxlist verbs, on one write transaction.

Names are internal names.  A hook records what the server did: whether the user was allowed to is the
server's decision, made before.  Preconditions are the server's own, so a call that the server would
have refused raises MailboxError and writes nothing of its own; calling again with the same arguments
never changes anything more.

Source: imap/mboxlist.c; imap/imapd.c, cmd_create, cmd_delete, cmd_rename.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
import string
import time
from collections.abc import Callable, Iterable
from typing import Final

from pyxlist import acl
from pyxlist.entry import Entry, Mbtype
from pyxlist.errors import MailboxError, MailboxExists, MailboxHasChildren, MailboxMissing
from pyxlist.follow.hierarchy import Hierarchy, stands
from pyxlist.index.subscriptions import stored_subscription
from pyxlist.index.transaction import Transaction
from pyxlist.names import MailboxName, internal_from_key, key_from_internal, octets_of, owner_of, text_of

__all__ = ["Hooks"]

_OWNER_RIGHTS: Final = "lrswipkxtecdan"
_DEFAULT_ACL: Final = (("anyone", "lrs"),)
_DEFAULT_PARTITION: Final = "default"
_NAME_LIMIT: Final = 490  # octets; Source: imap/mailbox.h, MAX_MAILBOX_NAME
# A domain, if there is one; components, none empty; no control characters but those that separate them.
_KEY: Final = re.compile(rb"(?:[\x1d\x1f-\xff]*\x1d)?[\x20-\xff]+(?:\x1f[\x20-\xff]+)*\Z")
_ID_DIGITS: Final = string.digits + string.ascii_lowercase
_FROZEN: Final = Mbtype.MOVING | Mbtype.RESERVED
_NONE: Final = acl.Rights()

Acl = Iterable[tuple[str, str]]


class Hooks:
    """The verbs, on one transaction that becomes visible and durable when its block ends.

    Made by `Index.write`; a change is visible to the verbs after it.  `clock` gives seconds since 1970.
    """

    def __init__(self, transaction: Transaction, clock: Callable[[], float] = time.time) -> None:
        self._transaction = transaction
        self._config = transaction.config
        self._hierarchy = Hierarchy(transaction)
        self._clock = clock

    def lookup(self, name: str) -> Entry | None:
        """The entry as it stands inside this transaction; None if there is no record."""
        return self._transaction.entry(key_from_internal(name))

    # --- create ---

    def mboxlist_createmailbox(
        self,
        name: str,
        acl: Acl | None = None,
        *,
        mbtype: Mbtype = Mbtype.EMAIL,
        uniqueid: str | None = None,
        partition: str | None = None,
        uidvalidity: int = 0,
        createdmodseq: int = 0,
        foldermodseq: int = 0,
    ) -> Entry:
        """Create a mailbox and its missing ancestors; the entry written.

        Without `acl` a mailbox gets its parent's, an INBOX full rights for its owner, and a new shared top
        name `anyone lrs`; without `partition` its parent's.  A tombstone is replaced, by a higher
        uidvalidity; an intermediate keeps its uniqueid.  Where the mailbox stands already with the
        `uniqueid` given nothing happens.
        Raises MailboxExists, MailboxMissing for a user's mailbox without an INBOX, ValueError for a name or
        an ACL no mailbox can have.
        """
        key = self._key(name)
        old = self._transaction.entry(key)
        if old is not None and old.is_live:
            if uniqueid is not None and old.uniqueid == uniqueid:
                return old
            raise MailboxExists(name)
        for ancestor in self._hierarchy.missing_ancestors(key):
            self._create(Entry(ancestor, mbtype & ~_FROZEN, foldermodseq=foldermodseq, partition=partition), None)
        numbers = max(0, uidvalidity), createdmodseq, foldermodseq
        return self._create(Entry(key, mbtype, uniqueid, partition, None, *numbers), acl)

    def _create(self, wanted: Entry, pairs: Acl | None) -> Entry:
        """Write a mailbox where none stands, filling in what is not given."""
        parent, old = self._hierarchy.parent(wanted.key), self._transaction.entry(wanted.key)
        uidvalidity, uniqueid, created = wanted.uidvalidity or self._now(), wanted.uniqueid, wanted.createdmodseq
        if old is not None and old.mbtype & Mbtype.TOMBSTONE and old.uniqueid != uniqueid:
            uidvalidity = max(uidvalidity, old.uidvalidity + 1)
        elif old is not None and old.mbtype & Mbtype.INTERMEDIATE:
            uniqueid, created = uniqueid or old.uniqueid, old.createdmodseq
        entry = dataclasses.replace(
            wanted,
            uniqueid=uniqueid or _new_uniqueid(),
            partition=wanted.partition or (parent and parent.partition) or _DEFAULT_PARTITION,
            uidvalidity=uidvalidity,
            createdmodseq=created,
            mtime=self._now(),
            acl=self._default_acl(wanted.key, parent) if pairs is None else self._checked_acl(pairs),
        )
        self._transaction.put(entry)
        return entry

    def _default_acl(self, key: bytes, parent: Entry | None) -> tuple[tuple[str, str], ...]:
        """Source: imap/mboxlist.c, mboxlist_create_acl."""
        if parent is not None:
            return parent.acl
        owner = owner_of(key, self._config)
        return _DEFAULT_ACL if owner is None else ((owner, _OWNER_RIGHTS),)

    # --- delete ---

    def mboxlist_deletemailbox(self, name: str, *, delayed: bool = False, tombstone: bool = True) -> None:
        """Delete a mailbox; a user's INBOX takes all of the user's mailboxes with it.

        `delayed` keeps it, ACL and all, below DELETED with the time in its name; `tombstone=False` leaves no
        trace of the name.  Mailboxes below DELETED and remote ones never leave a tombstone.
        Raises MailboxMissing (the second call), MailboxHasChildren, and MailboxExists when a mailbox of that
        name has been deleted in the same second.
        """
        key = self._key(name)
        entry = self._standing(key, name)
        parts = MailboxName.from_key(key, self._config)
        is_inbox = parts.localpart is not None and not parts.boxes and not parts.deleted
        if not is_inbox and self._transaction.has_children(key):
            raise MailboxHasChildren(name)
        below = [child for child in self._transaction.below(key) if stands(child)] if is_inbox else []
        for victim in (entry, *below):
            self._delete(victim, delayed and not parts.deleted, tombstone)
        userid = parts.as_read_by_acl(self._config).userid
        if is_inbox and userid is not None:
            self._transaction.move_owned_rows("subscriptions", text_of(userid), None)
            if not delayed:
                self._transaction.move_owned_rows("specialuse", text_of(userid), None)

    def _delete(self, entry: Entry, delayed: bool, tombstone: bool) -> None:
        parts = MailboxName.from_key(entry.key, self._config)
        if delayed and entry.is_live and not entry.mbtype & Mbtype.REMOTE:
            kept = parts._replace(deleted=self._now()).to_key(self._config)
            if self._transaction.entry(kept) is not None:
                raise MailboxExists(internal_from_key(kept))
            self._move(entry, kept, entry.uidvalidity, entry.acl)
        elif tombstone and not parts.deleted and not entry.mbtype & Mbtype.REMOTE:
            self._bury(entry, Mbtype.TOMBSTONE)
            self._move_special_use(entry.key, None)
        else:
            self._transaction.remove(entry.key)
            self._move_special_use(entry.key, None)

    def _bury(self, entry: Entry, mbtype: Mbtype) -> None:
        """Leave a tombstone: no partition, no ACL."""
        grave = dataclasses.replace(entry, mbtype=mbtype, partition=None, server=None, acl=(), mtime=self._now())
        self._transaction.put(grave)

    # --- rename ---

    def mboxlist_renamemailbox(
        self, name: str, new_name: str, *, partition: str | None = None, subscriber: str | None = None
    ) -> None:
        """Rename a mailbox with all that is below it; ACLs, uniqueids and special-use go along.

        The old names become tombstones.  Between two users' INBOXes it renames the user: in the ACLs of the
        moved mailboxes the new userid takes the old one's place, and the subscriptions become his.  Nothing
        below moves when one name lies below the other.  With the same name twice only the partition changes.
        `subscriber` is the userid whose subscription to the mailbox itself goes along.
        Raises MailboxMissing, MailboxExists for any of the new names, MailboxError for an INBOX that would
        become an ordinary mailbox.  The second call changes nothing.
        """
        key, new_key = self._key(name), self._key(new_name)
        if key == new_key:
            self._set_partition(self._standing(key, name), partition)
            return
        if self._is_renamed(key, new_key):
            return
        entry = self._standing(key, name)
        users = self._hierarchy.renamed_users(key, new_key, name)
        moves = [(entry, new_key), *self._moves_below(key, new_key)]
        for _old, target in moves:
            there = self._transaction.entry(target)
            if there is not None and there.is_live:
                raise MailboxExists(internal_from_key(target))
        for old, target in moves:
            self._move(old, target, self._uidvalidity_of(old, target), _renamed_acl(old.acl, users))
        self._fill_in(key)
        self._fill_in(new_key)
        if users is not None:
            self._transaction.move_owned_rows("subscriptions", *users)
        elif subscriber is not None:
            self._move_subscription(name, new_name, subscriber)

    def _is_renamed(self, key: bytes, new_key: bytes) -> bool:
        """The old name's tombstone and the new name are the same mailbox."""
        grave, moved = self._transaction.entry(key), self._transaction.entry(new_key)
        if grave is None or moved is None or not grave.mbtype & Mbtype.TOMBSTONE or not stands(moved):
            return False
        return grave.uniqueid is not None and grave.uniqueid == moved.uniqueid

    def _moves_below(self, key: bytes, new_key: bytes) -> list[tuple[Entry, bytes]]:
        if new_key.startswith(key + b"\x1f") or key.startswith(new_key + b"\x1f"):
            return []
        below = [entry for entry in self._transaction.below(key) if stands(entry)]
        moves = [(entry, new_key + entry.key[len(key) :]) for entry in below]
        for _entry, target in moves:
            self._key(internal_from_key(target))
        return moves

    def _uidvalidity_of(self, old: Entry, target: bytes) -> int:
        """Higher than that of another mailbox that once had the name.  Source: imap/imapd.c, renmbox."""
        grave = self._transaction.entry(target)
        if grave is None or not grave.mbtype & Mbtype.TOMBSTONE or grave.uniqueid == old.uniqueid:
            return old.uidvalidity
        return max(old.uidvalidity, grave.uidvalidity + 1)

    def _move(self, old: Entry, target: bytes, uidvalidity: int, pairs: tuple[tuple[str, str], ...]) -> None:
        self._bury(old, old.mbtype | Mbtype.TOMBSTONE)
        moved = dataclasses.replace(old, key=target, uidvalidity=uidvalidity, acl=pairs, mtime=self._now())
        self._transaction.put(moved)
        self._move_special_use(old.key, target)

    def _set_partition(self, entry: Entry, partition: str | None) -> None:
        if partition is None:
            raise MailboxExists(entry.name)
        if entry.partition != partition:
            self._transaction.put(dataclasses.replace(entry, partition=partition, mtime=self._now()))

    def _fill_in(self, key: bytes) -> None:
        """Create what is missing above a user's mailboxes.

        Source: imap/mboxlist.c, mboxlist_update_intermediaries.
        """
        name = MailboxName.from_key(key, self._config)
        if name.localpart is None or name.deleted:
            return
        boxes = name.boxes
        while boxes and boxes != (b"INBOX",):
            place = name._replace(boxes=boxes).to_key(self._config)
            entry = self._transaction.entry(place)
            if (entry is None or not stands(entry)) and self._transaction.has_children(place):
                self._create(Entry(place), None)
            boxes = boxes[:-1]

    # --- ACL ---

    def mboxlist_setacl(
        self, name: str, identifier: str, rights: str | None, *, userid: str | None = None, foldermodseq: int = 0
    ) -> None:
        """SETACL and DELETEACL: give one identifier these rights.

        `rights` is a client's text: `+` or `-` in front adds or removes, `c` and `d` are expanded, empty or
        None removes the identifier.  A leading `-` of the identifier makes it a denial.  Owners keep their
        implicit rights, and where `userid`, who does it, is the owner, no denial takes them away either.
        Raises MailboxMissing, MailboxError for a mailbox that is moving or reserved, ValueError for a right
        that is none.
        """
        entry = self._changeable(name)
        owner = owner_of(entry.key, self._config)
        identifier = self._without_default_domain(identifier)
        keeps = owner is not None and owner in (identifier, userid)
        pairs = acl.set_grant(
            entry.acl,
            identifier,
            rights or "",
            owner=owner if keeps else None,
            implicit=acl.implicit_rights(self._config) if keeps else _NONE,
            deleteright=self._config.deleteright,
        )
        self._set_acl(entry, pairs, foldermodseq)

    def mboxlist_setacls(self, name: str, acl: Acl, *, foldermodseq: int = 0) -> None:
        """Replace the whole ACL by these pairs, rights as stored.  Raises as `mboxlist_setacl`."""
        self._set_acl(self._changeable(name), self._checked_acl(acl), foldermodseq)

    def _set_acl(self, entry: Entry, pairs: tuple[tuple[str, str], ...], foldermodseq: int) -> None:
        modseq = max(foldermodseq, entry.foldermodseq)
        if pairs != entry.acl or modseq != entry.foldermodseq:
            self._transaction.put(entry.with_acl(pairs, modseq, self._now()))

    def _changeable(self, name: str) -> Entry:
        entry = self._transaction.entry(self._key(name))
        if entry is None or not entry.is_live:
            raise MailboxMissing(name)
        if int(entry.mbtype) & int(_FROZEN):
            raise MailboxError(name)
        return entry

    @staticmethod
    def _checked_acl(pairs: Acl) -> tuple[tuple[str, str], ...]:
        made = tuple((str(identifier), str(rights)) for identifier, rights in pairs)
        if any(not identifier.removeprefix("-") or not rights for identifier, rights in made):
            raise ValueError("an ACL needs identifiers and rights that are not empty")
        return made

    def _without_default_domain(self, identifier: str) -> str:
        local, at, domain = identifier.rpartition("@")
        virtual = self._config.virtdomains != "off" and at and domain == self._config.defaultdomain
        return local if virtual else identifier

    # --- whole entries ---

    def mboxlist_update(self, entry: Entry) -> None:
        """Make the record of `entry.key` this entry, whatever was there; no precondition."""
        self._transaction.put(entry)

    def mboxlist_insertremote(
        self, name: str, server: str, partition: str | None = None, acl: Acl = (), *, mbtype: Mbtype = Mbtype.EMAIL
    ) -> None:
        """A mailbox of another server, as MUPDATE tells of it; replaces what was there."""
        key = self._key(name)
        old = self._transaction.entry(key)
        entry = Entry(key, mbtype | Mbtype.REMOTE, None, partition, server, acl=self._checked_acl(acl))
        if old is None or dataclasses.replace(old, mtime=0) != entry:
            self._transaction.put(dataclasses.replace(entry, mtime=self._now()))

    def mboxlist_deleteremote(self, name: str) -> None:
        """Remove the record of another server's mailbox; nothing happens when there is none.

        Raises MailboxError for a mailbox of this server.
        """
        entry = self._transaction.entry(self._key(name))
        if entry is None:
            return
        if not entry.mbtype & Mbtype.REMOTE:
            raise MailboxError(name)
        self._transaction.remove(entry.key)

    # --- subscriptions and special-use ---

    def mboxlist_changesub(
        self, name: str, userid: str, add: bool, *, groups: Iterable[str] = (), force: bool = False
    ) -> None:
        """Subscribe or unsubscribe a user.

        To subscribe, the mailbox must be there and the user, with these groups, must have `l` on it, unless
        `force`.  Raises MailboxMissing otherwise.
        """
        key = self._key(name)
        if add and not force:
            entry = self._transaction.entry(key)
            policy = acl.CyrusPolicy.from_config(self._config)
            if entry is None or not entry.is_live or "l" not in policy.effective(entry.acl, _asker(userid, groups)):
                raise MailboxMissing(name)
        stored = stored_subscription(key, userid, self._config)
        if self._transaction.subscriptions_are_flat(userid):
            stored = stored.replace(b".", b"\x01")
        self._transaction.change_owned_row("subscriptions", userid, stored, b"" if add else None)

    def mboxlist_setspecialuse(self, name: str, uses: str) -> None:
        r"""Give a user's mailbox RFC 6154 attributes such as `\Sent`, separated by spaces; empty takes them.

        Raises MailboxMissing, ValueError for a mailbox without an owner.
        """
        key = self._key(name)
        entry = self._transaction.entry(key)
        if entry is None or not entry.is_live:
            raise MailboxMissing(name)
        owner = owner_of(key, self._config)
        if owner is None:
            raise ValueError(f"{name!r} has no owner, so it has no special use")
        self._transaction.change_owned_row("specialuse", owner, key, octets_of(uses) or None)

    def _move_special_use(self, key: bytes, target: bytes | None) -> None:
        owner = owner_of(key, self._config)
        uses = None if owner is None else self._transaction.owned_rows("specialuse", owner).get(key)
        if owner is None or uses is None:
            return
        self._transaction.change_owned_row("specialuse", owner, key, None)
        heir = None if target is None else owner_of(target, self._config)
        if target is not None and heir == owner:
            self._transaction.change_owned_row("specialuse", heir, target, uses)

    def _move_subscription(self, name: str, new_name: str, userid: str) -> None:
        stored = stored_subscription(self._key(name), userid, self._config)
        if self._transaction.subscriptions_are_flat(userid):
            stored = stored.replace(b".", b"\x01")
        if stored in self._transaction.owned_rows("subscriptions", userid):
            self.mboxlist_changesub(name, userid, False)
            self.mboxlist_changesub(new_name, userid, True, force=True)

    # --- names and time ---

    def _key(self, name: str) -> bytes:
        """The key name, if a mailbox can have it."""
        key = key_from_internal(name)
        if len(key) > _NAME_LIMIT or not _KEY.match(key):
            raise ValueError(
                f"{name!r} is no internal name: expected components separated by dots, "
                f"none empty, no control characters, at most {_NAME_LIMIT} octets"
            )
        return key

    def _standing(self, key: bytes, name: str) -> Entry:
        """The mailbox or intermediate of a name."""
        entry = self._transaction.entry(key)
        if entry is None or not stands(entry):
            raise MailboxMissing(name)
        return entry

    def _now(self) -> int:
        return int(self._clock())


def _asker(userid: str, groups: Iterable[str]) -> acl.Asker:
    return acl.Asker(userid, tuple(groups))


def _renamed_acl(pairs: tuple[tuple[str, str], ...], users: tuple[str, str] | None) -> tuple[tuple[str, str], ...]:
    """The ACL after a user rename: the new userid gets the old one's rights.  Source: imap/user.c, user_renameacl."""
    if users is None:
        return pairs
    old, new = users
    for identifier, rights in pairs:
        if identifier == old:
            pairs = acl.set_grant(acl.set_grant(pairs, new, rights), old, "")
    return pairs


def _new_uniqueid() -> str:
    """24 characters, as Cyrus 3.6 draws them."""
    return "".join(secrets.choice(_ID_DIGITS) for _ in range(24))
