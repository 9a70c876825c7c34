"""Rights: what the letters in an ACL mean, and whom an identifier matches (observed from Cyrus 3.6.1).

A set of rights is a set of single letters of `PLAIN`; c and d are only spellings of several of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from .entries import Entry
from .settings import Settings

PLAIN = "lrswipkxtean0123456789"
_ORDER = "lrswipkxtecdan0123456789"
# Octets no identifier may have; besides these an identifier may be anything up to 80 octets (fact 30).
_REFUSED = set(b"%&*/:?\x7f") | set(range(32)) | set(range(128, 256))


def macros(settings: Settings) -> dict[str, set[str]]:
    """What c (create) and d (delete) stand for; option deleteright says which of them includes x."""
    meaning = {"c": {"k"}, "d": {"t", "e"}}
    if _deleteright(settings) in meaning:
        meaning[_deleteright(settings)].add("x")
    return meaning


def _deleteright(settings: Settings) -> str:
    """The one letter of option deleteright."""
    return settings.text("deleteright").decode("latin-1")[:1]


def parse_rights(text: bytes, settings: Settings) -> set[str]:
    """Rights as stored; a macro counts only if none of its members is written out (rule 32).

    Bare `c` is k x, but `kc` is k and `xc` is x; `lted` is l t e; unknown letters, capitals too, are nothing.
    """
    letters = set(text.decode("latin-1"))
    rights = letters & set(PLAIN)
    if _deleteright(settings) in letters - {"c", "d"}:
        rights.add("x")  # any other letter simply means x as well
    for macro, members in macros(settings).items():
        if macro in letters and not rights & members:
            rights |= members
    return rights


def rights_text(rights: set[str], settings: Settings) -> str:
    """Rights as Cyrus prints them: canonical order, a macro as soon as one of its members is there."""
    shown = set(rights)
    for macro, members in macros(settings).items():
        if rights & members:
            shown.add(macro)
    return "".join(letter for letter in _ORDER if letter in shown)


def matches(identifier: bytes, userid: bytes, groups: Iterable[bytes]) -> bool:
    """Whether an identifier means this user: anyone, the userid itself, or one of the groups (fact 27).

    Octet by octet: `Anyone`, `owner`, `user:x` and `staff` for `group:staff` are ordinary unknown ones.
    """
    if identifier in (b"anyone", userid):
        return True
    return identifier.startswith(b"group:") and identifier[6:] in groups


def stored_rights(entry: Entry, userid: bytes, groups: Iterable[bytes], settings: Settings) -> set[str]:
    """Union of the positive rights minus union of the negative ones, in whatever order (fact 27).

    An identifier may have several entries; one leading `-` is the sign, a second one belongs to the name.
    """
    groups = tuple(groups)
    granted: set[str] = set()
    denied: set[str] = set()
    for identifier, rights in entry.acl:
        target = denied if identifier.startswith(b"-") else granted
        if matches(identifier.removeprefix(b"-"), userid, groups):
            target |= parse_rights(rights, settings)
    if settings.switch("acl_admin_implies_write") and "a" in granted:
        granted |= set("switen")
    return granted - denied


def canonical_identifier(identifier: bytes, settings: Settings) -> bytes | None:
    """An identifier as SETACL would store it, or None if it would refuse it (fact 30)."""
    if len(identifier) > 80:
        return None
    if identifier.startswith(b"group:"):
        # Whether a group exists is not in mailboxes.db: assume so, except for names with a domain (rule 31).
        return None if b"@" in identifier else identifier
    if set(identifier) & _REFUSED:
        return None
    return identifier.lower() if settings.switch("username_tolower") else identifier
