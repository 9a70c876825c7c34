"""Cyrus' event notifications -> changes of an index: hints, applied where they carry the truth.

An event says which mailbox (mailboxID is the uniqueid), where it is (the URI, in an admin's spelling) and
what its ACL is now, and so can be applied whether or not those before it arrived, and twice.  What an
event does not say is recorded as a wish for a rescan, which a follower or the next build fulfils:

* the children of a renamed mailbox, which are told of only under their old names;
* where a deleted mailbox lives on (a name below DELETED is never told);
* what changed, when nothing we know of did: a special use, for one;
* anything that contradicts what we have, or is older than what we had: something was lost or overtaken.

Of a move to another partition nothing is told at all.

Source: imap/mboxevent.c; facts observed on 3.6.1.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from pyxlist.config import Config
from pyxlist.entry import Entry, Mbtype
from pyxlist.errors import MailboxError
from pyxlist.follow.hooks import Hooks
from pyxlist.follow.uri import mailbox_of_uri
from pyxlist.index.companions import key_of_uniqueid
from pyxlist.index.env import Store
from pyxlist.index.rescan import want_rescan
from pyxlist.index.transaction import Transaction, Writing
from pyxlist.names import internal_from_key, octets_of, owner_of

__all__ = ["Applier", "Event", "read_event"]

_CHANGES: Final = frozenset({"MailboxCreate", "MailboxModseq", "AclChange"})
_KINDS: Final = _CHANGES | {"MailboxDelete", "MailboxRename", "MailboxSubscribe", "MailboxUnSubscribe"}
_REMEMBERED: Final = 100_000
_CLASSES: Final = {
    "n": Mbtype.NETNEWS,
    "s": Mbtype.JMAPSUBMIT,
    "p": Mbtype.JMAPPUSHSUB,
    "f": Mbtype.SIEVE,
    "b": Mbtype.COLLECTION,
    "c": Mbtype.CALENDAR,
    "a": Mbtype.ADDRESSBOOK,
}
_log = logging.getLogger("pyxlist")


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One notification about a mailbox; `acl` is None where none was told, texts are empty."""

    kind: str
    uniqueid: str
    uri: str
    old_uri: str
    user: str
    acl: tuple[tuple[str, str], ...] | None
    mbtype: str
    timestamp: str


def read_event(message: bytes | str) -> Event | None:
    """The event of a JSON text; None for one that is not about a mailbox.  Raises ValueError for what is none."""
    fields = json.loads(message)
    if not isinstance(fields, dict):
        raise ValueError("not an event: no JSON object")
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    if texts.get("event") not in _KINDS or "uri" not in texts:
        return None
    return Event(
        texts["event"],
        texts.get("mailboxID", ""),
        texts["uri"],
        texts.get("oldMailboxID", ""),
        texts.get("user", ""),
        _read_acl(texts.get("vnd.cmu.mailboxACL")),
        texts.get("vnd.cmu.mbtype", ""),
        texts.get("timestamp", ""),
    )


def _read_acl(text: str | None) -> tuple[tuple[str, str], ...] | None:
    """identifier TAB rights TAB ..., as mailboxes.db once had it."""
    if text is None:
        return None
    words = text.split("\t")
    return tuple(zip(words[::2], words[1::2], strict=False))


