"""Random hooks in random order: the index stays healthy, equals a fresh build, and lists as the oracle does."""

from __future__ import annotations

import contextlib
import multiprocessing
import pathlib
import random
import tempfile
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import pyxlist
from pyxlist import Durability, Hooks
from tests import oracle
from tests.sources import value, value_of, write_flat, write_source_of

FULL = "lrswipkxtecdan"
GROUPS = {"staff": ["ann", "mar"], "crew": ["mar"]}
USERS = ("ann", "mar", "mar.ta", "guest", "cyrus")
OWNERS = ("user.ann", "user.mar", "user.mar^ta")
TOPS = (*OWNERS, "pub", "Rnd")
BOXES = ("Foo", "foo bar", "a^b", "INBOX", "#calendars", "x")
IDENTIFIERS = ("ann", "mar", "mar.ta", "anyone", "group:staff", "group:crew", "-mar", "-group:staff", "-anyone")
RIGHTS = ("lrs", "l", "r", "", "+l", "-l", "+c", "-d", "p", "lr0", FULL)
BATTERY = (
    b'LIST "" "*"',
    b'LIST "" "%"',
    b'LIST "" "*%"',
    b'LIST "" "%/%"',
    b'LIST "" "Other Users/*"',
    b'LIST "" "*" RETURN (MYRIGHTS SUBSCRIBED)',
    b'LIST (SUBSCRIBED) "" "*"',
    b'LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"',
    b'LIST (SPECIAL-USE) "" "*"',
    b'LSUB "" "*"',
    b'LSUB "" "%"',
    b"NAMESPACE",
)
WORLD = {
    b"user\x1fann": value(f"ann {FULL}", uniqueid="inbox-ann"),
    b"user\x1fmar": value(f"mar {FULL} ann lrs", uniqueid="inbox-mar"),
    b"user\x1fmar\x1fFoo": value(f"mar {FULL} group:staff lr", uniqueid="foo-mar"),
    b"pub": value("anyone lrs", uniqueid="pub"),
}

names = st.builds(
    lambda top, boxes: ".".join((top, *boxes)), st.sampled_from(TOPS), st.lists(st.sampled_from(BOXES), max_size=2)
)


def random_step(hooks: Hooks, chance: random.Random) -> None:
    """One hook with random arguments; what the server would refuse is refused."""

    def name() -> str:
        return ".".join((chance.choice(TOPS), *chance.sample(BOXES, chance.choice((0, 1, 1, 2)))))

    with contextlib.suppress(pyxlist.MailboxError, ValueError):
        match chance.randrange(7):
            case 0 | 1:
                hooks.mboxlist_createmailbox(name())
            case 2:
                hooks.mboxlist_deletemailbox(name(), delayed=chance.random() < 0.5, tombstone=chance.random() < 0.5)
            case 3:
                hooks.mboxlist_renamemailbox(name(), name())
            case 4:
                hooks.mboxlist_setacl(name(), chance.choice(IDENTIFIERS), chance.choice(RIGHTS))
            case 5:
                hooks.mboxlist_changesub(name(), chance.choice(USERS), chance.random() < 0.8, force=True)
            case 6:
                hooks.mboxlist_setspecialuse(name(), chance.choice(("\\Sent", "\\Junk", "")))


def world_of(index: pyxlist.Index, config: dict[str, Any]) -> oracle.World:
    """The oracle's world of what the index's entries say, with the subscriptions and uses in its tables."""
    entries = {entry.key: oracle.read_entry(value_of(entry)) for entry in index.entries()}
    subscriptions: dict[str, tuple[list[bytes], bool]] = {}
    uses: dict[tuple[bytes, str], bytes] = {}
    with pyxlist.index.transaction.Writing(index._store, lambda made: made) as transaction:
        for userid in USERS:
            stored = transaction.owned_rows("subscriptions", userid)
            subscriptions[userid] = [row.replace(b"\x01", b".") for row in stored], True
            for key, use in transaction.owned_rows("specialuse", userid).items():
                uses[key, oracle.OWNER] = use
    return oracle.World(entries, config, GROUPS, subscriptions, uses, pattern_operators=False)


def compare(index: pyxlist.Index, folder: pathlib.Path, options: dict[str, Any]) -> None:
    """Healthy, equal to a fresh build of its own entries, and every answer the oracle's."""
    assert list(index.check()) == []
    fresh_path = folder / f"fresh{len(list(folder.iterdir()))}"
    pyxlist.build(write_source_of(folder / "again", index), fresh_path, index.config)
    with pyxlist.open(fresh_path) as fresh:
        assert [entry.as_dump() for entry in fresh.entries()] == [entry.as_dump() for entry in index.entries()]
        assert tables_of(fresh) == tables_of(index)
    expected = world_of(index, options)
    for userid in USERS:
        view = index.view(userid, groups=[group for group, members in GROUPS.items() if userid in members])
        for command in BATTERY:
            answer = view.respond(command)
            assert (answer.status, answer.untagged) == expected.respond(userid, command), (userid, command)


