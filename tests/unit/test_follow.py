"""Following: recorded databases, histories that break, and what each must end in."""

from __future__ import annotations

import gzip
import pathlib
import shutil
import threading

import pytest

import pyxlist
from pyxlist.follow import Follower
from pyxlist.index.opening import open_store
from pyxlist.index.write import apply_changes
from pyxlist.index.writing import write
from tests.sources import value, write_flat
from tests.twoskip import Twoskip

DATA = pathlib.Path(__file__).parents[1] / "data" / "follow"


class World:
    """A live database, and the index that follows it."""

    def __init__(self, folder: pathlib.Path, database: Twoskip | None = None) -> None:
        self.source, self.index_path = folder / "db", folder / "index"
        self.database = database or Twoskip(seed=7)
        if database is None:
            for name in ("ann", "bob", "eve"):
                self.put(f"user\x1f{name}", f"{name} lrswipkxtecdan")
            self.database.put(b"Iabc", b"%(T e N user\x1fann)")
            self.database.put(b"AS\x1e", b"")
            self.commit()

    def put(self, name: str, acl: str, uniqueid: str = "") -> None:
        self.database.put(b"N" + name.encode(), value(acl, uniqueid=uniqueid or f"id-{name}"))

    def commit(self) -> None:
        self.database.commit()
        self.database.write(self.source)

    def follow(self) -> pyxlist.FollowReport:
        """One step, after which the index must be what the source is, and sound."""
        report = pyxlist.follow(self.source, self.index_path, once=True)
        self.check()
        return report

    def check(self) -> None:
        with pyxlist.open(self.index_path) as index:
            assert list(index.verify(self.source)) == []
            assert list(index.check()) == []
            assert index.stat()["mailboxes"] == len(list(index.entries()))

    def names(self) -> list[str]:
        with pyxlist.open(self.index_path) as index:
            return [entry.name for entry in index.entries()]


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    made = World(tmp_path)
    assert made.follow().mode == "rebuild"
    return made


def place(name: str, path: pathlib.Path, rename: bool) -> None:
    octets = gzip.decompress((DATA / f"{name}.gz").read_bytes())
    fresh = path.with_name("fresh")
    fresh.write_bytes(octets)
    if rename or not path.exists():
        fresh.rename(path)
    else:
        shutil.copyfile(fresh, path)


@pytest.mark.parametrize("rename", [False, True], ids=["in place", "renamed"])
@pytest.mark.parametrize(
    ("names", "modes"),
    [
        ("A dirty3 B25 C1-before C1-after", "rebuild none tail tail rebuild"),
        ("dirty3 C1-before A", "rebuild tail rebuild"),
    ],
)
def test_recorded_captures(tmp_path: pathlib.Path, names: str, modes: str, rename: bool) -> None:
    """Through a real server's captures: what grew is a tail, a repack a rebuild, each equal to a build."""
    world = World(tmp_path, Twoskip())
    done = []
    for name in names.split():
        place(f"{name}.twoskip", world.source, rename)
        done.append(world.follow().mode)
    assert done == modes.split()


@pytest.mark.parametrize(
    ("names", "modes"),
    [
        ("B25.skiplist B50.skiplist C1-after.skiplist", "rebuild tail rebuild"),
        ("A.twom dirty3.twom", "rebuild tail"),
        ("A.twom B25.skiplist A.twoskip", "rebuild rebuild rebuild"),
    ],
)
def test_other_formats(tmp_path: pathlib.Path, names: str, modes: str) -> None:
    """twom and skiplist files are logs as well; a change of format is a rebuild."""
    world = World(tmp_path, Twoskip())
    done = []
    for name in names.split():
        place(name, world.source, rename=False)
        done.append(world.follow().mode)
    assert done == modes.split()


def test_nothing_new(world: World) -> None:
    """Without a change, and in the middle of the server's transaction, a step does nothing."""
    assert world.follow().mode == "none"
    world.put("pub", "anyone lrs")
    world.database.write(world.source)
    assert world.follow().mode == "none"
    world.commit()
    report = world.follow()
    assert (report.mode, report.added, report.changed, report.removed) == ("tail", 1, 0, 0)


def test_several_changes_of_one_mailbox(world: World) -> None:
    """Within one tail only the last state of a mailbox counts, and the report says what came of it."""
    for rights in ("l", "lr", "lrs"):
        world.put("pub", f"anyone {rights}")
        world.database.commit()
    world.put("gone", "anyone l")
    world.commit()
    world.database.delete(b"Ngone")
    world.put("user\x1fbob", "bob lrs")
    world.commit()
    report = world.follow()
    assert (report.mode, report.added, report.changed, report.removed) == ("tail", 1, 1, 0)
    assert "gone" not in world.names()


