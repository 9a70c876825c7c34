r"""The oracle against facts observed from Cyrus IMAP 3.6.1, rebuilt as tiny worlds.

The oracle judges the package, so something must be able to judge the oracle.  Every expected answer here was
copied from an answer of the real server or follows from one by hand; none was made by running the oracle.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest

from tests.oracle import (
    OWNER,
    Entry,
    World,
    make_entry,
    parse_conf,
    read_annotations,
    read_entry,
    read_flat,
    read_skiplist,
    read_subscriptions,
    read_twoskip,
)

ALT = {"admins": "cyrus", "defaultdomain": "internal.invalid"}
UNIX = {**ALT, "altnamespace": 0}
NETNEWS = {**UNIX, "unixhierarchysep": 0}
VIRT = {**ALT, "virtdomains": "userid"}
FULL = "lrswipkxtecdan"


def world(
    mailboxes: Mapping[str, str],
    config: Mapping[str, object],
    *subscribed: str,
    user: str = "mar",
    flat: bool = False,
) -> World:
    """A world of `{"user:mar:Foo": "mar lrs"}`: `:` for 0x1F, `@` before it for the domain; `ei|acl` sets a type."""
    entries = {}
    for name, text in mailboxes.items():
        mbtype, bar, acl = text.partition("|")
        entries[key(name)] = make_entry(acl if bar else text, mbtype if bar else "e")
    return World(entries, config, {"crew": ["mar"]}, {user: ([key(name) for name in subscribed], flat)})


def key(name: str) -> bytes:
    """`domain@user:mar:Foo` as a key name."""
    domain, at, rest = name.rpartition("@")
    return ((domain + "\x1d" if at else "") + rest.replace(":", "\x1f")).encode()


def lines(answer: tuple[str, bytes]) -> list[str]:
    """Untagged lines without `* ` of an OK answer."""
    status, untagged = answer
    assert status == "OK"
    return [line.removeprefix("* ") for line in untagged.decode("latin-1").split("\r\n")[:-1]]


def listed(judge: World, user: str, command: str) -> list[str]:
    """The lines of a command without what they have in common, `LIST` and the separator."""
    found = lines(judge.respond(user, command.encode("latin-1")))
    return [line.replace(' "/" ', " ").replace(' "." ', " ").removeprefix("LIST ") for line in found]


# --- patterns and the fold ------------------------------------------------------------------------------------

HOLES = {"user:alice": f"alice {FULL}", "G:one:two:three": "anyone lrs"}
WHOLE = r"(\HasNoChildren) G.one.two.three"


@pytest.mark.parametrize(
    ("pattern", "rows"),
    [
        ('"G.%"', [r"(\Noselect \HasChildren) G.one"]),
        ('"*.%"', [WHOLE]),
        ('"*three"', [WHOLE]),
        (
            '"G*%"',
            [rf"(\Noselect \HasChildren) {name}" for name in ("G", "G.one", "G.one.two")] + [WHOLE],
        ),
        ('"%*"', [r"(\HasNoChildren) INBOX", WHOLE]),
        ('("G*" "G%")', [WHOLE]),
        ('("G*%" "G*%")', [WHOLE]),
        ('("G" "G.one")', [r"(\NonExistent \HasChildren) G.one"]),
        ('"g*"', []),
        ('"G.?ne*"', []),
        ('"G."', []),
    ],
)
def test_a_pattern_lists_whole_names_or_leading_components(pattern: str, rows: list[str]) -> None:
    """The longest run of whole components counts; only `*%` alone adds the ancestors it matches."""
    assert listed(world(HOLES, NETNEWS), "alice", f'LIST "" {pattern}') == rows


def test_braces_and_bars_are_operators_unless_switched_off() -> None:
    """`p{2}` lists pp and `p|q` is open at its second alternative; as literals they match nothing here."""
    mailboxes = {f"user:mar:{name}": "mar lrs" for name in ("p", "pp", "pr")}
    judge = world({**mailboxes, "user:mar:pt.q:c": "mar lrs"}, ALT)
    assert listed(judge, "mar", 'LIST "" "p{2}"') == [r"(\HasNoChildren) pp"]
    assert listed(judge, "mar", 'LIST "" "p{1}r"') == [r"(\HasNoChildren) pr"]
    assert listed(judge, "mar", 'LIST "" "p|q"') == [r"(\HasNoChildren) p", r"(\Noselect \HasChildren) pt.q"]
    literal = World(judge.entries, ALT, pattern_operators=False)
    assert listed(literal, "mar", 'LIST "" "p{2}"') == []


def test_hidden_children_still_mark_their_parent() -> None:
    r"""A calendar, a netnews mailbox and an own intermediate make \HasChildren; a child without `l` does not."""
    judge = world(
        {
            "user:mar": f"mar {FULL}",
            **{f"user:mar:{name}": "mar l" for name in ("Foo", "Bar", "Baz", "Qux")},
            "user:mar:Foo:kid": "c|mar l",
            "user:mar:Bar:n": "n|mar l",
            "user:mar:Baz:int": "ei|",
            "user:mar:Qux:hid": "mar r",
            "Loti": "anyone l",
            "Loti:k": "ei|anyone l",
        },
        ALT,
    )
    rows = [rf"(\HasChildren) {name}" for name in ("Bar", "Baz", "Foo")] + [r"(\HasNoChildren) Qux"]
    assert listed(judge, "mar", 'LIST "" ("Foo*" "Ba*" "Qux*")') == rows
    assert listed(judge, "mar", 'LIST "" "Shared Folders/%"') == [r'(\HasNoChildren) "Shared Folders/Loti"']


def test_alternative_inbox_has_no_inferiors() -> None:
    """The extended form drops the children flag beside Noinferiors, the others keep it."""
    judge = world({"user:alice": f"alice {FULL}", "user:alice:INBOX": f"alice {FULL}"}, ALT)
    row = '"Alt Folders/INBOX"'
    inbox = r"(\HasNoChildren) INBOX"
    assert listed(judge, "alice", 'LIST "" "*"') == [inbox, rf"(\Noinferiors \HasNoChildren) {row}"]
    assert listed(judge, "alice", 'LIST "" "*" RETURN ()') == [inbox, rf"(\Noinferiors) {row}"]
    root, rights = listed(judge, "alice", 'LIST "" "A%" RETURN (MYRIGHTS)')
    assert root == r'(\NonExistent \HasChildren) "Alt Folders"'
    assert rights == f'MYRIGHTS "Alt Folders" {FULL}'


def test_flat_mailboxes_sort_the_dot_first() -> None:
    """The server's backend decides the order, and with one row of memory the flags, too."""
    mailboxes = {f"user:mar:{name}": "mar l" for name in ("pt", "pt:x", "pt.q:c")}
    octets = [r"(\HasChildren) pt", r"(\HasNoChildren) pt/x", r"(\HasNoChildren) pt.q/c"]
    flat = [r"(\HasNoChildren) pt", r"(\HasNoChildren) pt.q/c", r"(\HasNoChildren) pt/x"]
    assert listed(world(mailboxes, ALT), "mar", 'LIST "" "pt*"') == octets
    assert listed(world(mailboxes, {**ALT, "mboxlist_db": "flat"}), "mar", 'LIST "" "pt*"') == flat


