"""Rights, and everything that is decided from an ACL: who has which rights, and what the ACL commands may
answer.

An **ACL** is a sequence of (identifier, rights) pairs of text in stored order.  An identifier is a userid,
`group:x`, `anyone` or `anonymous`; a leading ``-`` makes the pair a denial.  Nothing in here knows a
mailbox's name or the index: whether the asker is owner or admin is decided elsewhere and handed in.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
import string
from collections.abc import Collection, Iterable, Iterator
from typing import ClassVar, Final, Protocol

from pyxlist.config import Config

__all__ = [
    "ANYONE",
    "WRITE_RIGHTS",
    "Acl",
    "Asker",
    "CyrusPolicy",
    "Evaluation",
    "IdentifierReading",
    "MostSpecificPolicy",
    "Rights",
    "canonical_identifier",
    "canonical_userid",
    "effective",
    "expand",
    "implicit_rights",
    "myrights",
    "refusal",
    "rights_groups",
    "set_grant",
    "split_domain",
]

ANYONE: Final = "anyone"
Acl = Iterable[tuple[str, "str | Rights"]]

# The order rights are printed in.  Lower-case letters besides c and d, and digits, are rights; c and d are
# RFC 2086 macros that stand for several of them.  The bit values are shared with the C core (csrc/pxl.h).
_PRINT_ORDER: Final = "lrswipkxtecdan0123456789"
_BITS: Final = {letter: 1 << bit for bit, letter in enumerate("lrswipkxtean0123456789")}
_FULL: Final = (1 << 22) - 1


@functools.cache
def _macros(deleteright: str) -> dict[str, int]:
    """Members of the macros c and d; the option `deleteright` says which of them x belongs to."""
    create, delete = _BITS["k"], _BITS["t"] | _BITS["e"]
    return {
        "c": create | (_BITS["x"] if deleteright[:1] == "c" else 0),
        "d": delete | (_BITS["x"] if deleteright[:1] == "d" else 0),
    }


@functools.lru_cache(maxsize=4096)
def _mask_of(text: str, deleteright: str) -> int:
    """Stored rights as bits; a macro counts only if none of its members is written. Unknown letters are
    ignored.
    """
    macros = _macros(deleteright)
    mask = 0
    for letter in text:
        mask |= _BITS.get(letter, 0)
        if letter == deleteright[:1] and letter not in macros:
            mask |= _BITS["x"]
    for letter, members in macros.items():
        if letter in text and not mask & members:
            mask |= members
    return mask


@functools.lru_cache(maxsize=4096)
def _text_of(mask: int, deleteright: str) -> str:
    """Bits as Cyrus prints them: canonical order, each macro added when any of its members is set."""
    macros = _macros(deleteright)
    return "".join(letter for letter in _PRINT_ORDER if mask & (_BITS.get(letter) or macros[letter]))


@dataclasses.dataclass(frozen=True, slots=True)
class Rights:
    """A set of rights, immutable and hashable.

    ``"l" in rights`` asks for one right (for ``"c"`` and ``"d"``: any member, as they are printed), ``"lrs"
    in rights`` for all of several; ``|``, ``&`` and ``-`` combine; `str()` is what MYRIGHTS prints.  `mask`
    holds one bit a right, macros have none.  Source: lib/acl.h; RFC 4314 sections 2.1 and 2.1.1.
    """

    mask: int = 0

    def __post_init__(self) -> None:
        if self.mask & ~_FULL:
            raise ValueError(f"rights mask {self.mask:#x} has bits outside {_FULL:#x}")

    @classmethod
    def parse(cls, text: str, deleteright: str = "c") -> Rights:
        """Rights from stored text: a macro counts only if none of its members is written (`kc` is k, `c` is
        kx).

        Unknown letters grant nothing.  Source: lib/acl.c, cyrus_acl_strtomask.
        """
        return cls(_mask_of(text, deleteright))

    def format(self, deleteright: str = "c") -> str:
        """The rights as text for a server with that `deleteright`. Source: lib/acl.c, cyrus_acl_masktostr."""
        return _text_of(self.mask, deleteright)

    def __str__(self) -> str:
        return _text_of(self.mask, "c")

    def __repr__(self) -> str:
        return f"Rights({str(self)!r})"

    def __contains__(self, letters: str) -> bool:
        text = str(self)
        return bool(letters) and all(letter in text for letter in letters)

    def __iter__(self) -> Iterator[str]:
        """Single rights in canonical order, without macros."""
        return (letter for letter, bit in _BITS.items() if self.mask & bit)

    def __or__(self, other: Rights) -> Rights:
        return Rights(self.mask | other.mask)

    def __and__(self, other: Rights) -> Rights:
        return Rights(self.mask & other.mask)

    def __sub__(self, other: Rights) -> Rights:
        return Rights(self.mask & ~other.mask)

    def __bool__(self) -> bool:
        return self.mask != 0


_NONE: Final = Rights()
_ALL: Final = Rights(_FULL)
_ADMIN_ADDS: Final = Rights.parse("la")
# Any one of these makes MYRIGHTS answer; s w p t e n and digits alone leave the mailbox "nonexistent".
_MYRIGHTS_NEEDS: Final = Rights.parse("lrikxa")
# What acl_admin_implies_write adds to a granted "a".
WRITE_RIGHTS: Final = Rights.parse("switen")


# --- evaluation ---


@dataclasses.dataclass(frozen=True, slots=True)
class Asker:
    """Whose rights are asked for: a canonical userid and bare group names (without ``group:``)."""

    userid: str
    groups: tuple[str, ...] = ()

    @property
    def identifiers(self) -> frozenset[str]:
        """Every identifier that matches this asker in Cyrus."""
        return frozenset((self.userid, ANYONE, *(f"group:{group}" for group in self.groups)))


class Evaluation(Protocol):
    """How the pairs of an ACL combine; RFC 4314 section 2 leaves it to the server."""

    def effective(self, acl: Acl, asker: Asker, is_owner: bool = False) -> Rights:
        """The rights the ACL alone gives; implicit rights of owners and admins are not part of it."""


def effective(
    acl: Acl, identifiers: Collection[str], *, deleteright: str = "c", admin_implies_write: bool = False
) -> Rights:
    """Union of what the matching pairs grant minus union of what the matching denials take; order is
    irrelevant.

    Source: lib/acl_afs.c, cyrus_acl_myrights.
    """
    granted = denied = 0
    for identifier, rights in acl:
        negative = identifier.startswith("-")
        if (identifier[1:] if negative else identifier) in identifiers:
            mask = rights.mask if isinstance(rights, Rights) else _mask_of(rights, deleteright)
            granted, denied = (granted, denied | mask) if negative else (granted | mask, denied)
    if admin_implies_write and granted & _BITS["a"]:
        granted |= WRITE_RIGHTS.mask
    return Rights(granted & ~denied)


@dataclasses.dataclass(frozen=True, slots=True)
class CyrusPolicy:
    """The default: union of grants minus union of denials."""

    deleteright: str = "c"
    admin_implies_write: bool = False

    @classmethod
    def from_config(cls, config: Config) -> CyrusPolicy:
        """The policy of a server with this configuration."""
        return cls(config.deleteright, config.acl_admin_implies_write)

    def effective(self, acl: Acl, asker: Asker, is_owner: bool = False) -> Rights:
        """See `Evaluation`; Cyrus does not look at `is_owner` here."""
        return effective(
            acl,
            asker.identifiers,
            deleteright=self.deleteright,
            admin_implies_write=self.admin_implies_write,
        )


class _Specificity(enum.IntEnum):
    """Dovecot's classes of identifiers; a higher one overrides the lower ones."""

    ANYONE = 0
    AUTHENTICATED = 1
    GROUP = 2
    OWNER = 3
    USER = 4
    GROUP_OVERRIDE = 5


