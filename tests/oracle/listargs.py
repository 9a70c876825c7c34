"""The arguments of LIST, XLIST, LSUB, RLIST and RLSUB (RFC 5258), with imapd's own BAD texts (rule 33).

The parser reads octet by octet, as imapd does, because what it forgives is part of its behaviour: the space
after the selection options is not looked at, atoms may hold `*` and `%`, option names are in any case.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .tokens import Reader

_SELECTION = {
    "recursivematch",
    "remote",
    "special-use",
    "subscribed",
    "vendor.cmu-dav",
    "vendor.fm-include-nonexistent",
}
_RETURN = {"children", "myrights", "special-use", "subscribed"}
_STATUS_ITEMS = ("messages", "recent", "uidnext", "uidvalidity", "unseen")


class BadCommand(Exception):
    """The command is refused with BAD and this text, recorded from the server or read in its source."""


@dataclass
class ListArgs:
    """One LIST-like command.

    `form` is LIST, XLIST, LSUB or EXTENDED (rule 2); `select` and `returns` hold option names in lower case;
    `status` the STATUS items asked for.
    """

    form: str
    select: set[str] = field(default_factory=set)
    returns: set[str] = field(default_factory=set)
    reference: bytes = b""
    patterns: list[bytes] = field(default_factory=list)
    status: set[str] = field(default_factory=set)


def parse_simple(verb: str, reader: Reader) -> ListArgs:
    """LSUB, RLIST, RLSUB: a reference and one pattern, nothing else.

    On a single server the R in front changes nothing (fact 46).
    """
    if verb == "Rlist":
        args = ListArgs("LIST", returns={"children"})
    else:
        args = ListArgs("LSUB", select={"subscribed"})
    args.reference, after = reader.string()
    if after != b" ":
        raise BadCommand(f"Missing required argument to {verb}")
    pattern, after = reader.string()
    if after is None or not reader.at_end(after):
        raise BadCommand(f"Unexpected extra arguments to {verb}")
    args.patterns = [pattern]
    return args


def parse_list(verb: str, reader: Reader, *, allowdeleted: bool) -> ListArgs:
    """LIST and XLIST: `[(selection)] reference pattern-or-(patterns) [RETURN (options)]`.

    Whatever RFC 3501 does not know makes the form EXTENDED, even `()`, `(%)` and `RETURN ()` (rule 2).
    """
    args = ListArgs("XLIST" if verb == "Xlist" else "LIST")
    # \HasChildren is always asked for (rule 2); XLIST asks for special-use as well.
    args.returns |= {"children", "special-use"} if verb == "Xlist" else {"children"}
    if reader.take() == b"(":
        args.form = "EXTENDED"
        _parse_selection(args, reader, allowdeleted=allowdeleted)
    else:
        reader.put_back()
    args.reference, after = reader.string()
    if after is None and not args.reference:
        raise BadCommand("Missing required argument to List: reference name")
    if after != b" ":
        raise BadCommand("Missing required argument to List: mailbox pattern")
    after = _parse_patterns(args, reader)
    if after == b" ":
        args.form = "EXTENDED"
        after = _parse_returns(args, reader)
    if not reader.at_end(after):
        raise BadCommand("Unexpected extra arguments to List")
    return args


def _parse_patterns(args: ListArgs, reader: Reader) -> bytes:
    """One pattern, or a list of them from which empty strings are dropped (rule 1)."""
    if reader.take() != b"(":
        reader.put_back()
        pattern, after = reader.string()
        if after is None:
            raise BadCommand("Missing required argument to List: mailbox pattern")
        args.patterns = [pattern]
        return after
    args.form = "EXTENDED"
    while True:
        pattern, after = reader.string()
        if pattern:
            args.patterns.append(pattern)
        if after != b" ":
            break
    if after != b")":  # also the answer to `()`
        raise BadCommand("Invalid syntax in List command")
    return reader.take()


def _parse_selection(args: ListArgs, reader: Reader, *, allowdeleted: bool) -> None:
    """What stands between the parentheses before the reference; the opening one is read already."""
    known = _SELECTION | ({"vendor.cmu-include-deleted"} if allowdeleted else set())
    for option, _ in _options(reader, "selection"):
        if option not in known:
            raise BadCommand(f'Invalid List selection option "{option}"')
        args.select.add(option)
        # Selecting by subscription or special-use returns them, too.
        args.returns |= {option} & {"subscribed", "special-use"}
    # RECURSIVEMATCH alone has nothing to match recursively (fact 46).
    if "recursivematch" in args.select and "subscribed" not in args.select:
        raise BadCommand("Invalid combination of selection options")
    reader.take()  # the space before the reference; imapd does not look at it


def _parse_returns(args: ListArgs, reader: Reader) -> bytes:
    """`RETURN (...)`; gives the octet behind it.

    Options repeat harmlessly; CHILDREN is in the set already, so asking for it changes nothing but the form.
    """
    word, after = reader.word()
    if not word:
        raise BadCommand("Invalid syntax in List command")
    if word.lower() != b"return":  # the text shows it in lower case
        raise BadCommand(f'Unexpected extra argument to List: "{word.decode("latin-1").lower()}"')
    if after != b" " or reader.take() != b"(":
        raise BadCommand("Missing return argument list")
    for option, options in _options(reader, "return"):
        if option == "status":
            args.status |= _parse_status(reader)
            options.after = reader.take()
        elif option not in _RETURN:
            raise BadCommand(f'Invalid List return option "{option}"')
        args.returns.add(option)
    return reader.take()


class _Options:
    """Iterates over the words of a parenthesised option list; `after` is the octet behind the last one."""

    def __init__(self, reader: Reader, kind: str) -> None:
        """`kind` is for the text of a refusal."""
        self._reader = reader
        self._kind = kind
        self.after = b" "

    def __iter__(self) -> _Options:
        """An empty list is allowed."""
        if self._reader.take() == b")":
            self.after = b")"
        else:
            self._reader.put_back()
        return self

    def __next__(self) -> tuple[str, _Options]:
        """The next option in lower case, and this, for options that read on and must set `after`."""
        if self.after == b")":
            raise StopIteration
        if self.after != b" ":
            raise BadCommand(f"Missing close parenthesis for List {self._kind} options")
        word, self.after = self._reader.word()
        if not word:
            raise BadCommand("Invalid syntax in List command")
        option = word.decode("latin-1").lower()
        if option == "metadata":
            raise NotImplementedError("the oracle has no METADATA: it is not in mailboxes.db")
        return option, self


def _options(reader: Reader, kind: str) -> _Options:
    """The options up to and including the closing parenthesis; the opening one is read already."""
    return _Options(reader, kind)


def _parse_status(reader: Reader) -> set[str]:
    """`(MESSAGES ...)` behind STATUS; only what an empty mailbox has an answer to is known here."""
    if reader.take() != b"(":
        raise BadCommand("Bad status string")
    items = set()
    after = b" "
    while after == b" ":
        word, after = reader.word()
        item = word.decode("latin-1").lower()
        if item not in _STATUS_ITEMS:
            raise BadCommand(f"Invalid Status attributes {item}")
        items.add(item)
    if after != b")":
        raise BadCommand("Missing close parenthesis in Status")
    return items
