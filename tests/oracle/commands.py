"""NAMESPACE, MYRIGHTS, GETACL and LISTRIGHTS (rules 24, 29 to 32; observed from Cyrus 3.6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .acl import PLAIN, canonical_identifier, rights_text
from .entries import Entry
from .listargs import BadCommand
from .names import View
from .tokens import Reader, astring

if TYPE_CHECKING:
    from .world import World

NONEXISTENT = "Mailbox does not exist"
RESERVED = "Mailbox is currently reserved"
MOVING = "Operation is not supported on mailbox"
DENIED = "Permission denied"


class No(Exception):
    """The command is answered NO with this text."""


def namespace(world: World, view: View) -> bytes:
    """Personal only if the userid's INBOX is a live record, admin or not; the others unless switched off.

    Even a user whose userid hides his own mailboxes from LIST (rule 23) is shown a personal namespace.
    """
    separator = view.separator
    shown = [
        (b"" if view.alt else b"INBOX" + separator, world.lookup(view.spelling.to_text(view.me)) is not None),
        (view.other_prefix, view.admin or not world.settings.switch("disable_user_namespace")),
        (view.shared_prefix, view.admin or not world.settings.switch("disable_shared_namespace")),
    ]
    parts = [b'(("%s" "%s"))' % (prefix, separator) if there else b"NIL" for prefix, there in shown]
    return b"* NAMESPACE " + b" ".join(parts) + b"\r\n"


def acl_command(world: World, view: View, verb: str, reader: Reader) -> bytes:
    """Parses the arguments (a mailbox, for LISTRIGHTS an identifier too) and answers.

    Raises BadCommand, and No if the mailbox or the answer is not for the asker.
    """
    name, after = reader.string()
    if after is None or (verb == "Listrights" and after != b" "):
        raise BadCommand(f"Missing required argument to {verb}")
    identifier = b""
    if verb == "Listrights":
        identifier, after = reader.string()
    if after is None or not reader.at_end(after):
        raise BadCommand(f"Unexpected extra arguments to {verb}")
    text = world.typed_text(view, name)
    entry = _selectable(world, view, text)
    if verb == "Myrights":
        return _myrights(world, view, name, text, entry)
    _require_administration(world, view, text, entry)
    if verb == "Getacl":
        return _getacl(name, entry)
    return _listrights(world, view, name, text, identifier)


def _selectable(world: World, view: View, text: bytes) -> Entry:
    """The entry of a typed name, or the NO all three commands have in common (rule 29).

    Reserved is told to everybody, even without any right; moving only to those with `l`.
    """
    entry = world.lookup_all(text)
    if entry and entry.reserved:
        raise No(RESERVED)
    if entry is None or entry.tombstone or entry.intermediate:
        raise No(NONEXISTENT)
    if entry.moving:
        known = view.admin or "l" in world.stored_rights(view.userid, entry)
        raise No(MOVING if known else NONEXISTENT)
    return entry


def _require_administration(world: World, view: View, text: bytes, entry: Entry) -> None:
    """GETACL and LISTRIGHTS are for `a`, the owner (even without any entry), and administrators (rule 30).

    Who has at least `l` learns that the mailbox exists.
    """
    rights = world.stored_rights(view.userid, entry)
    if not ("a" in rights or view.admin or view.owns(view.spelling.from_text(text))):
        raise No(DENIED if "l" in rights else NONEXISTENT)


def _myrights(world: World, view: View, name: bytes, text: bytes, entry: Entry) -> bytes:
    """The name is repeated as it was typed, odd separators and all (rule 27)."""
    rights = world.rights_of(view, world.normal_text(text), entry)
    if not rights:
        raise No(NONEXISTENT)
    return b"* MYRIGHTS %s %s\r\n" % (astring(name), rights.encode())


def _getacl(name: bytes, entry: Entry) -> bytes:
    """Entries in stored order, identifiers and rights as astrings, rights exactly as stored (rule 30)."""
    pairs = [b" " + astring(identifier) + b" " + astring(rights) for identifier, rights in entry.acl]
    return b"* ACL " + astring(name) + b"".join(pairs) + b"\r\n"


def _listrights(world: World, view: View, name: bytes, text: bytes, identifier: bytes) -> bytes:
    """The rights an identifier always has, then every other one alone, in canonical order (rule 31).

    A macro is named where a member is optional: alice on her INBOX `lkxcan r s w i p t e d 0 1 ...`, bob
    there `p l r s w i k x t e c d a n 0 ...`.  A refused identifier gets `""` and nothing else.
    """
    identifier, canonical = _canonify(world, view, identifier)
    mailbox = view.spelling.from_text(text)
    if canonical is None:
        return b'* LISTRIGHTS %s %s ""\r\n' % (astring(name), astring(identifier))
    required: set[str] = set()
    if (mailbox.userid or b"") == canonical:
        required = world.implicit_rights()
    elif mailbox.owner is not None and not mailbox.boxes and not mailbox.stamp:
        required = {"p"}  # anyone may post to an INBOX
    optional = rights_text(set(PLAIN) - required, world.settings)
    words = [rights_text(required, world.settings) or '""', *optional]
    return b"* LISTRIGHTS %s %s %s\r\n" % (astring(name), astring(identifier), " ".join(words).encode())


def _canonify(world: World, view: View, identifier: bytes) -> tuple[bytes, bytes | None]:
    """The identifier as the answer repeats it, and as it is compared; None if it is refused (rule 31)."""
    settings = world.settings
    canonical = canonical_identifier(identifier, settings)
    if world.is_admin(b"anonymous" if canonical is None else canonical):
        return identifier, identifier  # administrators are not given a domain
    local, domain = identifier, None
    if settings.virtdomains:
        # `%` is another way to write `@`, and the answer shows the latter.
        at = identifier.rfind(b"@") if b"@" in identifier else identifier.rfind(b"%")
        if at >= 0:
            local, domain = identifier[:at], identifier[at + 1 :]
            identifier = local + b"@" + domain
    if local.lower() == b"anonymous":
        return identifier, b"anonymous"
    if local.lower() in (b"anyone", b"anybody"):
        return identifier, b"anyone"
    if domain is not None and domain.lower() == settings.text("defaultdomain").lower():
        return local, canonical_identifier(local, settings)  # the default domain is cut off, also in print
    if settings.virtdomains and domain is None and b"@" in view.userid:
        # The asker's domain is appended to everything else, groups included, cut at 80 octets.
        asked = identifier + b"@" + view.userid.rpartition(b"@")[2]
        return identifier, canonical_identifier(asked[:80], settings)
    return identifier, canonical_identifier(identifier, settings)
