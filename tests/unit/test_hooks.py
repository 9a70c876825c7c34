"""The hooks: what each verb writes, what it refuses, and that a second call changes nothing."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest

import pyxlist
from pyxlist import Hooks, Mbtype
from tests.sources import value, write_flat, write_source_of

FULL = "lrswipkxtecdan"
WORLD = {
    b"user\x1fann": value(f"ann {FULL} bob lrs", uniqueid="inbox-ann"),
    b"user\x1fann\x1fWork": value(f"ann {FULL}", uniqueid="work-ann", partition="fast"),
    b"user\x1fann\x1fWork\x1fOld": value(f"ann {FULL} bob lr", uniqueid="old-ann"),
    b"user\x1fbob": value(f"bob {FULL}", uniqueid="inbox-bob"),
    b"pub": value("anyone lrs", uniqueid="pub"),
    b"pub\x1fnews": value("anyone lrs group:staff lrsp", uniqueid="news"),
    b"gone": value("", "ed", "gone"),
    b"half": value("", "ei", "half"),
}


@pytest.fixture
def index(tmp_path: pathlib.Path) -> Iterator[pyxlist.Index]:
    """An open index of WORLD; afterwards it is healthy, and equal to a fresh build of what it says."""
    config = pyxlist.Config(admins=("cyrus",))
    pyxlist.build(write_flat(tmp_path / "db", WORLD), tmp_path / "index", config)
    with pyxlist.open(tmp_path / "index", readonly=False) as index:
        yield index
        assert list(index.check()) == []
        pyxlist.build(write_source_of(tmp_path / "again", index), tmp_path / "fresh", config)
        with pyxlist.open(tmp_path / "fresh") as fresh:
            assert list(fresh.entries()) == list(index.entries())


def do(index: pyxlist.Index, call: Callable[[Hooks], object]) -> None:
    """One call in a transaction of its own."""
    with index.write() as hooks:
        call(hooks)


def stored(index: pyxlist.Index, name: str) -> pyxlist.Entry:
    entry = index.lookup(name)
    assert entry is not None
    return entry


def names(index: pyxlist.Index, userid: str) -> list[str]:
    return [item.name for item in index.view(userid).list()]


# --- create ---


def test_a_created_mailbox_has_its_parents_acl_and_partition(index: pyxlist.Index) -> None:
    """CREATE below a mailbox copies its parent's ACL; everybody whom that names sees it at once."""
    do(index, lambda hooks: hooks.mboxlist_createmailbox("user.ann.Work.New", uniqueid="new"))
    entry = stored(index, "user.ann.Work.New")
    assert entry.acl == stored(index, "user.ann.Work").acl and entry.partition == "fast"
    assert entry.uniqueid == "new" and entry.uidvalidity > 1
    assert "Work/New" in names(index, "ann")


@pytest.mark.parametrize(
    ("name", "acl"),
    [("user.eve", (("eve", FULL),)), ("top", (("anyone", "lrs"),)), ("pub.x", (("anyone", "lrs"),))],
)
def test_default_acls(index: pyxlist.Index, name: str, acl: tuple[tuple[str, str], ...]) -> None:
    """An INBOX is its owner's alone, a new shared top name everybody's to read."""
    do(index, lambda hooks: hooks.mboxlist_createmailbox(name))
    assert stored(index, name).acl == acl
    assert len(stored(index, name).uniqueid or "") == 24


def test_missing_ancestors_are_created(index: pyxlist.Index) -> None:
    """CREATE makes real mailboxes of all missing ancestors, but never user.x.INBOX."""
    do(index, lambda hooks: hooks.mboxlist_createmailbox("pub.a.b.c"))
    do(index, lambda hooks: hooks.mboxlist_createmailbox("user.bob.INBOX.x.y"))
    assert stored(index, "pub.a").is_live and stored(index, "pub.a.b").is_live
    assert index.lookup("user.bob.INBOX") is None
    assert stored(index, "user.bob.INBOX.x").acl == (("bob", FULL),)


