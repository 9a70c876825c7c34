"""A mailboxes.db or a dump of one, on disk or from stdin -> a checked image in memory that the C readers walk.

The whole file is read into memory of our own instead of being mapped: a server may truncate or
replace a file while we look at it, and a map would then kill the process.  A live file is read
without locks.  Its writer only ever appends records, rewrites pointers below the size that the
header promises, and rewrites the header last; so an image whose every linked record has its
checksum is a state between two commits.  A torn pointer shows as a wrong checksum, and one that a
second later commit overwrote is seen to be newer than the header; the file is then read again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from pyxlist._pxl import ffi, lib
from pyxlist.errors import CorruptSourceError, SourceError, StoreDamagedError, UnsupportedSourceError

__all__ = [
    "FORMATS",
    "STDIN",
    "Image",
    "Progress",
    "Source",
    "iter_records",
    "iter_records_of",
    "keys_found",
    "open_source",
    "raise_core_error",
    "read_image",
    "settled_mtime_ns",
]

# stage, done, total (octets); called at most every 100 ms
Progress = Callable[[str, int, int], None]

STDIN: Final = "-"
_CHUNK: Final = 1 << 22
_ATTEMPTS: Final = 5
_PAUSE_S: Final = 0.05
_LAST_BYTES: Final = 24  # of a log's last commit record
_SETTLED_NS: Final = 2_000_000_000  # file systems keep times in steps of up to two seconds

FORMATS: Final = {
    lib.PXL_TWOSKIP: "twoskip",
    lib.PXL_SKIPLIST: "skiplist",
    lib.PXL_FLAT: "flat",
    lib.PXL_TWOM: "twom",
    lib.PXL_DUMP_JSON: "dump",
    lib.PXL_DUMP_TEXT: "text dump",
}
_KEYS: Final = {lib.PXL_KEYS_UNKNOWN: "", lib.PXL_KEYS_TYPED: "typed", lib.PXL_KEYS_PLAIN: "plain"}
# What people point us at, and what they should do instead.
_FOREIGN: Final = (
    (b"\x1f\x8b", "is compressed with gzip", "unpack it first: gunzip -c FILE | pyxlist build - INDEX"),
    (b"BZh", "is compressed with bzip2", "unpack it first: bunzip2 -c FILE | pyxlist build - INDEX"),
    (b"\xfd7zXZ\x00", "is compressed with xz", "unpack it first: xz -dc FILE | pyxlist build - INDEX"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd", "unpack it first: zstd -dc FILE | pyxlist build - INDEX"),
    (b"SQLite format 3\x00", "is an SQLite database", "dump it: ctl_mboxlist -d | pyxlist build - INDEX"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """A file's octets as they were read: `data` (a writable C buffer of `size_bytes`), and which file it was.

    `mtime_ns` is 0 when the file was written so recently that its time may not tell a later write apart.
    """

    path: str
    data: Any
    size_bytes: int
    inode: int
    device: int
    mtime_ns: int


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """What the header of a source says.

    `end` is the number of committed octets, `records` what the header promises (0: it does not say),
    `generation` grows with each repack, `inode`, `device` and `mtime_ns` are those of the file that was read
    (0 for stdin).  `keys` is the generation of its content, once that is known: "typed" (3.6 and later),
    "plain" (before, and dumps), "".  For a follower: `identity` and a digest `mark` of what stands from
    `mark_from` on tell one history of a file from another (csrc/tail.c); empty and 0 for what is no log.
    """

    path: str
    format: str
    version: int
    generation: int
    records: int
    end: int
    size_bytes: int
    inode: int
    keys: str = ""
    device: int = 0
    mtime_ns: int = 0
    identity: str = ""
    mark_from: int = 0
    mark: int = 0


def keys_found(inversion: Any) -> str:
    """What the keys of a source were, as an inversion that has read records from it found: `Source.keys`."""
    return _KEYS[lib.pxl_inversion_counts(inversion).keys]


def read_image(path: str | os.PathLike[str], progress: Progress | None = None) -> Image:
    """Read a file whole, or stdin for "-".  Raises SourceError when it cannot be opened or read.

    A file that grows meanwhile is read up to the size it had; one that shrinks is read to its new end.
    """
    name = os.fspath(path)
    if name == STDIN:
        return _read_stdin()
    try:
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            size = status.st_size
            if not stat.S_ISREG(status.st_mode):
                raise SourceError("is no regular file", path=name, remedy="give a file, or - for standard input")
            data = ffi.new("uint8_t[]", size or 1)
            done = _fill(file, memoryview(ffi.buffer(data, size)) if size else memoryview(b""), progress)
    except IsADirectoryError as error:
        raise SourceError("is a directory", path=name, remedy="give the mailboxes.db itself") from error
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", path=name) from error
    except MemoryError as error:
        raise SourceError("does not fit into memory", path=name, got=size) from error
    return Image(name, data, done, status.st_ino, status.st_dev, settled_mtime_ns(status))


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for whoever writes into a pipe of that name."""
    return os.open(path, flags | os.O_NONBLOCK)


def settled_mtime_ns(status: os.stat_result) -> int:
    """A file's time of change, or 0 while another write could still get the same one (or the clock is off)."""
    return status.st_mtime_ns if status.st_mtime_ns < time.time_ns() - _SETTLED_NS else 0


def _read_stdin() -> Image:
    octets = bytearray()
    while chunk := sys.stdin.buffer.read(_CHUNK):
        octets += chunk
    return Image("stdin", ffi.from_buffer("uint8_t[]", octets or bytearray(1)), len(octets), 0, 0, 0)


