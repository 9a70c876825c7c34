r"""The oracle's LIST against facts observed from Cyrus IMAP 3.6.1, rebuilt as tiny worlds.

The oracle judges the package, so something must be able to judge the oracle.  Every expected answer here was
copied from an answer of the real server or follows from one by hand; none was made by running the oracle.
"""

from __future__ import annotations

import pytest

from tests.oracle import World
from tests.oracle.tiny import ALT, FULL, NETNEWS, UNIX, VIRT, key, lines, listed, world

# --- patterns and the fold ------------------------------------------------------------------------------

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
    r"""A calendar, a netnews mailbox and an own intermediate make \HasChildren, one without `l` not."""
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


# --- passes ---------------------------------------------------------------------------------------------


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
    """The scan starts at the external spelling; a wildcard before the caret or a pattern list finds it."""
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


# --- subscriptions --------------------------------------------------------------------------------------

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
    assert listed(judge, "mar", 'LIST (SUBSCRIBED) "" "INBOX*"') == [r"(\NonExistent \Subscribed \HasChildren) INBOX"]
    assert listed(judge, "mar", 'LSUB "" "INBOX*"') == []


def test_subscribed_rows_ignore_the_acl_of_children() -> None:
    """The same folder is childless in LIST; RETURN (SUBSCRIBED) never flags a missing ancestor."""
    judge = world({"Plaza": "anyone l", "Plaza:hid": "joe l", "user:joe": "mar l"}, ALT, "Plaza", "user:joe")
    name = '"Shared Folders/Plaza"'
    assert listed(judge, "mar", f"LIST (SUBSCRIBED) {name} %") == [rf"(\Subscribed \HasChildren) {name}"]
    assert listed(judge, "mar", f'LIST "" {name}') == [rf"(\HasNoChildren) {name}"]
    roots = listed(judge, "mar", 'LIST "" % RETURN (SUBSCRIBED)')
    assert r'(\NonExistent \HasChildren) "Other Users"' in roots
