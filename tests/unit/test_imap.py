"""pyxlist.imap: reading commands, and the texts of refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxlist.errors import CommandError
from pyxlist.imap import (
    Command,
    GetAclCommand,
    ListCommand,
    ListRightsCommand,
    MyRightsCommand,
    NamespaceCommand,
    parse_command,
)


def listing(
    verb: str = "LIST",
    extended: bool = False,
    selection: str = "",
    returns: str = "children",
    reference: bytes = b"",
    patterns: tuple[bytes, ...] = (b"*",),
    **items: tuple[bytes, ...],
) -> ListCommand:
    """The expected command, with the most frequent values as defaults."""
    return ListCommand(
        verb, extended, frozenset(selection.split()), frozenset(returns.split()), reference, patterns, **items
    )


@pytest.mark.parametrize(
    ("octets", "command"),
    [
        (b'LIST "" "*"', listing()),
        (b'list "" *', listing()),
        (b"LIST a b%c", listing(reference=b"a", patterns=(b"b%c",))),
        (b'LIST "a\\"b\\\\c" "d e"', listing(reference=b'a"b\\c', patterns=(b"d e",))),
        (b'LIST "" ""', listing(patterns=(b"",))),
        (b'LIST {0}\r\n {2+}\r\n\xe9*', listing(patterns=(b"\xe9*",))),
        (b'LIST "" {2}\r\n\r\n', listing(patterns=(b"\r\n",))),
        (b'LIST "" "*"\r\n', listing()),
        (b'LIST () "" "*"', listing(extended=True)),
        (b'LIST "" (%)', listing(extended=True, patterns=(b"%",))),
        (b'LIST "" ("" "a" "" b)', listing(extended=True, patterns=(b"a", b"b"))),
        (b'LIST "" ("" "")', listing(extended=True, patterns=())),
        (b'LIST "" * RETURN ()', listing(extended=True)),
        (
            b'LIST (Subscribed) "" *',
            listing(extended=True, selection="subscribed", returns="children subscribed"),
        ),
        (
            b'LIST (RECURSIVEMATCH SUBSCRIBED REMOTE) "" *',
            listing(
                extended=True, selection="recursivematch subscribed remote", returns="children subscribed"
            ),
        ),
        (
            b'LIST (SPECIAL-USE) "" *',
            listing(extended=True, selection="special-use", returns="children special-use"),
        ),
        (
            b'LIST (vendor.cmu-dav VENDOR.FM-INCLUDE-NONEXISTENT) "" *',
            listing(extended=True, selection="vendor.cmu-dav vendor.fm-include-nonexistent"),
        ),
        (
            b'LIST "" * RETURN (SUBSCRIBED MyRights SPECIAL-USE CHILDREN)',
            listing(extended=True, returns="children myrights special-use subscribed"),
        ),
        (
            b'LIST "" * RETURN (STATUS (messages UIDNEXT messages) MYRIGHTS)',
            listing(
                extended=True, returns="children myrights status", status_items=(b"MESSAGES", b"UIDNEXT")
            ),
        ),
        (
            b'LIST "" * return (metadata ("/shared/comment" /private/x))',
            listing(
                extended=True, returns="children metadata", metadata_items=(b"/shared/comment", b"/private/x")
            ),
        ),
        (
            b'LIST (METADATA (MAXSIZE 10)) "" * RETURN (METADATA /shared/a)',
            listing(
                extended=True, selection="metadata", returns="children metadata",
                metadata_options=(b"MAXSIZE", b"10"), metadata_items=(b"/shared/a",),
            ),
        ),
        (b'XLIST "" *', listing("XLIST", returns="children special-use")),
        (b'XLIST "" (*)', listing("XLIST", extended=True, returns="children special-use")),
        (b'LSUB "" *', listing("LSUB", selection="subscribed", returns="")),
        (b'RLIST "" *', listing("RLIST", selection="remote")),
        (b'RLSUB "" "*"', listing("RLSUB", selection="remote subscribed", returns="")),
        (b"NAMESPACE", NamespaceCommand()),
        (b"MyRights INBOX", MyRightsCommand(b"INBOX")),
        (b'MYRIGHTS ""', MyRightsCommand(b"")),
        (b"GETACL {3}\r\na b", GetAclCommand(b"a b")),
        (b'LISTRIGHTS INBOX "-joe smith"', ListRightsCommand(b"INBOX", b"-joe smith")),
    ],
)  # fmt: skip
def test_commands(octets: bytes, command: Command) -> None:
    """Each spelling of a command reads as the right value."""
    assert parse_command(octets) == command


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", "Null command"),
        (b' LIST "" *', "Null command"),
        (b"NOOP", "Unrecognized command"),
        (b"LISTX", "Unrecognized command"),
        (b"LIST", "Missing required argument to List"),
        (b"XLIST", "Missing required argument to Xlist"),
        (b"LIST ", "Missing required argument to List: reference name"),
        (b"LIST (SUBSCRIBED)", "Missing required argument to List: reference name"),
        (b'LIST "abc', "Missing required argument to List: reference name"),
        (b'LIST ""', "Missing required argument to List: mailbox pattern"),
        (b'LIST "" ', "Missing required argument to List: mailbox pattern"),
        (b'LIST "" "abc', "Missing required argument to List: mailbox pattern"),
        (b'LIST "" {9}\r\nabc', "Missing required argument to List: mailbox pattern"),
        (b'LIST "" {99999999999}\r\nabc', "Missing required argument to List: mailbox pattern"),
        (b'LIST "" ()', "Invalid syntax in List command"),
        (b'LIST "" (a', "Invalid syntax in List command"),
        (b'LIST "" (a  b)', "Invalid syntax in List command"),
        (b'LIST (SUBSCRIBED)"" *', "Invalid syntax in List command"),
        (b'LIST (SUBSCRIBED ) "" *', "Invalid syntax in List command"),
        (b'LIST ( SUBSCRIBED) "" *', "Invalid syntax in List command"),
        (b'LIST (SUBSCRIBED"" *', "Missing close parenthesis for List selection options"),
        (b'LIST (BOGUS) "" *', 'Invalid List selection option "bogus"'),
        (b'LIST (SUBSCRIBED BOGUS) "" *', 'Invalid List selection option "bogus"'),
        (
            b'LIST (vendor.cmu-include-deleted) "" "%"',
            'Invalid List selection option "vendor.cmu-include-deleted"',
        ),
        (b'LIST (RECURSIVEMATCH) "" *', "Invalid combination of selection options"),
        (b'LIST (RECURSIVEMATCH REMOTE) "" *', "Invalid combination of selection options"),
        (b'LIST "" * RETURN (BOGUS)', 'Invalid List return option "bogus"'),
        (b'LIST "" * RETURN (CHILDREN BOGUS)', 'Invalid List return option "bogus"'),
        (b'LIST "" * RETURN (\xff)', 'Invalid List return option "\\xff"'),
        (b'LIST "" * RETURN (CHILDREN', "Missing close parenthesis for List return options"),
        (b'LIST "" * RETURN', "Missing return argument list"),
        (b'LIST "" * RETURN CHILDREN', "Missing return argument list"),
        (b'LIST "" * FOO', 'Unexpected extra argument to List: "foo"'),
        (b'LIST "" * ', "Invalid syntax in List command"),
        (b'LIST "" *)', "Unexpected extra arguments to List"),
        (b'LIST "" * RETURN () x', "Unexpected extra arguments to List"),
        (b'LIST "" * RETURN (STATUS)', "Bad status string"),
        (b'LIST "" * RETURN (STATUS ())', "Bad status string"),
        (b'LIST "" * RETURN (STATUS (BOGUS))', "Invalid Status attributes bogus"),
        (b'LIST "" * RETURN (STATUS (UNSEEN', "Missing close parenthesis in Status"),
        (b'LIST "" * RETURN (METADATA)', "Missing metadata entry"),
        (b'LIST "" * RETURN (METADATA ())', "Missing metadata entry"),
        (b'LIST "" * RETURN (METADATA (a', "Missing close paren in metadata entry list"),
        (b"LSUB", "Missing required argument to Lsub"),
        (b'RLIST ""', "Missing required argument to Rlist"),
        (b'RLSUB "" ', "Missing required argument to Rlsub"),
        (b'LSUB "" (*)', "Missing required argument to Lsub"),
        (b'LSUB "" * RETURN ()', "Unexpected extra arguments to Lsub"),
        (b"NAMESPACE x", "Unexpected extra arguments to Namespace"),
        (b"MYRIGHTS", "Missing required argument to Myrights"),
        (b"GETACL (", "Missing required argument to Getacl"),
        (b"MYRIGHTS a b", "Unexpected extra arguments to Myrights"),
        (b"LISTRIGHTS INBOX", "Missing required argument to Listrights"),
        (b"LISTRIGHTS a b c", "Unexpected extra arguments to Listrights"),
        (b"MYRIGHTS a\nMYRIGHTS b", "Unexpected extra arguments to Myrights"),
        (b'MYRIGHTS "a\rb"', "Missing required argument to Myrights"),
        (b"MYRIGHTS a\0", "Invalid NUL in command"),
        (b"MYRIGHTS {1}\r\n\0", "Invalid NUL in command"),
    ],
)
def test_refusals(octets: bytes, text: str) -> None:
    """What is refused is BAD with the server's words, and says which part is wrong."""
    with pytest.raises(CommandError) as caught:
        parse_command(octets)
    assert (caught.value.status, caught.value.text) == ("BAD", text)