def test_special_use_of_an_ancestor_row_is_that_of_its_first_candidate() -> None:
    """`Arch` itself gives nobody `l`; its row carries the flag of Arch/s1.  XLIST adds Inbox."""
    base = world(
        {"user:mar": f"mar {FULL}", "user:mar:Arch": "", "user:mar:Arch:s1": f"mar {FULL}"},
        ALT,
    )
    judge = World(base.entries, ALT, specialuse={(key("user:mar:Arch:s1"), "mar"): rb"\Sent"})
    assert listed(judge, "mar", 'LIST "" "Arch%"') == [r"(\Noselect \HasChildren \Sent) Arch"]
    assert listed(judge, "mar", 'LIST "" ("Arch" "Arch/s1")') == [r"(\HasNoChildren \Sent) Arch/s1"]
    assert listed(judge, "mar", 'LIST (SPECIAL-USE) "" "*"') == [r"(\HasNoChildren \Sent) Arch/s1"]
    assert lines(judge.respond("mar", b'XLIST "" INBOX')) == [r'XLIST (\HasNoChildren \Inbox) "/" INBOX']
    assert lines(judge.respond("mar", rb'MYRIGHTS "\\sent"')) == ["MYRIGHTS {5}", rf"\sent {FULL}"]


def test_missing_ancestors_are_printed_if_their_external_name_is_a_record() -> None:
    """vendor.fm-include-nonexistent bypasses the pattern, but needs a record of that very spelling."""
    base = {"user:bob:Box": "anyone l", "user:bob": "bob l"}
    command = 'LIST (vendor.fm-include-nonexistent) "" "user.bob.%"'
    rows = [r"(\NonExistent \HasChildren) user.bob", r"(\HasNoChildren) user.bob.Box"]
    assert listed(world(base, NETNEWS), "alice", command) == rows
    slashes = command.replace("user.bob.", "user/bob/")
    assert listed(world(base, UNIX), "alice", slashes) == [r"(\HasNoChildren) user/bob/Box"]


