r"""Policies: where answers depart from Cyrus, one departure at a time."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from random import Random

import pytest

import pyxlist
from pyxlist.acl import Asker, MostSpecificPolicy
from tests.worlds import FULL, Mailbox, World, random_world

CONFIG = pyxlist.Config(admins=("cyrus",), defaultdomain="internal.invalid")
GROUPS = ("staff",)

# RFC 5258, section 4, example 8 and the discussion of CHILDINFO in 3.5: is the parent there, is it subscribed,
# is a child subscribed -> the parent's row for LIST (SUBSCRIBED RECURSIVEMATCH) "" "%".
TRUTH = (
    (True, False, False, None),
    (True, True, False, rb'(\Subscribed \HasChildren) "/" foo'),
    (True, False, True, rb'(\HasChildren) "/" foo (CHILDINFO ("SUBSCRIBED"))'),
    (True, True, True, rb'(\Subscribed \HasChildren) "/" foo (CHILDINFO ("SUBSCRIBED"))'),
    (False, False, False, None),
    (False, True, False, rb'(\NonExistent \Subscribed \HasChildren) "/" foo'),
    (False, False, True, rb'(\NonExistent \HasChildren) "/" foo (CHILDINFO ("SUBSCRIBED"))'),
    (False, True, True, rb'(\NonExistent \Subscribed \HasChildren) "/" foo (CHILDINFO ("SUBSCRIBED"))'),
)


def world(subscribed: tuple[str, ...] = (), **acls: str) -> World:
    """Mailboxes of ann and shared ones, `a__b` for a child b of a: ACLs by name; ann's subscriptions."""
    mailboxes = {b"user\x1fann": Mailbox((("ann", FULL),), "e", "id-inbox")}
    for number, (name, acl) in enumerate(acls.items()):
        words = acl.split()
        key = name.replace("__", "\x1f").encode()
        mailboxes[key] = Mailbox(tuple(zip(words[::2], words[1::2], strict=True)), "e", f"id{number}")
    return World(mailboxes, {"ann": tuple(name.replace("__", "\x1f").encode() for name in subscribed)})


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder whose index is found healthy in the end."""
    yield tmp_path
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []


def open_world(folder: pathlib.Path, made: World, config: pyxlist.Config = CONFIG) -> pyxlist.Index:
    """The world, indexed and open."""
    companions = made.write(folder)
    pyxlist.build(folder / "mailboxes.db", folder / "index", config=config, **companions)
    return pyxlist.open(folder / "index")


@pytest.mark.parametrize(("there", "parent", "child", "row"), TRUTH)
def test_childinfo_truth_table(folder: pathlib.Path, there: bool, parent: bool, child: bool, row: bytes | None) -> None:
    """RFC 5258: CHILDINFO tells of subscribed children, NonExistent of a parent that is no mailbox."""
    top, below = "user__ann__foo", "user__ann__foo__bar"
    subscribed = (top,) * parent + (below,) * child
    boxes = {below: f"ann {FULL}", **({top: f"ann {FULL}"} if there else {})}
    with open_world(folder, world(subscribed, **boxes)) as index:
        answer = index.view("ann", policy=pyxlist.RFC).respond(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"')
    assert answer.untagged == (b"" if row is None else b"* LIST " + row + b"\r\n")


def test_an_ancestor_the_view_may_not_list_stays_nonexistent(folder: pathlib.Path) -> None:
    """That it exists is not told to a view without l, under any policy."""
    made = world(("pub__a",), pub="ann r", pub__a="ann lr")
    command = b'LIST (SUBSCRIBED RECURSIVEMATCH) "" "Shared Folders/%"'
    with open_world(folder, made) as index:
        answers = {index.view("ann", policy=policy).respond(command) for policy in (pyxlist.CYRUS, pyxlist.RFC)}
    assert [answer.untagged for answer in answers] == [
        b'* LIST (\\NonExistent \\HasChildren) "/" "Shared Folders/pub" (CHILDINFO ("SUBSCRIBED"))\r\n'
    ]


def test_no_myrights_of_what_is_no_mailbox(folder: pathlib.Path) -> None:
    """Cyrus tells the rights of the first mailbox below; RFC 8440 has rights of mailboxes."""
    command, line = b'LIST "" "%/%" RETURN (MYRIGHTS)', b'* MYRIGHTS "Shared Folders/pub" lr\r\n'
    with open_world(folder, world(pub__a="ann lr")) as index:
        assert line in index.view("ann").respond(command).untagged
        assert line not in index.view("ann", policy=pyxlist.RFC).respond(command).untagged


def test_lsub_keeps_a_name_whose_mailbox_is_gone(folder: pathlib.Path) -> None:
    """RFC 3501: the server must not drop a name because there is no mailbox any more."""
    with open_world(folder, world(("user__ann__gone",))) as index:
        assert index.view("ann").respond(b'LSUB "" "*"').untagged == b""
        strict = index.view("ann", policy=pyxlist.RFC)
        assert strict.respond(b'LSUB "" "*"').untagged == b'* LSUB () "/" gone\r\n'


@pytest.mark.parametrize(
    ("acl", "rights"),
    [
        ("anyone lrs ann r", "r"),
        ("anyone lrs group:staff lrsw", "lrsw"),
        ("group:staff lrsw ann l", "l"),
        ("ann l group-override:staff lr", "lr"),
        ("authenticated lr anyone lrswi", "lr"),
        ("anyone lrs -ann s", "lr"),
        ("-group:staff r -ann s ann lrs", "lr"),
        ("owner lrs anyone lr", "lr"),
    ],
)
def test_the_most_specific_identifier_decides(folder: pathlib.Path, acl: str, rights: str) -> None:
    """In LIST, its MYRIGHTS lines, MYRIGHTS and View.rights alike."""
    with open_world(folder, world(pub=acl)) as index:
        view = index.view("ann", groups=GROUPS, policy=pyxlist.DOVECOT)
        name = "Shared Folders/pub"
        listed = {item.name: str(item.rights) for item in view.list("", "*") if item.name == name}
        assert listed == ({name: rights} if "l" in rights else {})
        assert str(view.rights(name)) == rights
        answer = view.respond(b'LIST "" "*" RETURN (MYRIGHTS)').untagged
        assert (f'* MYRIGHTS "{name}" {rights}\r\n'.encode() in answer) == ("l" in rights)


def test_owner_is_an_identifier_on_own_mailboxes_alone(folder: pathlib.Path) -> None:
    """`owner` opens ann's folder to ann and to nobody else."""
    with open_world(folder, world(user__ann__a="owner lr", user__bob__b="owner lr", pub="owner lr")) as index:
        names = [item.name for item in index.view("ann", policy=pyxlist.DOVECOT).list("", "*")]
    assert names == ["INBOX", "a"]


