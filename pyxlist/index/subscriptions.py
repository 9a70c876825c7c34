"""Users' subscriptions: one small cyrusdb file a user, in any format, found below a Cyrus configdirectory.

    user/uuid/x/y/UNIQUEID/sub.db           since 3.6; the uniqueid is that of the user's INBOX
    user/b/bob.sub                          before, and still for an INBOX of type `l`
    domain/e/example.com/user/b/bob.sub     the same in another domain than the default one
    UNIQUEID.sub.db, USERID.sub             in any folder

A server that has files of the first kind looks at one file alone, which the record of the user's INBOX tells: the
second kind for type `l` and for users without INBOX, who keep theirs until they get one, else the first.

The letters between are hashes of the name (fulldirhash only changes which), so they are not looked at.

Generations of content: up to 3.4 a key is an internal name; since 3.6 it is N and a key name, the user's own
tree below "INBOX", and a record of its own tells which (`\\x1fVER\\x1f`: 2 or, from 3.9, 3).

Source: imap/mboxname.c mboxname_conf_getpath; imap/mboxlist.c mboxlist_opensubs, mboxlist_upgrade_subs.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from pyxlist._pxl import lib
from pyxlist.config import Config
from pyxlist.cyrusdb import iter_records_of, open_source
from pyxlist.errors import SourceError
from pyxlist.names import key_from_internal, octets_of, text_of

__all__ = ["SubscriptionFile", "find_files", "inbox_of", "read_file", "stored_subscription"]

_VERSION_KEY: Final = b"\x1fVER\x1f"
_HASHED: Final = ("user", "domain")  # a configdirectory has these; its other folders are none of ours
_INBOX: Final = b"INBOX"


class SubscriptionFile(NamedTuple):
    """Where one is, and whose: the uniqueid of an INBOX, or a userid (the other is empty).

    `by_inbox`   the file counts only if the INBOX's record leads to it: it is a server's that has uniqueids
    """

    path: str
    uniqueid: bytes
    userid: str
    by_inbox: bool = False


def find_files(folder: str | os.PathLike[str], config: Config) -> Iterator[SubscriptionFile]:
    """Every subscription file below a folder that is not empty, in no order.

    Symbolic links to folders are followed (hashed folders are spread over disks that way), each folder
    once.  Raises SourceError when there is no such folder; folders below it that cannot be read are
    passed over.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise SourceError(
            "no folder of subscriptions", path=root, remedy="give a configdirectory or a folder of *.sub files"
        )
    prefix = os.path.join(root, "")
    hashed = [os.path.join(root, name) for name in _HASHED if (root / name).is_dir()]
    by_inbox = (root / "user" / "uuid").is_dir()
    waiting, seen = hashed or [os.fspath(root)], set[tuple[int, int]]()
    while waiting:
        for item in _items_of(waiting.pop()):
            with contextlib.suppress(OSError):  # it may be gone, or not ours to look at
                if item.is_dir():
                    waiting += [item.path] if _is_new(item, seen) else []
                elif item.name.endswith((".sub", "sub.db")) and item.is_file() and item.stat().st_size:
                    for file in _whose(item, item.path[len(prefix) :], config):
                        yield file._replace(by_inbox=by_inbox)


def _is_new(item: os.DirEntry[str], seen: set[tuple[int, int]]) -> bool:
    """Whether a folder is to be entered: a linked one only once."""
    if not item.is_symlink():
        return True
    status = item.stat()
    place = status.st_dev, status.st_ino
    new = place not in seen
    seen.add(place)
    return new


def _items_of(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return list(items)
    except OSError:
        return []


def _whose(item: os.DirEntry[str], relative: str, config: Config) -> Iterator[SubscriptionFile]:
    """What path and name say; nothing for a file that is only called something like it."""
    folders = relative.split(os.sep)[:-1]
    stem, ending, _ = item.name.rpartition(".sub")
    if item.name == "sub.db":
        yield SubscriptionFile(item.path, os.fsencode(os.path.basename(os.path.dirname(item.path))), "")
    elif item.name == stem + ".sub.db":
        yield SubscriptionFile(item.path, os.fsencode(stem), "")
    elif stem and item.name == stem + ending:
        local = text_of(os.fsencode(stem)).replace("^", ".")
        at = folders.index("domain") + 2 if "domain" in folders else len(folders)
        if at < len(folders) and folders[at] != config.defaultdomain:
            local = f"{local}@{text_of(os.fsencode(folders[at]))}"
        yield SubscriptionFile(item.path, b"", local)


def read_file(path: str, userid: str, config: Config) -> tuple[list[tuple[bytes, bytes]], int]:
    """Rows of the user's list, ascending, and PXL_FLAT_ORDER for a flat file: it sorts dots below every
    other octet.  Raises SourceError for a file that cannot be read.
    """
    with open_source(path) as (reader, header):
        flat = header.format == "flat"
        keys = [key for key, _value in iter_records_of(reader, header)]
    if _VERSION_KEY in keys:
        names = [_normal(key[1:], userid, config) for key in keys if key.startswith(b"N")]
    else:
        names = [stored_subscription(key_from_internal(text_of(key)), userid, config) for key in keys]
    if flat:
        names = [name.replace(b".", b"\x01") for name in names]
    rows = [(name, b"") for name in sorted(set(names)) if 0 < len(name) <= lib.PXL_NAME_MAX]
    return rows, lib.PXL_FLAT_ORDER if flat else 0


def _normal(name: bytes, userid: str, config: Config) -> bytes:
    """A stored name of version 3, where only a user's own tree stands below INBOX, as version 2 had it."""
    return name if name.startswith(_INBOX) else stored_subscription(name, userid, config)


def stored_subscription(key: bytes, userid: str, config: Config) -> bytes:
    """A key name as the user's subscriptions keep it: his own tree, by string prefix, is "INBOX...".

    Source: imap/mboxlist.c, mboxlist_dbname_to_key.
    """
    inbox = inbox_of(userid, config)
    return _INBOX + key[len(inbox) :] if key.startswith(inbox) else key


def inbox_of(userid: str, config: Config) -> bytes:
    """Key name of a user's INBOX."""
    local, at, domain = octets_of(userid).rpartition(b"@")
    inbox = b"user\x1f" + (local if at else domain)
    return domain + b"\x1d" + inbox if at and domain != octets_of(config.defaultdomain) else inbox