def test_missing_ancestors_come_topmost_first() -> None:
    """Two of them before the mailbox that lacks them, one not visible itself."""
    judge = world({"user:bob": "bob l", "user:bob:A": "bob l", "user:bob:A:B": "anyone l"}, NETNEWS)
    assert listed(judge, "alice", 'LIST (vendor.fm-include-nonexistent) "" "user.bob.A.%"') == [
        r"(\NonExistent \HasChildren) user.bob",
        r"(\NonExistent \HasChildren) user.bob.A",
        r"(\HasNoChildren) user.bob.A.B",
    ]


def test_a_question_mark_ends_the_common_prefix() -> None:
    """So a literal part with one in it is not followed by exactly `*%`, and no ancestors are added."""
    judge = world({"Wh?t:a:b": "anyone l", "deep:a:b": "anyone l"}, UNIX)
    assert listed(judge, "mar", 'LIST "" "Wh?t/*%"') == [r"(\HasNoChildren) Wh?t/a/b"]
    assert listed(judge, "mar", 'LIST "" "deep/*%"') == [
        r"(\Noselect \HasChildren) deep/a",
        r"(\HasNoChildren) deep/a/b",
    ]


# --- passes -----------------------------------------------------------------------------------------------------


def test_users_whose_userid_holds_the_separator_have_no_personal_passes() -> None:
    """LIST INBOX is empty for carol.ann, though MYRIGHTS works and NAMESPACE shows it."""
    judge = world({"user:carol.ann": f"carol.ann {FULL}"}, NETNEWS)
    assert listed(judge, "carol.ann", 'LIST "" INBOX') == []
    assert lines(judge.respond("carol.ann", b"MYRIGHTS INBOX")) == [f"MYRIGHTS INBOX {FULL}"]
    shown = 'NAMESPACE (("INBOX." ".")) (("user." ".")) (("" "."))'
    assert lines(judge.respond("carol.ann", b"NAMESPACE")) == [shown]


def test_administrators_see_deleted_twice_and_not_their_own() -> None:
    """`%` prints DELETED in the shared pass and again in the pass of deleted users."""
    judge = world(
        {
            "user:cyrus": f"cyrus {FULL}",
            "user:mar": "mar l",
            "Solo": "ei|",
            "DELETED:pub:6B04A050": "",
            "DELETED:user:mar:x:6B04A051": "mar l",
        },
        ALT,
    )
    deleted = r"(\Noselect \HasChildren) DELETED"
    assert listed(judge, "cyrus", 'LIST "" %') == [r"(\Noselect \HasChildren) user", deleted, deleted]
    assert listed(judge, "cyrus", 'LIST "" user/%') == [r"(\HasNoChildren) user/mar"]
    assert listed(judge, "mar", 'LIST "" *') == [r"(\HasNoChildren) INBOX"]
    assert lines(judge.respond("guest", b"NAMESPACE")) == [
        'NAMESPACE NIL (("Other Users/" "/")) (("Shared Folders/" "/"))'
    ]