@dataclasses.dataclass(frozen=True, slots=True)
class MostSpecificPolicy:
    """Dovecot's rule: anyone < authenticated < group < owner < user < group-override, the highest match
    decides.

    Grants and denials are ranked apart: the result is the grants of the highest class that grants anything
    to the asker, minus the denials of the highest class that denies anything.  Several groups of one class
    are united. Identifiers are spelled as in Cyrus plus `authenticated`, `owner` and `group-override:x`;
    `anonymous` is another spelling of `anyone`.  Source: Dovecot, src/plugins/acl
    (acl_object_rebuild_cache).
    """

    deleteright: str = "c"
    OWNER_RANK: ClassVar[int] = int(_Specificity.OWNER)

    def effective(self, acl: Acl, asker: Asker, is_owner: bool = False) -> Rights:
        """See `Evaluation`."""
        chosen = {False: (-1, _NONE), True: (-1, _NONE)}
        for identifier, stored in acl:
            negative = identifier.startswith("-")
            rank = self._rank(identifier[1:] if negative else identifier, asker, is_owner)
            rights = stored if isinstance(stored, Rights) else Rights.parse(stored, self.deleteright)
            if rank is None or rank < chosen[negative][0] or not rights:
                continue
            same = rank == chosen[negative][0]
            chosen[negative] = (rank, (chosen[negative][1] | rights) if same else rights)
        return chosen[False][1] - chosen[True][1]

    @classmethod
    def identifiers(cls, asker: Asker) -> dict[str, int]:
        """Every identifier that may match this asker, with its class; `owner` does on own mailboxes alone."""
        named = [ANYONE, "anonymous", "authenticated", "owner", asker.userid]
        named += [f"{kind}:{group}" for kind in ("group", "group-override") for group in asker.groups]
        ranks = {identifier: cls._rank(identifier, asker, True) for identifier in named}
        return {identifier: int(rank) for identifier, rank in ranks.items() if rank is not None}

    @staticmethod
    def _rank(identifier: str, asker: Asker, is_owner: bool) -> _Specificity | None:
        """The class in which `identifier` matches the asker, None if it does not."""
        kind, colon, group = identifier.partition(":")
        if identifier in (ANYONE, "anonymous"):
            return _Specificity.ANYONE
        if identifier == "authenticated":
            return None if asker.userid == "anonymous" else _Specificity.AUTHENTICATED
        if identifier == "owner":
            return _Specificity.OWNER if is_owner else None
        if identifier == asker.userid:
            return _Specificity.USER
        if not colon or group not in asker.groups:
            return None
        return {"group": _Specificity.GROUP, "group-override": _Specificity.GROUP_OVERRIDE}.get(kind)


