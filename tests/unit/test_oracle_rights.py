"""The oracle's typed names, rights and refusals against facts observed from Cyrus IMAP 3.6.1.

Every expected answer was copied from an answer of the real server or follows from one by hand.
"""

from __future__ import annotations

import pytest

from tests.oracle.tiny import ALT, FULL, VIRT, lines, listed, world


def test_a_subscribed_reserved_mailbox_does_not_exist() -> None:
    """Though LIST shows it like any other."""
    judge = world({"Rsv": "ez|anyone l"}, ALT, "Rsv")
    name = '"Shared Folders/Rsv"'
    assert listed(judge, "mar", f'LIST "" {name}') == [rf"(\HasNoChildren) {name}"]
    assert listed(judge, "mar", f'LIST (SUBSCRIBED) "" {name}') == [
        rf"(\NonExistent \Subscribed \HasNoChildren) {name}"
    ]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("//Foo//", True),
        ("inbox/sub", True),
        ("Inbox", True),
        ("Inbox/INBOX", False),
        ("foo", False),
        ("c^d", False),
        ("a.b", True),
        ("a^b", False),
        ("h!i", False),
        ("Other Users/mar", True),
        ("other users/mar", False),
    ],
)
def test_typed_names(typed: str, found: bool) -> None:
    """Separators collapse, only INBOX is known in any case, and the answer repeats what was typed."""
    names = ("user:mar", "user:mar:Foo", "user:mar:INBOX:sub", "user:mar:c^d", "user:mar:a.b", "user:mar:h!i")
    judge = world(dict.fromkeys(names, f"mar {FULL}"), ALT)
    status, untagged = judge.respond("mar", f'MYRIGHTS "{typed}"'.encode())
    assert status == ("OK" if found else "NO")
    assert (typed.encode() in untagged) == found


@pytest.mark.parametrize(
    ("acl", "rights"),
    [
        ("anyone lc", "lkxc"),
        ("anyone lcd", "lkxtecd"),
        ("anyone kc", "kc"),
        ("anyone lted", "lted"),
        ("anyone lrsc0", "lrskxc0"),
        ("anyone d", ""),
        ("anyone LR", ""),
        ("anyone 59", ""),
        ("anyone wi0", "wi0"),
        ("Anyone lr", ""),
        ("group:crew lrs -group:crew s", "lr"),
        ("group:CREW lrs", ""),
        ("crew lrs", ""),
        ("-anyone l anyone l mar lrs", "rs"),
        ("mar l mar r", "lr"),
        ("--mar l", ""),
    ],
)
def test_rights_of_an_acl(acl: str, rights: str) -> None:
    """Union minus union; a macro counts only if none of its members is written."""
    judge = world({"Mac": acl}, ALT)
    assert judge.rights("mar", b"Mac") == rights
    wanted = ("OK", f'* MYRIGHTS "Shared Folders/Mac" {rights}\r\n'.encode()) if rights else ("NO", b"")
    assert judge.respond("mar", b'MYRIGHTS "Shared Folders/Mac"') == wanted


def test_an_owner_without_entry_still_administers() -> None:
    """LIST looks at stored rights only, the ACL commands do not."""
    judge = world({"user:mar:Void": ""}, ALT)
    assert listed(judge, "mar", 'LIST "" *') == []
    assert judge.respond("mar", b"GETACL Void") == ("OK", b"* ACL Void\r\n")
    assert lines(judge.respond("mar", b"MYRIGHTS Void")) == ["MYRIGHTS Void lkxcan"]