def test_a_shared_mailbox_user_is_printed_again_after_the_ancestor_row() -> None:
    """The reset between other users and shared forgets the row of the same name."""
    judge = world({"user": "anyone l", "user:joe": "mar l", "userx": "anyone l"}, NETNEWS)
    assert listed(judge, "mar", 'LIST "" "user%"') == [
        r"(\Noselect \HasChildren) user",
        r"(\HasNoChildren) user",
        r"(\HasNoChildren) userx",
    ]


def test_users_are_shown_neither_tombstones_nor_deleted_mailboxes() -> None:
    """Whatever their ACL says; NIL is an ordinary name, but quoted."""
    mailboxes = {
        "Tomb": "ed|anyone l",
        "DELETED:pub:6B04A050": "anyone l",
        "NIL": "anyone l",
        "nil": "anyone l",
    }
    rows = [r'(\HasNoChildren) "NIL"', r"(\HasNoChildren) nil"]
    assert listed(world(mailboxes, UNIX), "mar", 'LIST "" *') == rows


def test_a_literal_caret_is_not_found_among_other_users() -> None:
    """The scan starts at the external spelling; a wildcard before the caret finds it, so does a pattern list."""
    judge = world({"user:mar.ta": "joe l", "user:joe:a.b": "joe l", "user:joe": "joe l"}, NETNEWS)
    assert listed(judge, "joe", 'LIST "" "user.mar^ta"') == []
    assert listed(judge, "joe", 'LIST "" "user.mar%"') == [r"(\HasNoChildren) user.mar^ta"]
    assert listed(judge, "joe", 'LIST "" ("user.mar^ta" "INBOX")')[-1] == r"(\HasNoChildren) user.mar^ta"
    assert listed(judge, "joe", 'LIST "" "INBOX.a^b"') == [r"(\HasNoChildren) INBOX.a^b"]


def test_shared_inbox_is_nothing_outside_altnamespace() -> None:
    """Spelled in any case it is listed and typed as nothing; with altnamespace it is an ordinary name."""
    mailboxes = {"inbox": "anyone l", "user": "anyone lrs"}
    assert listed(world(mailboxes, UNIX), "mar", 'LIST "" "inbox*"') == []
    assert listed(world(mailboxes, UNIX), "mar", 'LIST "" "user%"') == [r"(\HasNoChildren) user"]
    assert world(mailboxes, UNIX).respond("mar", b"MYRIGHTS user") == ("NO", b"")
    rows = [r'(\HasNoChildren) "Shared Folders/inbox"', r'(\HasNoChildren) "Other Users"']
    assert listed(world(mailboxes, ALT), "mar", 'LIST "" *') == rows


