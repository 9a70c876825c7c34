"""What a server keeps beside mailboxes.db and LIST needs: subscriptions, special-use attributes, groups.

Whose a subscription file is, and which mailbox an annotation is about, is often only said by a uniqueid:
all that are asked for are looked up in one walk over the index, so three hundred thousand users cost
one pass and not as many searches.  A subscription file that cannot be read stops nothing: it is
logged and counted, and its user keeps what the index has of him.

subscriptions.py, specialuse.py and groups.py read the files themselves.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pyxlist._pxl import lib
from pyxlist.config import Config
from pyxlist.entry import Entry, Mbtype
from pyxlist.errors import SourceError
from pyxlist.index._store import find_row
from pyxlist.index.generations import touch
from pyxlist.index.groups import store_groups
from pyxlist.index.layout import LOOKUP, WHOLE_TABLE
from pyxlist.index.rows import block_at, iter_blocks_of, iter_list, iter_rows, put_list, remove_list
from pyxlist.index.specialuse import OWNER, read_special_uses
from pyxlist.index.subscriptions import SubscriptionFile, find_files, inbox_of, read_file
from pyxlist.names import is_inbox, key_from_internal, octets_of, owner_of, text_of

__all__ = [
    "Companions",
    "Lists",
    "Outcome",
    "files_by_user",
    "key_of_uniqueid",
    "read_annotations",
    "read_lists",
    "replace_lists",
    "store",
]

_FEW: Final = 50  # uniqueids that are cheaper to search one by one than by a walk over all

_log = logging.getLogger("pyxlist")

# owner prefix -> rows, block flags; None: keep what the index has
Lists = dict[bytes, tuple[list[tuple[bytes, bytes]], int] | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Companions:
    """Where they are: a configdirectory or folder of subscriptions, an annotations.db, a group file.

    None leaves what the index has of them.
    """

    subscriptions: str | os.PathLike[str] | None = None
    annotations: str | os.PathLike[str] | None = None
    groups: str | os.PathLike[str] | None = None


@dataclasses.dataclass(slots=True)
class Outcome:
    """What became of them: whether the index changed, how many users have subscriptions and special uses
    (None: not asked), and what was stepped over, by kind.
    """

    changed: bool = False
    subscribers: int | None = None
    special_users: int | None = None
    skipped: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


def store(txn: Any, tables: dict[str, Any], config: Config, beside: Companions) -> Outcome:
    """Make the index equal to these companions.  Mailboxes are already in the index: their uniqueids tell
    whose a file is.  Raises SourceError for a folder or file that was named and cannot be read.
    """
    outcome = Outcome()
    if beside.subscriptions is not None:
        lists = _read_subscriptions(txn, tables, config, beside.subscriptions, outcome)
        outcome.subscribers = sum(new is not None for new in lists.values())
        outcome.changed |= replace_lists(txn, tables, "subscriptions", lists)
    if beside.annotations is not None:
        lists = read_annotations(txn, tables, config, beside.annotations, outcome)
        outcome.special_users = len(lists)
        outcome.changed |= replace_lists(txn, tables, "specialuse", lists)
    if beside.groups is not None:
        outcome.changed |= store_groups(txn, tables["meta"], config, beside.groups)
    return outcome


def replace_lists(txn: Any, tables: dict[str, Any], table: str, lists: Lists, only: Iterable[bytes] = (b"",)) -> bool:
    """Write the lists that differ, remove those that are gone (among owners that begin with one of `only`), and
    touch their users; whether there were any.
    """
    stored = {
        owner: _is_stored(blocks, owner, lists)
        for prefix in only
        for owner, blocks in _stored_lists(txn, tables[table], prefix)
    }
    touched = [owner for owner in stored.keys() | lists.keys() if not stored.get(owner, lists.get(owner, ()) is None)]
    for owner in sorted(touched):
        remove_list(txn, tables[table], owner)
        new = lists.get(owner)
        if new is not None:
            put_list(txn, tables[table], owner, *new)
    touch(txn, tables, (owner[: -len(LOOKUP)] for owner in touched))
    return bool(touched)


def _is_stored(blocks: list[bytes], owner: bytes, lists: Lists) -> bool:
    """Whether the stored blocks of a list say what they should; a list nobody has any more does not."""
    if owner not in lists:
        return False
    new = lists[owner]
    if new is None:
        return True
    rows, flags = new
    if blocks[0][0] & lib.PXL_FLAT_ORDER != flags:
        return False
    return [row for block in blocks for row in iter_rows(block)] == rows


def _stored_lists(txn: Any, table: Any, prefix: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    """(owner prefix, blocks) of every list of a table whose owner prefix begins with `prefix`."""
    keyed = (
        ((prefix + rest)[: (prefix + rest).index(LOOKUP) + 1], block)
        for rest, block in iter_blocks_of(txn, table, prefix)
    )
    for owner, group in itertools.groupby(keyed, key=lambda item: item[0]):
        yield owner, [block for _owner, block in group]


# --- uniqueids ---


def _keys_of_uniqueids(txn: Any, table: Any, wanted: set[bytes]) -> dict[bytes, bytes]:
    """uniqueid -> key name (the first, should there be several) of those that live mailboxes have."""
    found: dict[bytes, bytes] = {}
    if len(wanted) <= _FEW:
        for uniqueid in wanted:
            key = key_of_uniqueid(txn, table, uniqueid)
            found |= {} if key is None else {uniqueid: key}
        return found
    for row, _payload in iter_list(txn, table, WHOLE_TABLE):
        uniqueid, _, key = row.partition(b"\x00")
        if uniqueid in wanted:
            found.setdefault(uniqueid, key)
    return found


def key_of_uniqueid(txn: Any, table: Any, uniqueid: bytes) -> bytes | None:
    """Key name of the live mailbox that has a uniqueid.  Cost: one descent."""
    sought = uniqueid + b"\x00"
    with txn.cursor(db=table) as cursor:
        block = block_at(cursor, WHOLE_TABLE, sought)
        while block is not None:
            for row, _payload in iter_rows(block):
                if row.startswith(sought):
                    return row[len(sought) :]
                if row > sought:
                    return None
            block = cursor.value() if cursor.next() else None
    return None


# --- subscriptions ---


def _read_subscriptions(
    txn: Any, tables: dict[str, Any], config: Config, folder: str | os.PathLike[str], outcome: Outcome
) -> Lists:
    users = files_by_user(txn, tables, config, list(find_files(folder, config)), outcome)
    return read_lists(users, config, outcome)


def read_lists(users: Mapping[str, str], config: Config, outcome: Outcome) -> Lists:
    """The lists of users from their files, userid -> path; what cannot be read is logged and counted."""
    lists: Lists = {}
    for userid, path in sorted(users.items()):
        owner = octets_of(userid) + LOOKUP
        try:
            rows, flags = read_file(path, userid, config)
        except SourceError as error:
            _log.warning("subscriptions of %s are left as they were: %s", userid, error)
            outcome.skipped["unreadable subscription files"] += 1
            lists[owner] = None
            continue
        if rows:
            lists[owner] = rows, flags
    return lists


def files_by_user(
    txn: Any, tables: dict[str, Any], config: Config, files: Iterable[SubscriptionFile], outcome: Outcome
) -> dict[str, str]:
    """userid -> path.

    On a server with uniqueids a user's INBOX decides: of type `l`, or none at all, means the file by name.  In
    other folders a file by name counts unless there is one by uniqueid, too, and the type is another.
    """
    directory, found = tables["directory"], {}
    for file in files:
        if file.userid and not (file.by_inbox and _is_legacy(txn, directory, inbox_of(file.userid, config)) is False):
            found[file.userid] = file.path
    inboxes = _keys_of_uniqueids(txn, tables["uniqueids"], {file.uniqueid for file in files if file.uniqueid})
    for file in files:
        if not file.uniqueid:
            continue
        key = inboxes.get(file.uniqueid)
        userid = None if key is None else owner_of(key, config)
        if key is None or userid is None or not (key == inbox_of(userid, config) or is_inbox(key, config)):
            _log.info("subscriptions of nobody: %s", file.path)
            outcome.skipped["subscription files of unknown users"] += 1
        elif (not file.by_inbox and userid not in found) or not _is_legacy(txn, directory, key):
            found[userid] = file.path
    return found


def _is_legacy(txn: Any, directory: Any, key: bytes) -> bool | None:
    """Whether a mailbox keeps files under its name; None if there is no record of it."""
    row = find_row(txn, directory, WHOLE_TABLE, key)
    return None if row is None else bool(Entry.unpack(key, row).mbtype & Mbtype.LEGACY_DIRS)


# --- special-use ---


def read_annotations(
    txn: Any, tables: dict[str, Any], config: Config, path: str | os.PathLike[str], outcome: Outcome
) -> Lists:
    uses = list(read_special_uses(path))
    mailboxes = _keys_of_uniqueids(txn, tables["uniqueids"], {use.mailbox for use in uses})
    rows: dict[bytes, dict[bytes, bytes]] = collections.defaultdict(dict)
    for use in uses:
        name = mailboxes.get(use.mailbox) or key_from_internal(text_of(use.mailbox))
        owner = owner_of(name, config)
        if owner is None or use.userid not in (OWNER, octets_of(owner)) or len(name) > lib.PXL_NAME_MAX:
            outcome.skipped["special uses of others"] += 1
        else:
            rows[octets_of(owner) + LOOKUP][name] = use.attributes
    return {owner: (sorted(found.items()), 0) for owner, found in rows.items()}
