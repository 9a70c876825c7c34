"""The octets of a source as they stood at one moment, in memory of our own.

Formats are known here by their first octets alone.  A server writes its mailboxes.db while we read
it, and nothing here makes it wait:

* twoskip, twom  read without a lock.  The header is read first and alone, then everything else.  Below the
                 committed size of that header nothing changes any more but links, which our readers do
                 not follow, so what arrives is the state of that header however many transactions
                 begin, commit or abort meanwhile.  A header or a record's head caught in the middle
                 of a rewrite has a wrong checksum, and the file is then read again.
* skiplist       has neither checksums nor a committed size; Cyrus' own shared lock is held for the few
                 microseconds that asking for the file's size takes.  No writer is at work in that
                 moment, so the file ends in whole transactions; what is below that size stays.
* flat           every commit is a new file under the old name, so the one we have open never changes.

A checkpoint of Cyrus renames a new file over the old one and then empties that, so a file may have lost everything by
the time its size is asked: `opened_bytes` says what it must have had at least, and whoever reads looks again.

The file is copied by read(2) and not mapped: whoever truncates or replaces it meanwhile cannot hurt us.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import mmap
import os
import stat
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

from pyxlist.ahead import made_ahead
from pyxlist.errors import SourceError

__all__ = ["STDIN", "Image", "Progress", "read_file", "read_image", "read_stream", "settled_mtime_ns"]

# stage, done, total (octets); called at most every 100 ms
Progress = Callable[[str, int, int], None]

STDIN: Final = "-"
CHUNK_BYTES: Final = 1 << 22

_SKIPLIST: Final = b"\xa1\x02\x8b\x0dskiplist file\0\0\0"
# what a file begins with, and how much of it a writer rewrites when it commits
_HEADERS: Final = (
    (b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0", 64),
    (b"\xa1\x02\x8b\x0dtwomfile\0\0\0\0", 96),
    (_SKIPLIST, 48),
)
_HEADER_MAX: Final = 96
_SETTLED_NS: Final = 2_000_000_000  # file systems keep times in steps of up to two seconds
_HEADER_READS: Final = 100
_LOCK_TIMEOUT_S: Final = 10.0
_LOCK_PAUSE_S: Final = 0.001


class Image:
    """A source's octets: `data`, a writable buffer of `size_bytes`; `fill` tells how many have arrived.

    `inode`, `device` and `mtime_ns` are 0 for a stream; `mtime_ns` also when the file was written so recently that
    its time may not tell a later write apart.  A file that turns out shorter than the `opened_bytes` it had has
    `size_bytes` set to what there was.
    """

    def __init__(
        self, path: str, data: Any, size_bytes: int, file: io.FileIO | None = None, header: bytes = b""
    ) -> None:
        self.path = path
        self.data = data
        self.size_bytes = size_bytes
        self.opened_bytes = max(size_bytes, len(header))
        self._file = file
        self._header = header
        self._status = os.fstat(file.fileno()) if file else None
        self.inode = self._status.st_ino if self._status else 0
        self.device = self._status.st_dev if self._status else 0
        self.mtime_ns = settled_mtime_ns(self._status) if self._status else 0

    def fill(self, progress: Progress | None = None) -> Generator[int, None, None]:
        """Read on, a few MiB a step; how many octets are there after each.  At least one step.

        Of a large file the next step is read while one is used; close this to leave before the last.
        """
        done, told = 0, time.monotonic()
        large = self._file is not None and self.size_bytes > CHUNK_BYTES
        with made_ahead(self._reads()) if large else contextlib.nullcontext(self._reads()) as reads:
            for count in reads:
                if not done:
                    kept = self._header[:count]
                    self.data[: len(kept)] = kept
                done += count
                if progress and time.monotonic() - told >= 0.1:
                    told = time.monotonic()
                    progress("read", done, self.size_bytes)
                if done < self.size_bytes:
                    yield done
        if self._file:
            self.size_bytes = done
        yield self.size_bytes

    def _reads(self) -> Iterator[int]:
        """Read chunk after chunk to where they belong; how many octets each had."""
        done = 0
        while self._file and done < self.size_bytes and (count := self._read(done)):
            done += count
            yield count

    def _read(self, done: int) -> int:
        with memoryview(self.data) as view, view[done : min(done + CHUNK_BYTES, self.size_bytes)] as rest:
            return int(self._file.readinto(rest) or 0) if self._file else 0

    def has_changed(self) -> bool:
        """Whether the file, or what its name leads to, is not what it was when the reading began."""
        if not self._file or not self._status:
            return False
        try:
            now = os.stat(self.path), os.fstat(self._file.fileno())
        except OSError:
            return True
        return any(_identity(status) != _identity(self._status) for status in now) or (
            os.pread(self._file.fileno(), len(self._header), 0) != self._header
        )

    def close(self) -> None:
        """Give the memory back; readers of the image must be closed before."""
        if self._file:
            self._file.close()
        if isinstance(self.data, mmap.mmap):
            with contextlib.suppress(BufferError):
                self.data.close()


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def settled_mtime_ns(status: os.stat_result) -> int:
    """A file's time of change, or 0 while another write could still get the same one (or the clock is off)."""
    return status.st_mtime_ns if status.st_mtime_ns < time.time_ns() - _SETTLED_NS else 0