def _fill(file: Any, view: memoryview, progress: Progress | None) -> int:
    done, told = 0, time.monotonic()
    while done < len(view):
        count = file.readinto(view[done : done + _CHUNK])
        if not count:
            break
        done += count
        if progress and time.monotonic() - told >= 0.1:
            told = time.monotonic()
            progress("read", done, len(view))
    return done


@contextlib.contextmanager
def open_source(path: str | os.PathLike[str], progress: Progress | None = None) -> Iterator[tuple[Any, Source]]:
    """The C reader of a source, placed before its first record, and what its header says.

    A file caught in the middle of a header or pointer rewrite is read again, up to five times.
    Raises UnsupportedSourceError for a format or version we do not read, CorruptSourceError for octets
    that contradict their format, SourceError for a file that cannot be read.
    """
    image = read_image(path, progress)
    reader, error = _start(image)
    for _ in range(_ATTEMPTS - 1):
        if reader is not None or error.code not in (lib.PXL_E_CORRUPT, lib.PXL_E_SHORT):
            break
        if not _changed_since(image):
            break
        time.sleep(_PAUSE_S)
        image = read_image(path, progress)
        reader, error = _start(image)
    if reader is None:
        _refuse_foreign(image)
        raise_core_error(error, image.path)
    try:
        yield reader, _describe(image, reader)
    finally:
        lib.pxl_reader_close(reader)


def iter_records(path: str | os.PathLike[str]) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of every live record of a cyrusdb file of any kind, keys ascending in octet order.

    The octets are copies and outlive the iteration.  Raises what `open_source` raises, and
    CorruptSourceError at the first record that contradicts its format.
    """
    with open_source(path) as (reader, header):
        yield from iter_records_of(reader, header)


def iter_records_of(reader: Any, header: Source) -> Iterator[tuple[bytes, bytes]]:
    """The records that an open source has still to give: `iter_records`."""
    record, error = ffi.new("pxl_record *"), ffi.new("pxl_error *")
    while not (code := lib.pxl_reader_next(reader, record, error)):
        value = ffi.buffer(record.value.data, record.value.len)[:] if record.value.len else b""
        yield ffi.buffer(record.key.data, record.key.len)[:], value
    if code < 0:
        raise_core_error(error, header.path)


def _start(image: Image) -> tuple[Any, Any]:
    """(reader, error) of an image; reader is None when it cannot be opened."""
    out, error = ffi.new("pxl_reader **"), ffi.new("pxl_error *")
    code = lib.pxl_reader_open(out, image.data, image.size_bytes, 0, error)
    return (None if code < 0 else out[0]), error


def _refuse_foreign(image: Image) -> None:
    """Raise UnsupportedSourceError for what is well known and no mailboxes.db."""
    head = bytes(ffi.buffer(image.data, min(image.size_bytes, 16)))
    for magic, message, remedy in _FOREIGN:
        if head.startswith(magic):
            raise UnsupportedSourceError(message, path=image.path, remedy=remedy)


def _changed_since(image: Image) -> bool:
    """Whether the file is a live one that has changed since the image was taken."""
    if not image.inode:
        return False
    try:
        with open(image.path, "rb") as file:
            head = file.read(128)
            return os.fstat(file.fileno()).st_ino != image.inode or head != bytes(ffi.buffer(image.data, len(head)))
    except OSError:
        return False


def _describe(image: Image, reader: Any) -> Source:
    source = lib.pxl_reader_source(reader)
    identity, mark_from, mark = _mark(image, source.end)
    return Source(
        path=image.path,
        format=FORMATS[source.format],
        version=source.version,
        generation=source.generation,
        records=source.records,
        end=source.end,
        size_bytes=image.size_bytes,
        inode=image.inode,
        keys=_KEYS[source.keys],
        device=image.device,
        mtime_ns=image.mtime_ns,
        identity=identity,
        mark_from=mark_from,
        mark=mark,
    )


def _mark(image: Image, end: int) -> tuple[str, int, int]:
    """(identity, mark_from, mark) of an image whose committed octets end at `end`."""
    header = ffi.new("pxl_log_header *")
    if end < _LAST_BYTES or lib.pxl_log_read_header(image.data, image.size_bytes, header, ffi.NULL) < 0:
        return "", 0, 0
    header.source.end = end
    start = lib.pxl_log_mark_from(header, image.data + end - _LAST_BYTES)
    length = min(end - start, lib.PXL_LOG_MARK)
    return bytes(header.identity).hex(), start, lib.pxl_log_mark(header, image.data + start, start, length)


def raise_core_error(error: Any, path: str) -> None:
    """Raise what a negative result of the C core means for the file at `path`."""
    message = ffi.string(error.message).decode() if error.message else "failed"
    if error.code == lib.PXL_E_MEMORY:
        raise MemoryError(message)
    if error.code == lib.PXL_E_BLOCK:
        raise StoreDamagedError(message, path=path, remedy="build the index anew from its source")
    numbers = {"expected": error.expected, "got": error.got} if error.expected or error.got else {}
    if error.code == lib.PXL_E_FORMAT:
        raise UnsupportedSourceError(
            message, path=path, remedy="give a Cyrus mailboxes.db or what ctl_mboxlist -d prints"
        )
    kind = UnsupportedSourceError if error.code == lib.PXL_E_VERSION else CorruptSourceError
    remedy = "take a fresh copy, or repair it with Cyrus' own tools" if kind is CorruptSourceError else None
    raise kind(message, path=path, offset=error.offset, remedy=remedy, **numbers)
