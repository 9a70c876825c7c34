"""LIST patterns: which part of an external name a pattern matches (rule 5)."""

from __future__ import annotations

import re


class Pattern:
    """One pattern; `operators` says whether `|` and `{n}` act as in a regular expression, as in Cyrus 3.6.1.

    There `p{2}` lists `pp`, and `p|q` lists `p` and everything in which a component ends with q.
    """

    def __init__(self, text: bytes, separator: bytes, *, operators: bool = True) -> None:
        """`text` has the reference in it already; every octet but `*` and `%` stands for itself."""
        self._separator = separator
        self._floats = operators and b"|" in text
        self._expression = _compile(text, separator, operators=operators)

    def length(self, name: bytes) -> int:
        """Length of the longest leading run of whole components of `name` that matches; 0 if none does.

        `G.%` of `G.one.two` is 5: the name is an event "G.one", a mention of an ancestor (rule 5).
        """
        # Only what follows a `|` may start anywhere; then the earliest start wins, whatever its length.
        for start in range(len(name) + 1 if self._floats else 1):
            for end in range(len(name), start - 1, -1):
                whole_components = end == len(name) or name[end : end + 1] == self._separator
                if whole_components and self._expression.fullmatch(name, start, end):
                    return end
        return 0


def _compile(text: bytes, separator: bytes, *, operators: bool) -> re.Pattern[bytes]:
    """The pattern as a regular expression over octets."""
    pieces = [
        piece if operators and piece in (b"|", b"{", b"}") else _WILDCARDS.get(piece, re.escape(piece))
        for piece in wildcards_merged(text)
    ]
    expression = b"^" + b"".join(pieces).replace(b"%SEPARATOR%", re.escape(separator))
    try:
        return re.compile(expression, re.DOTALL)
    except re.error:  # braces that repeat nothing: what Cyrus then does is undefined, so take them literally
        return _compile(text, separator, operators=False)


_WILDCARDS = {b"*": b".*", b"%": b"[^%SEPARATOR%]*"}


def wildcards_merged(text: bytes) -> list[bytes]:
    """The pattern's octets with runs of wildcards made one: `%%` is `%`, `*` eats its neighbours (rule 5).

    One exception: a `%` that ends the pattern stays behind a `*`, so `%*` and `**` are `*`, but `*%` is not.
    """
    pieces = []
    at = 0
    while at < len(text):
        octet = text[at : at + 1]
        if octet not in (b"*", b"%"):
            pieces.append(octet)
            at += 1
            continue
        while text[at : at + 1] == b"%":
            at += 1
        if text[at : at + 1] != b"*":
            pieces.append(b"%")
            continue
        while text[at : at + 1] == b"*" or (text[at : at + 1] == b"%" and at + 1 < len(text)):
            at += 1
        pieces.append(b"*")
    return pieces