# --- what the ACL commands answer ---


@functools.lru_cache(maxsize=32)
def implicit_rights(config: Config) -> Rights:
    """What owners hold on their own mailboxes whatever the ACL says (LIST excepted)."""
    return Rights.parse(config.implicit_owner_rights, config.deleteright)


def myrights(rights: Rights, *, is_owner: bool, is_admin: bool, implicit: Rights) -> Rights | None:
    """What MYRIGHTS prints for `rights` of the ACL, None if it says that the mailbox does not exist.

    An admin gets la (and nothing as owner), an owner gets `implicit`.  Source: imap/imapd.c, printmyrights.
    """
    if is_admin:
        rights |= _ADMIN_ADDS
    elif is_owner:
        rights |= implicit
    return rights if rights & _MYRIGHTS_NEEDS else None


def refusal(rights: Rights, *, is_owner: bool, is_admin: bool) -> str | None:
    """Why GETACL or LISTRIGHTS must say NO for `rights` of the ACL; None if they may answer.

    Without l not even the existence of the mailbox is admitted.  Source: imap/imapd.c, cmd_getacl.
    """
    if "a" in rights or is_owner or is_admin:
        return None
    return "Permission denied" if "l" in rights else "Mailbox does not exist"


def rights_groups(
    *, known: bool, is_owner: bool, is_inbox: bool, implicit: Rights, deleteright: str = "c"
) -> tuple[str, ...]:
    """The groups LISTRIGHTS prints about one identifier: the required rights ("" if none), then each
    optional one.

    `known` is False for an identifier that no ACL can hold, `is_owner` says whether the *identifier* owns
    the mailbox, `is_inbox` whether it is some user's INBOX (where anyone may post).  A macro is optional
    when any member is.
    Source: imap/imapd.c, cmd_listrights.
    """
    if not known:
        return ("",)
    required = implicit if is_owner else Rights.parse("p") if is_inbox else _NONE
    return (required.format(deleteright), *(_ALL - required).format(deleteright))


@dataclasses.dataclass(frozen=True, slots=True)
class IdentifierReading:
    """How a typed identifier was read: `canonical` (None: no ACL can hold it) and `echo`, as LISTRIGHTS
    repeats it.
    """

    canonical: str | None
    echo: str


# Octets no identifier may hold besides controls and everything above 0x7E. Source: lib/auth_unix.c,
# allowedchars.
_FORBIDDEN: Final = re.compile("[^ -~]|[%&*/:?]")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f]")
_IDENTIFIER_LIMIT: Final = 80  # octets
_TO_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def canonical_identifier(identifier: str, config: Config, asker: str = "") -> IdentifierReading:
    """Read an identifier as a client typed it; `asker` is the canonical userid whose domain it inherits.

    Groups are taken to exist, because a mailboxes.db cannot tell; only one with a domain in its name does
    not. Admins are global, so they are taken as typed.  Source: imap/imapd.c, cmd_listrights.
    """
    if config.is_admin(_fold(identifier, config)):
        return IdentifierReading(identifier, identifier)
    return _read_identifier(identifier, config, asker)


