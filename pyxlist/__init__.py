"""pyxlist: IMAP LIST from an inverted, memory-mapped mailbox list.

    build(source, index_path)     make an index of a Cyrus mailboxes.db, or bring it up to date
    follow(source, index_path)    apply what the server changed since, once or until told to stop
    open(index_path)              -> Index
    Index.view(userid, groups)    -> View: list, respond, rights, state
    Index.lookup, who, verify, check, stat
    Index.write()                 -> Hooks: Cyrus' mboxlist verbs, one transaction
    Index.changes(view, since)    -> Changes: which names appeared, vanished, changed

Names that are not listed in `__all__` may change without notice.
"""

from __future__ import annotations

from pyxlist.acl import Rights
from pyxlist.callbacks import OfMany
from pyxlist.changes import Changes
from pyxlist.command import Answer, View
from pyxlist.config import Config
from pyxlist.entry import Entry, Mbtype
from pyxlist.errors import (
    CommandError,
    CorruptSourceError,
    GapError,
    MailboxError,
    MailboxExists,
    MailboxHasChildren,
    MailboxMissing,
    PyxlistError,
    SourceError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreVersionError,
    UnsupportedSourceError,
)
from pyxlist.follow import FollowReport, follow
from pyxlist.follow.hooks import Hooks
from pyxlist.index.build import BuildReport, build
from pyxlist.index.check import Difference
from pyxlist.index.durability import Durability
from pyxlist.listing import Item
from pyxlist.opened import Index
from pyxlist.opened import open_index as open
from pyxlist.policy import CYRUS, DOVECOT, RFC, Policy

__version__ = "0.1.0"

__all__ = [
    "CYRUS",
    "DOVECOT",
    "RFC",
    "Answer",
    "BuildReport",
    "Changes",
    "CommandError",
    "Config",
    "CorruptSourceError",
    "Difference",
    "Durability",
    "Entry",
    "FollowReport",
    "GapError",
    "Hooks",
    "Index",
    "Item",
    "MailboxError",
    "MailboxExists",
    "MailboxHasChildren",
    "MailboxMissing",
    "Mbtype",
    "OfMany",
    "Policy",
    "PyxlistError",
    "Rights",
    "SourceError",
    "StoreBusyError",
    "StoreDamagedError",
    "StoreError",
    "StoreFullError",
    "StoreVersionError",
    "UnsupportedSourceError",
    "View",
    "build",
    "follow",
    "open",
]