def test_crossdomains_shows_other_users_of_all_domains_and_own_shared() -> None:
    """A userid without domain sees the shared mailboxes of all domains, each with its domain."""
    judge = world(
        {
            "example.com@Plaza": "anyone lr",
            "Plaza": "anyone lrs",
            "example.com@user:joe": "anyone lr",
            "user:joe": "anyone l",
        },
        {**VIRT, "crossdomains": 1},
    )
    seen = [row.split(") ")[1] for row in listed(judge, "mar@example.com", 'LIST "" *')]
    others = ['"Other Users/joe@example.com"', '"Other Users/joe@internal.invalid"']
    assert seen == [*others, '"Shared Folders/Plaza@example.com"']
    assert listed(judge, "mar", 'LIST "" "Shared Folders/*"') == [
        r'(\HasNoChildren) "Shared Folders/Plaza@internal.invalid"',
        r'(\HasNoChildren) "Shared Folders/Plaza@example.com"',
    ]
    typed = judge.respond("mar@example.com", b'MYRIGHTS "Shared Folders/Plaza"')
    assert lines(typed) == ['MYRIGHTS "Shared Folders/Plaza" lrs']
    assert judge.respond("mar@example.com", b'MYRIGHTS "Shared Folders/Plaza@"') == ("NO", b"")
    alone = World(judge.entries, VIRT)
    assert listed(alone, "mar@example.com", 'LIST "" *') == [
        r'(\HasNoChildren) "Other Users/joe"',
        r'(\HasNoChildren) "Shared Folders/Plaza"',
    ]


# --- subscriptions ----------------------------------------------------------------------------------------------

DEEP = {"user:alice": f"alice {FULL}", "user:alice:Deep:a:b:c": "ei|", "user:alice:Deep:a:b:c:d": "alice l"}


def test_a_subscribed_intermediate_is_nonexistent_and_revived_by_its_child() -> None:
    """LSUB `*` omits it; `*%` has it, because the subscribed descendant mentions it as an ancestor."""
    judge = world(DEEP, ALT, "INBOX:Deep:a:b:c", "INBOX:Deep:a:b:c:d", user="alice")
    assert listed(judge, "alice", 'LIST (SUBSCRIBED) "" "*"') == [
        r"(\NonExistent \Subscribed \HasChildren) Deep/a/b/c",
        r"(\Subscribed \HasNoChildren) Deep/a/b/c/d",
    ]
    plain = listed(judge, "alice", 'LSUB "" "*"')
    assert plain == ["LSUB () Deep/a/b/c/d"]
    assert r"LSUB (\Noselect \HasChildren) Deep/a/b/c" in listed(judge, "alice", 'LSUB "" "*%"')


def test_recursivematch_calls_an_unsubscribed_parent_nonexistent() -> None:
    """Also if it exists; INBOX is childless there but not in LIST (SUBSCRIBED)."""
    mailboxes = {"user:alice": f"alice {FULL}", "user:alice:Deep": "alice l", "user:alice:Deep:x": "alice l"}
    judge = world(
        {**mailboxes, "user:alice:INBOX:sub": "alice l"},
        ALT,
        "INBOX",
        "INBOX:Deep:x",
        "INBOX:INBOX:sub",
        user="alice",
    )
    rows = listed(judge, "alice", 'LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"')
    assert rows == [
        r'(\NonExistent \HasChildren) Deep (CHILDINFO ("SUBSCRIBED"))',
        r'(\Subscribed \HasChildren) INBOX (CHILDINFO ("SUBSCRIBED"))',
    ]
    everything = listed(judge, "alice", 'LIST (SUBSCRIBED RECURSIVEMATCH) "" "*"')
    assert r"(\Subscribed \HasNoChildren) INBOX" in everything
    assert r"(\Subscribed \HasChildren) INBOX" in listed(judge, "alice", 'LIST (SUBSCRIBED) "" "*"')
    assert listed(judge, "alice", 'LSUB "" "Dee%"') == [r"LSUB (\Noselect \HasChildren) Deep"]


def test_the_kind_of_the_subscription_file_decides_the_order() -> None:
    """In a flat file `mar.ta` comes before `mar/Foo`."""
    subscribed = ("user:mar:Foo", "user:mar.ta")
    mailboxes = {"user:joe": "joe l", "user:mar.ta": "mar.ta l"}
    first, second = r'LSUB () "Other Users/mar.ta"', r'LSUB (\Noselect \HasChildren) "Other Users/mar"'
    flat = world(mailboxes, ALT, *subscribed, user="joe", flat=True)
    assert listed(flat, "joe", 'LSUB "" "Other Users/%"') == [first, second]
    sorted_by_octet = world(mailboxes, ALT, *subscribed, user="joe")
    assert listed(sorted_by_octet, "joe", 'LSUB "" "Other Users/%"') == [second, first]


