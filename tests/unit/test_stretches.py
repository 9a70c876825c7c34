"""Builds by difference pass over what their digests say is equal, and over nothing else."""

from __future__ import annotations

import contextlib
import pathlib
import random
from collections.abc import Iterator

import pytest

import pyxlist
from pyxlist.index import compare, stretches
from pyxlist.index.opening import open_store
from pyxlist.index.write import Change
from tests.sources import value, write_flat

World = dict[bytes, bytes]
MANY: World = {
    b"user\x1fu%05d%s" % (number // 2, b"\x1fSent" * (number % 2)): value(
        f"u{number // 2:05} lrs", uniqueid=f"i{number}"
    )
    for number in range(6000)
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a source and its index, to be copied by none: each test leaves them equal."""
    folder = tmp_path_factory.mktemp("stretches")
    pyxlist.build(write_flat(folder / "db", MANY), folder / "index")
    return folder


@contextlib.contextmanager
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Lowest names of the stretches that builds compare row by row inside the block."""
    real, seen = compare.Comparison.rows, list[bytes]()

    def rows(self: compare.Comparison, lower: bytes, upper: bytes) -> Iterator[Change]:
        seen.append(lower)
        return real(self, lower, upper)

    with monkeypatch.context() as patch:
        patch.setattr(compare.Comparison, "rows", rows)
        yield seen


def stored(index_path: pathlib.Path) -> dict[bytes, bytes]:
    """Digests by lowest name."""
    store = open_store(index_path)
    try:
        with store.read() as txn:
            return dict(stretches.read_stretches(txn, store.tables))
    finally:
        store.close()


def is_equal(folder: pathlib.Path, world: World) -> None:
    """The index is healthy, no different from the source row by row, and has an entry for each mailbox."""
    with pyxlist.open(folder / "index") as index:
        assert list(index.check()) == []
        assert list(index.verify(folder / "db")) == []
        assert [entry.key for entry in index.entries()] == sorted(world)


def test_an_equal_source_is_passed_over(built: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is looked at, and nothing is written."""
    before = stored(built / "index")
    assert len(before) > 3 and all(before.values())
    with looked_at(monkeypatch) as seen:
        report = pyxlist.build(built / "db", built / "index")
    assert (report.mode, report.mailboxes, seen) == ("none", len(MANY), [])
    assert stored(built / "index") == before


@pytest.mark.parametrize("taken_back", [False, True])
def test_what_a_hook_changed_is_looked_at(
    built: pathlib.Path, monkeypatch: pytest.MonkeyPatch, taken_back: bool
) -> None:
    """One stretch loses its digest, is compared, and has it again; also where the change was taken back."""
    before = stored(built / "index")
    with pyxlist.open(built / "index", readonly=False) as index:
        entry = index.lookup("user.u01500")
        assert entry is not None
        with index.write() as hooks:
            hooks.mboxlist_setacl(entry.name, "ann", "lrs")
        if taken_back:
            with index.write() as hooks:
                hooks.mboxlist_update(entry)
    gone = [name for name, digest in stored(built / "index").items() if not digest]
    assert len(gone) == 1 and gone[0] <= entry.key
    with looked_at(monkeypatch) as seen:
        report = pyxlist.build(built / "db", built / "index")
    assert (report.changed, seen) == (not taken_back, gone)
    assert stored(built / "index") == before
    is_equal(built, MANY)


def test_digests_of_another_release_are_not_believed(built: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that understands values otherwise looks at every row."""
    before = stored(built / "index")
    with looked_at(monkeypatch) as seen, monkeypatch.context() as patch:
        patch.setattr(stretches, "RELEASE", "another")
        assert pyxlist.build(built / "db", built / "index").changed == 0
    assert seen == list(before)
    assert not set(stored(built / "index").values()) & set(before.values())
    pyxlist.build(built / "db", built / "index")
    assert stored(built / "index") == before


def test_two_indexes_have_no_digest_in_common(built: pathlib.Path) -> None:
    """They are keyed with what only the index knows, so nobody can look for two values with one digest."""
    pyxlist.build(built / "db", built / "other")
    assert not set(stored(built / "other").values()) & set(stored(built / "index").values())


def edited(world: World, chance: random.Random) -> World:
    """Another world: mailboxes changed, gone and new, here and there or in whole stretches."""
    after = dict(world)
    names = sorted(after)
    first = chance.randrange(len(names))
    for name in chance.sample(names, chance.choice((0, 1, 3, 200))):
        after[name] = value(f"ann {chance.choice(('l', 'lr'))}", uniqueid=f"c{chance.random()}")
    for name in chance.sample(names, chance.choice((0, 1, 50))):
        after.pop(name, None)
    if chance.random() < 0.3:
        for name in names[first : first + chance.choice((1, 1500, 9000))]:
            after.pop(name, None)
    for _ in range(chance.choice((0, 1, 2000))):
        new = b"user\x1fu%05d\x1fNew %d" % (chance.randrange(3000), chance.randrange(9))
        after[new] = value("bob lrs", uniqueid=f"n{chance.random()}")
    return after


def disturb(index_path: pathlib.Path, chance: random.Random) -> None:
    """Changes of the index that its source knows nothing of."""
    with pyxlist.open(index_path, readonly=False) as index, index.write() as hooks:
        for _ in range(chance.choice((0, 1, 40))):
            name = f"user.u{chance.randrange(3000):05}"
            if (entry := hooks.lookup(name)) is not None and chance.random() < 0.7:
                hooks.mboxlist_setacl(name, "eve", chance.choice(("lrs", "")))
            elif entry is None:
                hooks.mboxlist_createmailbox(name)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_changed_the_index_is_the_source_afterwards(tmp_path: pathlib.Path, seed: int) -> None:
    """Sources and indexes edited at random, beside each other: each build by difference leaves no difference, and
    one after it finds nothing more to do.
    """
    chance, world = random.Random(seed), dict(MANY)
    pyxlist.build(write_flat(tmp_path / "db", world), tmp_path / "index")
    for _ in range(4):
        world = edited(world, chance)
        disturb(tmp_path / "index", chance)
        pyxlist.build(write_flat(tmp_path / "db", world), tmp_path / "index")
        is_equal(tmp_path, world)
        assert pyxlist.build(tmp_path / "db", tmp_path / "index").mode == "none"


def test_an_index_that_has_outgrown_its_stretches_is_cut_anew(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One stretch of few mailboxes that became very many is cut; after the next build none is looked at."""
    few = dict(list(MANY.items())[:10])
    many = {b"user\x1fv%05d" % number: value("anyone lrs", uniqueid=f"i{number}") for number in range(20_000)}
    pyxlist.build(write_flat(tmp_path / "db", few), tmp_path / "index")
    assert list(stored(tmp_path / "index")) == [b""]
    write_flat(tmp_path / "db", many)
    assert pyxlist.build(tmp_path / "db", tmp_path / "index").added == len(many)
    assert len(stored(tmp_path / "index")) > 3
    pyxlist.build(tmp_path / "db", tmp_path / "index")
    with looked_at(monkeypatch) as seen:
        assert pyxlist.build(tmp_path / "db", tmp_path / "index").mode == "none"
    assert seen == []
    is_equal(tmp_path, many)


def test_damage_in_one_stretch_is_found(tmp_path: pathlib.Path) -> None:
    """A value that nobody understands is refused, whatever the digests of its neighbours say."""
    pyxlist.build(write_flat(tmp_path / "db", MANY), tmp_path / "index")
    write_flat(tmp_path / "db", {**MANY, b"user\x1fu01500": b"%(A"})
    with pytest.raises(pyxlist.CorruptSourceError):
        pyxlist.build(tmp_path / "db", tmp_path / "index")
    write_flat(tmp_path / "db", MANY)
    assert pyxlist.build(tmp_path / "db", tmp_path / "index").mode == "none"
    is_equal(tmp_path, MANY)
