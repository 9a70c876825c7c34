"""An open index as a program holds it: wrong arguments, changed directories and configurations, closing."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

import pytest

import pyxlist
from pyxlist import command, opened
from pyxlist._pxl import ffi, lib
from pyxlist.index import datafile
from pyxlist.index.read import Reader
from pyxlist.index.readers import readers_of
from pyxlist.kernel import pool, take
from pyxlist.query import Query
from tests.sources import value, write_flat

WORLD = {b"user\x1fu%05d" % n: value(f"u{n:05} lrswipkxtecdan anyone l group:staff lr") for n in range(3000)}


@pytest.fixture
def index_path(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    pyxlist.build(write_flat(tmp_path / "db", WORLD), tmp_path / "index")
    yield tmp_path / "index"
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []


# --- wrong arguments ---


def test_one_group_name_is_not_its_letters(index_path: pathlib.Path) -> None:
    """`groups="staff"` would grant what the groups s, t, a and f may: a TypeError."""
    with pyxlist.open(index_path) as index:
        for wrong in ("staff", b"staff", (b"staff",), (5,)):
            with pytest.raises(TypeError, match="groups"):
                index.view("bob", groups=wrong)  # type: ignore[arg-type]
        assert index.view("bob", groups=["staff"]).rights("Other Users/u00001") == pyxlist.Rights.parse("lr")


def test_other_types_are_type_errors(index_path: pathlib.Path) -> None:
    """Octets for text, text for octets, a path for a Config: a TypeError that names both types."""
    with pyxlist.open(index_path) as index:
        view = index.view("u00001")
        wrong: tuple[tuple[Callable[..., object], object], ...] = (
            (index.view, b"bob"),
            (index.view, 5),
            (index.lookup, b"user.u00001"),
            (view.rights, None),
            (view.list, b""),
            (view.respond, 'LIST "" "*"'),
        )
        for call, argument in wrong:
            with pytest.raises(TypeError, match=f"expected .*, got {type(argument).__name__}"):
                call(argument)
    with pytest.raises(TypeError, match="expected a Config, got str"):
        pyxlist.build(index_path.parent / "db", index_path, config="/etc/imapd.conf")  # type: ignore[arg-type]


# --- what may change while it is open ---


def test_new_views_answer_by_a_new_configuration(index_path: pathlib.Path) -> None:
    """Another process stores another configuration: the token of old views changes, new views follow it."""
    with pyxlist.open(index_path) as index:
        old = index.view("bob")
        before, token = old.respond(b"NAMESPACE").untagged, old.state()
        config = pyxlist.Config(altnamespace=False, unixhierarchysep=False, admins=("bob",))
        pyxlist.build(index_path.parent / "db", index_path, config=config)
        assert old.state() != token
        assert old.respond(b"NAMESPACE").untagged == before
        assert b'"/"' in before and b'"/"' not in index.view("bob").respond(b"NAMESPACE").untagged
        assert index.view("bob").namespace.is_admin and index.config == config


def test_a_relative_path_survives_a_change_of_directory(
    index_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that opens, goes to / and forks: writes and children go on finding the index."""
    monkeypatch.chdir(index_path.parent)
    with pyxlist.open(index_path.name, readonly=False) as index:
        monkeypatch.chdir("/")
        with index.write() as hooks:
            hooks.mboxlist_createmailbox("new")
        assert index.stat()["mailboxes"] == len(WORLD) + 1
        pid = os.fork()
        if not pid:
            os._exit(index.lookup("new") is None)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_name_that_is_not_utf8(tmp_path: pathlib.Path) -> None:
    """Any octets a file system takes make the path of an index, and of a source."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    source = write_flat(folder / os.fsdecode(b"db\xff"), dict(list(WORLD.items())[:3]))
    pyxlist.build(source, folder / os.fsdecode(b"\xff\xfe"))
    with pyxlist.open(folder / os.fsdecode(b"\xff\xfe")) as index:
        assert index.lookup("user.u00002") is not None and list(index.check()) == []
        assert list(index.verify(source)) == []


def test_growing_while_it_is_opened_is_not_truncated(index_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer enlarges the file and commits between an opener's two looks: no damage is reported."""
    promised_bytes = datafile.promised_bytes

    def after_a_commit(path: pathlib.Path) -> int:
        os.truncate(path, path.stat().st_size + (1 << 24))
        return path.stat().st_size - promised_bytes(path) % 4096

    monkeypatch.setattr(datafile, "promised_bytes", after_a_commit)
    pyxlist.open(index_path).close()