def test_subscriptions_to_users_with_the_own_userid_as_prefix_hide() -> None:
    """They are stored as INBOXta and found only if the literal part reaches past the own userid."""
    judge = world({"user:mar": "mar l", "user:marta": "marta l", "user:marta:x": "marta l"}, ALT, "INBOXta")
    wanted = [r'(\Subscribed \HasChildren) "Other Users/marta"']
    assert listed(judge, "mar", 'LIST (SUBSCRIBED) "" "Other Users/mart%"') == wanted
    assert listed(judge, "mar", 'LIST (SUBSCRIBED) "" "Other Users/*"') == []
    assert listed(judge, "mar", 'LIST (SUBSCRIBED) "" *') == []


def test_flags_of_a_refused_subscription_go_to_the_row_before() -> None:
    """A dead calendar subscription after INBOX makes the live INBOX nonexistent, and LSUB omit it."""
    judge = world({"user:mar": "mar l"}, NETNEWS, "INBOX", "INBOX:#calendars:gone")
    assert listed(judge, "mar", 'LIST (SUBSCRIBED) "" "INBOX*"') == [
        r"(\NonExistent \Subscribed \HasChildren) INBOX"
    ]
    assert listed(judge, "mar", 'LSUB "" "INBOX*"') == []


def test_subscribed_rows_ignore_the_acl_of_children() -> None:
    """The same folder is childless in LIST; RETURN (SUBSCRIBED) never flags a missing ancestor."""
    judge = world({"Plaza": "anyone l", "Plaza:hid": "joe l", "user:joe": "mar l"}, ALT, "Plaza", "user:joe")
    name = '"Shared Folders/Plaza"'
    assert listed(judge, "mar", f"LIST (SUBSCRIBED) {name} %") == [rf"(\Subscribed \HasChildren) {name}"]
    assert listed(judge, "mar", f'LIST "" {name}') == [rf"(\HasNoChildren) {name}"]
    roots = listed(judge, "mar", 'LIST "" % RETURN (SUBSCRIBED)')
    assert r'(\NonExistent \HasChildren) "Other Users"' in roots


# --- names, rights, refusals --------------------------------------------------------------------------------------


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
    judge = world({name: f"mar {FULL}" for name in names}, ALT)
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


# --- files ------------------------------------------------------------------------------------------------------


def _twoskip_record(kind: bytes, name: bytes, value: bytes, *pointers: int) -> bytes:
    """A twoskip record; the checksums are not looked at."""
    head = kind + struct.pack(">BHI", len(pointers) - 1, len(name), len(value))
    body = name + value
    return head + struct.pack(f">{len(pointers)}Q8x", *pointers) + body + b"\0" * (-len(body) % 8)


def test_twoskip_is_walked_over_deletions_and_not_beyond_the_committed_size() -> None:
    """The list goes dummy, a, a deletion, c; the record after c was never committed."""
    a = 64 + 8 + 32 * 8 + 8  # behind the header and the dummy, which has 32 pointers
    deletion = a + 8 + 2 * 8 + 8 + 8
    c = deletion + 8 + 8 + 8
    end = c + 8 + 2 * 8 + 8 + 8
    records = (
        _twoskip_record(b"=", b"", b"", a, 0, *[0] * 30),
        _twoskip_record(b"+", b"Na", b"1", deletion, 0),
        _twoskip_record(b"-", b"", b"", c),
        _twoskip_record(b"+", b"Nc", b"2", 0, end),
        _twoskip_record(b"+", b"Nd", b"3", 0, 0),
    )
    header = b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0" + struct.pack(">IQQQQII", 1, 1, 2, 0, end, 0, 0)
    assert read_twoskip(header + b"".join(records)) == {b"Na": b"1", b"Nc": b"2"}


