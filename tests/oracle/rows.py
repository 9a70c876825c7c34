r"""One row of a LIST answer: which flags it ends up with, whether it is printed, what follows it.

Decisions are made in a fixed order, because later ones undo earlier ones (observed from Cyrus 3.6.1):

    intermediate -> \NonExistent -> \Noselect unless extended        rule 10
    children flag, if the fold left none                             rule 11
    names that cannot be selected dropped unless there is a reason   rule 12
    LSUB's second meaning of \Noselect                               rule 13
    \Noinferiors against the children flags                          rule 14
    special-use, which may also drop the row                         rule 15
    STATUS and MYRIGHTS lines                                        rule 16
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .entries import Entry
from .listargs import ListArgs
from .names import View
from .tokens import astring

if TYPE_CHECKING:
    from .world import World

# Flags in the order they are printed, whatever the order they were set in (rule 15).
_PRINTED = (
    r"\Noinferiors",
    r"\Noselect",
    r"\NonExistent",
    r"\Subscribed",
    r"\HasChildren",
    r"\HasNoChildren",
)
_CHILDREN = {r"\HasChildren", r"\HasNoChildren"}
_UNSELECTABLE = {r"\NonExistent", r"\Noselect"}


@dataclass
class Row:
    """A name about to be printed.

    `text` (text form) and `entry` are those of its mailbox; a row that is only an ancestor carries those of
    the first mailbox that mentioned it, a subscription to something missing carries none.  `flags` holds IMAP
    flags and CHILDINFO, which is not a flag for clients but is decided together with them.
    """

    external: bytes
    text: bytes = b""
    entry: Entry | None = None
    flags: set[str] = field(default_factory=set)


class Printer:
    """Prints rows of one command; `lines` are complete untagged lines with CRLF."""

    def __init__(self, world: World, view: View, args: ListArgs) -> None:
        """`args` decides the form of the answer and what goes into it."""
        self._world = world
        self._view = view
        self._args = args
        self.lines: list[bytes] = []

    def print(self, row: Row) -> None:
        """Appends the row and what follows it, or nothing if the row is dropped."""
        args, flags = self._args, set(row.flags)
        # Rule 10: only the extended forms know \NonExistent, for the others it is \Noselect (fact 37).
        if row.entry and row.entry.intermediate:
            flags.add(r"\NonExistent")
        if r"\NonExistent" in flags and args.form != "EXTENDED":
            flags = flags - {r"\NonExistent"} | {r"\Noselect"}
        if "children" in args.returns and not flags & _CHILDREN:
            flags.add(self._children_flag(row))
        if not self._kept(flags):
            return
        # Rule 13: in LSUB \Noselect also means "not subscribed, but something below it is".
        if args.form == "LSUB":
            if r"\Subscribed" not in flags and "CHILDINFO" in flags:
                flags |= {r"\Noselect", r"\HasChildren"}
            flags.discard(r"\Subscribed")
        if "recursivematch" not in args.select:
            flags.discard("CHILDINFO")
        # Rule 14: `LIST "" "*"` says (\Noinferiors \HasNoChildren) of "Alt Folders/INBOX", the extended form
        # drops the second flag.
        if r"\Noinferiors" in flags:
            flags.discard(r"\HasChildren")
        if r"\HasChildren" in flags:
            flags.discard(r"\HasNoChildren")
        if args.form == "EXTENDED" and r"\Noinferiors" in flags:
            flags.discard(r"\HasNoChildren")
        special = self._special_use(row)
        if "special-use" in args.select and not special:
            return
        self._print_row(row, flags, special)
        self._print_followers(row, flags)

    def _children_flag(self, row: Row) -> str:
        r"""For rows the fold said nothing about: any live record below counts, whatever its ACL (rule 11).

        So a folder whose only child gives no `l` is \HasNoChildren in LIST and \HasChildren in LIST
        (SUBSCRIBED).
        Under altnamespace INBOX has no children here, although INBOX/sub may exist.
        """
        if self._view.alt and row.external == b"INBOX":
            return r"\HasNoChildren"
        # A row without mailbox is asked about under the name its external name means.
        text = row.text if row.entry else self._world.typed_text(self._view, row.external)
        return r"\HasChildren" if self._world.has_children(text) else r"\HasNoChildren"

    def _kept(self, flags: set[str]) -> bool:
        r"""Names that cannot be selected are mentioned only for a reason (rule 12).

        The extended form was asked for everything; otherwise something must be below, in LSUB something
        subscribed.  A childless intermediate is dropped even for administrators.
        """
        if not flags & _UNSELECTABLE or self._args.form == "EXTENDED":
            return True
        return ("CHILDINFO" if self._args.form == "LSUB" else r"\HasChildren") in flags

    def _special_use(self, row: Row) -> bytes:
        r"""The special-use text of the row's entry, \Inbox only for XLIST not made extended (rule 15).

        An ancestor row has the special-use of the first mailbox that mentioned it:
        `LIST "" "Arch%"` -> `(\Noselect \HasChildren \Sent) "/" Arch`, because Arch/s1 is \Sent.
        """
        args = self._args
        always = self._view.settings.switch("specialusealways")
        if row.entry is None or not (always or args.form == "XLIST" or "special-use" in args.returns):
            return b""
        inbox = self._view.spelling.to_text(self._view.me)
        if row.text == inbox:
            return rb"\Inbox" if args.form == "XLIST" else b""
        # Only the asker's own folders (fact 48).
        if row.text.startswith(inbox + b"."):
            return self._world.special_use(self._view.userid, row.text)
        return b""

    def _print_row(self, row: Row, flags: set[str], special: bytes) -> None:
        """`* LIST (flags) "/" name [(CHILDINFO ("SUBSCRIBED"))]`; extended XLIST prints LIST (rule 2)."""
        verb = {"LSUB": b"LSUB", "XLIST": b"XLIST"}.get(self._args.form, b"LIST")
        words = [flag.encode() for flag in _PRINTED if flag in flags] + ([special] if special else [])
        line = b'* %s (%s) "%s" %s' % (verb, b" ".join(words), self._view.separator, astring(row.external))
        if "CHILDINFO" in flags:
            line += b' (CHILDINFO ("SUBSCRIBED"))'
        self.lines.append(line + b"\r\n")

    def _print_followers(self, row: Row, flags: set[str]) -> None:
        r"""STATUS, then MYRIGHTS, of the row's entry; neither for \Noselect rows nor without one (rule 16).

        \NonExistent rows do get them, from the first mailbox that mentioned the name:
        `LIST "" "%" RETURN (MYRIGHTS)` -> `* MYRIGHTS "Alt Folders" lrswipkxtecdan` (fact 43).
        """
        if r"\Noselect" in flags or row.entry is None:
            return
        if "status" in self._args.returns:
            items = self._world.status(row.entry, self._args.status)
            self.lines.append(b"* STATUS %s (%s)\r\n" % (astring(row.external), items))
        if "myrights" in self._args.returns:
            # No line where the MYRIGHTS command would say NO.
            rights = self._world.rights_of(self._view, row.text, row.entry)
            if rights:
                self.lines.append(b"* MYRIGHTS %s %s\r\n" % (astring(row.external), rights.encode()))