# --- iterations left half-way, and the end ---


def test_answers_taken_slowly_hold_no_snapshot(index_path: pathlib.Path) -> None:
    """Between two pieces of an answer, and after an iteration was given up, no old page is kept."""
    with pyxlist.open(index_path, readonly=False) as index:
        view = index.view("u00001")
        pieces, items = view.stream(b'LIST "" "*"'), view.list()
        first, item = next(pieces), next(items)
        assert readers_of(index._store.env) == []
        with index.write() as hooks:
            hooks.mboxlist_createmailbox("zz", acl=[("anyone", "lr")])
        whole = first + b"".join(pieces)
        assert whole.count(b"\r\n") == len(WORLD) + 1 and whole.endswith(b'zz"\r\n')
        assert len({item, *items}) >= len(WORLD)


def test_a_closed_index_says_so(index_path: pathlib.Path) -> None:
    """Everything that was made of it raises a StoreError then, in a forked child as well; closing twice is fine."""
    index = pyxlist.open(index_path, readonly=False)
    view = index.view("u00001")
    entries, found = index.entries(), index.check()
    next(entries)
    index.close()
    index.close()

    def use() -> None:
        def write() -> None:
            with index.write():
                raise AssertionError

        uses: tuple[Callable[[], object], ...] = (
            lambda: list(entries),
            lambda: list(found),
            lambda: view.respond(b'LIST "" "*"'),
            lambda: view.rights("INBOX"),
            view.state,
            lambda: index.view("bob"),
            lambda: index.lookup("user.u00001"),
            write,
        )
        for call in uses:
            with pytest.raises(pyxlist.StoreError, match="has been closed; open it again"):
                call()

    use()
    assert "closed" in repr(index)
    pid = os.fork()
    if not pid:
        status = 1
        try:
            with pytest.raises(pyxlist.StoreError, match="has been closed"):
                view.respond(b'LIST "" "*"')
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# --- memory ---


def test_large_answers_give_their_memory_back(tmp_path: pathlib.Path) -> None:
    """A kernel keeps the octets of a short answer for the next one, but not megabytes."""
    keys = [b"%05d" % number + b"x" * 90 for number in range(12_000)]
    pyxlist.build(write_flat(tmp_path / "db", {key: value("anyone lrs") for key in keys}), tmp_path / "index")
    pool.clear()
    with pyxlist.open(tmp_path / "index") as index:
        view = index.view("ann")
        for pattern, kept in ((b"*", False), (b"Shared Folders/0000*", True), (b"*", False)):
            assert view.respond(b'LIST "" "%b"' % pattern).untagged.count(b"\n") == (10 if kept else 12_000)
            assert len(pool) == 1 and (lib.pxl_listing_output(pool[0].listing).data != ffi.NULL) == kept


def test_remembered_commands_are_bounded_by_their_size() -> None:
    """A thousand commands of hundreds of patterns each are 300 MiB compiled: few of them are kept."""
    remembered = command._Remembered(pyxlist.Config())
    prepare = remembered.__getitem__
    short = prepare(b'LIST "" "*"')
    for number in range(1000):
        prepare(b'LIST "" (%d %s)' % (number, b"%* " * (number % 150) + b"*"))
        kept = [query for query in remembered.values() if isinstance(query, Query)]
        assert sum(query.weight for query in kept) < 1 << 23
    assert len(remembered) > 10
    assert prepare(b'LIST "" "*"') is prepare(b'LIST "" "*"')
    heavy = b'LIST "" (%s*)' % (b"%* " * 5000)
    assert isinstance(prepare(heavy), Query) and heavy not in remembered
    assert isinstance(short, Query) and short.weight > 0