@pytest.mark.parametrize(
    "keys",
    [
        ["Nuser\x1fann"],  # the first name: what precedes it is no name
        ["Nuser\x1feve"],  # the last key of all
        ["Nuser\x1fann", "Nuser\x1fbob", "Nuser\x1feve"],
        ["Nuser\x1feve", "Nuser\x1fbob", "Nuser\x1fann"],
        ["Iabc"],  # the last key before the first name
        ["Iabc", "Nuser\x1fann", "AS\x1e"],
        ["AS\x1e", "Iabc", "Nuser\x1feve"],
    ],
)
def test_whose_a_delete_is(world: World, keys: list[str]) -> None:
    """A delete has no key: at the ends of the names, and among other kinds of key, it still is the right one."""
    for key in keys:
        assert world.database.delete(key.encode())
    world.commit()
    report = world.follow()
    assert (report.mode, report.removed) == ("tail", sum(key.startswith("N") for key in keys))


def test_delete_and_create_within_a_tail(world: World) -> None:
    """Names that came in the tail itself are predecessors too, until they go."""
    world.put("user\x1fbob\x1fa", "bob l")
    world.database.delete(b"Nuser\x1fbob\x1fa")
    world.put("user\x1fbob\x1fb", "bob l")
    world.database.delete(b"Nuser\x1fbob")
    world.put("user\x1fbob", "bob lr")
    world.database.delete(b"Nuser\x1feve")
    world.commit()
    report = world.follow()
    assert (report.mode, report.added, report.changed, report.removed) == ("tail", 1, 1, 1)


def test_keys_above_all_names(world: World) -> None:
    """A key of an unknown kind could be anything, and the last one too: both are settled by a build."""
    world.database.put(b"Zodd", b"x")
    world.commit()
    report = world.follow()
    assert report.mode == "rebuild" and "unknown kind" in report.reason
    world.put("pub", "anyone lrs")
    world.commit()
    assert world.follow().mode == "tail"
    world.database.delete(b"Zodd")
    world.commit()
    report = world.follow()
    assert report.mode == "rebuild" and "unknown" in report.reason
    world.database.delete(b"Nuser\x1feve")
    world.commit()
    assert world.follow().mode == "tail"


def test_keys_of_a_former_generation(tmp_path: pathlib.Path) -> None:
    """A database of plain names is followed by difference: it sorts otherwise than an index."""
    database, source = Twoskip(seed=3), tmp_path / "db"
    for name in (b"user.ann", b"user.ann.Sent", b"user.bob"):
        database.put(name, b"0 default anyone\tlrs\t")
    database.commit()
    pyxlist.build(database.write(source), tmp_path / "index")
    database.delete(b"user.ann.Sent")
    database.put(b"pub", b"0 default anyone\tlrs\t")
    database.commit()
    report = pyxlist.follow(database.write(source), tmp_path / "index", once=True)
    assert (report.mode, report.added, report.removed) == ("rebuild", 1, 1)


def test_index_written_by_something_else(world: World) -> None:
    """A foreign write is noticed: puts still are a tail, but a delete is left to a build."""
    store = open_store(world.index_path)
    with pyxlist.open(world.index_path) as index, write(store) as txn:
        entry = index.lookup("user.bob")
        assert entry is not None
        apply_changes(txn, store.tables, [(b"user\x1fbob", entry.pack(), None)])
    store.close()
    world.put("pub", "anyone lrs")
    world.commit()
    assert pyxlist.follow(world.source, world.index_path, once=True).mode == "tail"
    world.database.delete(b"Nuser\x1feve")  # with bob gone from the index, ann would be taken for it
    world.commit()
    report = world.follow()
    assert report.mode == "rebuild" and "something else" in report.reason
    world.database.delete(b"Nuser\x1fbob")
    world.commit()
    assert world.follow().mode == "tail"


def test_repack_and_replacement(world: World) -> None:
    """A repack, a shorter file and a restored backup are noticed and lead to a build by difference."""
    backup = Twoskip(seed=9, generation=world.database.generation)
    for name in ("zoe", "pat"):
        backup.put(b"N" + name.encode(), value(f"{name} lrs"))
    for number in range(50):
        world.put(f"many{number}", "anyone l")
    world.commit()
    assert world.follow().mode == "tail"
    world.database.repack()
    world.commit()
    world.database.write(world.source)
    report = world.follow()
    assert report.mode == "rebuild" and "generation" in report.reason
    backup.commit()
    backup.generation = world.database.generation
    backup._header()
    backup.write(world.source)
    report = world.follow()
    assert report.mode == "rebuild" and "shorter" in report.reason
    assert world.names() == ["pat", "zoe"]


