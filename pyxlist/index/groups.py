"""Who is in which group: a group file of the server, kept in `meta` as userid -> group names.

An ACL names groups (`group:staff`), never their members.  A server asks its own user database who is in
which; for everybody else, the command line above all, a group file is kept with the index.  Two
forms of line are read, so that `getent group` makes a file, and so does an editor:

    staff:x:50:alice,bob
    staff:alice,bob

Source: group(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

from pyxlist.acl import canonical_userid
from pyxlist.config import Config
from pyxlist.errors import SourceError
from pyxlist.index.layout import pack_meta, unpack_meta

__all__ = ["groups_of", "store_groups"]

_NAME: Final = b"groups"
_FIELDS: Final = (2, 4)
_LINE_LIMIT: Final = 1 << 26  # a group of millions fits; a wrong path (/dev/zero) does not fill the memory


def store_groups(txn: Any, meta: Any, config: Config, path: str | os.PathLike[str]) -> bool:
    """Replace the stored memberships by those of a group file; whether that changed any.

    Members are folded as the server folds userids; what cannot be one is left out, for nobody logs in as it.
    Raises SourceError naming the line for what is no group file.
    """
    found: dict[str, list[str]] = {}
    for group, members in _read_groups(path):
        for member in members:
            try:
                userid = canonical_userid(member, config)
            except ValueError:
                continue
            found.setdefault(userid, []).append(group)
    packed = pack_meta({userid: sorted(set(found[userid])) for userid in sorted(found)})
    if txn.get(_NAME, db=meta) == packed:
        return False
    txn.put(_NAME, packed, db=meta)
    return True


def groups_of(txn: Any, meta: Any, userid: str) -> tuple[str, ...]:
    """Bare names of the groups a canonical userid is in, sorted; empty where none are stored.

    Cost: unpacks the memberships of everybody, 0.1 s for a million.
    """
    raw = txn.get(_NAME, db=meta)
    return () if raw is None else tuple(unpack_meta(raw).get(userid, ()))


def _read_groups(path: str | os.PathLike[str]) -> Iterator[tuple[str, list[str]]]:
    """(group, members as written) of each line that is neither blank nor a comment."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LINE_LIMIT), ""), 1):
                text = line.strip()
                if text and text[0] not in "#+-":  # the latter two are directives of an old name service
                    yield _split(text, number, path)
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", path=path) from error


def _split(line: str, number: int, path: str | os.PathLike[str]) -> tuple[str, list[str]]:
    fields = line.split(":")
    if len(fields) not in _FIELDS or not fields[0] or "\0" in line or len(line) == _LINE_LIMIT:
        raise SourceError(f"line {number}: not a group", path=path, expected="group:member,member", got=repr(line[:80]))
    return fields[0], [member for member in (word.strip() for word in fields[-1].split(",")) if member]