class Applier:
    """Applies events to an index, in the order they arrive; remembers the newest time of each mailbox."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._newest: OrderedDict[str, str] = OrderedDict()

    def apply(self, events: Iterable[Event]) -> list[str]:
        """Apply events in one transaction; the reasons for a rescan that they gave, which are recorded in it."""
        reasons: list[str] = []
        with Writing(self._store, _Work) as work:
            transaction = work.transaction
            for event in events:
                reason = self._apply(work, event)
                if reason and reason not in reasons:
                    reasons.append(reason)
            transaction.flush()
            for reason in reasons:
                transaction.rows = None  # it is more than rows then
                want_rescan(transaction.txn, transaction.tables, reason)
        return reasons

    def _apply(self, work: _Work, event: Event) -> str:
        try:
            key, uidvalidity = mailbox_of_uri(event.uri, work.config)
            if event.kind in _CHANGES:
                if self._is_overtaken(event):
                    return "an event arrived after a later one"
                return work.change(event, key, uidvalidity)
            return getattr(work, _VERBS[event.kind])(event, key)  # type: ignore[no-any-return]
        except (ValueError, MailboxError) as error:
            _log.info("event %s of %s: %s", event.kind, event.uri, error)
            return f"{event.kind} does not fit what the index has"

    def _is_overtaken(self, event: Event) -> bool:
        newest = self._newest.get(event.uniqueid, "")
        if event.timestamp < newest:
            return True
        self._newest[event.uniqueid] = event.timestamp
        self._newest.move_to_end(event.uniqueid)
        if len(self._newest) > _REMEMBERED:
            self._newest.popitem(last=False)
        return False


_VERBS: Final = {
    "MailboxDelete": "delete",
    "MailboxRename": "rename",
    "MailboxSubscribe": "subscribe",
    "MailboxUnSubscribe": "unsubscribe",
}


class _Work:
    """What each kind of event does in a transaction; returns why a rescan is wanted, or nothing."""

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self._hooks = Hooks(transaction)
        self.config: Config = transaction.config

    def change(self, event: Event, key: bytes, uidvalidity: int) -> str:
        """A mailbox is there and has this ACL."""
        if event.acl is None or not event.uniqueid:
            return f"{event.kind} without an ACL or a mailboxID"
        there, known = self.transaction.entry(key), self._place_of(event.uniqueid)
        if known is not None and known != key:
            if there is not None and there.uniqueid == event.uniqueid:
                return ""  # the old name of a mailbox that has been renamed since
            self._move(known, key)
            return "a mailbox was renamed unnoticed"
        if there is not None and there.is_live and there.uniqueid == event.uniqueid:
            return self._update(event, there, uidvalidity)
        if there is not None and there.uniqueid == event.uniqueid:
            return ""  # a last word on a mailbox that is gone
        self._create(event, key, uidvalidity)
        return "" if there is None or not there.is_live else "a mailbox was replaced unnoticed"

    def _update(self, event: Event, there: Entry, uidvalidity: int) -> str:
        new = dataclasses.replace(there, acl=event.acl or (), uidvalidity=uidvalidity or there.uidvalidity)
        if new != there:
            self._hooks.mboxlist_update(new)
            return ""
        return "something of a mailbox changed that was not told" if event.kind == "MailboxModseq" else ""

    def _create(self, event: Event, key: bytes, uidvalidity: int) -> None:
        mbtype = _CLASSES.get(event.mbtype[:1], Mbtype.EMAIL)
        entry = Entry(key, mbtype, event.uniqueid, self._partition_of(key), None, uidvalidity, acl=event.acl or ())
        self._hooks.mboxlist_update(entry)

    def _partition_of(self, key: bytes) -> str:
        """A new mailbox is put where its parent is."""
        parent, separator, _ = key.rpartition(b"\x1f")
        entry = self.transaction.entry(parent) if separator else None
        return (entry.partition if entry is not None else None) or "default"

    def _place_of(self, uniqueid: str) -> bytes | None:
        self.transaction.flush()
        return key_of_uniqueid(self.transaction.txn, self.transaction.tables["uniqueids"], octets_of(uniqueid))

    def _move(self, key: bytes, new_key: bytes) -> None:
        self._hooks.mboxlist_renamemailbox(internal_from_key(key), internal_from_key(new_key))

    def rename(self, event: Event, key: bytes) -> str:
        """A mailbox has another name; of what is below it nothing is told."""
        old_key, _ = mailbox_of_uri(event.old_uri, self.config)
        known = self._place_of(event.uniqueid) or old_key
        reason = ""
        if known != key:
            below = any(entry.is_live for entry in self.transaction.below(known))
            self._move(known, key)
            reason = "children of a renamed mailbox" if below else ""
        there = self.transaction.entry(key)
        if there is not None and event.acl is not None and not self._is_user_rename(old_key, key):
            self._hooks.mboxlist_update(dataclasses.replace(there, acl=event.acl))
        return reason

    def _is_user_rename(self, old_key: bytes, key: bytes) -> bool:
        """Then the event has the ACL of before; those that follow give the last one."""
        return owner_of(old_key, self.config) != owner_of(key, self.config)

    def delete(self, event: Event, key: bytes) -> str:
        """A mailbox is gone, with all below if it is a user's INBOX."""
        known = self._place_of(event.uniqueid) or key
        there = self.transaction.entry(known)
        if there is not None and there.is_live:
            self._hooks.mboxlist_deletemailbox(internal_from_key(known))
        return "where deleted mailboxes live on"

    def subscribe(self, event: Event, key: bytes) -> str:
        """`user` is the subscriber."""
        self._hooks.mboxlist_changesub(internal_from_key(key), event.user, True, force=True)
        return ""

    def unsubscribe(self, event: Event, key: bytes) -> str:
        self._hooks.mboxlist_changesub(internal_from_key(key), event.user, False)
        return ""
