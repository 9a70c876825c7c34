"""State tokens and changes: whatever hooks do, an equal token means equal answers."""

from __future__ import annotations

import pathlib
import pickle
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pyxlist
from pyxlist import Hooks, Mbtype
from tests.sources import value, write_flat

FULL = "lrswipkxtecdan"
USERS = ("ann", "bob", "joe", "cyrus")
GROUPS = {"ann": ("staff",), "bob": ("staff", "crew")}
NAMES = (
    "user.ann",
    "user.ann.Rnd",
    "user.ann.Rnd.x",
    "user.ann.INBOX.y",
    "user.bob",
    "user.bob.Work",
    "user.bob.Work.Old",
    "Rnd",
    "Rnd.x",
    "pub",
    "pub.a",
    "pub.a.b",
    "pub.a.#calendars",
)
IDENTIFIERS = ("ann", "bob", "joe", "anyone", "group:staff", "group:crew", "-bob", "-group:staff")
BATTERY = (
    b'LIST "" "*"',
    b'LIST "" "%"',
    b'LIST "" "*" RETURN (MYRIGHTS SUBSCRIBED STATUS (UIDVALIDITY HIGHESTMODSEQ MAILBOXID))',
    b'LIST (SUBSCRIBED) "" "*" RETURN (MYRIGHTS CHILDREN STATUS (UIDVALIDITY))',
    b'LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"',
    b'LIST (SPECIAL-USE) "" "*"',
    b'LIST (vendor.fm-include-nonexistent) "" "*"',
    b'LIST (vendor.cmu-dav) "" "*"',
    b'LSUB "" "*"',
    b'LSUB "" "%"',
    b'MYRIGHTS "INBOX"',
    b'MYRIGHTS "Rnd"',
    b'MYRIGHTS "\\\\Sent"',
    b'MYRIGHTS "Other Users/bob/Work"',
    b'MYRIGHTS "Shared Folders/pub/a"',
    b'MYRIGHTS "user/bob/Work"',
    b'MYRIGHTS "pub.a"',
)

Step = Callable[[Hooks], object]
names = st.sampled_from(NAMES)
users = st.sampled_from(USERS)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(lambda n: lambda hooks: hooks.mboxlist_createmailbox(n), names),
    st.builds(
        lambda n, d, t: lambda hooks: hooks.mboxlist_deletemailbox(n, delayed=d, tombstone=t),
        names,
        *2 * [st.booleans()],
    ),
    st.builds(lambda n, m: lambda hooks: hooks.mboxlist_renamemailbox(n, m), names, names),
    st.builds(
        lambda n, i, r: lambda hooks: hooks.mboxlist_setacl(n, i, r),
        names,
        st.sampled_from(IDENTIFIERS),
        st.sampled_from(("lrs", "", "+l", "-l", "p", "a", FULL)),
    ),
    st.builds(lambda n, u, a: lambda hooks: hooks.mboxlist_changesub(n, u, a, force=True), names, users, st.booleans()),
    st.builds(
        lambda n, u: lambda hooks: hooks.mboxlist_setspecialuse(n, u), names, st.sampled_from(("\\Sent", "\\Junk", ""))
    ),
    st.builds(
        lambda n, t, v: lambda hooks: hooks.mboxlist_update(entry(n, t, v)),
        names,
        st.sampled_from((Mbtype.EMAIL, Mbtype.CALENDAR, Mbtype.INTERMEDIATE, Mbtype.MOVING, Mbtype.RESERVED)),
        st.integers(1, 3),
    ),
)


def entry(name: str, mbtype: Mbtype, version: int) -> pyxlist.Entry:
    key = name.replace(".", "\x1f").encode()
    acl = (("ann", "lrs"),) if version > 1 else ()
    return pyxlist.Entry(key, mbtype, f"id{name}{version}", "default", None, version, foldermodseq=version, acl=acl)


def try_step(index: pyxlist.Index, step: Step) -> bool:
    """Whether it was carried out; a refusal leaves the index as it was."""
    try:
        with index.write() as hooks:
            step(hooks)
    except (pyxlist.MailboxError, ValueError):
        return False
    return True


def make(folder: pathlib.Path, config: pyxlist.Config) -> None:
    world = {
        b"user\x1fann": value(f"ann {FULL}", uniqueid="a"),
        b"user\x1fbob": value(f"bob {FULL} ann lr", uniqueid="b"),
        b"user\x1fbob\x1fWork": value(f"bob {FULL} group:staff lrs", uniqueid="c"),
        b"pub": value("anyone lrs", uniqueid="d"),
        b"pub\x1fa": value("group:crew lrs", uniqueid="e"),
    }
    pyxlist.build(write_flat(folder / "db", world), folder / "index", config)
    with pyxlist.open(folder / "index", readonly=False) as index, index.write() as hooks:
        for number, name in enumerate(NAMES):
            for userid in ("bob", "joe") if number % 2 else ("joe",):
                hooks.mboxlist_changesub(name, userid, True, force=True)