def test_create_refuses_what_the_server_refuses(index: pyxlist.Index) -> None:
    """A name that is taken, and a user's mailbox without an INBOX."""
    with pytest.raises(pyxlist.MailboxExists, match=r"mailbox pub[.]news"):
        do(index, lambda hooks: hooks.mboxlist_createmailbox("pub.news"))
    with pytest.raises(pyxlist.MailboxMissing, match=r"mailbox user[.]eve"):
        do(index, lambda hooks: hooks.mboxlist_createmailbox("user.eve.Sent"))
    assert index.lookup("user.eve.Sent") is None


@pytest.mark.parametrize("name", ["", ".", "a..b", "a.", "pub.\n", "x" * 491])
def test_names_no_mailbox_can_have(index: pyxlist.Index, name: str) -> None:
    """Empty components, control characters and overlong names are a ValueError that shows the name."""
    with pytest.raises(ValueError, match="internal name"):
        do(index, lambda hooks: hooks.mboxlist_createmailbox(name))


def test_tombstones_are_replaced_and_intermediates_promoted(index: pyxlist.Index) -> None:
    """A new mailbox in a tombstone's place has a higher uidvalidity; an intermediate keeps its uniqueid."""
    do(index, lambda hooks: hooks.mboxlist_createmailbox("gone", uniqueid="other", uidvalidity=1))
    do(index, lambda hooks: hooks.mboxlist_createmailbox("half"))
    assert stored(index, "gone").uidvalidity == 2 and stored(index, "gone").is_live
    assert stored(index, "half").uniqueid == "half" and stored(index, "half").is_live


# --- delete ---


def test_deleting_leaves_a_tombstone_or_nothing(index: pyxlist.Index) -> None:
    """A tombstone keeps the uniqueid and nothing else; without one the record is gone."""
    do(index, lambda hooks: hooks.mboxlist_deletemailbox("pub.news"))
    grave = stored(index, "pub.news")
    assert grave.mbtype == Mbtype.TOMBSTONE and grave.acl == () and grave.uniqueid == "news" and not grave.partition
    do(index, lambda hooks: hooks.mboxlist_deletemailbox("pub", tombstone=False))
    assert index.lookup("pub") is None
    assert "Shared Folders/pub" not in names(index, "bob")


def test_delete_refuses_children_and_absence(index: pyxlist.Index) -> None:
    """A mailbox with live mailboxes below it stays; a second delete finds nothing."""
    with pytest.raises(pyxlist.MailboxHasChildren, match="Work has children"):
        do(index, lambda hooks: hooks.mboxlist_deletemailbox("user.ann.Work"))
    do(index, lambda hooks: hooks.mboxlist_deletemailbox("user.ann.Work.Old"))
    with pytest.raises(pyxlist.MailboxMissing):
        do(index, lambda hooks: hooks.mboxlist_deletemailbox("user.ann.Work.Old"))
    do(index, lambda hooks: hooks.mboxlist_deletemailbox("user.ann.Work"))


def test_delayed_delete_keeps_the_mailbox_below_deleted(index: pyxlist.Index) -> None:
    """ACL and uniqueid live on below DELETED with the time as hexadecimal; the name becomes a tombstone."""
    with index.write() as hooks:
        hooks._clock = lambda: 0x6B04A050
        hooks.mboxlist_deletemailbox("pub.news", delayed=True)
    kept = stored(index, "DELETED.pub.news.6B04A050")
    assert kept.acl == (("anyone", "lrs"), ("group:staff", "lrsp")) and kept.uniqueid == "news"
    assert stored(index, "pub.news").mbtype & Mbtype.TOMBSTONE
    with index.write() as hooks:
        hooks._clock = lambda: 0x6B04A050
        hooks.mboxlist_createmailbox("pub.news", uniqueid="second")
        with pytest.raises(pyxlist.MailboxExists):
            hooks.mboxlist_deletemailbox("pub.news", delayed=True)
    do(index, lambda hooks: hooks.mboxlist_deletemailbox("DELETED.pub.news.6B04A050"))
    assert index.lookup("DELETED.pub.news.6B04A050") is None