def test_a_grown_file_with_another_history(world: World) -> None:
    """Same generation and a longer file, but not the file we knew: the mark gives it away."""
    other = Twoskip(seed=8, generation=world.database.generation)
    for number in range(90):
        other.put(b"Nother%d" % number, value("anyone lrs"))
        other.commit()
    other.write(world.source)
    report = world.follow()
    assert report.mode == "rebuild" and "history" in report.reason


@pytest.mark.parametrize(
    "garbage", [b"", b"\0" * 5000, b"no database\n", b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0" + b"x" * 99]
)
def test_replaced_by_garbage(world: World, garbage: bytes) -> None:
    """Garbage in the source's place is one clear error, and the index stays; when the source is back, on we go."""
    world.source.write_bytes(garbage)
    before = world.names()
    with pytest.raises(pyxlist.SourceError) as caught:
        pyxlist.follow(world.source, world.index_path, once=True)
    assert str(world.source) in str(caught.value)
    assert world.names() == before
    world.put("pub", "anyone lrs")
    world.commit()
    assert world.follow().mode == "tail"


def test_a_torn_tail_leaves_the_index_alone(world: World) -> None:
    """A source cut off within its tail is refused whole; nothing of it is in the index."""
    world.put("pub", "anyone lrs")
    world.put("new", "anyone lrs")
    world.commit()
    before = world.names()
    for cut in range(1, 200, 13):
        world.source.write_bytes(world.database.image[:-cut])
        with pytest.raises(pyxlist.SourceError):
            pyxlist.follow(world.source, world.index_path, once=True)
        assert world.names() == before
    world.database.write(world.source)
    assert world.follow().mode == "tail"


def test_an_entry_nobody_understands(world: World) -> None:
    """A record that a build would refuse is refused by a tail too, and the index stays."""
    world.put("pub", "anyone lrs")
    world.database.put(b"Nbad", b"%(T e A")
    world.commit()
    before = world.names()
    with pytest.raises(pyxlist.CorruptSourceError):
        pyxlist.follow(world.source, world.index_path, once=True)
    assert world.names() == before


def test_flat_by_difference(tmp_path: pathlib.Path) -> None:
    """A flat file has no tail: a changed one is compared as a whole, an equal one is none."""
    world = {b"user\x1fann": value("ann lrs"), b"pub": value("anyone lrs")}
    source = write_flat(tmp_path / "db", world)
    assert pyxlist.follow(source, tmp_path / "index", once=True).mode == "rebuild"
    assert pyxlist.follow(source, tmp_path / "index", once=True).mode == "none"
    write_flat(source, {**world, b"new": value("ann l")})
    report = pyxlist.follow(source, tmp_path / "index", once=True)
    assert (report.mode, report.added) == ("rebuild", 1)


def test_format_changed(world: World) -> None:
    """A database converted to another format is built by difference."""
    entries = {b"user\x1fann": value("ann lrs")}
    write_flat(world.source, entries)
    assert world.follow().mode == "rebuild"
    world.database.write(world.source)
    assert world.follow().mode == "rebuild"


def test_a_deleted_index_is_built_again(world: World) -> None:
    """A follower whose index is deleted, or replaced, under it goes on with what stands there now."""
    with Follower(world.source, world.index_path) as follower:
        assert follower.step().mode == "none"
        shutil.rmtree(world.index_path)
        assert follower.step().mode == "rebuild"
        world.put("pub", "anyone lrs")
        world.commit()
        assert follower.step().mode == "tail"
    world.check()


def test_two_followers(world: World) -> None:
    """Whoever comes second finds the work done."""
    with Follower(world.source, world.index_path) as first, Follower(world.source, world.index_path) as second:
        for number in range(5):
            world.put(f"box{number}", "anyone l")
            world.commit()
            assert (first.step().mode, second.step().mode) == ("tail", "none")
            first, second = second, first
    world.check()


@pytest.mark.parametrize("use_inotify", [True, False], ids=["inotify", "polling"])
def test_following_until_told_to_stop(world: World, use_inotify: bool) -> None:
    """The loop applies what comes, through a repack and a moment without a source, and stops when told."""
    stop, stepped = threading.Event(), threading.Event()
    reports: list[pyxlist.FollowReport] = []

    def note(report: pyxlist.FollowReport) -> None:
        reports.append(report)
        stepped.set()

    def wait() -> None:
        assert stepped.wait(20)
        stepped.clear()

    thread = threading.Thread(
        target=pyxlist.follow,
        args=(world.source, world.index_path),
        kwargs={"stop": stop, "on_step": note, "use_inotify": use_inotify},
    )
    thread.start()
    try:
        for number in range(3):
            world.put(f"box{number}", "anyone l")
            world.commit()
            wait()
        world.source.unlink()
        world.database.repack()
        world.put("after", "anyone l")
        world.commit()
        wait()
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    assert [report.mode for report in reports] == ["tail", "tail", "tail", "rebuild"]
    world.check()
    assert (world.index_path / "follower.json").exists()