@pytest.mark.parametrize(
    ("entry", "user", "text"),
    [
        ("ez|", "mar", "Mailbox is currently reserved"),
        ("em|anyone l", "mar", "Operation is not supported on mailbox"),
        ("em|", "mar", "Mailbox does not exist"),
        ("em|", "cyrus", "Operation is not supported on mailbox"),
        ("ed|anyone l", "cyrus", "Mailbox does not exist"),
        ("ei|anyone l", "cyrus", "Mailbox does not exist"),
        ("anyone lr", "mar", "Permission denied"),
        ("anyone r", "mar", "Mailbox does not exist"),
    ],
)
def test_refusals_of_getacl(entry: str, user: str, text: str) -> None:
    """What cannot be administered is refused in words that do not tell more than `l` would."""
    name = "W" if user == "cyrus" else '"Shared Folders/W"'
    answer = world({"W": entry}, ALT).answer(user, f"GETACL {name}".encode())
    assert answer == ("NO", text, b"")


def test_listrights() -> None:
    """Required rights first, then every other one alone; a refused identifier has neither."""
    base = {"user:alice": f"alice {FULL}", "K": "anyone lr alice lra"}
    judge = world(base, ALT)
    digits = "0 1 2 3 4 5 6 7 8 9"
    owner = lines(judge.respond("alice", b'LISTRIGHTS "INBOX" "alice"'))
    assert owner == [f"LISTRIGHTS INBOX alice lkxcan r s w i p t e d {digits}"]
    other = lines(judge.respond("alice", b'LISTRIGHTS "INBOX" "bob"'))
    assert other == [f"LISTRIGHTS INBOX bob p l r s w i k x t e c d a n {digits}"]
    assert lines(judge.respond("alice", b"LISTRIGHTS INBOX a/b")) == ['LISTRIGHTS INBOX a/b ""']
    assert judge.answer("bob", b'LISTRIGHTS "Shared Folders/K" alice')[:2] == ("NO", "Permission denied")
    virtual = world({"example.com@user:alice": f"alice@example.com {FULL}"}, VIRT)
    group = lines(virtual.respond("alice@example.com", b'LISTRIGHTS "INBOX" "group:staff"'))
    assert group == ['LISTRIGHTS INBOX group:staff ""']


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ('LIST (SUBSCRIBED BOGUS) "" *', 'Invalid List selection option "bogus"'),
        ('LIST "" * RETURN (BOGUS)', 'Invalid List return option "bogus"'),
        ('LIST (RECURSIVEMATCH) "" *', "Invalid combination of selection options"),
        ('LIST "" ()', "Invalid syntax in List command"),
        (
            'LIST (vendor.cmu-include-deleted) "" *',
            'Invalid List selection option "vendor.cmu-include-deleted"',
        ),
        ('LSUB "" * RETURN ()', "Unexpected extra arguments to Lsub"),
        ("MYRIGHTS", "Missing required argument to Myrights"),
        ("NOOP?", "Unrecognized command"),
    ],
)
def test_bad_commands(command: str, text: str) -> None:
    """The texts are imapd's own."""
    assert world({}, ALT).answer("mar", command.encode()) == ("BAD", text, b"")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b'LIST x ""', ("OK", b'* LIST (\\Noselect) "/" ""\r\n')),
        (b'RLIST x ""', ("OK", b'* LIST (\\Noselect) "/" ""\r\n')),
        (b'XLIST "" ""', ("OK", b'* XLIST (\\Noselect) "/" ""\r\n')),
        (b'XLIST "" (%)', ("OK", b'* LIST (\\HasNoChildren) "/" INBOX\r\n')),
        (b'LSUB "" ""', ("OK", b"")),
        (b'LIST (SUBSCRIBED) "" ""', ("OK", b"")),
        (b'LIST "" ("" "")', ("", b"")),
        (b'LIST "INB/" "/OX"', ("OK", b"")),
        (b"LIST INB %", ("OK", b'* LIST (\\HasNoChildren) "/" INBOX\r\n')),
        (b'LIST "" {2+}\r\n\xe9*', ("OK", b"")),
    ],
)
def test_forms_of_list(command: bytes, answer: tuple[str, bytes]) -> None:
    """Empty patterns, references, literals; without any pattern Cyrus never answers."""
    assert world({"user:mar": "mar l"}, ALT).respond("mar", command) == answer
