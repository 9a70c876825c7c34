"""What a server keeps beside mailboxes.db and LIST needs: subscriptions, special-use attributes, groups.

Subscriptions are one small database a user, in any cyrusdb format, found in a Cyrus configdirectory
(`user/uuid/x/y/UNIQUEID/sub.db`, `user/b/bob.sub`, `domain/e/example.com/user/b/bob.sub`) or in any
folder of `UNIQUEID.sub.db` and `USERID.sub` files.  A uniqueid is that of the user's INBOX.

Special-use attributes are private annotations in annotations.db; only the owner's own count.
Groups are the server's group file (groups.py).

Source: imap/mboxlist.c mboxlist_opensubs, mboxlist_upgrade_subs; imap/annotate.c.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import struct
from collections.abc import Iterator
from typing import Any, Final

from pyxlist._pxl import lib
from pyxlist.config import Config
from pyxlist.cyrusdb import iter_records, open_source
from pyxlist.errors import SourceError
from pyxlist.index.groups import store_groups
from pyxlist.index.layout import LOOKUP, WHOLE_TABLE
from pyxlist.index.rows import block_at, iter_blocks_of, iter_rows, put_list, remove_list
from pyxlist.index.write import touch
from pyxlist.names import key_from_internal, octets_of, owner_of, text_of

__all__ = ["Companions", "store", "stored_subscription"]

_VERSION_KEY: Final = b"\x1fVER\x1f"
_OWNER: Final = b"[.OwNeR.]"
_ENTRY: Final = b"/specialuse"
_VALUE_LENGTH: Final = struct.Struct(">I4x")

Lists = dict[bytes, tuple[list[tuple[bytes, bytes]], int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Companions:
    """Where they are: a configdirectory or folder of subscriptions, an annotations.db, a group file.

    None leaves what the index has of them.
    """

    subscriptions: str | os.PathLike[str] | None = None
    annotations: str | os.PathLike[str] | None = None
    groups: str | os.PathLike[str] | None = None


def store(txn: Any, tables: dict[str, Any], config: Config, beside: Companions) -> bool:
    """Make the index equal to these companions; whether anything changed.  Mailboxes are already in the
    index: their uniqueids tell whose a file is.
    """
    changed = False
    if beside.subscriptions is not None:
        lists = _read_subscriptions(txn, tables, config, beside.subscriptions)
        changed |= _replace(txn, tables, "subscriptions", lists)
    if beside.annotations is not None:
        changed |= _replace(txn, tables, "specialuse", _read_annotations(txn, tables, config, beside.annotations))
    if beside.groups is not None:
        changed |= store_groups(txn, tables["meta"], config, beside.groups)
    return changed


def _replace(txn: Any, tables: dict[str, Any], table: str, lists: Lists) -> bool:
    """Write the lists that differ, remove those that are gone, and touch their users."""
    old = _stored_lists(txn, tables[table])
    touched = {owner for owner in old.keys() | lists.keys() if old.get(owner) != lists.get(owner)}
    for owner in sorted(touched):
        remove_list(txn, tables[table], owner)
        if owner in lists:
            rows, flags = lists[owner]
            put_list(txn, tables[table], owner, rows, flags)
    touch(txn, tables, (owner[: -len(LOOKUP)] for owner in touched))
    return bool(touched)


def _stored_lists(txn: Any, table: Any) -> Lists:
    lists: Lists = {}
    for key, block in iter_blocks_of(txn, table, b""):
        owner = key[: key.index(LOOKUP) + 1]
        rows, _flags = lists.setdefault(owner, ([], block[0] & lib.PXL_FLAT_ORDER))
        rows.extend(iter_rows(block))
    return lists


# --- subscriptions ---


def _read_subscriptions(txn: Any, tables: dict[str, Any], config: Config, folder: str | os.PathLike[str]) -> Lists:
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise SourceError(
            "no folder of subscriptions", path=root, remedy="give a configdirectory or a folder of *.sub files"
        )
    lists: Lists = {}
    for path in _subscription_files(root):
        userid = _subscriber(txn, tables, config, path)
        if userid is not None and path.stat().st_size:
            rows, flags = _read_subscription_file(path, userid, config)
            if rows:
                lists[octets_of(userid) + LOOKUP] = rows, flags
    return lists


def _subscription_files(root: pathlib.Path) -> Iterator[pathlib.Path]:
    for directory, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            if name == "sub.db" or name.endswith((".sub", ".sub.db")):
                yield pathlib.Path(directory, name)


def _subscriber(txn: Any, tables: dict[str, Any], config: Config, path: pathlib.Path) -> str | None:
    """Whose file it is: the owner of the INBOX with that uniqueid, or the userid in the name."""
    stem = path.parent.name if path.name == "sub.db" else path.name.removesuffix(".db").removesuffix(".sub")
    key = _key_of_uniqueid(txn, tables, octets_of(stem))
    if key is not None:
        return owner_of(key, config)
    if path.name.endswith(".sub.db") or path.name == "sub.db":
        return None
    local = stem.replace("^", ".")
    parts = path.parts
    if "domain" in parts[:-1]:
        return f"{local}@{parts[parts.index('domain') + 2]}"
    return local


def _key_of_uniqueid(txn: Any, tables: dict[str, Any], uniqueid: bytes) -> bytes | None:
    sought = uniqueid + b"\x00"
    with txn.cursor(db=tables["uniqueids"]) as cursor:
        block = block_at(cursor, WHOLE_TABLE, sought)
        while block is not None:
            for row, _payload in iter_rows(block):
                if row.startswith(sought):
                    return row[len(sought) :]
                if row > sought:
                    return None
            block = cursor.value() if cursor.next() else None
    return None


def _read_subscription_file(path: pathlib.Path, userid: str, config: Config) -> tuple[list[tuple[bytes, bytes]], int]:
    """Rows in stored form, and PXL_FLAT_ORDER for a flat file: it sorts dots below every other octet."""
    with open_source(path) as (_reader, header):
        flat = header.format == "flat"
    keys = [key for key, _value in iter_records(path)]
    if _VERSION_KEY in keys:
        names = [key[1:] for key in keys if key.startswith(b"N")]
    else:
        names = [stored_subscription(key_from_internal(text_of(key)), userid, config) for key in keys]
    if flat:
        names = [name.replace(b".", b"\x01") for name in names]
    return [
        (name, b"") for name in sorted(set(names)) if 0 < len(name) <= lib.PXL_NAME_MAX
    ], lib.PXL_FLAT_ORDER if flat else 0


def stored_subscription(key: bytes, userid: str, config: Config) -> bytes:
    """A key name as the user's subscriptions keep it: his own tree, by string prefix, is "INBOX...".

    Source: imap/mboxlist.c, mboxlist_dbname_to_key.
    """
    local, at, domain = octets_of(userid).rpartition(b"@")
    inbox = b"user\x1f" + (local if at else domain)
    if at and domain != octets_of(config.defaultdomain):
        inbox = domain + b"\x1d" + inbox
    return b"INBOX" + key[len(inbox) :] if key.startswith(inbox) else key


# --- special-use ---


def _read_annotations(txn: Any, tables: dict[str, Any], config: Config, path: str | os.PathLike[str]) -> Lists:
    lists: Lists = {}
    for key, value in iter_records(path):
        mailbox, _, rest = key.partition(b"\x00")
        entry, _, userid = rest.partition(b"\x00")
        if entry != _ENTRY or len(value) < _VALUE_LENGTH.size:
            continue
        (size,) = _VALUE_LENGTH.unpack_from(value)
        use = value[_VALUE_LENGTH.size : _VALUE_LENGTH.size + size]
        name = _key_of_uniqueid(txn, tables, mailbox) or key_from_internal(text_of(mailbox))
        owner = owner_of(name, config)
        if use and owner is not None and userid.rstrip(b"\x00") in (_OWNER, octets_of(owner)):
            rows, _flags = lists.setdefault(octets_of(owner) + LOOKUP, ([], 0))
            rows.append((name, use))
    for rows, _flags in lists.values():
        rows.sort()
    return lists