def test_deleting_an_inbox_deletes_the_user(index: pyxlist.Index) -> None:
    """All of the user's mailboxes, subscriptions and special uses go with the INBOX."""
    do(index, lambda hooks: hooks.mboxlist_changesub("pub", "ann", True))
    do(index, lambda hooks: hooks.mboxlist_setspecialuse("user.ann.Work", "\\Archive"))
    do(index, lambda hooks: hooks.mboxlist_deletemailbox("user.ann"))
    assert not [entry for entry in index.entries() if entry.name.startswith("user.ann") and entry.is_live]
    assert index.view("ann").respond(b'LSUB "" "*"').untagged == b""
    with index._store.read() as txn:
        assert list(txn.cursor(db=index._store.tables["specialuse"])) == []


# --- rename ---


def test_rename_moves_the_subtree(index: pyxlist.Index) -> None:
    """Children, ACLs, uniqueids, partitions and special uses move; the old names become tombstones."""
    do(index, lambda hooks: hooks.mboxlist_setspecialuse("user.ann.Work", "\\Archive"))
    before = stored(index, "user.ann.Work.Old")
    do(index, lambda hooks: hooks.mboxlist_renamemailbox("user.ann.Work", "user.ann.A.Job"))
    moved = stored(index, "user.ann.A.Job.Old")
    assert (moved.acl, moved.uniqueid, moved.uidvalidity) == (before.acl, before.uniqueid, before.uidvalidity)
    assert stored(index, "user.ann.A.Job").partition == "fast"
    assert stored(index, "user.ann.A").is_live, "a missing ancestor of the new name, with its parent's ACL"
    assert stored(index, "user.ann.Work.Old").mbtype & Mbtype.TOMBSTONE
    assert names(index, "bob") == ["INBOX", *[f"Other Users/ann{rest}" for rest in ("", "/A", "/A/Job/Old")], *SHARED]
    answer = index.view("ann").respond(b'LIST (SPECIAL-USE) "" "*"').untagged
    assert answer == b'* LIST (\\HasChildren \\Archive) "/" A/Job\r\n'


SHARED = ["Shared Folders/pub", "Shared Folders/pub/news"]


def test_renaming_again_changes_nothing(index: pyxlist.Index) -> None:
    """A rename that has been done is recognised by the tombstone's uniqueid."""
    do(index, lambda hooks: hooks.mboxlist_renamemailbox("pub", "public"))
    before = list(index.entries())
    do(index, lambda hooks: hooks.mboxlist_renamemailbox("pub", "public"))
    assert list(index.entries()) == before


def test_rename_refuses_what_the_server_refuses(index: pyxlist.Index) -> None:
    """Missing sources, names taken at the top or below, an INBOX that would become a folder."""
    with index.write() as hooks:
        hooks.mboxlist_createmailbox("public")
        hooks.mboxlist_createmailbox("public.news")
    for old, new, error in [
        ("nothing", "x", pyxlist.MailboxMissing),
        ("gone", "x", pyxlist.MailboxMissing),
        ("pub", "public", pyxlist.MailboxExists),
        ("pub.news", "pub.news", pyxlist.MailboxExists),
        ("user.ann", "pub.ann", pyxlist.MailboxError),
    ]:
        before = list(index.entries())
        with pytest.raises(error):
            do(index, lambda hooks, old=old, new=new: hooks.mboxlist_renamemailbox(old, new))  # type: ignore[misc]
        assert list(index.entries()) == before
    do(index, lambda hooks: hooks.mboxlist_deletemailbox("public.news"))
    do(index, lambda hooks: hooks.mboxlist_deletemailbox("public", tombstone=False))
    do(index, lambda hooks: hooks.mboxlist_renamemailbox("pub", "public"))
    assert stored(index, "public.news").uniqueid == "news", "a tombstone is not in the way"