def test_include_deleted_is_an_option_of_the_server() -> None:
    """With allowdeleted the selection option vendor.cmu-include-deleted exists."""
    command = parse_command(b'LIST (vendor.cmu-include-deleted) "" "%"', allow_deleted=True)
    assert isinstance(command, ListCommand) and command.selection == {"vendor.cmu-include-deleted"}


pieces = st.sampled_from(
    [
        b"LIST",
        b"XLIST",
        b"LSUB",
        b"MYRIGHTS",
        b"LISTRIGHTS",
        b" ",
        b" ",
        b'""',
        b'"',
        b"(",
        b")",
        b"*",
        b"%",
        b"\\",
    ]
    + [
        b"SUBSCRIBED",
        b"RECURSIVEMATCH",
        b"METADATA",
        b"STATUS",
        b"MESSAGES",
        b"RETURN",
        b"{2}\r\n",
        b"{2+}\r\n",
    ]
    + [b"{", b"}", b"\r\n", b"\xff", b"\0", b"x", b"{99999999999999999999}\r\n", b" RETURN (", b'LIST "" ']
)


@given(st.lists(pieces, max_size=16).map(b"".join) | st.binary(max_size=60), st.booleans())
def test_any_octets_parse_or_raise_command_error(octets: bytes, allow_deleted: bool) -> None:
    """Nothing but CommandError ever comes out, and its text is one printable ASCII line."""
    try:
        command = parse_command(octets, allow_deleted)
    except CommandError as error:
        assert error.status == "BAD"
        assert error.text.isascii() and error.text.isprintable()
    else:
        assert isinstance(command, Command)


def test_long_input_is_read_in_linear_time() -> None:
    """A megabyte of backslashes or open lists costs no more than reading it."""
    with pytest.raises(CommandError):
        parse_command(b'MYRIGHTS "' + b"\\a" * 500_000)
    with pytest.raises(CommandError):
        parse_command(b'LIST "" (' + b"a " * 200_000)
