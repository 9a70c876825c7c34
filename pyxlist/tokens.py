"""IMAP strings: how Cyrus prints them and how it reads them (RFC 3501 section 9, but more liberal).

The readers know no command.  A `Reader` walks over the octets of one command; every read either moves it
past what was read, or leaves it where it was and says so, so a caller never has to take anything back.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Reader", "astring"]

# Both end before 1024 octets, where Cyrus turns to literals whatever the octets are.
_ATOM: Final = re.compile(rb'[^\x00-\x1e\x7f-\xff "%()*\\{]{1,1023}')
_QUOTED: Final = re.compile(rb'[^\x00\r\n"%\\\x80-\xff]{0,1023}')


def astring(octets: bytes) -> bytes:
    """Octets as Cyrus prints an astring: as they are if possible, else quoted, else as a literal.

    Quoted: the empty string, `NIL`, and whatever holds space ( ) { or * ; literal: 8-bit, line breaks,
    double quote, backslash, %, and anything of 1024 octets or more.  Source: lib/prot.c, prot_printastring.
    """
    if _ATOM.fullmatch(octets) and octets != b"NIL":
        return octets
    if _QUOTED.fullmatch(octets):
        return b'"%s"' % octets
    return b"{%d}\r\n%s" % (len(octets), octets)


# Reading is more liberal than printing: an atom may hold anything but white space, parentheses and double
# quotes.
_WORD: Final = re.compile(rb'[^ \t\n\v\f\r()"]*')
_QUOTED_STRING: Final = re.compile(rb'"((?:[^"\\\r\n]|\\[^\r\n])*)"')
_QUOTED_PAIR: Final = re.compile(rb"\\(.)", re.DOTALL)
# At most ten digits, so that no client can make us convert a number of a million digits.
_LITERAL_HEAD: Final = re.compile(rb"\{([0-9]{1,10})\+?\}\r\n")


class Reader:
    """A position in the octets of one command; reading moves it, a failed read does not."""

    __slots__ = ("_octets", "_position")

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._position = 0

    def at_end(self) -> bool:
        """Whether nothing is left but, at most, a line break."""
        return self._octets[self._position :] in (b"", b"\r\n", b"\n")

    def skip(self, expected: bytes) -> bool:
        """Step over `expected` if it comes next."""
        found = self._octets.startswith(expected, self._position)
        if found:
            self._position += len(expected)
        return found

    def word(self) -> bytes:
        """Everything up to white space, parenthesis or double quote; may be empty."""
        match = _WORD.match(self._octets, self._position)
        assert match is not None  # the expression matches the empty string
        self._position = match.end()
        return match[0]

    def astring(self) -> bytes | None:
        """An atom (anything a word may hold), quoted string or literal; None if none of them comes next."""
        following = self._octets[self._position : self._position + 1]
        if following == b'"':
            return self._quoted()
        if following == b"{":
            return self._literal()
        return self.word() or None

    def _quoted(self) -> bytes | None:
        """A quoted string; a backslash takes the special meaning from whatever follows it, line breaks
        excepted.
        """
        match = _QUOTED_STRING.match(self._octets, self._position)
        if match is None:
            return None
        self._position = match.end()
        return _QUOTED_PAIR.sub(rb"\1", match[1])

    def _literal(self) -> bytes | None:
        """A literal, synchronizing or not: both arrive inline here.  Its length may lie, and is not
        believed.
        """
        head = _LITERAL_HEAD.match(self._octets, self._position)
        if head is None or int(head[1]) > len(self._octets) - head.end():
            return None
        self._position = head.end() + int(head[1])
        return self._octets[head.end() : self._position]