def test_renaming_a_user_carries_rights_and_subscriptions(index: pyxlist.Index) -> None:
    """Where ACLs of the moved mailboxes named the old userid they name the new one; others keep theirs."""
    do(index, lambda hooks: hooks.mboxlist_changesub("user.ann.Work", "ann", True))
    do(index, lambda hooks: hooks.mboxlist_renamemailbox("user.ann", "user.eve"))
    assert stored(index, "user.eve").acl == (("bob", "lrs"), ("eve", FULL))
    assert names(index, "ann") == SHARED
    assert names(index, "eve") == ["INBOX", "Work", "Work/Old", *SHARED]
    assert index.view("eve").respond(b'LSUB "" "*"').untagged == b'* LSUB () "/" Work\r\n'


def test_a_user_renamed_to_what_he_had_subscribed_to(index: pyxlist.Index) -> None:
    """The subscription keeps the name in full: RETURN (SUBSCRIBED) finds it, no pass over one's own subscriptions does.

    What an imapd 3.6.1 answers after the same commands.
    """
    do(index, lambda hooks: hooks.mboxlist_changesub("user.eve.Work", "ann", True, force=True))
    do(index, lambda hooks: hooks.mboxlist_renamemailbox("user.ann", "user.eve"))
    view = index.view("eve")
    assert view.respond(b'LIST "" "W%" RETURN (SUBSCRIBED)').untagged == (
        b'* LIST (\\Subscribed \\HasChildren) "/" Work\r\n'
    )
    assert not view.respond(b'LIST (SUBSCRIBED) "" "*"').untagged and not view.respond(b'LSUB "" "*"').untagged


def test_moving_to_another_partition(index: pyxlist.Index) -> None:
    """The same name twice sets the partition and nothing else."""
    do(index, lambda hooks: hooks.mboxlist_renamemailbox("pub", "pub", partition="slow"))
    assert stored(index, "pub").partition == "slow" and stored(index, "pub.news").partition == "default"


def test_rename_into_itself_moves_one_mailbox(index: pyxlist.Index) -> None:
    """A mailbox renamed below itself leaves its children where they are."""
    do(index, lambda hooks: hooks.mboxlist_renamemailbox("pub", "pub.sub"))
    assert stored(index, "pub.sub").uniqueid == "pub" and stored(index, "pub.news").is_live


def test_a_subscription_goes_along_for_the_one_who_renames(index: pyxlist.Index) -> None:
    """RENAME by a user moves his own subscription, nobody else's."""
    for userid in ("ann", "bob"):
        do(index, lambda hooks, userid=userid: hooks.mboxlist_changesub("pub.news", userid, True))  # type: ignore[misc]
    do(index, lambda hooks: hooks.mboxlist_renamemailbox("pub.news", "pub.olds", subscriber="ann"))
    assert index.view("ann").respond(b'LSUB "" "*"').untagged == b'* LSUB () "/" "Shared Folders/pub/olds"\r\n'
    assert index.view("bob").respond(b'LSUB "" "*"').untagged == b""


# --- ACL ---


@pytest.mark.parametrize(
    ("identifier", "rights", "expected"),
    [
        ("bob", "lrs", (("ann", FULL), ("bob", "lrs"))),
        ("bob", "+c", (("ann", FULL), ("bob", "lrkxc"))),
        ("bob", "+d", (("ann", FULL), ("bob", "lrted"))),
        ("bob", "-r", (("ann", FULL), ("bob", "l"))),
        ("bob", "-lr", (("ann", FULL),)),
        ("bob", "", (("ann", FULL),)),
        ("bob", None, (("ann", FULL),)),
        ("-bob", "r", (("ann", FULL), ("bob", "lr"), ("-bob", "r"))),
        ("group:staff", "l", (("ann", FULL), ("bob", "lr"), ("group:staff", "l"))),
        ("ann", "s", (("ann", "lskxcan"), ("bob", "lr"))),
        ("ann", "", (("ann", "lkxcan"), ("bob", "lr"))),
        ("-ann", FULL, (("ann", FULL), ("bob", "lr"), ("-ann", FULL))),
    ],
)
def test_setacl(
    index: pyxlist.Index, identifier: str, rights: str | None, expected: tuple[tuple[str, str], ...]
) -> None:
    """One identifier changes; macros are expanded; owners keep their implicit rights.  Twice is once."""
    for _ in range(2):
        do(index, lambda hooks: hooks.mboxlist_setacl("user.ann.Work.Old", identifier, rights))
        if rights and rights[0] in "+-" and identifier == "bob":
            break
        assert stored(index, "user.ann.Work.Old").acl == expected
    assert stored(index, "user.ann.Work.Old").acl == expected


