"""The oracle: a slow, obvious reader and evaluator, independent of the package it judges.

It answers LIST and ACL commands the way Cyrus IMAP 3.6.1 was observed to, from a `World` of plain dicts.
"rule n" and "fact n" in the comments number the observations each piece of code implements; the words beside
the number say what was observed.  Speed does not matter here, being right does: every fast path of the
package must agree with it, apart from the two peculiarities `World` can switch off.
"""

from __future__ import annotations

from .entries import Entry, make_entry, read_entry
from .files import (
    OWNER,
    read_annotations,
    read_database,
    read_flat,
    read_skiplist,
    read_subscriptions,
    read_twoskip,
)
from .settings import parse_conf
from .world import World

__all__ = [
    "OWNER",
    "Entry",
    "World",
    "make_entry",
    "parse_conf",
    "read_annotations",
    "read_database",
    "read_entry",
    "read_flat",
    "read_skiplist",
    "read_subscriptions",
    "read_twoskip",
]
