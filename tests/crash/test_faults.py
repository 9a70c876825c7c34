"""Disks that are full or broken, files that may not be opened or written, a map that is full.

Each gives one typed error in one line; nothing committed is lost; when the fault has gone, writing goes on.
"""

from __future__ import annotations

import errno
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

import pytest

import pyxlist
from pyxlist import Durability
from pyxlist.index import env
from tests.crash import workload

# Writes until it fails, says how, heals the fault, and goes on where it stood.
SCRIPT = """
import sys, pathlib, pyxlist
from tests.crash import workload
index = pyxlist.open(sys.argv[1], readonly=False)
number = 0
try:
    while number < 8:
        workload.run(index, number, number + 1, pyxlist.Durability.EVERY_COMMIT)
        number += 1
    print("no fault", number)
except pyxlist.StoreError as error:
    assert len(str(error).splitlines()) == 1
    print(type(error).__name__, number, error)
assert list(index.check()) == []
pathlib.Path(sys.argv[2]).touch()
held = index.lookup(f"t{number:05}") is not None
workload.run(index, number + held, 8, pyxlist.Durability.EVERY_COMMIT)
"""


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, "StoreFullError"), (errno.EIO, "StoreError"), (errno.EDQUOT, "StoreFullError")]
)
@pytest.mark.parametrize("call", ["W:1", "W:4", "W:9", "F:1", "F:4"])
def test_a_disk_that_fails(shim: pathlib.Path, tmp_path: pathlib.Path, code: int, error: str, call: str) -> None:
    """The first or a later write or sync fails: a typed error, a healthy index, and on it goes once it is well."""
    states = workload.states(tmp_path / "reference", 8)
    index_path = workload.make_index(tmp_path)
    environment = {"LD_PRELOAD": str(shim), "PXL_FAIL": f"{call}:{code}", "PXL_HEAL": str(tmp_path / "heal")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(index_path), str(tmp_path / "heal")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == error, done.stdout
    with pyxlist.open(index_path) as index:
        assert list(index.check()) == []
        assert workload.digest(index) == states[8]


def test_no_file_descriptor_left(tmp_path: pathlib.Path) -> None:
    """EMFILE: opening and a second writer's waiting are refused with a StoreError, what is open goes on."""
    index_path, other = workload.make_index(tmp_path), tmp_path / "other"
    shutil.copytree(index_path, other)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pyxlist.open(index_path, readonly=False) as index:
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            with pytest.raises(pyxlist.StoreError, match="open files"):
                pyxlist.open(other)
            assert index.lookup("user.u001") is not None
            with index.write(), pytest.raises(pyxlist.StoreError, match="open files"), index.write():
                pass
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        workload.run(index, 0, 1, Durability.EVERY_COMMIT)
        assert list(index.check()) == []


def test_files_that_may_not_be_written() -> None:
    """As another user, on files and a directory that are read-only: listing works, writing is refused."""
    with tempfile.TemporaryDirectory() as name:
        index_path = workload.make_index(pathlib.Path(name))
        pathlib.Path(name).chmod(0o755)
        (index_path / "lock.mdb").chmod(0o666)  # readers note themselves there
        (index_path / "data.mdb").chmod(0o444)
        index_path.chmod(0o555)
        pid = os.fork()
        if not pid:
            status = 1
            try:
                if not os.geteuid():
                    os.setuid(65534)
                status = listen_but_not_write(index_path)
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        index_path.chmod(0o755)


def listen_but_not_write(index_path: pathlib.Path) -> int:
    with pyxlist.open(index_path) as index:
        assert index.view("u001").respond(b'LIST "" "INBOX"').untagged
        try:
            with pyxlist.open(index_path, readonly=False):
                return 2
        except pyxlist.StoreError as error:
            return 0 if "read-only here" in str(error) else 3


def fill(index: pyxlist.Index) -> None:
    with index.write() as hooks:
        for number in range(3000):
            hooks.mboxlist_createmailbox(f"fill.{number}")


def test_a_full_map(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The map's end is StoreFullError, nothing of that transaction is kept, and a larger map goes on."""
    index_path = workload.make_index(tmp_path)
    monkeypatch.setattr(env, "MAP_BYTES", 1 << 18)
    with pyxlist.open(index_path, readonly=False) as index:
        before = list(index.entries())
        with pytest.raises(pyxlist.StoreFullError, match="map size"):
            fill(index)
        assert list(index.entries()) == before and list(index.check()) == []
        workload.run(index, 0, 1, Durability.EVERY_COMMIT)
    monkeypatch.undo()
    with pyxlist.open(index_path, readonly=False) as index:
        workload.run(index, 1, 8, Durability.EVERY_COMMIT)
        assert list(index.check()) == []
