r"""No answer, in any variant, names a mailbox that the view lacks `l` on.

Two things are answered whoever may see them, as a server does, and are left out: a subscription, which is the
user's own words, whatever is there (LSUB, LIST SUBSCRIBED), and an own \NonExistent placeholder.
"""

from __future__ import annotations

import pathlib
import tempfile
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import pyxlist
from pyxlist.acl import CyrusPolicy, Evaluation, MostSpecificPolicy
from tests.worlds import World, groups_of, logging_in, random_configuration, random_world

FORMS = (
    'LIST "" "{p}"',
    'XLIST "" "{p}"',
    'RLIST "" "{p}"',
    'LIST "" "{p}" RETURN (SUBSCRIBED MYRIGHTS STATUS (MESSAGES))',
    'LIST "" ("{p}" "*") RETURN (MYRIGHTS)',
    'LIST (SPECIAL-USE) "" "{p}" RETURN (SPECIAL-USE)',
    'LIST (vendor.cmu-dav) "" "{p}" RETURN (MYRIGHTS)',
)
PATTERNS = ("*", "%", "%/%", "*%", "%*", "*/x", "Other Users/*", "Shared Folders/%", "user%", "x*", "*.%")


def rows_of(view: pyxlist.View, command: bytes) -> list[tuple[bytes, bytes]]:
    """(flags, name) of each untagged line of a LIST, with names as octets."""
    untagged = view.respond(command).untagged
    found, at = [], 0
    while at < len(untagged):
        end = untagged.index(b"\r\n", at)
        line = untagged[at:end]
        at = end + 2
        if line.endswith(b"}"):
            size = int(line[line.rindex(b"{") + 1 : -1])
            line = line[: line.rindex(b"{")] + untagged[at : at + size]
            at = untagged.index(b"\r\n", at + size) + 2
        flags, _, rest = line.partition(b") ")
        if line.startswith((b"* LIST", b"* XLIST")):
            found.append((flags, rest.split(b" ", 1)[1].strip(b'"')))
    return found


def may_list(evaluation: Evaluation, view: pyxlist.View, acl: tuple[tuple[str, str], ...], owned: bool) -> bool:
    """Whether the ACL gives the view `l`."""
    return "l" in evaluation.effective(acl, view.asker, owned)


def secrets_of(made: World, view: pyxlist.View, evaluation: Evaluation) -> set[bytes]:
    """External names the view may not list, and that no mailbox it may list is called or stands below."""
    separator = view.namespace.separator
    named, hidden = set(), set()
    for key, box in made.mailboxes.items():
        name = view.namespace.external_of(key)
        if name is None:
            continue
        seen = may_list(evaluation, view, box.acl, view.namespace.owns(key)) and not set(box.mbtype) & set("di")
        if seen:
            parts = name.split(separator)
            named |= {separator.join(parts[:depth]) for depth in range(1, len(parts) + 1)}
        else:
            hidden.add(name)
    return hidden - named


def check_seed(seed: int, policy: pyxlist.Policy) -> None:
    """Every form and pattern, for every user of one world."""
    rng = Random(seed)
    options = {**random_configuration(rng), "acl_admin_implies_write": "no", "unix_group_enable": "yes"}
    made = random_world(rng, domains=options["virtdomains"] != "off")
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        conf = folder / "imapd.conf"
        conf.write_text("".join(f"{name}: {text}\n" for name, text in options.items()))
        companions = made.write(folder)
        config = pyxlist.Config.from_imapd_conf(conf)
        pyxlist.build(folder / "mailboxes.db", folder / "index", config=config, **companions)
        evaluation = MostSpecificPolicy() if policy.most_specific else CyrusPolicy()
        with pyxlist.open(folder / "index") as index:
            assert list(index.check()) == []
            for userid in logging_in(options):
                if userid == "cyrus":
                    continue
                view = index.view(userid, groups=groups_of(userid), policy=policy)
                secrets = secrets_of(made, view, evaluation)
                for form in FORMS:
                    command = form.format(p=rng.choice(PATTERNS)).encode()
                    told = {name for _flags, name in rows_of(view, command)}
                    assert not told & secrets, (userid, command)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**48))
def test_nothing_without_l_is_named(seed: int) -> None:
    """As Cyrus answers."""
    check_seed(seed, pyxlist.CYRUS)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@example(10238)  # one's own folder, which Cyrus reads as nobody's for a '!' in its name
@given(st.integers(0, 2**48))
def test_nothing_without_l_is_named_under_other_policies(seed: int) -> None:
    """Under the most specific identifier's rights, and the RFCs' answers."""
    check_seed(seed, pyxlist.DOVECOT)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**48))
def test_nothing_without_l_is_named_in_many_worlds(seed: int) -> None:
    """The same at length."""
    check_seed(seed, pyxlist.CYRUS)


def test_the_check_can_fail() -> None:
    """A secret that is told is found to be told: the admin's view, judged as a user's, names what it may not."""
    made = random_world(Random(3), domains=False)
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        companions = made.write(folder)
        config = pyxlist.Config(admins=("cyrus",), altnamespace=False)
        pyxlist.build(folder / "mailboxes.db", folder / "index", config=config, **companions)
        with pyxlist.open(folder / "index") as index:
            view = index.view("cyrus")
            told = {name for _flags, name in rows_of(view, b'LIST "" "*"')}
            assert told & secrets_of(made, view, CyrusPolicy())
