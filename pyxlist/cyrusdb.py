"""A mailboxes.db or a dump of one, on disk or from stdin -> a C reader that has checked every record of it.

Nothing is handed out before everything was checked, so damage, and a file torn by its writer, is
found while it still can be read again and before anybody has acted on half of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from typing import Any, Final

from pyxlist._pxl import ffi, lib
from pyxlist.errors import CorruptSourceError, StoreDamagedError, UnsupportedSourceError
from pyxlist.image import STDIN, Image, Progress, read_file

__all__ = [
    "FORMATS",
    "STDIN",
    "Loss",
    "Losses",
    "Progress",
    "Source",
    "iter_records",
    "iter_records_of",
    "keys_found",
    "losses_of",
    "open_source",
    "raise_core_error",
]

_LAST_BYTES: Final = 24  # of a log's last commit record
_ATTEMPTS: Final = 6
_PAUSE_S: Final = 0.02

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


@dataclasses.dataclass(frozen=True, slots=True)
class Loss:
    """A damaged place that was stepped over: `size_bytes` from `offset` on, 0 for a record wrong in itself."""

    offset: int
    size_bytes: int
    reason: str

    def __str__(self) -> str:
        what = f"{self.size_bytes} octets" if self.size_bytes else "a record"
        return f"{what} at offset {self.offset}: {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True)
class Losses:
    """What a salvage could not read: the number of places, the octets in them, and the first thousand places."""

    places: int = 0
    size_bytes: int = 0
    listed: tuple[Loss, ...] = ()


def losses_of(reader: Any) -> Losses:
    """What a reader has stepped over so far."""
    out = ffi.new("const pxl_loss **")
    count = lib.pxl_reader_losses(reader, out)
    listed = tuple(Loss(out[0][n].offset, out[0][n].len, ffi.string(out[0][n].message).decode()) for n in range(count))
    source = lib.pxl_reader_source(reader)
    return Losses(source.lost, source.lost_bytes, listed)


@contextlib.contextmanager
def open_source(
    path: str | os.PathLike[str], progress: Progress | None = None, salvage: bool = False, as_stored: bool = False
) -> Iterator[tuple[Any, Source]]:
    """The C reader of a source, placed before its first record, and what its header says.

    Every record has been checked (those of a dump are checked as they are read).  A file that is damaged
    and has changed since the reading began was torn by its writer: it is read again, up to five times.
    So is one that has become shorter, and at the end refused: what is left of it may look whole.
    With `salvage` damage is stepped over, and `losses_of` tells what was lost; with `as_stored` the records
    of a flat database come as they stand in it.
    Raises UnsupportedSourceError for a format or version we do not read, CorruptSourceError for octets
    that contradict their format, SourceError for a file that cannot be read.
    """
    options = (lib.PXL_SALVAGE if salvage else 0) | (lib.PXL_AS_STORED if as_stored else 0)
    was_empty = True
    for attempt in range(1, _ATTEMPTS + 1):
        with contextlib.closing(read_file(path)) as image:
            was_empty = was_empty and not image.opened_bytes
            reader, error = _load(image, progress, options)
            shrank = image.size_bytes < image.opened_bytes or (
                not image.size_bytes and (image.has_changed() or not was_empty)
            )
            try:
                if attempt == _ATTEMPTS or not (shrank or _is_torn(image, reader, error)):
                    if shrank:
                        _refuse_shrunk(image)
                    if error is not None:
                        _refuse(image, reader, error)
                    yield reader, _describe(image, reader)
                    return
            finally:
                lib.pxl_reader_close(reader or ffi.NULL)
        time.sleep(_PAUSE_S * attempt)


def iter_records(
    path: str | os.PathLike[str], salvage: bool = False, as_stored: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of every live record of a cyrusdb file of any kind, keys ascending in octet order.

    With `as_stored` those of a flat file come in the order of its lines, which for its server has '.' before
    every other octet.  The octets are copies and outlive the iteration.  Raises what `open_source` raises, for a
    dump also CorruptSourceError at the first record that contradicts its format.
    """
    with open_source(path, salvage=salvage, as_stored=as_stored) as (reader, header):
        yield from iter_records_of(reader, header)


def iter_records_of(reader: Any, header: Source) -> Iterator[tuple[bytes, bytes]]:
    """The records that an open source has still to give: `iter_records`."""
    record, error = ffi.new("pxl_record *"), ffi.new("pxl_error *")
    while not (code := lib.pxl_reader_next(reader, record, error)):
        value = ffi.buffer(record.value.data, record.value.len)[:] if record.value.len else b""
        yield ffi.buffer(record.key.data, record.key.len)[:], value
    if code < 0:
        raise_core_error(error, header.path)


