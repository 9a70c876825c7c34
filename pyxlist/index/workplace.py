"""Where an index is built before it stands at its place: a directory beside it, renamed when all is there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator

from pyxlist.errors import StoreError, StoreFullError
from pyxlist.index.datafile import DATA, refuse_network
from pyxlist.index.durability import sync_directory

__all__ = ["is_vacant", "place_of", "publish", "workplace"]


def place_of(index_path: str | os.PathLike[str]) -> pathlib.Path:
    """Where the index stands or is to stand: what a link leads to, and a path that ends in a name."""
    path = pathlib.Path(index_path)
    return path.resolve() if path.is_symlink() or path.name in ("", "..") else path


def is_vacant(path: pathlib.Path) -> bool:
    """Nothing stands there, or an empty directory.  Raises StoreError for anything that is no index."""
    if not path.exists():
        return True
    if not path.is_dir():
        raise StoreError("is not a directory", path=path, remedy="choose another place for the index")
    with os.scandir(path) as items:
        names = {item.name for item in items}
    if names and DATA not in names:
        raise StoreError("is neither empty nor an index", path=path, remedy="choose another place for the index")
    return not names


@contextlib.contextmanager
def workplace(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A directory beside `path` to build in: locked while in use, and removed if not published.

    The lock is on the directory itself, so that what an interrupted removal leaves is known for nobody's, too.
    Raises StoreError where none can be made, StoreFullError for what is raised inside as OSError.
    """
    _sweep(path)
    fresh, lock = _make_directory(path)
    try:
        yield fresh
    except OSError as error:
        raise StoreFullError(f"cannot be written: {error.strerror}", path=path) from error
    except StoreError as error:
        # Nobody knows the workplace, and it is gone when this is read.
        error.path = os.fspath(path)
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        os.close(lock)


def _make_directory(path: pathlib.Path) -> tuple[pathlib.Path, int]:
    """A new directory beside `path`, and an open descriptor that holds its lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        refuse_network(path.parent)
        while True:
            fresh = path.parent / f".{path.name}.building-{secrets.token_hex(6)}"
            fresh.mkdir()
            # Another build may sweep it before it is locked.
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                lock = _lock_directory(fresh)
                if fresh.exists():
                    return fresh, lock
                os.close(lock)
    except OSError as error:
        raise StoreError(
            f"cannot be created: {error.strerror}", path=path, remedy="check the parent directory"
        ) from error


def _lock_directory(path: pathlib.Path) -> int:
    """An open descriptor that holds the directory's lock.  Raises BlockingIOError if somebody else does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sweep(path: pathlib.Path) -> None:
    """Remove what builds that died have left: directories whose lock nobody holds."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.building-*"):
        with contextlib.suppress(OSError):
            lock = _lock_directory(left)
            try:
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)


def publish(fresh: pathlib.Path, path: pathlib.Path) -> None:
    """Put what was built in its place, for good.  Raises StoreError where something stands there by now."""
    sync_directory(fresh)
    try:
        fresh.rename(path)
    except OSError as error:
        taken = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
        remedy = "run the build again" if taken else "give a new directory below it"
        raise StoreError(f"cannot be put in place: {error.strerror}", path=path, remedy=remedy) from error
    sync_directory(path.parent)