def test_an_owner_cannot_deny_himself(index: pyxlist.Index) -> None:
    """A denial of his own that the owner sets leaves his implicit rights alone."""
    do(index, lambda hooks: hooks.mboxlist_setacl("user.ann.Work", "-ann", "lrs", userid="ann"))
    assert stored(index, "user.ann.Work").acl[-1] == ("-ann", "rs")


def test_setacl_that_changes_nothing_writes_nothing(index: pyxlist.Index) -> None:
    """The same rights again leave mtime and every state token as they are."""
    before, state = stored(index, "pub"), index.view("bob").state()
    do(index, lambda hooks: hooks.mboxlist_setacl("pub", "anyone", "lrs"))
    assert stored(index, "pub") == before and index.view("bob").state() == state


def test_setacl_refuses(index: pyxlist.Index) -> None:
    """Letters that are no rights, identifiers that are none, mailboxes that are not there."""
    for arguments in [("pub", "bob", "lrz"), ("pub", "", "l"), ("pub", "-", "l")]:
        with pytest.raises(ValueError):
            do(index, lambda hooks, a=arguments: hooks.mboxlist_setacl(*a))  # type: ignore[misc]
    for name in ("nothing", "gone", "half"):
        with pytest.raises(pyxlist.MailboxMissing):
            do(index, lambda hooks, name=name: hooks.mboxlist_setacl(name, "bob", "l"))  # type: ignore[misc]


def test_setacls_replaces_the_whole(index: pyxlist.Index) -> None:
    """The pairs given are the ACL afterwards, in their order."""
    do(index, lambda hooks: hooks.mboxlist_setacls("pub", [("group:staff", "lrs"), ("-bob", "r")]))
    assert stored(index, "pub").acl == (("group:staff", "lrs"), ("-bob", "r"))


def test_a_revocation_is_seen_by_the_next_call(index: pyxlist.Index) -> None:
    """LIST and MYRIGHTS of the same view before and after."""
    view = index.view("bob")
    assert view.rights("Other Users/ann") is not None
    do(index, lambda hooks: hooks.mboxlist_setacl("user.ann", "bob", ""))
    assert view.rights("Other Users/ann") is None
    assert [item.name for item in view.list()] == ["INBOX", "Other Users/ann/Work/Old", *SHARED]


# --- the others ---


def test_remote_mailboxes(index: pyxlist.Index) -> None:
    """MUPDATE's entries come and go without tombstones; local ones are not touched by mistake."""
    for _ in range(2):
        do(index, lambda hooks: hooks.mboxlist_insertremote("far", "two.example.com", "default", [("bob", "lrs")]))
    entry = stored(index, "far")
    assert entry.mbtype == Mbtype.REMOTE and entry.server == "two.example.com"
    assert "Shared Folders/far" in names(index, "bob")
    for _ in range(2):
        do(index, lambda hooks: hooks.mboxlist_deleteremote("far"))
    assert index.lookup("far") is None
    with pytest.raises(pyxlist.MailboxError, match="pub"):
        do(index, lambda hooks: hooks.mboxlist_deleteremote("pub"))


def test_update_writes_a_whole_entry(index: pyxlist.Index) -> None:
    """No precondition: what is given is what is there."""
    entry = pyxlist.Entry(b"pub", acl=(("bob", "l"),), uniqueid="x", partition="p", uidvalidity=7)
    for _ in range(2):
        do(index, lambda hooks: hooks.mboxlist_update(entry))
    assert index.lookup("pub") == entry


