"""pyxlist.tokens: printing strings, and reading them without losing the place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxlist.tokens import Reader, astring


@pytest.mark.parametrize(
    ("octets", "printed"),
    [
        (b"INBOX", b"INBOX"), (b"Other Users/al", b'"Other Users/al"'), (b"", b'""'), (b"NIL", b'"NIL"'),
        (b"nil", b"nil"), (b"INBOX.NIL", b"INBOX.NIL"),
        (b"a&b#c$'+,-.:=?@[]~_!^`|;<>}", b"a&b#c$'+,-.:=?@[]~_!^`|;<>}"),
        (b"a(b", b'"a(b"'), (b"a)b", b'"a)b"'), (b"a*b", b'"a*b"'), (b"a{b", b'"a{b"'), (b"\x1f", b"\x1f"),
        (b"a\tb", b'"a\tb"'), (b"a%b", b"{3}\r\na%b"), (b'a"b', b'{3}\r\na"b'), (b"\\Sent", b"{5}\r\n\\Sent"),
        (b"caf\xe9", b"{4}\r\ncaf\xe9"), (b"a\rb", b"{3}\r\na\rb"), (b"a\nb", b"{3}\r\na\nb"),
        (b"\0", b"{1}\r\n\0"),
        (b"\x7f", b'"\x7f"'), (b"x" * 1023, b"x" * 1023), (b"x" * 1024, b"{1024}\r\n" + b"x" * 1024),
        (b" " * 1023, b'"' + b" " * 1023 + b'"'), (b" " * 1024, b"{1024}\r\n" + b" " * 1024),
    ],
)  # fmt: skip
def test_astring(octets: bytes, printed: bytes) -> None:
    """Strings print as atom, quoted string or literal by the same tests as in Cyrus."""
    assert astring(octets) == printed


@pytest.mark.parametrize(
    ("octets", "value", "rest"),
    [
        (b"abc def", b"abc", b" def"),
        (b"a*%{}\\\xe9)", b"a*%{}\\\xe9", b")"),
        (b'ab"c"', b"ab", b'"c"'),
        (b'"a b" c', b"a b", b" c"),
        (b'""', b"", b""),
        (b'"a\\"b\\\\" x', b'a"b\\', b" x"),
        (b"{3}\r\na b c", b"a b", b" c"),
        (b"{0+}\r\n", b"", b""),
        (b"{2}\r\n\r\n)", b"\r\n", b")"),
    ],
)
def test_astrings_are_read(octets: bytes, value: bytes, rest: bytes) -> None:
    """An atom, quoted string or literal is read to its end and no further."""
    reader = Reader(octets)
    assert reader.astring() == value
    assert reader.skip(rest) and reader.at_end()


@pytest.mark.parametrize(
    "octets",
    [b"", b" a", b")", b"(", b'"abc', b'"a\\', b'"a\nb"', b'"a\\\nb"', b"{3}\r\nab", b"{3}ab", b"{}\r\n"]
    + [b"{-1}\r\n", b"{1+", b"{1}\n", b"{99999999999}\r\n"],
)
def test_a_failed_read_does_not_move(octets: bytes) -> None:
    """Where no astring starts, or it never ends, None comes back and nothing is consumed."""
    reader = Reader(octets)
    assert reader.astring() is None
    assert reader.skip(octets) and reader.at_end()


def test_words_and_ends() -> None:
    """A word may be empty, skipping is exact, and one line break at the end counts as the end."""
    reader = Reader(b"LIST (a\r\n")
    assert reader.word() == b"LIST"
    assert not reader.skip(b"(") and reader.skip(b" (")
    assert reader.word() == b"a" and reader.at_end()
    assert reader.word() == b"" and reader.at_end()
    assert Reader(b"\n").at_end() and not Reader(b"\r").at_end() and not Reader(b"\r\n ").at_end()


@given(st.binary(max_size=1100))
def test_what_is_printed_reads_back(octets: bytes) -> None:
    """Any octets, printed, are read as the same octets."""
    reader = Reader(astring(octets) + b" ")
    assert reader.astring() == octets
    assert reader.skip(b" ")