def test_a_command_that_asks_for_gigabytes_is_refused() -> None:
    """A long reference counts for each pattern: refused in words; many patterns or a long one alone are not."""
    prepare = command.prepared_for(pyxlist.Config())
    refused = prepare(b'LIST "%s" (%s*)' % (b"x" * 4000, b"a " * 1000))
    assert refused == command.Answer("NO", "Too many patterns", b"")
    assert isinstance(prepare(b'LIST "" (%s*)' % (b"a " * 20_000)), Query)
    assert isinstance(prepare(b'LIST "" "%s"' % (b"a" * 1_000_000)), Query)


def test_an_index_opened_read_only_is_not_written(index_path: pathlib.Path) -> None:
    """Writing has to be asked for at the opening; beside one that did, in the same process, too."""
    with pyxlist.open(index_path) as index, pyxlist.open(index_path, readonly=False) as writable:
        with pytest.raises(pyxlist.StoreError, match="read-only; open it with readonly=False"), index.write():
            raise AssertionError
        with writable.write() as hooks:
            hooks.mboxlist_createmailbox("seen")
        assert index.lookup("seen") is not None
        assert list(index.check()) == []


@pytest.mark.parametrize("readonly", [True, False])
def test_an_index_built_anew_at_its_path_is_seen_by_new_views(
    index_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, readonly: bool
) -> None:
    """Deleted and built anew: views made before go on with the former index, later ones are of the new one; where
    nothing stands, or nothing that can be opened, the former one stays.
    """
    monkeypatch.setattr(opened, "_LOOK_S", 0.0)
    with pyxlist.open(index_path, readonly=readonly) as index:
        old = index.view("ann")
        before = old.respond(b'LIST "" "*"').untagged
        shutil.rmtree(index_path)
        assert index.view("ann").respond(b'LIST "" "*"').untagged == before
        index_path.mkdir()
        (index_path / "data.mdb").write_bytes(b"nothing")
        assert index.view("ann").respond(b'LIST "" "*"').untagged == before
        shutil.rmtree(index_path)
        pyxlist.build(write_flat(index_path.parent / "new", {b"news": value("anyone lrs")}), index_path)
        new = index.view("ann")
        assert [item.name for item in new.list()] == ["Shared Folders/news"]
        assert old.respond(b'LIST "" "*"').untagged == before
        assert index.lookup("news") is not None and list(index.check()) == []
        if not readonly:
            with index.write() as hooks:
                hooks.mboxlist_createmailbox("news.today")
            assert len(list(new.list())) == 2
    with pytest.raises(pyxlist.StoreError, match="closed"):
        old.respond(b'LIST "" "*"')


def test_a_view_is_of_one_index(index_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread makes a view another may turn to an index built anew: the view has rows and configuration of
    the same one.
    """
    monkeypatch.setattr(opened, "_LOOK_S", 1e9)
    packed_config = Reader.packed_config
    with pyxlist.open(index_path) as index:

        def packed_and_turned(reader: Reader) -> bytes | None:
            packed = packed_config(reader)
            monkeypatch.setattr(opened, "_LOOK_S", 0.0)
            index._follow_path()
            return packed

        shutil.rmtree(index_path)
        dots = pyxlist.Config(altnamespace=False, unixhierarchysep=False)
        pyxlist.build(write_flat(index_path.parent / "new", {b"news": value("anyone lrs")}), index_path, dots)
        monkeypatch.setattr(Reader, "packed_config", packed_and_turned)
        views = [index.view("ann"), index.view("ann")]
        assert index.lookup("news") is not None
        names = [[item.name for item in view.list()] for view in views]
        assert len(names[0]) == len(WORLD) and names[1] == ["news"]


def test_an_interrupted_kernel_forgets_its_failure(index_path: pathlib.Path) -> None:
    """What was raised in a callback and not handed on, for a second Ctrl-C, is not raised by the next answer."""
    with pyxlist.open(index_path) as index:
        view = index.view("ann")
        kernel = take()
        kernel.failure = KeyboardInterrupt()
        pool.append(kernel)
        assert view.respond(b'LIST "" "*" RETURN (STATUS (MESSAGES))').status == "OK"
        assert pool[-1] is kernel and not kernel.failure
