"""Every exception pyxlist raises on purpose, and nothing else (storey 0: imports nothing of the package).

The tree answers one question for the caller: *who has to act*?

* `SourceError`   what we read (a mailboxes.db, a dump, an imapd.conf) is damaged, unknown or unreadable
* `StoreError`    our own index is unusable as it stands
* `CommandError`  the IMAP client sent something we refuse; the text is ready to be sent back
* `GapError`      the follower missed changes; a build by difference makes the index whole again
* `MailboxError`  a hook was asked for a change that its own preconditions forbid

Absence is never an exception (`None` or an empty iterator), and wrong arguments are `ValueError` or
`TypeError`. All of them survive pickling, because builds may run in a worker process.
"""

from __future__ import annotations

import os
from typing import Any

__all__ = [
    "CommandError",
    "CorruptSourceError",
    "GapError",
    "MailboxError",
    "MailboxExists",
    "MailboxHasChildren",
    "MailboxMissing",
    "PyxlistError",
    "SourceError",
    "StoreBusyError",
    "StoreDamagedError",
    "StoreError",
    "StoreFullError",
    "StoreVersionError",
    "UnsupportedSourceError",
]


class PyxlistError(Exception):
    """Base of all errors of this package; `str()` is one line fit for a log or a terminal."""


class _LocatedError(PyxlistError):
    """An error with a place: what happened, where, what was expected, what was found, what to do about it.

    `path` names the file or directory, `offset` is in octets from its start; `expected` and `got` may be any
    object and are shown with `str()` (text, numbers) or `repr()` (octets).  Parts that are None are left out.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | os.PathLike[str] | None = None,
        offset: int | None = None,
        expected: object | None = None,
        got: object | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = None if path is None else os.fspath(path)
        self.offset = offset
        self.expected = expected
        self.got = got
        self.remedy = remedy

    def __str__(self) -> str:
        where = [] if self.path is None else [_one_line(self.path)]
        where += [] if self.offset is None else [f"offset {self.offset}"]
        found = [
            f"{word} {_one_line(value)}"
            for word, value in (("expected", self.expected), ("got", self.got))
            if value is not None
        ]
        text = ": ".join(filter(None, (", ".join(where), _one_line(self.message))))
        remedy = None if self.remedy is None else _one_line(self.remedy)
        return "; ".join(filter(None, (text, ", ".join(found), remedy)))

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments are invisible to Exception's own pickling, so the state travels beside them.
        return (type(self), (self.message,), dict(self.__dict__))


def _one_line(value: object) -> str:
    """`value` as text without line breaks or control characters, cut before it floods a log."""
    text = repr(value) if isinstance(value, (bytes, bytearray, memoryview)) else str(value)
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text[:400])


class SourceError(_LocatedError):
    """A source (mailboxes.db, dump, subscriptions, annotations, imapd.conf) cannot be used as it is."""


class CorruptSourceError(SourceError):
    """The source claims a known format but its octets contradict it (checksum, length, order, syntax)."""


class UnsupportedSourceError(SourceError):
    """The source is of a format or version this package does not read."""


class StoreError(_LocatedError):
    """The index cannot be used as it is."""


class StoreVersionError(StoreError):
    """The index was written by a release with another layout; `expected` and `got` are versions."""


class StoreDamagedError(StoreError):
    """The index is truncated or its content contradicts itself; rebuild it from the source."""


class StoreFullError(StoreError):
    """The map or the disk has no room left; nothing of the refused transaction was kept."""


class StoreBusyError(StoreError):
    """Another process held the index's writer lock for longer than the caller was willing to wait."""


class CommandError(PyxlistError):
    """The answer to an IMAP command that is refused.

    `status` is ``"BAD"`` (the syntax is wrong) or ``"NO"`` (understood but refused); `text` is what follows
    that word in the tagged line.  `text` has one line, whatever octets the client sent.
    """

    def __init__(self, text: str, status: str = "BAD") -> None:
        super().__init__(text, status)
        self.text = _one_line(text)
        self.status = status

    def __str__(self) -> str:
        return f"{self.status} {self.text}"


class GapError(_LocatedError):
    """The changes since the checkpoint are no longer (all) in the source, so they cannot be applied one by
    one.
    """


class MailboxError(PyxlistError):
    """A hook's precondition does not hold; `name` is the internal name it was called with. Nothing was
    written.
    """

    reason = "cannot be changed"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"mailbox {_one_line(self.name)} {self.reason}"


class MailboxExists(MailboxError):
    """The name a hook wants to create or rename to is already taken."""

    reason = "already exists"


class MailboxMissing(MailboxError):
    """The mailbox a hook wants to change or delete is not there."""

    reason = "does not exist"


class MailboxHasChildren(MailboxError):
    """The mailbox a hook wants to delete still has mailboxes below it."""

    reason = "has children"