@pytest.mark.parametrize("seed", range(40))
def test_kernel_and_evaluator_agree(folder: pathlib.Path, seed: int) -> None:
    """What the kernel lists is what the evaluator grants l on, in random worlds."""
    made = random_world(Random(seed), domains=False)
    evaluator = MostSpecificPolicy()
    with open_world(folder, made, pyxlist.Config(admins=("cyrus",))) as index:
        for userid in ("ann", "mar", "guest"):
            view = index.view(userid, groups=GROUPS, policy=pyxlist.DOVECOT)
            listed = {item.name for item in view.list("", "*")}
            for key, box in made.mailboxes.items():
                name = view.namespace.external_of(key)
                if box.mbtype[0] != "e" or set(box.mbtype) & set("idf") or name is None or b"#" in name or b"!" in key:
                    continue
                rights = evaluator.effective(box.acl, Asker(userid, GROUPS), view.namespace.owns(key))
                if b"DELETED" not in key:
                    assert (name.decode("utf-8", "surrogateescape") in listed) == ("l" in rights), (userid, key)


def test_the_default_is_cyrus() -> None:
    """A policy without arguments departs nowhere."""
    assert pyxlist.Policy() == pyxlist.CYRUS
    assert not any(getattr(pyxlist.CYRUS, name) for name in pyxlist.Policy.__dataclass_fields__)