def canonical_userid(userid: str, config: Config) -> str:
    """The userid as the server knows a user who logs in as `userid`: folded, without the default domain.

    With `virtdomains: on` Cyrus would also append the domain of the address it was reached at; here the
    caller does. Characters Cyrus refuses at login are let through as long as they cannot be taken for
    structure of a key name.
    Raises ValueError for an empty userid, control characters, and `group:x`, which would match as a group.
    """
    if not isinstance(userid, str):
        raise TypeError(f"a userid is text: expected str, got {type(userid).__name__}")
    if not userid or userid.startswith("group:") or _CONTROLS.search(userid):
        raise ValueError(f"{userid!r} is not a userid: expected a name without control characters, no group")
    reading = _read_identifier(userid, config, "")
    return _fold(reading.echo, config) if reading.canonical is None else reading.canonical


def _read_identifier(identifier: str, config: Config, asker: str) -> IdentifierReading:
    """Source: imap/global.c, canonify_userid (which edits its argument, hence the echo)."""
    virtual = config.virtdomains != "off"
    local, domain = split_domain(identifier) if virtual else (identifier, None)
    echo = local if domain is None else f"{local}@{domain}"
    if local.lower() in ("anonymous", "anybody", ANYONE):
        return IdentifierReading("anonymous" if local.lower() == "anonymous" else ANYONE, echo)
    if domain is not None and domain.lower() == config.defaultdomain.lower():
        return IdentifierReading(_accept(local, config), local)
    full = echo
    if virtual and domain is None and "@" in asker:
        full = f"{local}@{asker.rpartition('@')[2]}"[:_IDENTIFIER_LIMIT]
    return IdentifierReading(_accept(full, config), echo)


def split_domain(identifier: str) -> tuple[str, str | None]:
    """Local part and domain at the last ``@``, or at the last ``%`` if there is no ``@``; None without
    either.
    """
    local, at, domain = identifier.rpartition("@" if "@" in identifier else "%")
    return (local, domain) if at else (identifier, None)


def _fold(identifier: str, config: Config) -> str:
    """The identifier with its ASCII letters in lower case, if the server folds userids."""
    return identifier.translate(_TO_LOWER) if config.username_tolower else identifier


def _accept(identifier: str, config: Config) -> str | None:
    """The identifier as ACLs store it, None if they refuse it. Source: lib/auth_unix.c, mycanonifyid."""
    if len(identifier.encode("utf-8", "surrogateescape")) > _IDENTIFIER_LIMIT:
        return None
    if identifier.startswith("group:"):
        return None if "@" in identifier or identifier == "group:" else identifier
    return None if _FORBIDDEN.search(identifier) else _fold(identifier, config)


# --- changes ---


@functools.lru_cache(maxsize=1024)
def expand(change: str, deleteright: str = "c") -> tuple[str, Rights]:
    """Mode (``""`` set, ``"+"`` add, ``"-"`` remove) and rights of a SETACL argument, macros expanded.

    ``str()`` of the rights is the stored form: `c` gives `kxc`, `d` gives `ted`.  Raises ValueError for a
    letter that is no right.  Source: lib/acl.c, cyrus_acl_checkstr; imap/mboxlist.c, mboxlist_setacl.
    """
    mode = change[:1] if change[:1] in ("+", "-") else ""
    for letter in change[len(mode) :]:
        if letter not in _PRINT_ORDER:
            raise ValueError(f"The {letter} right is not supported")
    return mode, Rights.parse(change[len(mode) :], deleteright)


def set_grant(
    acl: Iterable[tuple[str, str]],
    identifier: str,
    change: str,
    *,
    owner: str | None = None,
    implicit: Rights = _NONE,
    deleteright: str = "c",
) -> tuple[tuple[str, str], ...]:
    """The ACL after SETACL of `change` (see `expand`; empty removes) for `identifier`, which may start with
    ``-``.

    A pair keeps its place, a new one goes last, one left without rights disappears.  When `owner` is given,
    that identifier keeps `implicit`: nothing may take it away, and no denial may name it.  Raises
    ValueError for an unknown right or an empty identifier.  Source: lib/acl_afs.c, cyrus_acl_set;
    imap/mboxlist.c, mboxlist_ensureOwnerRights.
    """
    if not identifier.removeprefix("-"):
        raise ValueError("an ACL needs an identifier")
    pairs = list(acl)
    place = next((index for index, pair in enumerate(pairs) if pair[0] == identifier), len(pairs))
    old = Rights.parse(pairs[place][1], deleteright) if place < len(pairs) else _NONE
    mode, rights = expand(change, deleteright)
    if mode:
        rights = old | rights if mode == "+" else old - rights
    if owner is not None and identifier == owner:
        rights |= implicit
    elif owner is not None and identifier == f"-{owner}":
        rights -= implicit
    pairs[place : place + 1] = [(identifier, rights.format(deleteright))] if rights else []
    return tuple(pairs)
