"""What a user gets for a source, an index or a place that cannot be used: one line, a status, nothing harmed."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable

import msgpack
import pytest

import pyxlist
from pyxlist.index.layout import pack_meta
from pyxlist.index.opening import open_store
from pyxlist.index.writing import write
from tests.e2e.program import DATA, build_recorded, error_of, run

RECORDED = (DATA / "mailboxes.db").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The recorded database, indexed once."""
    return build_recorded(tmp_path_factory.mktemp("recorded") / "index")


@pytest.fixture
def index(whole: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the index that a test may break."""
    return shutil.copytree(whole, tmp_path / "index")


def assert_unharmed(index: pathlib.Path) -> None:
    """Still healthy, and still equal to the recorded database."""
    with pyxlist.open(index) as opened:
        assert list(opened.check()) == []
        assert list(opened.verify(DATA / "mailboxes.db")) == []


# --- sources ---


def flipped(at: int) -> bytes:
    """The recorded database with one bit changed."""
    octets = bytearray(RECORDED)
    octets[at] ^= 0x10
    return bytes(octets)


def other_version() -> bytes:
    """The recorded database as if a later Cyrus had written it; the version stands after the 20 octets of magic."""
    return RECORDED[:20] + (99).to_bytes(4, "big") + RECORDED[24:]


SOURCES: dict[str, bytes] = {
    "no database": b"\x00\x01From alice\nSubject: not a database\n",
    "another kind of file": b"SQLite format 3\x00" + bytes(100),
    "another version": other_version(),
    "cut in its header": RECORDED[:40],
    "cut in a record": RECORDED[: len(RECORDED) // 2],
    "a bit flipped in its header": flipped(45),
    "a bit flipped in a record": flipped(len(RECORDED) // 2),
    "zeroes for a record": RECORDED[:90000] + bytes(400) + RECORDED[90400:],
}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_damaged_source_is_named_and_the_index_left_alone(index: pathlib.Path, kind: str) -> None:
    """Status 3 and the path, whether there is an index to bring up to date or one to make."""
    damaged = index.parent / "damaged.db"
    damaged.write_bytes(SOURCES[kind])
    done = run("build", damaged, index)
    assert (done.returncode, done.stdout) == (3, b"")
    assert str(damaged) in error_of(done)
    assert_unharmed(index)
    assert run("build", damaged, index.parent / "fresh").returncode == 3
    assert sorted(os.listdir(index.parent)) == ["damaged.db", "index"]


def test_a_salvage_ends_well_and_lists_what_was_lost(index: pathlib.Path) -> None:
    """Status 0; a line for each place with its offset, then the sum; all mailboxes elsewhere are there."""
    damaged, fresh = index.parent / "damaged.db", index.parent / "fresh"
    damaged.write_bytes(SOURCES["zeroes for a record"])
    done = run("build", damaged, fresh, "--salvage")
    assert (done.returncode, done.stderr) == (0, b"")
    made, *lost, total = done.stdout.decode().splitlines()
    assert made.startswith(f"made {fresh}: ")
    places = [re.fullmatch(r"lost (\d+) octets at offset (\d+): \S.*", line) for line in lost]
    assert places
    assert all(place and 89000 < int(place[2]) < 90400 for place in places)
    octets = sum(int(place[1]) for place in places if place)
    assert total == f"lost in all: {len(places)} places, {octets} octets"
    with pyxlist.open(fresh) as opened, pyxlist.open(index) as original:
        assert list(opened.check()) == []
        here, there = ({entry.name: entry for entry in one.entries()} for one in (opened, original))
    assert 0 < len(there) - len(here) < 5
    assert here.items() <= there.items()


def test_a_salvage_tells_programs_what_was_lost(index: pathlib.Path) -> None:
    """The JSON has the number of places and each with offset, size and reason; for a whole source it has none."""
    damaged = index.parent / "damaged.db"
    damaged.write_bytes(SOURCES["zeroes for a record"])
    lost = json.loads(run("build", damaged, index, "--salvage", "--json").stdout)["lost"]
    assert lost["places"] == len(lost["listed"]) > 0
    assert lost["size_bytes"] == sum(place["size_bytes"] for place in lost["listed"]) >= 400
    assert all(place["reason"] and place["offset"] for place in lost["listed"])
    lost = json.loads(run("build", DATA / "mailboxes.db", index, "--salvage", "--json").stdout)["lost"]
    assert lost == {"places": 0, "size_bytes": 0, "listed": []}
    assert_unharmed(index)


def test_the_manual_tells_how_a_salvage_ends() -> None:
    """`build --help` says that the status is 0 whatever was lost, and what to look for."""
    page = " ".join(run("build", "--help").stdout.decode().split())
    assert 'the exit status is 0: look for lines that begin with "lost"' in page


def test_damage_is_said_with_its_place(tmp_path: pathlib.Path) -> None:
    """The line has the offset and what to do, as the library's errors do."""
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(SOURCES["a bit flipped in a record"])
    text = error_of(run("records", damaged))
    assert ", offset " in text
    assert "take a fresh copy" in text


def test_verify_and_records_refuse_damage_too(index: pathlib.Path) -> None:
    """Every command that reads a source says the same about it."""
    damaged = index.parent / "damaged.db"
    damaged.write_bytes(SOURCES["cut in a record"])
    assert [run(*command).returncode for command in (("verify", index, damaged), ("records", damaged))] == [3, 3]


@pytest.mark.parametrize(
    ("option", "content"),
    [
        ("--imapd-conf", b"altnamespace maybe\n"),
        ("--imapd-conf", b"virtdomains: perhaps\n"),
        ("--groups", b"no colon here\n"),
        ("--annotations", b"\x00\x01 not a database"),
        ("--subscriptions", b"a file, no folder"),
    ],
)
def test_what_stands_beside_a_source_is_checked_as_well(tmp_path: pathlib.Path, option: str, content: bytes) -> None:
    """A damaged companion names itself, and no half-made index stays."""
    path = tmp_path / "beside"
    path.write_bytes(content)
    done = run("build", DATA / "mailboxes.db", tmp_path / "index", option, path)
    assert done.returncode == 3
    assert str(path) in error_of(done)
    assert sorted(os.listdir(tmp_path)) == ["beside"]


@pytest.mark.parametrize("command", ["build", "records"])
def test_a_source_that_is_none(tmp_path: pathlib.Path, command: str) -> None:
    """A missing file, and a directory where a file is wanted."""
    rest = [tmp_path / "index"] if command == "build" else []
    for source, words in ((tmp_path / "nowhere", "No such file"), (tmp_path, "is a directory")):
        done = run(command, source, *rest)
        assert done.returncode == 3
        assert words in error_of(done)


# --- indexes ---


def of_another_layout(index: pathlib.Path) -> None:
    """Say in `meta` that a later release wrote it."""
    store = open_store(index)
    with write(store) as txn:
        txn.put(b"version", pack_meta(99), db=store.tables["meta"])
    store.close()


def cut(index: pathlib.Path) -> None:
    """Lose the second half of what is in the file, as a full disk under a copy does."""
    os.truncate(index / "data.mdb", 60000)


def emptied(index: pathlib.Path) -> None:
    """Lose all of it."""
    os.truncate(index / "data.mdb", 0)


def overwritten(index: pathlib.Path) -> None:
    """Be something else altogether."""
    (index / "data.mdb").write_bytes(b"not LMDB at all " * 4096)


def removed(index: pathlib.Path) -> None:
    """Not be there."""
    shutil.rmtree(index)


BREAKAGES: dict[Callable[[pathlib.Path], None], str] = {
    of_another_layout: "written in another layout; expected 1, got 99",
    cut: "truncated",
    emptied: "not an LMDB file",
    overwritten: "not an LMDB file",
    removed: "no index here; make one with",
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_an_index_that_cannot_be_used(index: pathlib.Path, breakage: Callable[[pathlib.Path], None]) -> None:
    """It is refused with status 3, and why is said; nobody dies of a signal."""
    breakage(index)
    for command in (("list", index, "alice"), ("check", index)):
        done = run(*command)
        assert done.returncode == 3
        assert BREAKAGES[breakage] in error_of(done)


def test_every_command_refuses_an_index_that_is_none(tmp_path: pathlib.Path) -> None:
    """The others say it in the same words."""
    index = tmp_path / "index"
    commands: tuple[tuple[str | pathlib.Path, ...], ...] = (
        ("imap", index, "alice"),
        ("rights", index, "alice", "INBOX"),
        ("who", index, "user.alice"),
        ("verify", index, DATA / "mailboxes.db"),
        ("stat", index),
        ("dump", index),
    )
    for command in commands:
        done = run(*command)
        assert (done.returncode, done.stdout) == (3, b"")
        assert error_of(done).startswith(f"{index}: no index here; make one with")


def test_check_reports_damage_it_can_walk_past(index: pathlib.Path) -> None:
    """A posting that says less than the directory: one line for each contradiction, and status 3."""
    store = open_store(index)
    with write(store) as txn:
        txn.delete(b"alice\x00", db=store.tables["postings"])
    store.close()
    done = run("check", index)
    assert done.returncode == 3
    lines = done.stdout.decode().splitlines()
    assert lines[-1] == f"{len(lines) - 1} problems"
    assert any("alice" in line for line in lines)


def test_a_place_that_is_taken_is_not_built_over(tmp_path: pathlib.Path) -> None:
    """A directory with other things in it, and a file, stay what they are."""
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "letter").write_bytes(b"dear")
    (tmp_path / "file").write_bytes(b"text")
    for place in ("mail", "file"):
        done = run("build", DATA / "mailboxes.db", tmp_path / place)
        assert done.returncode == 3
        assert "choose another place" in error_of(done)
    assert (tmp_path / "mail" / "letter").read_bytes() == b"dear"
    assert (tmp_path / "file").read_bytes() == b"text"


def run_limited(limit: Callable[[], object], *arguments: str | os.PathLike[str]) -> subprocess.CompletedProcess[bytes]:
    """Run the program after a function that takes something away from its process."""
    return subprocess.run(
        [sys.executable, "-m", "pyxlist", *arguments], capture_output=True, preexec_fn=limit, check=False, timeout=60
    )


def no_privilege() -> None:
    """Lose root's right to write anywhere: PR_CAPBSET_DROP of CAP_DAC_OVERRIDE; the loss comes with the exec."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


def test_a_directory_that_may_not_be_written(index: pathlib.Path) -> None:
    """Readers need lock.mdb and nothing else; without it they are told so, and a build that it may not write."""
    for path in (index, *index.iterdir()):
        path.chmod(path.stat().st_mode & ~0o222)
    shut = run_limited(no_privilege, "list", index, "alice", "INBOX")
    assert shut.returncode == 3
    assert "let its readers write lock.mdb" in error_of(shut)
    (index / "lock.mdb").chmod(0o666)
    listed = run_limited(no_privilege, "list", index, "alice", "INBOX")
    assert (listed.returncode, listed.stderr) == (0, b"")
    assert listed.stdout.startswith(b"INBOX\t")
    refused = run_limited(no_privilege, "build", DATA / "mailboxes.db", index)
    assert refused.returncode == 3
    assert "read-only" in error_of(refused)
    fresh = run_limited(no_privilege, "build", DATA / "mailboxes.db", index / "within")
    assert fresh.returncode == 3
    assert "cannot be created" in error_of(fresh)


def files_of_at_most(size_bytes: int) -> Callable[[], object]:
    """What makes every file too large that grows beyond that."""
    return functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def test_a_disk_that_is_full(tmp_path: pathlib.Path) -> None:
    """A file that may not grow is to LMDB what a full disk is: status 3, and nothing of the attempt stays."""
    done = run_limited(files_of_at_most(60000), "build", DATA / "mailboxes.db", tmp_path / "index")
    assert done.returncode == 3
    assert error_of(done).startswith(f"{tmp_path / 'index'}: no space left")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_an_existing_index_as_it_was(index: pathlib.Path) -> None:
    """An update that finds no room is undone whole."""
    size = (index / "data.mdb").stat().st_size
    grown = index.parent / "grown.db"
    lines = [b"Nuser\x1fu%05d\t%%(T e P default V 1 M 1 A %%(u%05d lrswipkxtecdan))\n" % (n, n) for n in range(20000)]
    grown.write_bytes(b"".join(lines))
    done = run_limited(files_of_at_most(size), "build", grown, index)
    assert done.returncode == 3
    assert str(index) in error_of(done)
    assert_unharmed(index)


def test_output_that_cannot_be_written(index: pathlib.Path) -> None:
    """A full disk under the output is said in one line as well."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pyxlist", "dump", index],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 3
    assert done.stderr == b"pyxlist: standard output: No space left on device\n"