def read_file(path: str | os.PathLike[str]) -> Image:
    """An image of the file, nothing but its header read yet.

    Raises SourceError for what cannot be opened, is no file, does not fit into memory, or stays locked by a
    writer for ten seconds (skiplist only).
    """
    name = os.fspath(path)
    if name == STDIN:
        return read_stream("stdin", sys.stdin.buffer)
    try:
        file = open(path, "rb", buffering=0, opener=_open_at_once)  # noqa: SIM115 - the image owns it
    except IsADirectoryError as error:
        raise SourceError("is a directory", path=name, remedy="give the database file itself") from error
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", path=name) from error
    try:
        return _open_image(name, file)
    except OSError as error:
        file.close()
        raise SourceError(f"cannot be read: {error.strerror}", path=name) from error
    except BaseException:
        file.close()
        raise


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for whoever writes into a pipe of that name."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_image(path: str | os.PathLike[str]) -> Image:
    """An image of the file with all of it read."""
    image = read_file(path)
    for _done in image.fill():
        continue
    return image


def _open_image(name: str, file: Any) -> Image:
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise SourceError("is no regular file", path=name, remedy="give a file, or - for standard input")
    header = _read_header(file.fileno())
    with _shared_lock(name, file.fileno(), header) if header.startswith(_SKIPLIST) else contextlib.nullcontext():
        size = os.fstat(file.fileno()).st_size
    try:
        # Anonymous pages cost nothing before they are filled, and are given back at once.
        data = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError, ValueError) as error:
        raise SourceError("does not fit into memory", path=name, got=f"{size} octets") from error
    return Image(name, data, size, file, header)


def _read_header(descriptor: int) -> bytes:
    """The part of the file that a commit rewrites, as two reads in a row found it; nothing for other formats."""
    head = os.pread(descriptor, _HEADER_MAX, 0)
    length = next((length for magic, length in _HEADERS if head.startswith(magic)), 0)
    for _ in range(_HEADER_READS):
        again = os.pread(descriptor, _HEADER_MAX, 0)
        if again[:length] == head[:length]:
            break
        head = again
    return head[:length]


@contextlib.contextmanager
def _shared_lock(name: str, descriptor: int, header: bytes) -> Iterator[None]:
    """Cyrus' read lock.  It waits for writers and is never waited for longer than the body takes."""
    limit = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            break
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                # No locks here (some network file systems): then no writer uses them either.
                yield
                return
            if time.monotonic() > limit:
                raise SourceError(
                    f"has been locked by a writer for {_LOCK_TIMEOUT_S:.0f} s", path=name, remedy="take a copy of it"
                ) from error
            time.sleep(_LOCK_PAUSE_S)
    try:
        yield
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)


def read_stream(name: str, stream: Any) -> Image:
    """An image of all that a pipe has to give."""
    octets = bytearray()
    while chunk := stream.read(CHUNK_BYTES):
        octets += chunk
    return Image(name, octets or bytearray(1), len(octets))
