r"""The four spellings of a mailbox name, and the way from each to each through one structure.

Key name `example.com\x1duser\x1fanna\x1fa.b`, text form `example.com!user.anna.a^b` (Cyrus hands names
around in this form, so what it cannot tell apart is confused everywhere), userid `anna@example.com`, and the
external name, which depends on who asks.  Everything is octets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .settings import Settings


@dataclass(frozen=True)
class Name:
    """A mailbox name taken apart: `owner` is None for shared ones, `domain` None for the default domain.

    `boxes` are the components below the owner (or all of a shared name), `stamp` the deletion time or 0.
    """

    owner: bytes | None = None
    domain: bytes | None = None
    boxes: tuple[bytes, ...] = ()
    stamp: int = 0

    @property
    def userid(self) -> bytes | None:
        """The owner with the domain, unless it is the default one."""
        if self.owner is None or self.domain is None:
            return self.owner
        return self.owner + b"@" + self.domain


def same(left: bytes | None, right: bytes | None) -> bool:
    """Equality as Cyrus asks for it: nothing and the empty string are the same."""
    return (left or b"") == (right or b"")


def split(text: bytes, separator: bytes) -> tuple[bytes, ...]:
    """The components of a name; leading, trailing and doubled separators collapse (rule 27)."""
    return tuple(part for part in text.split(separator) if part)


def hex_stamp(text: bytes) -> int:
    """The leading hexadecimal number of a component, 0 if there is none (C's strtoul)."""
    digits = re.match(rb"\s*([-+]?)(?:0[xX])?([0-9a-fA-F]*)", text)
    if not digits:
        return 0
    value = min(int(digits[2] or b"0", 16), 2**64 - 1)
    return -value % 2**64 if digits[1] == b"-" else value


class Spelling:
    """Conversions that depend on the server's options only, not on who asks."""

    def __init__(self, settings: Settings) -> None:
        """Two options matter: deletedprefix and defaultdomain."""
        self.settings = settings
        self.deleted = settings.text("deletedprefix")

    def domain(self, domain: bytes | None) -> bytes | None:
        """The default domain is never written; an empty domain is not the default one (rule 25)."""
        return None if domain == self.settings.text("defaultdomain") else domain

    def of_userid(self, userid: bytes) -> Name:
        """The name of a user's INBOX."""
        if not userid:
            return Name()
        owner, at, domain = userid.rpartition(b"@")
        return Name(owner, self.domain(domain)) if at else Name(userid)

    def from_key(self, key: bytes) -> Name:
        """A key name without its leading N."""
        domain, separator, rest = key.partition(b"\x1d")
        if not separator:
            return self._structured(None, split(key, b"\x1f"))
        return self._structured(self.domain(domain), split(rest, b"\x1f"))

    def from_text(self, text: bytes) -> Name:
        """The text form: what stands before the first `!` is taken for a domain, `^` for a literal dot."""
        domain, separator, rest = text.partition(b"!")
        boxes = tuple(part.replace(b"^", b".") for part in split(rest if separator else text, b"."))
        return self._structured(self.domain(domain) if separator else None, boxes)

    def _structured(self, domain: bytes | None, boxes: tuple[bytes, ...]) -> Name:
        """Finds the deletion stamp and the owner (rule 26)."""
        stamp = 0
        if len(boxes) > 2 and boxes[0] == self.deleted:
            stamp = hex_stamp(boxes[-1])
            boxes = boxes[1:-1]
        if len(boxes) > 1 and boxes[0] == b"user":
            return Name(boxes[1], domain, boxes[2:], stamp)
        return Name(None, domain, boxes, stamp)

    def _parts(self, name: Name) -> list[bytes]:
        """The components of key name and text form, `DELETED` first and the stamp last for deleted ones."""
        parts = [self.deleted] if name.stamp else []
        if name.owner is not None:
            parts += [b"user", name.owner]
        parts += name.boxes
        if name.stamp:
            parts.append(b"%X" % (name.stamp & 0xFFFFFFFF))
        return parts

    def to_key(self, name: Name) -> bytes:
        """The key name without N."""
        domain = b"" if name.domain is None else name.domain + b"\x1d"
        return domain + b"\x1f".join(self._parts(name))

    def to_text(self, name: Name) -> bytes:
        """The text form."""
        domain = b"" if name.domain is None else name.domain + b"!"
        parts = self._parts(name)
        fixed = 1 if name.stamp else 0  # the DELETED prefix is written as it is
        return domain + b".".join(parts[:fixed] + [part.replace(b".", b"^") for part in parts[fixed:]])


class View:
    """Who asks, and therefore how names look: userid, administrator or not, and the options."""

    def __init__(self, settings: Settings, userid: bytes, *, admin: bool) -> None:
        """`userid` is canonical already: lower case if the server folds it, no default domain."""
        self.spelling = Spelling(settings)
        self.settings = settings
        self.userid = userid
        self.admin = admin
        self.me = self.spelling.of_userid(userid)
        self.separator = settings.separator
        # Administrators always have the view without altnamespace (fact 41).
        self.alt = settings.switch("altnamespace") and not admin
        self.crossdomains = settings.switch("crossdomains") and not admin
        self.admin_domains = settings.virtdomains and admin
        self.other = settings.text("userprefix")
        self.shared = settings.text("sharedprefix")
        self.alternative = settings.text("altprefix")
        self.other_prefix = (self.other if self.alt else b"user") + self.separator
        self.shared_prefix = self.shared + self.separator if self.alt else b""

    def owns(self, name: Name) -> bool:
        """Whether the asker owns the mailbox."""
        return same(name.userid, self.userid)

    def category(self, name: Name) -> str:
        """In which pass of LIST a mailbox belongs (rule 3)."""
        if name.owner is None:
            return "shared"
        if name.stamp:
            return "owner deleted" if self.owns(name) else "other deleted"
        if not self.owns(name):
            return "other"
        if not name.boxes:
            return "inbox"
        return self._own_category(name.boxes) if self.alt else "owner"

    def _own_category(self, boxes: tuple[bytes, ...]) -> str:
        """An own mailbox under altnamespace: below INBOX, special, or ordinary (fact 40).

        `INBOX` exact and other spellings of it, or a namespace's name, go to the alternative folders.
        """
        if boxes[0] == b"INBOX":
            return "alt inbox" if len(boxes) == 1 else "inbox sub"
        if boxes[0].upper() == b"INBOX" or boxes[0] in (self.other, self.shared, self.alternative):
            return "alt prefix"
        return "owner"

    # --- from a name to what the asker sees -------------------------------------------------------------

    def external(self, name: Name) -> bytes | None:
        """The external name, or None if this view has none for it (rule 26)."""
        parts = self._alt_parts(name) if self.alt else self._standard_parts(name)
        if parts is None:
            return None
        text = self.separator.join(parts)
        if self.admin_domains and name.domain is not None:
            text += b"@" + name.domain
        return text

    def _shown(self, component: bytes) -> bytes:
        """A component as shown: under the separator `.` a literal dot is `^` (fact 11)."""
        return component.replace(b".", b"^") if self.separator == b"." else component

    def _with_domain(self, component: bytes, name: Name) -> bytes:
        """The component that carries the domain under crossdomains: the owner or the shared top (fact 50)."""
        shown = self._shown(component)
        own_is_plain = self.settings.switch("crossdomains_onlyother") and same(name.domain, self.me.domain)
        if not self.crossdomains or own_is_plain:
            return shown
        domain = self.settings.text("defaultdomain") if name.domain is None else name.domain
        return shown + b"@" + self._shown(domain)

    def _alt_parts(self, name: Name) -> list[bytes] | None:
        """Components of an external name under altnamespace, where deleted mailboxes have none (rule 26)."""
        if name.stamp or (name.owner is None and not name.boxes):
            return None
        boxes = [self._shown(box) for box in name.boxes]
        if name.owner is None:
            if name.boxes == (b"user",):
                return [self.other]  # a shared mailbox that is called like the other users' root
            return [self.shared, self._with_domain(name.boxes[0], name), *boxes[1:]]
        if not self.owns(name):
            return [self.other, self._with_domain(name.owner, name), *boxes]
        if not boxes:
            return [b"INBOX"]
        if self._own_category(name.boxes) in ("alt inbox", "alt prefix"):
            return [self.alternative, *boxes]
        return boxes

    def _standard_parts(self, name: Name) -> list[bytes] | None:
        """Components of an external name without altnamespace.

        None for a shared top name spelled INBOX in any case, which would be taken for the asker's own, and
        for what is in another domain, except for administrators and with crossdomains (rule 26).
        """
        boxes = [self._shown(box) for box in name.boxes]
        deleted = [self.spelling.deleted] if name.stamp else []
        stamp = [b"%X" % (name.stamp & 0xFFFFFFFF)] if name.stamp else []
        foreign = not self.admin_domains and not same(name.domain, self.me.domain)
        if name.owner is None:
            if not boxes or name.boxes[0].upper() == b"INBOX" or foreign:
                return None
            return deleted + boxes + stamp
        if name.stamp or not self.owns(name):
            if foreign and not self.crossdomains:
                return None
            return [*deleted, b"user", self._with_domain(name.owner, name), *boxes, *stamp]
        return [b"INBOX", *boxes]

    # --- from what the asker typed to a name ------------------------------------------------------------

    def typed(self, text: bytes) -> Name:
        """What an external name means, or a name without owner and boxes if nothing (rule 27).

        Special-use names such as `\\Sent` need the mailboxes, so they are looked up elsewhere.  For an
        administrator with virtdomains what follows the last `@` is the domain, else the name is in his own.
        """
        domain = None if self.crossdomains else self.me.domain
        if self.admin_domains and b"@" in text:
            text, _, typed_domain = text.rpartition(b"@")
            domain = self.spelling.domain(typed_domain)
        boxes = split(text, self.separator)
        # `/` under the separator `.`, and `^` under `/`, name nothing, even if such a record exists.
        forbidden = b"^" if self.separator == b"/" else b"/"
        if any(forbidden in box for box in boxes):
            return Name(None, domain)
        if self.separator == b".":
            boxes = tuple(box.replace(b"^", b".") for box in boxes)
        if not boxes:
            return Name(None, domain)
        return self._typed_alt(boxes, domain) if self.alt else self._typed_standard(boxes, domain)

    def _typed_own(self, boxes: tuple[bytes, ...], domain: bytes | None) -> Name:
        """An own mailbox; under crossdomains the domain has not been looked at yet."""
        return Name(self.me.owner, self.me.domain if self.crossdomains else domain, boxes)

    def _typed_other(self, boxes: tuple[bytes, ...], domain: bytes | None) -> Name:
        """What follows the other users' root; the root alone means nothing."""
        if not boxes:
            return Name(None, domain)
        owner, domain = self._typed_domain(boxes[0], domain)
        return Name(owner, domain, boxes[1:])

    def _typed_domain(self, component: bytes, domain: bytes | None) -> tuple[bytes, bytes | None]:
        """Under crossdomains the component carries its domain; without one it is the default's (rule 25)."""
        if not self.crossdomains:
            return component, domain
        if b"@" in component:
            component, _, typed_domain = component.rpartition(b"@")
            return component, self.spelling.domain(typed_domain)
        return component, self.me.domain if self.settings.switch("crossdomains_onlyother") else None

    def _typed_alt(self, boxes: tuple[bytes, ...], domain: bytes | None) -> Name:
        """Under altnamespace the first component tells the namespace; only INBOX is known in any case."""
        top, below = boxes[0], boxes[1:]
        if top == self.alternative:
            return self._typed_own(below, domain)
        if top == self.other:
            return self._typed_other(below, domain)
        if top == self.shared:
            if not below:
                return Name(None, domain)
            first, domain = self._typed_domain(below[0], domain)
            return Name(None, domain, (first, *below[1:]))
        if top.upper() == b"INBOX":
            return self._typed_own((b"INBOX", *below) if below else (), domain)
        return self._typed_own(boxes, domain)

    def _typed_standard(self, boxes: tuple[bytes, ...], domain: bytes | None) -> Name:
        """Without altnamespace: INBOX, then (administrators only) DELETED, then user, then shared.

        `user` alone means nothing, though LIST may show a shared mailbox of that name (rule 26).
        """
        if boxes[0].upper() == b"INBOX":
            return self._typed_own(boxes[1:], domain)
        stamp = 0
        if self.admin and boxes[0] == self.spelling.deleted:
            stamp = hex_stamp(boxes[-1]) if len(boxes) > 1 else 0
            boxes = boxes[1:-1]
        if boxes and boxes[0] == b"user":
            return replace(self._typed_other(boxes[1:], domain), stamp=stamp)
        if boxes and ((self.settings.virtdomains and not self.admin) or self.crossdomains):
            domain = self.me.domain
        return Name(None, domain, boxes, stamp)