@pytest.mark.parametrize(
    ("closed", "arguments", "status", "error"),
    [
        ("<&-", ("build", "-", "NEW"), 3, b"pyxlist: stdin: has no octets; give a mailboxes.db with records\n"),
        ("<&-", ("imap", "INDEX", "alice"), 0, b""),
        (">&-", ("list", "INDEX", "alice"), 3, b"pyxlist: standard output: Bad file descriptor\n"),
        ("<&- >&- 2>&-", ("build", DATA / "mailboxes.db", "NEW"), 3, b""),
    ],
)
def test_streams_that_are_closed(
    index: pathlib.Path, closed: str, arguments: tuple[str | pathlib.Path, ...], status: int, error: bytes
) -> None:
    """Input is empty and output refused, in one line; and no file gets the number of a stream that prints."""
    places = {"INDEX": index, "NEW": index.parent / "new"}
    words = [places.get(str(word), word) for word in arguments]
    program = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "pyxlist", *words]
    done = subprocess.run(program, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (status, error)
    assert run("check", places["NEW"] if places["NEW"].exists() else index).stdout == b"healthy\n"


def run_without_rights(*arguments: str | pathlib.Path) -> subprocess.CompletedProcess[bytes]:
    """Run the program as somebody who may not read everything, which root may unless that is taken away."""
    program: list[str | pathlib.Path] = [sys.executable, "-m", "pyxlist", *arguments]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("no setpriv")
        program = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *program]
    return subprocess.run(program, capture_output=True, check=False, timeout=60)