configs = st.builds(
    pyxlist.Config, altnamespace=st.booleans(), unixhierarchysep=st.booleans(), admins=st.just(("cyrus",))
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(configs, st.lists(steps, min_size=20, max_size=40))
def test_equal_tokens_mean_equal_answers(config: pyxlist.Config, script: list[Step]) -> None:
    """After every hook: whoever's token is what it was has the same answers to a whole battery of commands."""
    with tempfile.TemporaryDirectory() as name:
        make(pathlib.Path(name), config)
        with pyxlist.open(pathlib.Path(name) / "index", readonly=False) as index:
            views = {userid: index.view(userid, groups=GROUPS.get(userid, ())) for userid in USERS}

            def look() -> dict[str, tuple[bytes, list[pyxlist.Answer]]]:
                return {u: (view.state(), [view.respond(c) for c in BATTERY]) for u, view in views.items()}

            before = look()
            for step in script:
                if not try_step(index, step):
                    assert look() == before
                    continue
                after = look()
                for userid, (state, answers) in after.items():
                    if state == before[userid][0]:
                        differing = [c for c, a, b in zip(BATTERY, answers, before[userid][1], strict=True) if a != b]
                        assert not differing, userid
                before = after
            assert list(index.check()) == []


@pytest.mark.parametrize(
    ("command", "step"),
    [
        (
            b'LIST (vendor.fm-include-nonexistent) "" "Rnd/*"',
            lambda hooks: hooks.mboxlist_update(entry("Rnd", Mbtype.TOMBSTONE, 1)),
        ),
        (
            b'MYRIGHTS "Other Users/bob/Work"',
            lambda hooks: hooks.mboxlist_update(entry("user.bob.Work", Mbtype.RESERVED, 1)),
        ),
        (
            b'LIST "" "*" RETURN (STATUS (HIGHESTMODSEQ))',
            lambda hooks: hooks.mboxlist_setacls("user.bob", [("bob", FULL), ("ann", "lr")], foldermodseq=9),
        ),
    ],
)
def test_answers_that_depend_on_more_than_rights(tmp_path: pathlib.Path, command: bytes, step: Step) -> None:
    """A record that only its name matters of, a type that is told to everybody, a number that STATUS prints."""
    make(tmp_path, pyxlist.Config())
    with pyxlist.open(tmp_path / "index", readonly=False) as index:
        view = index.view("ann")
        assert try_step(index, lambda hooks: hooks.mboxlist_createmailbox("user.ann.Rnd.x"))
        assert try_step(index, lambda hooks: hooks.mboxlist_setacl("user.bob.Work", "group:staff", ""))
        before = view.respond(command), view.state()
        assert try_step(index, step)
        assert view.respond(command) != before[0]
        assert view.state() != before[1]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(steps, max_size=4), min_size=1, max_size=5))
def test_changes_add_up(rounds: list[list[Step]]) -> None:
    """Applying what `changes` tells to what was known before gives what LIST shows now, and nothing is told twice."""
    with tempfile.TemporaryDirectory() as name:
        make(pathlib.Path(name), pyxlist.Config(admins=("cyrus",)))
        with pyxlist.open(pathlib.Path(name) / "index", readonly=False) as index:
            view = index.view("bob", groups=GROUPS["bob"])
            told = index.changes(view)
            known = set(told.appeared)
            for script in rounds:
                for step in script:
                    try_step(index, step)
                rights = dict(told.names)
                told = index.changes(view, pickle.loads(pickle.dumps(told)))
                known = (known | set(told.appeared)) - set(told.vanished)
                listed = {item.name: (item.rights, item.attributes) for item in view.list()}
                assert known == set(listed)
                assert told.names == listed
                same = {name for name in listed if rights.get(name) == listed[name]}
                assert set(told.changed) | set(told.appeared) == set(listed) - same
                assert not index.changes(view, told)


def test_a_configuration_changes_every_token(tmp_path: pathlib.Path) -> None:
    """Another configuration, or another build of the same source, has other tokens."""
    make(tmp_path, pyxlist.Config())
    with pyxlist.open(tmp_path / "index") as index:
        before = index.view("ann").state()
    pyxlist.build(tmp_path / "db", tmp_path / "index", pyxlist.Config(unixhierarchysep=False))
    with pyxlist.open(tmp_path / "index") as index:
        assert index.view("ann").state() != before
    pyxlist.build(tmp_path / "db", tmp_path / "other", pyxlist.Config())
    with pyxlist.open(tmp_path / "other") as index:
        assert index.view("ann").state() != before
