"""Octets of one IMAP command, read the liberal way imapd reads them, and the way it prints strings."""

from __future__ import annotations

import re


class Reader:
    """A position in a command; `take` returns b"" at the end, after the CRLF that ends every command."""

    def __init__(self, command: bytes) -> None:
        """`command` comes without its CRLF; literals stand in it as `{n+}` CRLF octets."""
        self._octets = command + b"\r\n"
        self._at = 0

    def take(self) -> bytes:
        """The next octet."""
        octet = self._octets[self._at : self._at + 1]
        self._at += 1
        return octet

    def put_back(self) -> None:
        """Undoes the last `take`."""
        self._at -= 1

    def at_end(self, octet: bytes) -> bool:
        """Whether an octet just taken begins the line end."""
        return octet == b"\r" and self._octets[self._at : self._at + 1] == b"\n"

    def word(self) -> tuple[bytes, bytes]:
        """Octets up to white space, a parenthesis or a double quote, and that octet."""
        text = b""
        while True:
            octet = self.take()
            if octet in (b"", b" ", b"\t", b"\r", b"\n", b"\v", b"\f", b"(", b")", b'"'):
                return text, octet
            text += octet

    def string(self) -> tuple[bytes, bytes | None]:
        """An atom, quoted string or literal and the octet behind it; that is None if there is no string.

        A string that breaks off comes with what was read of it.
        """
        octet = self.take()
        if octet in (b"", b" ", b"(", b")", b"\r", b"\n"):
            self.put_back()
            return b"", None
        self.put_back()
        if octet == b'"':
            return self._quoted()
        if octet == b"{":
            return self._literal()
        return self.word()

    def _quoted(self) -> tuple[bytes, bytes | None]:
        """Everything but CR, LF and the quote itself may stand there; a backslash takes the next octet."""
        match = re.compile(rb'"((?:\\.|[^"\\\r\n])*)(.)', re.DOTALL).match(self._octets, self._at)
        assert match  # the CRLF at the end stops it
        self._at = match.end()
        text = re.sub(rb"\\(.)", rb"\1", match[1], flags=re.DOTALL)
        if match[2] != b'"':
            self.put_back()
            return text, None
        return text, self.take()

    def _literal(self) -> tuple[bytes, bytes | None]:
        """`{n}` or `{n+}`, CRLF, n octets without NUL."""
        match = re.compile(rb"\{(\d+)\+?\}\r\n").match(self._octets, self._at)
        if not match:
            return b"", None
        end = match.end() + int(match[1])
        text = self._octets[match.end() : end]
        self._at = end
        if b"\0" in text:
            return text, None
        return text, self.take()


def astring(text: bytes) -> bytes:
    """A string as imapd prints it: atom if possible, else quoted, else a literal (fact 49).

    `NIL` must be quoted, `nil` need not be; 0x1F counts as harmless; from 1024 octets on all are literals.
    """
    if not text:
        return b'""'
    if text != b"NIL" and len(text) < 1024 and not re.search(rb'[\x00-\x1e\x7f-\xff {()"%*\\]', text):
        return text
    if len(text) < 1024 and not re.search(rb'[\x80-\xff\r\n"%\\]', text):
        return b'"' + text + b'"'
    return b"{%d}\r\n" % len(text) + text