def test_subscriptions(index: pyxlist.Index) -> None:
    """Only what the user sees can be subscribed to; unsubscribing what is not subscribed is nothing."""
    view = index.view("bob")
    for _ in range(2):
        do(index, lambda hooks: hooks.mboxlist_changesub("pub.news", "bob", True))
    do(index, lambda hooks: hooks.mboxlist_changesub("user.bob", "bob", True))
    assert view.respond(b'LSUB "" "*"').untagged == (
        b'* LSUB () "/" INBOX\r\n* LSUB () "/" "Shared Folders/pub/news"\r\n'
    )
    for name in ("user.ann.Work", "nothing", "gone"):
        with pytest.raises(pyxlist.MailboxMissing):
            do(index, lambda hooks, name=name: hooks.mboxlist_changesub(name, "bob", True))  # type: ignore[misc]
    do(index, lambda hooks: hooks.mboxlist_changesub("nothing", "bob", True, force=True))
    for name in ("pub.news", "pub.news", "user.bob"):
        do(index, lambda hooks, name=name: hooks.mboxlist_changesub(name, "bob", False))  # type: ignore[misc]
    assert view.respond(b'LIST (SUBSCRIBED) "" "*"').untagged == (
        b'* LIST (\\NonExistent \\Subscribed) "/" "Shared Folders/nothing"\r\n'
    ).replace(b"\\Subscribed)", b"\\Subscribed \\HasNoChildren)")


def test_special_uses(index: pyxlist.Index) -> None:
    """An attribute shows in LIST until it is taken away; shared mailboxes have none."""
    do(index, lambda hooks: hooks.mboxlist_setspecialuse("user.ann.Work.Old", "\\Sent \\Archive"))
    view = index.view("ann")
    row = b'* LIST (\\HasNoChildren \\Sent \\Archive) "/" Work/Old\r\n'
    assert view.respond(b'LIST "" Work/Old').untagged == row
    do(index, lambda hooks: hooks.mboxlist_setspecialuse("user.ann.Work.Old", ""))
    assert view.respond(b'LIST "" Work/Old').untagged == row.replace(b" \\Sent \\Archive", b"")
    with pytest.raises(ValueError, match="no owner"):
        do(index, lambda hooks: hooks.mboxlist_setspecialuse("pub", "\\Sent"))


# --- transactions ---


def test_verbs_see_the_verbs_before_them(index: pyxlist.Index) -> None:
    """Create, grant, rename and delete in one transaction, each building on the last."""
    with index.write() as hooks:
        hooks.mboxlist_createmailbox("a")
        hooks.mboxlist_createmailbox("a.b")
        hooks.mboxlist_setacl("a.b", "bob", "lrs")
        hooks.mboxlist_renamemailbox("a", "c")
        entry = hooks.lookup("c.b")
        assert entry is not None and entry.acl == (("anyone", "lrs"), ("bob", "lrs"))
        assert index.lookup("c.b") is None, "nobody else sees it before the block ends"
        with pytest.raises(pyxlist.MailboxHasChildren):
            hooks.mboxlist_deletemailbox("c")
        hooks.mboxlist_deletemailbox("c.b")
        hooks.mboxlist_deletemailbox("c")
    assert not stored(index, "c").is_live


def test_a_block_that_raises_leaves_nothing(index: pyxlist.Index) -> None:
    """Whatever the block did before the exception is undone."""

    def do_and_raise(hooks: Hooks) -> None:
        hooks.mboxlist_createmailbox("a")
        hooks.mboxlist_changesub("a", "bob", True)
        raise ZeroDivisionError

    before = list(index.entries())
    with pytest.raises(ZeroDivisionError):
        do(index, do_and_raise)
    assert list(index.entries()) == before
    assert index.view("bob").respond(b'LSUB "" "*"').untagged == b""