def test_what_may_not_be_read_is_no_wrong_usage(index: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A source or an index without rights on it cannot be used, status 3; it is not said to be missing."""
    closed = tmp_path / "closed.db"
    closed.write_bytes(RECORDED)
    closed.chmod(0)
    done = run_without_rights("build", closed, index)
    assert done.returncode == 3
    assert error_of(done) == f"{closed}: cannot be read: Permission denied"
    index.chmod(0)
    done = run_without_rights("stat", index)
    index.chmod(0o755)
    assert done.returncode == 3
    assert error_of(done) == f"{index}: may not be entered; let its readers into the directory"
    assert_unharmed(index)


# --- arguments ---


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("list", "INDEX"), ("rights", "INDEX", "alice"), ("build", "SOURCE"), ("lst",), ("list", "--no-such")],
)
def test_wrong_usage_says_where_to_read_on(arguments: tuple[str, ...]) -> None:
    """Status 2 and the help to read."""
    done = run(*arguments)
    assert done.returncode == 2
    assert "--help`" in error_of(done)


@pytest.mark.parametrize("userid", ["", "group:staff", "a\nb", "\x1b[31mred"])
def test_what_is_no_userid_is_wrong_usage(index: pathlib.Path, userid: str) -> None:
    """Status 2, and what was typed cannot move the cursor of the terminal it is said on."""
    for command in (("list", index, userid), ("rights", index, userid, "INBOX"), ("imap", index, userid)):
        done = run(*command)
        assert done.returncode == 2
        assert "not a userid" in error_of(done)
        assert b"\x1b" not in done.stderr


def test_names_at_their_limits(tmp_path: pathlib.Path) -> None:
    """490 octets of name and the 80 of an identifier go through every command, whole."""
    long_name, identifier = b"pub\x1f" + b"x" * 486, "i" * 80
    source = tmp_path / "long.db"
    source.write_bytes(b"N%s\t%%(T e P default V 1 M 1 A %%(%s lrs))\n" % (long_name, identifier.encode()))
    assert run("build", source, tmp_path / "index").returncode == 0
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []
    internal = long_name.decode().replace("\x1f", ".")
    assert run("who", tmp_path / "index", internal).stdout.decode() == f"{identifier}\tlrs\n"
    listed = run("list", tmp_path / "index", identifier).stdout.decode()
    assert "x" * 486 in listed


def test_an_index_written_by_others_is_not_trusted(index: pathlib.Path) -> None:
    """A configuration nobody can read is damage and no traceback."""
    store = open_store(index)
    with write(store) as txn:
        txn.put(b"config", msgpack.packb({"no_such_option": 1}), db=store.tables["meta"])
    store.close()
    done = run("list", index, "alice")
    assert done.returncode == 3
    assert "its configuration cannot be read: unknown option 'no_such_option'" in error_of(done)
