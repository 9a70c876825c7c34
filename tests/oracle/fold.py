r"""From events to rows: one row of memory, and what each event does to it (rules 7, 17 to 22).

No set of names is kept (except for RECURSIVEMATCH), and that is the meaning, not an optimisation: the same
name in two passes, or separated by another row, is printed twice, and \HasChildren goes to the last row only.
All of it was observed from Cyrus 3.6.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .entries import Entry
from .listargs import ListArgs
from .names import View
from .passes import Event, Passes
from .rows import Printer, Row

if TYPE_CHECKING:
    from .world import World


class Listing:
    """One LIST-like command of one view."""

    def __init__(self, world: World, view: View, args: ListArgs) -> None:
        """Nothing is walked yet."""
        self._world = world
        self._view = view
        self._args = args
        self._printer = Printer(world, view, args)
        self._last: Row | None = None
        # RETURN (SUBSCRIBED) compares text forms of names, so it needs all subscriptions in it (rule 17).
        self._subscribed = [
            view.spelling.to_text(view.spelling.from_key(world.subscribed_key(view.userid, stored)))
            for stored in world.subscription_keys(view.userid)
        ]

    def answer(self) -> bytes:
        """All untagged lines."""
        subscribed = "subscribed" in self._args.select
        events = Passes(self._world, self._view, self._canonical_patterns(), subscribed=subscribed)
        if "recursivematch" in self._args.select:
            self._recursive(events)
        else:
            for event in events:
                if subscribed:
                    self._on_subscribed(event)
                else:
                    self._on_listed(event)
        return b"".join(self._printer.lines)

    def _canonical_patterns(self) -> list[bytes]:
        """Reference and pattern joined, one of two adjoining separators dropped (rule 1)."""
        separator = self._view.separator
        joined = []
        for pattern in self._args.patterns:
            reference = self._args.reference
            if self._view.settings.switch("ignorereference") and not pattern.startswith(separator):
                reference = b""
            if reference.endswith(separator) and pattern.startswith(separator):
                reference = reference[:-1]
            joined.append(reference + pattern)
        # Who asks for everything gets the own mailboxes only, if foolstupidclients says so (fact 51).
        stupid = self._view.settings.switch("foolstupidclients") and self._args.form != "EXTENDED"
        if stupid and joined[0] == b"*":
            joined[0] = b"INBOX*"
        return joined

    # --- the last row -------------------------------------------------------------------------------------

    def _below_last(self, event: Event) -> bool:
        """Whether an event shows that the last row has children: its name is below it, or its own again."""
        if not self._last:
            return False
        below = event.external.startswith(self._last.external + self._view.separator)
        return below or (not event.exact and event.external == self._last.external)

    def _flag_last(self, *flags: str) -> None:
        """Sets flags of the last row, if there is one."""
        if self._last:
            self._last.flags.update(flags)

    def _replace_last(self, external: bytes, text: bytes, entry: Entry | None) -> bool:
        """Prints the last row and starts a new one, unless the name is refused.

        Refused are hidden names, the same name again, and ancestors of the last row; then the last row stays.
        """
        if self._hidden(external, text, entry):
            return False
        last = self._last
        if last and (last.external + self._view.separator).startswith(external + self._view.separator):
            return False
        self._flush()
        self._last = Row(external, text, entry)
        return True

    def _flush(self) -> None:
        """Prints the last row, if any, and forgets it."""
        row, self._last = self._last, None
        if row is None:
            return
        if "subscribed" in self._args.returns and "subscribed" not in self._args.select:
            self._add_subscribed_flags(row)
        if "subscribed" not in self._args.select or row.flags & {r"\Subscribed", "CHILDINFO"}:
            self._printer.print(row)

    def _add_subscribed_flags(self, row: Row) -> None:
        r"""RETURN (SUBSCRIBED): is the row's entry subscribed, or something below it? (rule 17)

        For a \NonExistent row, whose entry is another mailbox's, a subscribed entry is no \Subscribed:
        `LIST "" "%" RETURN (SUBSCRIBED)` -> `(\NonExistent \HasChildren) "/" "Other Users"`.
        """
        if row.entry is None:
            return
        for subscribed in self._subscribed:
            if subscribed == row.text:
                row.flags.add("CHILDINFO" if r"\NonExistent" in row.flags else r"\Subscribed")
            elif subscribed.startswith(row.text + b"."):
                row.flags.add("CHILDINFO")

    def _hidden(self, external: bytes, text: bytes, entry: Entry | None) -> bool:
        r"""What users do not see unasked: netnews, intermediates, calendars and the like (rule 9).

        Asked only after the event has flagged the last row, so a hidden child marks its parent \HasChildren
        (rule 8): `LIST "" "Foo%"` -> `(\HasChildren) "/" Foo`, whose only child is a calendar.
        """
        if self._view.admin:
            return False
        if entry and entry.kind == "n":
            return True
        if entry and entry.intermediate and "vendor.fm-include-nonexistent" not in self._args.select:
            return True
        if "vendor.cmu-dav" in self._args.select:
            return False
        # By type, or by the first component below the owner, or of a shared name.
        if entry and entry.kind in tuple("bcaspf"):
            return True
        if entry is None:
            text = self._world.typed_text(self._view, external)
        return self._first_box(text) in self._view.settings.not_mail()

    def _first_box(self, text: bytes) -> bytes:
        """First component below the owner, or of a shared name; empty if there is none."""
        return b"".join(self._view.spelling.from_text(text).boxes[:1])

    # --- LIST without SUBSCRIBED --------------------------------------------------------------------------

    def _on_listed(self, event: Event | None) -> None:
        r"""One event (rule 7): first flag the last row, then replace it.

        A row is therefore \HasChildren if a later candidate of the same pass is below it (rule 8), no matter
        whether the pattern asked for that candidate: `LIST "" INBOX` still tells about its children.
        """
        if event is None:
            self._flag_last_childless()
            self._flush()
            return
        # Deleted mailboxes are for administrators, and for those who may ask for them and do (rule 26).
        asked = "vendor.cmu-include-deleted" in self._args.select
        if event.mailbox.stamp and not self._view.admin and not asked:
            return
        if self._below_last(event):
            self._flag_last(r"\HasChildren")
        else:
            self._flag_last_childless()
        if "vendor.fm-include-nonexistent" in self._args.select:
            self._add_missing_ancestors(event)
        if not self._replace_last(event.external, event.text, event.entry):
            return
        if not event.exact:
            self._flag_last(r"\HasChildren", r"\NonExistent")
        elif event.category == "alt inbox":
            self._flag_last(r"\Noinferiors")

    def _flag_last_childless(self) -> None:
        r"""What follows is not below the last row; \HasChildren set before stays."""
        if self._last and r"\HasChildren" not in self._last.flags:
            self._last.flags.add(r"\HasNoChildren")

    def _add_missing_ancestors(self, event: Event) -> None:
        """vendor.fm-include-nonexistent prints missing ancestors, bypassing pattern and ACL (rule 22).

        Only those whose external name, read as an internal one, is a record of any kind: all of them with the
        separator `.` and no altnamespace, single components with `/`, coincidences with altnamespace.
        """
        assert event.entry
        if "vendor.cmu-dav" not in self._args.select and event.entry.kind in tuple("bca"):
            return
        last = self._last.external if self._last else None
        if _contains_parent(event.external, last, virtdomains=self._view.settings.virtdomains):
            return
        missing = []
        name = self._world.typed_name(self._view, event.external)
        while name.boxes:
            name = replace(name, boxes=name.boxes[:-1])
            ancestor = self._view.external(name)
            if ancestor is None or (last is not None and _is_prefix(last, ancestor)):
                break
            missing.append(ancestor)
        for ancestor in reversed(missing):  # the topmost first
            entry = self._world.lookup_all(ancestor)
            if entry:
                intermediate = replace(entry, flags=entry.flags + "i")  # so that it says \NonExistent
                self._replace_last(ancestor, self._world.normal_text(ancestor), intermediate)

    # --- LSUB and LIST (SUBSCRIBED) -----------------------------------------------------------------------

    def _on_subscribed(self, event: Event | None) -> None:
        r"""One event over the subscriptions (rules 18 and 19).

        Flags go to whatever is the last row, also if the event's own row was refused: a hidden subscription
        INBOX.#calendars.gone after INBOX makes a live INBOX `(\NonExistent \Subscribed \HasChildren)`.
        """
        if event is None:
            self._flush()
            return
        if self._below_last(event):
            self._flag_last(r"\HasChildren")
        if event.exact:
            found = self._world.lookup(event.text)
            self._replace_last(event.external, self._world.normal_text(event.text), found)
            self._flag_last(r"\Subscribed")
            if found is None:  # missing, tombstone, intermediate or reserved
                self._flag_last(r"\NonExistent")
            if event.category == "alt inbox":
                self._flag_last(r"\Noinferiors")
        elif self._args.form == "LSUB":
            # LSUB mentions unsubscribed ancestors: `LSUB "" "%"` -> `(\Noselect \HasChildren) "/" foo`.
            self._replace_last(event.external, b"", None)
            self._flag_last("CHILDINFO")

    def _recursive(self, events: Passes) -> None:
        r"""(SUBSCRIBED RECURSIVEMATCH): one row a name over all passes, sorted by octets (rule 20).

        A row starts as \NonExistent and only an exact event that finds a live mailbox removes that, so an
        existing unsubscribed parent is called \NonExistent, too.
        """
        rows: dict[bytes, Row] = {}
        # Here hiding goes by name only, and by fewer names (rule 9).
        everything = self._view.admin or "vendor.cmu-dav" in self._args.select
        hidden = set() if everything else self._view.settings.calendar_like()
        for event in events:
            if event is None or self._first_box(event.text) in hidden:
                continue
            row = rows.setdefault(event.external, Row(event.external, flags={r"\NonExistent"}))
            if not event.exact:
                row.flags |= {"CHILDINFO", r"\HasChildren"}
                continue
            row.flags.add(r"\Subscribed")
            found = self._world.lookup(event.text)
            if found:
                row.text, row.entry = self._world.normal_text(event.text), found
                row.flags.discard(r"\NonExistent")
        for external in sorted(rows):
            self._printer.print(rows[external])


def _contains_parent(external: bytes, last: bytes | None, *, virtdomains: bool) -> bool:
    """Whether the last row is the parent of a name or below it, asked with dots whatever the separator.

    So with the separator `/` the parent of `pt.q/c` is taken to be `pt`, and that of `Foo/kid` to be nothing.
    """
    if last is None:
        return False
    domain_size = external.find(b"!") + 1 if virtdomains else 0
    if not external or external[domain_size:] == b"user":
        return True
    dot = external.rfind(b".")
    if dot > domain_size:
        return _is_prefix(last, external[:dot])
    return _is_prefix(last, external[:domain_size] if external[domain_size:] else b"")


def _is_prefix(longer: bytes, shorter: bytes) -> bool:
    """Whether a name is another one or below it, with dots between components."""
    return (longer + b".").startswith(shorter + b".")