def _load(image: Image, progress: Progress | None, options: int) -> tuple[Any, Any]:
    """(reader, error) of an image that is read and checked step by step: no error if all of it could be used.

    There is no reader where there is no header.  What is damaged, or no database at all, is found without
    reading to its end.
    """
    error = ffi.new("pxl_error *")
    reader, size, code = None, image.size_bytes, lib.PXL_MORE
    with contextlib.closing(image.fill(progress)) as filled:
        for have in filled:
            if reader is None or image.size_bytes != size:
                lib.pxl_reader_close(reader or ffi.NULL)
                reader, size = _open(image, options, error), image.size_bytes
            code = error.code if reader is None else lib.pxl_reader_load(reader, have, error)
            if code != lib.PXL_MORE:
                break
    return reader, error if code < 0 else None


def _open(image: Image, options: int, error: Any) -> Any:
    out, octets = ffi.new("pxl_reader **"), ffi.from_buffer("uint8_t[]", image.data)
    code = lib.pxl_reader_open(out, octets, image.size_bytes, options, error)
    return None if code < 0 else out[0]


def _is_torn(image: Image, reader: Any, error: Any) -> bool:
    """Whether another reading may find the file whole: it has changed, or a transaction was open."""
    source = lib.pxl_reader_source(reader) if reader else None
    damaged = bool(source and source.lost) if error is None else error.code in (lib.PXL_E_CORRUPT, lib.PXL_E_SHORT)
    return damaged and image.inode != 0 and (image.has_changed() or bool(source and source.flags & 1))


def _refuse_shrunk(image: Image) -> None:
    """Raise that a file went away under us: cut off where a line ended, it would pass for a smaller database."""
    raise CorruptSourceError(
        "became shorter while it was read", path=image.path, expected=image.opened_bytes, got=image.size_bytes,
        offset=image.size_bytes, remedy="wait until it is written, or take a fresh copy",
    )  # fmt: skip


def _refuse(image: Image, reader: Any, error: Any) -> None:
    """Raise what is wrong with an image, and what of it could be read."""
    _refuse_foreign(image)
    remedy = None
    if reader is not None and error.code in (lib.PXL_E_CORRUPT, lib.PXL_E_SHORT):
        sound = lib.pxl_reader_source(reader).sound
        remedy = f"{sound} records before that are sound; take a fresh copy, or salvage what can be read"
    raise_core_error(error, image.path, remedy)


def _refuse_foreign(image: Image) -> None:
    """Raise UnsupportedSourceError for what is well known and no mailboxes.db."""
    head = bytes(image.data[: min(image.size_bytes, 16)])
    for magic, message, remedy in _FOREIGN:
        if head.startswith(magic):
            raise UnsupportedSourceError(message, path=image.path, remedy=remedy)


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
    header, octets = ffi.new("pxl_log_header *"), ffi.from_buffer("uint8_t[]", image.data)
    if end < _LAST_BYTES or lib.pxl_log_read_header(octets, image.size_bytes, header, ffi.NULL) < 0:
        return "", 0, 0
    header.source.end = end
    start = lib.pxl_log_mark_from(header, octets + end - _LAST_BYTES)
    length = min(end - start, lib.PXL_LOG_MARK)
    return bytes(header.identity).hex(), start, lib.pxl_log_mark(header, octets + start, start, length)


def raise_core_error(error: Any, path: str, remedy: str | None = None) -> None:
    """Raise what a negative result of the C core means for the file at `path`; `remedy` is for a damaged source."""
    message = ffi.string(error.message).decode() if error.message else "failed"
    if error.code == lib.PXL_E_MEMORY:
        raise MemoryError(message)
    if error.code == lib.PXL_E_BLOCK:
        raise StoreDamagedError(message, path=path, remedy="build the index anew from its source")
    numbers = {"expected": error.expected, "got": error.got} if error.expected or error.got else {}
    if error.code == lib.PXL_E_FORMAT:
        raise UnsupportedSourceError(
            message, path=path, remedy="give the database itself, or what ctl_mboxlist -d prints of it"
        )
    kind = UnsupportedSourceError if error.code == lib.PXL_E_VERSION else CorruptSourceError
    if kind is UnsupportedSourceError:
        remedy = None
    elif remedy is None:
        remedy = "take a fresh copy, or salvage what can be read"
    raise kind(message, path=path, offset=error.offset, remedy=remedy, **numbers)
