"""External names: how one view spells mailboxes, and which mailbox it means by a name it types.

The two directions are not inverse functions.  Several typed spellings mean one mailbox (``inbox``,
``INBOX``, doubled separators), and some mailboxes have no external name in a view at all.  Source:
imap/mboxname.c.
"""

from __future__ import annotations

import re
from typing import Final

from pyxlist.acl import canonical_userid
from pyxlist.config import Config
from pyxlist.names import MailboxName, octets_of, owner_of, read_stamp, write_stamp

__all__ = ["Namespace", "is_special_use"]

_INBOX: Final = b"INBOX"
# Octets that no typed name holds: they end C strings or are structure of key names.
_STRUCTURE: Final = re.compile(rb"[\x00\x1d\x1f]")
_DOT_TO_CARET: Final = bytes.maketrans(b".", b"^")


def is_special_use(typed: bytes) -> bool:
    r"""Whether a typed name asks for a mailbox by its RFC 6154 attribute (``\Sent``, in any case)."""
    return typed.startswith(b"\\")


class Namespace:
    """The names of one view: a userid, whether it is an admin, and the server's configuration.

    `userid`        canonical (folded, without the default domain)
    `localpart`     of the userid, octets; `domain` its domain, None for the default one
    `owner_prefix`  key name of the view's own INBOX; own mailboxes start with it and HIERARCHY_SEPARATOR
    `separator`     hierarchy separator of external names, one octet
    `is_alt`        alternate namespace; never for admins
    `crossdomains`  external names of others carry their domain; never for admins
    `lists_own`     False for users whose own mailboxes no LIST shows: the separator is part of their
    userid, or they
                    are admins.  MYRIGHTS and NAMESPACE know these mailboxes all the same.

    Immutable after construction.  Raises ValueError for what is not a userid (see `acl.canonical_userid`).
    """

    __slots__ = (
        "_altprefix",
        "_sharedprefix",
        "_userprefix",
        "config",
        "crossdomains",
        "domain",
        "is_admin",
        "is_alt",
        "lists_own",
        "localpart",
        "owner_prefix",
        "separator",
        "userid",
    )

    def __init__(self, config: Config, userid: str, is_admin: bool | None, groups: tuple[str, ...] = ()) -> None:
        """`userid` as it logged in; `is_admin=None`: decided by the configuration, with these bare group names."""
        self.config = config
        self.userid = canonical_userid(userid, config)
        self.is_admin = is_admin = config.is_admin(self.userid, groups) if is_admin is None else is_admin
        self.is_alt = config.altnamespace and not is_admin
        self.crossdomains = config.crossdomains and not is_admin
        self.separator = config.separator
        self._userprefix = octets_of(config.userprefix)
        self._sharedprefix = octets_of(config.sharedprefix)
        self._altprefix = octets_of(config.altprefix)
        # Even without virtual domains what follows the last "@" is a domain here.
        local, at, domain = octets_of(self.userid).rpartition(b"@")
        self.localpart = local if at else domain
        self.domain = self._proper_domain(domain) if at else None
        self.owner_prefix = MailboxName(self.domain, self.localpart, ()).to_key(config)
        self.lists_own = not is_admin and self.separator not in self._undomained()

    def _undomained(self) -> bytes:
        """The part of the userid in which LIST looks for the separator.

        Source: imap/mboxlist.c, mboxlist_do_find.
        """
        userid = octets_of(self.userid)
        return userid if self.config.virtdomains == "off" else userid.partition(b"@")[0]

    def _proper_domain(self, domain: bytes) -> bytes | None:
        """A domain as key names have it: the default one is left out, an empty one is not."""
        return None if domain == octets_of(self.config.defaultdomain) else domain

    def owns(self, key: bytes) -> bool:
        """Whether the mailbox belongs to the view's user, as far as implicit rights are concerned."""
        return owner_of(key, self.config) == self.userid

    # --- typed name to key name ---

    def key_of(self, typed: bytes) -> bytes | None:
        r"""The key name of the mailbox a client means, whether it exists or not; None if it can mean none.

        ``\Inbox`` is the own INBOX, other special uses are for the caller to look up (`is_special_use`).
        Source: imap/mboxname.c, mbname_from_extname.
        """
        if is_special_use(typed):
            return self.owner_prefix if typed.lower() == b"\\inbox" else None
        if _STRUCTURE.search(typed):
            return None
        name = self._read(typed)
        # Cyrus looks the mailbox up by its internal name, in which "!" ends a domain.
        return name.as_read_by_acl(self.config).to_key(self.config) or None if name else None

    def _read(self, typed: bytes) -> MailboxName | None:
        """The parts of a typed name.  Empty components vanish; each separator forbids the other one's escape.

        With ``/`` a ``^`` names nothing, because Cyrus could not tell it from a dot; with ``.`` a ``/`` names
        nothing, and ``^`` stands for the dot that cannot be typed.
        """
        typed, domain = self._cut_admin_domain(typed)
        boxes = tuple(box for box in typed.split(self.separator) if box)
        if self.config.unixhierarchysep:
            if any(b"^" in box for box in boxes):
                return None
        elif any(b"/" in box for box in boxes):
            return None
        else:
            boxes = tuple(box.replace(b"^", b".") for box in boxes)
        if not boxes:
            return None
        return self._read_alt(boxes) if self.is_alt else self._read_plain(boxes, domain)

    def _cut_admin_domain(self, typed: bytes) -> tuple[bytes, bytes | None]:
        """Path and domain: admins of virtual domains append ``@domain``, everybody else is in the own
        domain.
        """
        if self.is_admin and self.config.virtdomains != "off" and b"@" in typed:
            path, _, domain = typed.rpartition(b"@")
            return path, self._proper_domain(domain)
        return typed, self.domain

    def _read_alt(self, boxes: tuple[bytes, ...]) -> MailboxName | None:
        """Alternate namespace: three prefixes, and everything else is the view's own.

        A bare userprefix or sharedprefix is no mailbox, but a bare altprefix is the INBOX: nothing is left
        of it.
        """
        top, rest = boxes[0], boxes[1:]
        if top in (self._userprefix, self._sharedprefix) and top != self._altprefix:
            if not rest:
                return None
            first, domain = self._cut_cross_domain(rest[0])
            if top == self._userprefix:
                return MailboxName(domain, first, rest[1:])
            return MailboxName(domain, None, (first, *rest[1:]))
        if top == self._altprefix:
            return MailboxName(self.domain, self.localpart, rest)
        if top.upper() == _INBOX:
            # Alone it is the INBOX; with something below, a folder that happens to be called so.
            boxes = (_INBOX, *rest) if rest else ()
        return MailboxName(self.domain, self.localpart, boxes)

    def _read_plain(self, boxes: tuple[bytes, ...], domain: bytes | None) -> MailboxName | None:
        """Standard namespace: ``INBOX/x`` own, ``user/joe/x`` others', the rest shared; admins also type
        DELETED.

        A user's ``DELETED/pub/x/STAMP`` is read as a shared name here and recognised on the way to the key
        name.
        """
        if boxes[0].upper() == _INBOX:
            return MailboxName(domain, self.localpart, boxes[1:])
        deleted = 0
        if self.is_admin and boxes[0] == octets_of(self.config.deletedprefix):
            if len(boxes) == 1:
                return None
            deleted = read_stamp(boxes[-1])
            boxes = boxes[1:-1]
        if boxes[:1] != (b"user",):
            return MailboxName(domain, None, boxes, deleted)
        if len(boxes) == 1:
            return MailboxName(domain, None, (), deleted)
        local = boxes[1]
        if self.crossdomains:
            local, domain = self._cut_cross_domain(local)
        return MailboxName(domain, local, boxes[2:], deleted)

    def _cut_cross_domain(self, box: bytes) -> tuple[bytes, bytes | None]:
        """The component that may carry ``@domain`` for users who see other domains, and its domain."""
        if not self.crossdomains:
            return box, self.domain
        path, at, domain = box.rpartition(b"@")
        if at:
            return path, self._proper_domain(domain)
        return box, self.domain if self.config.crossdomains_onlyother else None

    # --- key name to external name ---

    def external_of(self, key: bytes) -> bytes | None:
        """How this view spells a mailbox, whether or not it may see it; None if it has no spelling.

        Mailboxes of other domains have none without `crossdomains`.  Source: imap/mboxname.c, mbname_extname.
        """
        name = MailboxName.from_key(key, self.config)
        return self._spell_alt(name) if self.is_alt else self._spell_plain(name)

    def _spell_alt(self, name: MailboxName) -> bytes | None:
        """Own names bare, others' and shared ones below their prefixes; deleted mailboxes have no name."""
        if name.deleted:
            return None
        if name.userid == octets_of(self.userid):
            return self._join(*self._own_components(name.boxes))
        if not self.crossdomains and name.domain != self.domain:
            return None
        if name.localpart is not None:
            return self._join(self._userprefix, *self._carry_domain(name.localpart, name.domain, name.boxes))
        if not name.boxes:
            return None
        if name.boxes == (b"user",):
            # A shared mailbox in the place of the root of all users is shown as that root.
            return self._userprefix
        return self._join(self._sharedprefix, *self._carry_domain(name.boxes[0], name.domain, name.boxes[1:]))

    def _own_components(self, boxes: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Own mailboxes stand beside INBOX, and under the alt prefix when their first component is taken."""
        if not boxes:
            return (_INBOX,)
        top = boxes[0]
        if top == _INBOX and len(boxes) > 1:
            return boxes
        taken = top.upper() == _INBOX or top in (self._userprefix, self._sharedprefix, self._altprefix)
        return (self._altprefix, *boxes) if taken else boxes

    def _spell_plain(self, name: MailboxName) -> bytes | None:
        """Names as in `_read_plain`; the domain goes last for admins, on the userid with `crossdomains`.

        Shared mailboxes of other domains have no name even with `crossdomains`, and none has one that would
        read as INBOX.
        """
        names_domains = self.is_admin and self.config.virtdomains != "off"
        own = name.userid == octets_of(self.userid) and not name.deleted
        foreign = not own and not names_domains and name.domain != self.domain
        if foreign and not (self.crossdomains and name.localpart is not None):
            return None
        if own:
            components: tuple[bytes, ...] = (_INBOX, *name.boxes)
        elif name.localpart is not None:
            components = (b"user", *self._carry_domain(name.localpart, name.domain, name.boxes))
        elif name.boxes and name.boxes[0].upper() != _INBOX:
            components = name.boxes
        else:
            return None
        if name.deleted:
            components = (octets_of(self.config.deletedprefix), *components, write_stamp(name.deleted))
        suffix = b"@" + name.domain if names_domains and name.domain is not None else b""
        return self._join(*components) + suffix

    def _carry_domain(self, first: bytes, domain: bytes | None, rest: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Components with ``@domain`` on the first one, where this view is shown domains."""
        if self.crossdomains and not (self.config.crossdomains_onlyother and domain == self.domain):
            first += b"@" + (octets_of(self.config.defaultdomain) if domain is None else domain)
        return (first, *rest)

    def _join(self, *components: bytes) -> bytes:
        """Components with separators between them; literal dots become ``^`` where the dot separates."""
        if self.config.unixhierarchysep:
            return self.separator.join(components)
        return self.separator.join(component.translate(_DOT_TO_CARET) for component in components)

    # --- NAMESPACE ---

    def namespace_line(self, has_inbox: bool) -> bytes:
        """The untagged NAMESPACE answer with CRLF; `has_inbox` says whether the view's INBOX is a live
        record.

        Source: imap/imapd.c, cmd_namespace; RFC 2342.
        """
        config, separator = self.config, self.separator
        own, others, shared = _INBOX + separator, b"user" + separator, b""
        if self.is_alt:
            own, others, shared = b"", self._userprefix + separator, self._sharedprefix + separator
        shown = (
            (own, has_inbox),
            (others, self.is_admin or not config.disable_user_namespace),
            (shared, self.is_admin or not config.disable_shared_namespace),
        )
        parts = (b'(("%s" "%s"))' % (prefix, separator) if show else b"NIL" for prefix, show in shown)
        return b"* NAMESPACE " + b" ".join(parts) + b"\r\n"

    def __repr__(self) -> str:
        return f"Namespace({self.config!r}, {self.userid!r}, is_admin={self.is_admin})"
