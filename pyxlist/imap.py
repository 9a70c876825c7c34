"""The IMAP commands this package answers: their syntax, and only their syntax.

`parse_command` turns the octets of a command (no tag, no CRLF at the end, literals inline as the client sent
them) into a frozen dataclass, or raises CommandError with the text the server answers.  What names and
patterns mean is decided elsewhere.  As liberal and as strict as Cyrus, in whose words refusals are given.

Source: imap/imapd.c, cmdloop and getlistargs; RFC 3501, 4314 (ACL), 5258 (LIST-EXTENDED), 5819
(LIST-STATUS), 6154 (SPECIAL-USE), 8440 (LIST-MYRIGHTS), 9590 (LIST-METADATA).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from pyxlist.errors import CommandError
from pyxlist.tokens import Reader

__all__ = [
    "Command",
    "GetAclCommand",
    "ListCommand",
    "ListRightsCommand",
    "MyRightsCommand",
    "NamespaceCommand",
    "parse_command",
]

# --- commands ---


@dataclasses.dataclass(frozen=True, slots=True)
class ListCommand:
    """LIST and its relatives.

    `verb`        LIST, LSUB, XLIST, RLIST or RLSUB
    `extended`    the RFC 5258 syntax was used: selection options, a pattern list, or RETURN, even empty ones
    `selection`   what is selected, lower case; LSUB implies subscribed, the R verbs remote
    `returns`     what is returned, lower case; includes what the verb and the selection imply
    `reference`   as typed
    `patterns`    as typed; a pattern list is without its empty strings and may itself be empty
    `status_items` and `metadata_items`, in the order typed, as given to RETURN (the former in upper case)
    `metadata_options` of the selection option METADATA, as typed
    """

    verb: str
    extended: bool
    selection: frozenset[str]
    returns: frozenset[str]
    reference: bytes
    patterns: tuple[bytes, ...]
    status_items: tuple[bytes, ...] = ()
    metadata_items: tuple[bytes, ...] = ()
    metadata_options: tuple[bytes, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class NamespaceCommand:
    """NAMESPACE (RFC 2342)."""


@dataclasses.dataclass(frozen=True, slots=True)
class MyRightsCommand:
    """MYRIGHTS; `mailbox` is the external name as typed."""

    mailbox: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class GetAclCommand:
    """GETACL; `mailbox` is the external name as typed."""

    mailbox: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class ListRightsCommand:
    """LISTRIGHTS; `mailbox` and `identifier` as typed."""

    mailbox: bytes
    identifier: bytes


Command = ListCommand | NamespaceCommand | MyRightsCommand | GetAclCommand | ListRightsCommand


def parse_command(octets: bytes, allow_deleted: bool = False) -> Command:
    """The command these octets are; `allow_deleted` is the server's option `allowdeleted`.

    Raises CommandError (status BAD) for whatever is refused, and nothing else whatever the octets are.
    """
    if b"\0" in octets:
        raise CommandError("Invalid NUL in command")
    reader = Reader(octets)
    verb = reader.word().upper()
    if not verb:
        raise CommandError("Null command")
    parse = _PARSERS.get(verb)
    if parse is None:
        raise CommandError("Unrecognized command")
    command = parse(reader, verb.decode("ascii"), allow_deleted)
    if not reader.at_end():
        raise CommandError(f"Unexpected extra arguments to {verb.decode('ascii').capitalize()}")
    return command


# --- LIST ---

# The options Cyrus 3.6 knows; names are compared in lower case.
_SELECTIONS: Final = frozenset(
    {
        b"subscribed",
        b"remote",
        b"recursivematch",
        b"special-use",
        b"metadata",
        b"vendor.cmu-dav",
        b"vendor.fm-include-nonexistent",
    }
)
_INCLUDE_DELETED: Final = b"vendor.cmu-include-deleted"
_RETURNS: Final = frozenset({b"subscribed", b"children", b"myrights", b"special-use", b"status", b"metadata"})
# What selecting something makes the server return as well.
_IMPLIED_RETURNS: Final = frozenset({"subscribed", "special-use", "metadata"})
_STATUS_ITEMS: Final = frozenset(
    b"MESSAGES RECENT UIDNEXT UIDVALIDITY MAILBOXID UNSEEN SIZE HIGHESTMODSEQ CREATEDMODSEQ".split()
)
_BAD_SYNTAX: Final = "Invalid syntax in List command"


def _parse_list(reader: Reader, verb: str, allow_deleted: bool) -> ListCommand:
    """LIST and XLIST, plain or extended.  Source: imap/imapd.c, getlistargs; RFC 5258 section 6."""
    if not reader.skip(b" "):
        raise CommandError(f"Missing required argument to {verb.capitalize()}")
    # Plain LIST rows say whether they have children, so returning that is no extension here.
    implied = {"children"} if verb == "LIST" else {"children", "special-use"}
    selection: frozenset[str] = frozenset()
    options: tuple[bytes, ...] = ()
    has_selection = reader.skip(b"(")
    if has_selection:
        selection, options = _parse_selection(reader, allow_deleted)
        if not reader.skip(b" ") and not reader.at_end():
            raise CommandError(_BAD_SYNTAX)
    reference = reader.astring()
    if reference is None:
        raise CommandError("Missing required argument to List: reference name")
    patterns, is_list = _parse_patterns(reader)
    has_returns = reader.skip(b" ")
    returns, status, metadata = _parse_returns(reader) if has_returns else (frozenset(), (), ())
    return ListCommand(
        verb=verb,
        extended=has_selection or is_list or has_returns,
        selection=selection,
        returns=returns | implied | (selection & _IMPLIED_RETURNS),
        reference=reference,
        patterns=patterns,
        status_items=status,
        metadata_items=metadata,
        metadata_options=options,
    )


def _parse_simple_list(reader: Reader, verb: str, allow_deleted: bool) -> ListCommand:
    """LSUB, RLIST and RLSUB, which have no extended form."""
    reference = reader.astring() if reader.skip(b" ") else None
    if reference is None or not reader.skip(b" "):
        raise CommandError(f"Missing required argument to {verb.capitalize()}")
    pattern = reader.astring()
    if pattern is None:
        raise CommandError(f"Missing required argument to {verb.capitalize()}")
    selection = {"remote"} if verb.startswith("R") else set()
    selection |= {"subscribed"} if verb.endswith("LSUB") else set()
    returns = frozenset() if verb.endswith("LSUB") else frozenset({"children"})
    return ListCommand(verb, False, frozenset(selection), returns, reference, (pattern,))


def _parse_patterns(reader: Reader) -> tuple[tuple[bytes, ...], bool]:
    """The patterns after the reference, and whether they came as a list."""
    if not reader.skip(b" "):
        raise CommandError("Missing required argument to List: mailbox pattern")
    if not reader.skip(b"("):
        pattern = reader.astring()
        if pattern is None:
            raise CommandError("Missing required argument to List: mailbox pattern")
        return (pattern,), False
    items = _parse_astrings(reader, _BAD_SYNTAX, _BAD_SYNTAX)
    return tuple(item for item in items if item), True


def _parse_astrings(reader: Reader, missing: str, unclosed: str) -> tuple[bytes, ...]:
    """One or more astrings and the closing parenthesis, whose opening one is behind us."""
    items = []
    # One space exactly between items: a second one, or one before the parenthesis, leaves no astring to read.
    while True:
        item = reader.astring()
        if item is None:
            raise CommandError(missing)
        items.append(item)
        if not reader.skip(b" "):
            break
    if not reader.skip(b")"):
        raise CommandError(unclosed)
    return tuple(items)


def _parse_option_names(reader: Reader, what: str, accept: Callable[[bytes], bool]) -> None:
    """Options up to the closing parenthesis, the opening one behind us; `accept` takes each name in lower
    case.

    `accept` reads what belongs to an option, and returns False for a name it does not know.
    """
    if reader.skip(b")"):
        return
    while True:
        name = reader.word().lower()
        if not name:
            raise CommandError(_BAD_SYNTAX)
        if not accept(name):
            raise CommandError(f'Invalid List {what} option "{_shown(name)}"')
        if not reader.skip(b" "):
            break
    if not reader.skip(b")"):
        raise CommandError(f"Missing close parenthesis for List {what} options")


def _parse_selection(reader: Reader, allow_deleted: bool) -> tuple[frozenset[str], tuple[bytes, ...]]:
    """Selection options and the options of METADATA.  Source: imap/imapd.c, getlistselopts."""
    selection: set[str] = set()
    metadata: tuple[bytes, ...] = ()

    def accept(name: bytes) -> bool:
        nonlocal metadata
        if name not in _SELECTIONS and not (allow_deleted and name == _INCLUDE_DELETED):
            return False
        if name == b"metadata":
            metadata += _parse_metadata(reader)
        selection.add(name.decode("ascii"))
        return True

    _parse_option_names(reader, "selection", accept)
    # RFC 5258 section 3.1: RECURSIVEMATCH modifies another selection, and REMOTE does not count as one.
    if "recursivematch" in selection and "subscribed" not in selection:
        raise CommandError("Invalid combination of selection options")
    return frozenset(selection), metadata


def _parse_returns(reader: Reader) -> tuple[frozenset[str], tuple[bytes, ...], tuple[bytes, ...]]:
    """Return options, STATUS items and METADATA entries.  Source: imap/imapd.c, getlistretopts."""
    keyword = reader.word().lower()
    if not keyword:
        raise CommandError(_BAD_SYNTAX)
    if keyword != b"return":
        raise CommandError(f'Unexpected extra argument to List: "{_shown(keyword)}"')
    if not reader.skip(b" ("):
        raise CommandError("Missing return argument list")
    returns: set[str] = set()
    status: tuple[bytes, ...] = ()
    metadata: tuple[bytes, ...] = ()

    def accept(name: bytes) -> bool:
        nonlocal status, metadata
        if name not in _RETURNS:
            return False
        if name == b"status":
            status += _parse_status(reader)
        elif name == b"metadata":
            metadata += _parse_metadata(reader)
        returns.add(name.decode("ascii"))
        return True

    _parse_option_names(reader, "return", accept)
    return frozenset(returns), tuple(dict.fromkeys(status)), metadata


def _parse_status(reader: Reader) -> tuple[bytes, ...]:
    """STATUS items in upper case.  Source: imap/imapd.c, parse_statusitems; RFC 5819."""
    if not reader.skip(b" ("):
        raise CommandError("Bad status string")
    items = []
    while True:
        item = reader.word().upper()
        if not item:
            raise CommandError("Bad status string")
        if item not in _STATUS_ITEMS:
            raise CommandError(f"Invalid Status attributes {_shown(item.lower())}")
        items.append(item)
        if not reader.skip(b" "):
            break
    if not reader.skip(b")"):
        raise CommandError("Missing close parenthesis in Status")
    return tuple(items)


def _parse_metadata(reader: Reader) -> tuple[bytes, ...]:
    """One METADATA entry or a list of them.  Source: imap/imapd.c, parse_metadata_string_or_list."""
    missing = "Missing metadata entry"
    if not reader.skip(b" "):
        raise CommandError(missing)
    if reader.skip(b"("):
        return _parse_astrings(reader, missing, "Missing close paren in metadata entry list")
    entry = reader.astring()
    if entry is None:
        raise CommandError(missing)
    return (entry,)


def _shown(octets: bytes) -> str:
    """What a client typed, fit for the text of an answer."""
    return octets.decode("ascii", "backslashreplace")


# --- the other commands ---


def _argument(reader: Reader, verb: str) -> bytes:
    """A space and one astring, both required."""
    value = reader.astring() if reader.skip(b" ") else None
    if value is None:
        raise CommandError(f"Missing required argument to {verb.capitalize()}")
    return value


def _parse_namespace(reader: Reader, verb: str, allow_deleted: bool) -> NamespaceCommand:
    """No arguments; anything that follows is refused by the caller."""
    return NamespaceCommand()


def _parse_myrights(reader: Reader, verb: str, allow_deleted: bool) -> MyRightsCommand:
    """RFC 4314 section 3.5."""
    return MyRightsCommand(_argument(reader, verb))


def _parse_getacl(reader: Reader, verb: str, allow_deleted: bool) -> GetAclCommand:
    """RFC 4314 section 3.3."""
    return GetAclCommand(_argument(reader, verb))


def _parse_listrights(reader: Reader, verb: str, allow_deleted: bool) -> ListRightsCommand:
    """RFC 4314 section 3.4."""
    return ListRightsCommand(_argument(reader, verb), _argument(reader, verb))


# What reads the arguments of each verb, given the reader, the verb, and the server's option `allowdeleted`.
_PARSERS: Final[dict[bytes, Callable[[Reader, str, bool], Command]]] = {
    b"LIST": _parse_list,
    b"XLIST": _parse_list,
    b"LSUB": _parse_simple_list,
    b"RLIST": _parse_simple_list,
    b"RLSUB": _parse_simple_list,
    b"NAMESPACE": _parse_namespace,
    b"MYRIGHTS": _parse_myrights,
    b"GETACL": _parse_getacl,
    b"LISTRIGHTS": _parse_listrights,
}