def tables_of(index: pyxlist.Index) -> list[tuple[str, bytes, bytes]]:
    """Every row of the tables that the directory implies, however it is cut into blocks."""
    from pyxlist.index.layout import is_stamp
    from pyxlist.index.rows import iter_blocks_of, iter_rows

    rows = []
    with index._store.read() as txn:
        for table in ("directory", "postings", "uniqueids"):
            owner = b""
            for key, block in iter_blocks_of(txn, index._store.tables[table], b""):
                if table == "postings" and is_stamp(key):
                    continue
                if not key.startswith(owner) or not owner:
                    owner = key
                rows += [(table, owner + name, payload) for name, payload in iter_rows(bytes(block))]
    return rows


class HooksMachine(RuleBasedStateMachine):
    """An index in one of four namespaces, open in two ways, under random transactions."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.index: pyxlist.Index | None = None
        self.options: dict[str, Any] = {}
        self.changed = False

    @initialize(alt=st.booleans(), slash=st.booleans())
    def make(self, alt: bool, slash: bool) -> None:
        """A small world."""
        self.options = {"altnamespace": alt, "unixhierarchysep": slash, "admins": "cyrus"}
        config = pyxlist.Config(altnamespace=alt, unixhierarchysep=slash, admins=("cyrus",))
        pyxlist.build(write_flat(self.path / "db", WORLD), self.path / "index", config)
        self.index = pyxlist.open(self.path / "index", readonly=False)

    @rule(seed=st.integers(0, 1 << 30), count=st.integers(1, 6))
    def transact(self, seed: int, count: int) -> None:
        """Some hooks in one transaction."""
        assert self.index is not None
        chance = random.Random(seed)
        with self.index.write(durability=Durability.within(50)) as hooks:
            for _ in range(count):
                random_step(hooks, chance)
        self.changed = True

    @rule(seed=st.integers(0, 1 << 30))
    def give_up(self, seed: int) -> None:
        """A transaction that raises in the end."""
        assert self.index is not None
        before = list(self.index.entries())
        with contextlib.suppress(ZeroDivisionError), self.index.write() as hooks:
            random_step(hooks, random.Random(seed))
            raise ZeroDivisionError
        assert list(self.index.entries()) == before

    @rule()
    def reopen(self) -> None:
        """Close and open."""
        assert self.index is not None
        self.index.close()
        self.index = pyxlist.open(self.path / "index", readonly=False)

    @precondition(lambda self: self.changed)
    @invariant()
    def agrees(self) -> None:
        """What the module promises."""
        assert self.index is not None
        compare(self.index, self.path, self.options)
        self.changed = False

    def teardown(self) -> None:
        """Nothing stays open, nothing stays on disk."""
        if self.index is not None:
            self.index.close()
        self.folder.cleanup()


TestHooksMachine = HooksMachine.TestCase
TestHooksMachine.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)


def work(path: str, seed: int, count: int) -> None:
    """One of several processes: transactions of its own."""
    chance = random.Random(seed)
    with pyxlist.open(path, readonly=False) as index:
        for _ in range(count):
            with index.write(timeout_s=60, durability=Durability.within(50)) as hooks:
                for _ in range(chance.randrange(1, 4)):
                    random_step(hooks, chance)
            assert index.view("ann").respond(b'LIST "" "*"').status == "OK"


def run_processes(tmp_path: pathlib.Path, seed: int, processes: int, count: int) -> None:
    options = {"altnamespace": True, "unixhierarchysep": True, "admins": "cyrus"}
    pyxlist.build(write_flat(tmp_path / "db", WORLD), tmp_path / "index", pyxlist.Config(admins=("cyrus",)))
    context = multiprocessing.get_context("fork")
    path = str(tmp_path / "index")
    children = [context.Process(target=work, args=(path, seed + number, count)) for number in range(processes)]
    for child in children:
        child.start()
    for child in children:
        child.join(300)
        assert child.exitcode == 0
    with pyxlist.open(path) as index:
        compare(index, tmp_path, options)


def test_random_hooks_in_several_processes(tmp_path: pathlib.Path) -> None:
    """Three processes at once; what they leave is healthy, equals a fresh build, and lists as the oracle does."""
    run_processes(tmp_path, seed=1, processes=3, count=25)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140, 10))
def test_many_random_hooks_in_many_processes(tmp_path: pathlib.Path, seed: int) -> None:
    """Eight processes, two hundred transactions each."""
    run_processes(tmp_path, seed=seed, processes=8, count=200)