def test_skiplist_is_replayed_as_a_log() -> None:
    """A deletion names the offset of the record that goes."""

    def record(kind: int, name: bytes, value: bytes) -> bytes:
        fields = b"".join(
            struct.pack(">I", len(part)) + part + b"\0" * (-len(part) % 4) for part in (name, value)
        )
        return struct.pack(">I", kind) + fields + b"\0\0\0\0\xff\xff\xff\xff"

    header = b"\xa1\x02\x8b\x0dskiplist file\0\0\0" + bytes(28)
    dummy, first, second = record(257, b"", b""), record(1, b"Na", b"one"), record(2, b"Nb", b"")
    deletion = struct.pack(">II", 4, len(header) + len(dummy))
    commit = struct.pack(">I", 255)
    assert read_skiplist(header + dummy + first + second + commit) == {b"Na": b"one", b"Nb": b""}
    assert read_skiplist(header + dummy + first + second + deletion + commit) == {b"Nb": b""}


def test_flat_escapes_and_subscriptions() -> None:
    """0xFF escapes TAB and itself; the version record is no subscription."""
    assert read_flat(b"k\tv\xff\x89w\xff\xff\n") == {b"k": b"v\tw\xff"}
    assert read_subscriptions(b"\x1fVER\x1f\t2\nNINBOX\t\nNG\x1fone\t\n") == ([b"G\x1fone", b"INBOX"], True)


def test_annotations() -> None:
    """Key uniqueid NUL entry NUL userid, value size in the first four of eight octets."""
    value = struct.pack(">I4x", 5) + b"\\Sent\0text/plain\0"
    flat = b"id1\0/specialuse\0" + OWNER.encode() + b"\0\t" + value + b"\nid1\0/comment\0\0\t" + value + b"\n"
    assert read_annotations(flat) == {(b"id1", OWNER): rb"\Sent"}


@pytest.mark.parametrize(
    ("value", "entry"),
    [
        (b"%(T e I u1 P default V 7 A %(anyone lrs))", Entry(((b"anyone", b"lrs"),), "e", "", b"u1", 7)),
        (b"%(T ei)", Entry((), "e", "i")),
        (b'%(T "" A %("joe smith" lr {3+}\r\nq"q l))', Entry(((b"joe smith", b"lr"), (b'q"q', b"l")))),
        (b"%(T cd H (%(N x V 1)) Z (a (b c)) A %(NIL l))", Entry(((b"NIL", b"l"),), "c", "d")),
        (b"0 default anyone\tlrs\talice\tl\t", Entry(((b"anyone", b"lrs"), (b"alice", b"l")))),
        (b"(uniqueid u2) 0 default anyone\tlrs\tbroken", Entry(((b"anyone", b"lrs"),), uniqueid=b"u2")),
        (b"0 default ", Entry()),
    ],
)
def test_values_of_mailboxes_db(value: bytes, entry: Entry) -> None:
    """Dlist and the two older forms; NIL is an atom, a missing or empty type is mail."""
    assert read_entry(value) == entry


def test_imapd_conf() -> None:
    """Comments and lines without colon are nothing."""
    assert parse_conf("# x: 1\naltnamespace: 1\n\nadmins: cyrus admin \n") == {
        "altnamespace": "1",
        "admins": "cyrus admin",
    }


def test_a_world_from_files_finds_subscriptions_by_the_inbox_record() -> None:
    """The uniqueid of the INBOX names the owner of a sub.db."""
    mailboxes = b"Nuser\x1fmar\t%(T e I u1 A %(mar lr))\nNpub\t%(T e I u2 A %(anyone lr))\n"
    subscriptions = {b"u1": b"\x1fVER\x1f\t2\nNpub\t\n"}
    judge = World.from_files(mailboxes, "defaultdomain: x\n", {}, subscriptions, None)
    assert listed(judge, "mar", 'LSUB "" *') == ['LSUB () "Shared Folders/pub"']
    assert listed(judge, "zed", 'LSUB "" *') == []
