"""The passes of LIST over mailboxes or subscriptions: which names it comes across, in which order (rule 3).

The result is a stream of events and resets.  An event says: "this name matches, because of this mailbox"; it
is exact if the name is the mailbox's whole name.  rows.py turns events into rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .entries import Entry
from .names import Name, View
from .patterns import Pattern

if TYPE_CHECKING:
    from .world import World


@dataclass(frozen=True)
class Event:
    """A matched name; `text` and `entry` are the mailbox's (its text form), absent for subscriptions."""

    external: bytes
    exact: bool
    category: str
    mailbox: Name
    text: bytes = b""
    entry: Entry | None = None


class Passes:
    """One command's walk; `subscribed` walks the asker's subscriptions instead of the mailboxes."""

    def __init__(self, world: World, view: View, patterns: list[bytes], *, subscribed: bool) -> None:
        """`patterns` have the reference in them already."""
        self._world = world
        self._view = view
        self._subscribed = subscribed
        self._patterns = [Pattern(text, view.separator, operators=world.pattern_operators) for text in patterns]
        self._common = _common_prefix(patterns)
        # `...%` and `...*%` alone also report the ancestors they match (rule 6); no pattern list does.
        self._ancestors = len(patterns) == 1 and patterns[0][len(self._common) :] in (b"%", b"*%")
        self._stored = world.subscription_keys(view.userid) if subscribed else world.mailbox_keys()

    def __iter__(self) -> Iterator[Event | None]:
        """Events in order, None for each reset (`|` in rule 3)."""
        view = self._view
        if not view.admin and self._has_personal_namespace():
            yield from self._personal()
        if self._runs(view.other_prefix, "disable_user_namespace"):
            yield None
            yield from self._scan("other", self._other_users_prefix())
        if self._runs(view.shared_prefix, "disable_shared_namespace"):
            yield None
            yield from self._scan("shared", self._domain_prefix())
        yield from self._deleted()
        yield None

    def _has_personal_namespace(self) -> bool:
        """A userid with the hierarchy separator in it has none (rule 23).

        `carol.ann` under the separator `.`: `LIST "" INBOX` -> no rows, though MYRIGHTS INBOX works.
        """
        userid = self._view.userid
        name = userid.partition(b"@")[0] if self._view.settings.virtdomains else userid
        return self._view.separator not in name

    def _domain_prefix(self) -> bytes:
        """Keys of the asker's domain begin with this (rule 25: shared mailboxes of that domain only)."""
        _, at, domain = self._view.userid.partition(b"@")
        return domain + b"\x1d" if at and self._view.settings.virtdomains else b""

    def _inbox(self) -> bytes:
        """Key name of the asker's INBOX, built from the userid as it is."""
        userid = self._view.userid
        name = userid.partition(b"@")[0] if self._view.settings.virtdomains else userid
        return self._domain_prefix() + b"user\x1f" + name

    def _personal(self) -> Iterator[Event | None]:
        """INBOX and the own mailboxes; under altnamespace in five parts (rule 3).

        The resets keep rows apart that only look like parent and child: INBOX and INBOX/sub, then the
        ordinary ones, then the alternative folders with the one called exactly INBOX first.
        """
        inbox = self._inbox()
        yield from self._one("inbox", inbox)
        if self._view.alt:
            yield from self._scan("inbox sub", inbox + b"\x1fINBOX\x1f")
            yield None
        yield from self._scan("owner", inbox + b"\x1f")
        if self._view.alt:
            yield None
            yield from self._one("alt inbox", inbox + b"\x1fINBOX")
            yield from self._scan("alt prefix", inbox + b"\x1f")

    def _deleted(self) -> Iterator[Event | None]:
        """Deleted mailboxes, for users only with allowdeleted."""
        view = self._view
        allowed = view.settings.switch("allowdeleted")
        if allowed and not view.admin and self._has_personal_namespace():
            domain = self._domain_prefix()
            below = self._inbox().removeprefix(domain) + b"\x1f"
            yield None
            yield from self._scan("owner deleted", domain + view.spelling.deleted + b"\x1f" + below)
        if view.admin or (allowed and not view.settings.switch("disable_shared_namespace")):
            yield None
            yield from self._scan("other deleted", self._domain_prefix())

    def _runs(self, namespace: bytes, disabled_by: str) -> bool:
        """Whether the patterns can reach into a namespace (rule 3).

        Literal part and prefix, without its separator, must agree as far as the shorter of them goes.
        """
        if not self._view.admin and self._view.settings.switch(disabled_by):
            return False
        root = namespace[:-1]
        literal = self._literal()
        size = min(len(root), len(literal))
        return root[:size] == literal[:size]

    def _literal(self) -> bytes:
        """The patterns' common literal part, separators as they stand in keys."""
        return self._common.replace(self._view.separator, b"\x1f")

    def _other_users_prefix(self) -> bytes:
        """Where the scan of the other users starts: the literal part in its external spelling (rule 28).

        Under the separator `.` a literal `^` after `user.` is not turned into the dot it stands for, so
        `LIST "" "user.mar^ta"` finds nothing while `user.mar%` shows user.mar^ta.
        """
        if self._view.admin or self._view.settings.switch("crossdomains"):
            return b""
        root_and_separator = len(self._view.other_prefix)
        return self._domain_prefix() + b"user\x1f" + self._literal()[root_and_separator:]

    # --- one record ---------------------------------------------------------------------------------------

    def _one(self, category: str, key: bytes) -> Iterator[Event]:
        """The events of exactly one key."""
        stored = self._stored_key(key)
        if stored in self._stored:
            yield from self._events(category, stored)

    def _scan(self, category: str, prefix: bytes) -> Iterator[Event]:
        """The events of all keys that begin with `prefix`, in the backend's order."""
        stored_prefix = self._stored_key(prefix)
        for stored in self._stored:
            if stored.startswith(stored_prefix):
                yield from self._events(category, stored)

    def _stored_key(self, key: bytes) -> bytes:
        """Subscriptions to what begins with the own INBOX's key are stored as INBOX... (rule 21).

        A string prefix, not a component: mar's subscriptions to marta are stored as `INBOXta`, and the other
        users' pass finds them only if the literal part of the pattern reaches past the own userid.
        """
        inbox = self._view.spelling.to_key(self._view.me)
        if self._subscribed and key.startswith(inbox):
            return b"INBOX" + key[len(inbox) :]
        return key

    def _events(self, category: str, stored: bytes) -> Iterator[Event]:
        """The events one key causes, none if it is no candidate (rule 4).

        A candidate has the category of the pass, an external name, the right domain, and some pattern matches
        it; mailboxes must also be visible, but subscriptions need not even exist.
        """
        view = self._view
        key = self._world.subscribed_key(view.userid, stored) if self._subscribed else stored
        mailbox, own_category, external = self._world.seen_by(view, key)
        if own_category != category or external is None or not self._right_domain(mailbox):
            return
        # The longest match over all patterns decides alone (rule 5).
        length = max((pattern.length(external) for pattern in self._patterns), default=0)
        if not length:
            return
        entry = None
        if not self._subscribed:
            entry = self._world.entries[key]
            if not self._may_list(mailbox, entry):
                return
        text = view.spelling.to_text(mailbox)
        matched = external[:length]
        if self._ancestors:
            for ancestor in _ancestors_of(matched, view.separator):
                if max(pattern.length(ancestor) for pattern in self._patterns) == len(ancestor):
                    yield Event(ancestor, False, category, mailbox, text, entry)
        yield Event(matched, matched == external, category, mailbox, text, entry)

    def _right_domain(self, mailbox: Name) -> bool:
        """Users see their own domain only, unless crossdomains (fact 50)."""
        if self._view.admin or self._view.settings.switch("crossdomains"):
            return True
        return (mailbox.domain or b"") == self._view.userid.partition(b"@")[2]

    def _may_list(self, mailbox: Name, entry: Entry) -> bool:
        """Tombstones: nobody; intermediates: admin and owner; the rest: admin or a stored `l` (rule 4)."""
        if entry.tombstone:
            return False
        if self._view.admin:
            return True
        if entry.intermediate:
            return self._view.owns(mailbox)
        return "l" in self._world.stored_rights(self._view.userid, entry)


def _ancestors_of(name: bytes, separator: bytes) -> list[bytes]:
    """Every shorter run of components, shortest first."""
    return [name[:at] for at in range(len(name)) if name[at : at + 1] == separator]


def _common_prefix(patterns: list[bytes]) -> bytes:
    """What all patterns begin with, up to the first wildcard; `?` ends it too (rule 6)."""
    common = b""
    for at in range(len(patterns[0])):
        octet = patterns[0][at : at + 1]
        if octet in (b"*", b"%", b"?") or any(other[at : at + 1] != octet for other in patterns):
            break
        common += octet
    return common
