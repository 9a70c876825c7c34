"""A live mailboxes.db as the log it is: what was appended to it since some offset.

twoskip, twom and skiplist files grow by whole transactions between two repacks, and the header (in a
skiplist the last commit record) names the end of the last one.  So the octets between an old end and
the new one are all that happened since, and they are all that is read here: the header, the appended
octets, and for a delete (which has no key) one older record that tells whose it is.

Nothing is locked.  That is safe because what we use of a record below the committed end (kind,
lengths, key, value, the link of a delete) never changes again; what a writer does change there, the
links of older records, is not looked at, or covered by a checksum of the record's head.  A read that
meets the writer in the middle of such a change sees a wrong checksum and is done again.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from pyxlist._pxl import ffi, lib
from pyxlist.cyrusdb import FORMATS, Source, raise_core_error
from pyxlist.errors import CorruptSourceError, GapError, SourceError, UnsupportedSourceError
from pyxlist.image import settled_mtime_ns

__all__ = ["LOG_FORMATS", "Change", "Delete", "DeleteBefore", "Header", "Log", "Put", "has_changed", "is_wholly_marked"]

LOG_FORMATS: Final = frozenset({"twoskip", "twom", "skiplist"})

TAIL_BYTES: Final = 1 << 26  # a longer stretch is left to a build, which reads the file anyway
_LAST_BYTES: Final = 24
_RECORD_BYTES: Final = 4096  # first guess at the length of one record
_SKIPLIST_COMMIT: Final = b"\0\0\0\xff"
_ATTEMPTS: Final = 10
_PAUSE_S: Final = 0.002

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Put:
    """`key` has `value` from now on, whether or not it was there."""

    key: bytes
    value: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Delete:
    """`key` is gone."""

    key: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class DeleteBefore:
    """The last key before `key` (None: the last of all) that is there at this moment is gone."""

    key: bytes | None


Change = Put | Delete | DeleteBefore


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What the header of a log says now; the fields are those of `Source`.

    `end` of a skiplist is the end of the file: what of it is committed shows when it is read.  `first` is the
    offset of the first record, `raw` what the C core made of it.
    """

    format: str
    generation: int
    records: int
    end: int
    first: int
    identity: str
    raw: Any = dataclasses.field(compare=False, repr=False)


class Log:
    """An open source that is read as a log; a context manager.

    It stays with the file it opened: a file renamed over it is not followed, and while this one is open
    its inode number is not given away.  Raises UnsupportedSourceError for a file that is no log.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceError(f"cannot be opened: {error.strerror}", path=path) from error
        status = os.fstat(self._file)
        self.inode, self.device = status.st_ino, status.st_dev

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go.  Twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def is_current(self) -> bool:
        """Whether the path still leads to this file."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_ino, status.st_dev) == (self.inode, self.device)

    def _read(self, start: int, end: int) -> bytes:
        parts: list[bytes] = []
        while start < end:
            part = self._pread(end - start, start)
            if not part:
                raise CorruptSourceError("ends before its committed end", path=self.path, offset=start, expected=end)
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def _pread(self, length: int, offset: int) -> bytes:
        try:
            return os.pread(self._file, length, offset)
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", path=self.path, offset=offset) from error

    # --- the header ---

    def header(self) -> Header:
        """The header as it is now.  Raises UnsupportedSourceError for no log, CorruptSourceError for damage."""
        return self._patiently(self._header)

    def _header(self) -> Header:
        octets = self._pread(lib.PXL_LOG_HEADER, 0)
        header, error = ffi.new("pxl_log_header *"), ffi.new("pxl_error *")
        if lib.pxl_log_read_header(ffi.from_buffer(octets), len(octets), header, error) < 0:
            raise_core_error(error, self.path)
        if not header.source.end:
            header.source.end = os.fstat(self._file).st_size
        return _described(header)

    def _patiently(self, work: Callable[[], T]) -> T:
        """Do something that fails while a writer is in the middle of a change; the last failure stands."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return work()
            except UnsupportedSourceError:
                raise
            except CorruptSourceError:
                time.sleep(_PAUSE_S)
        return work()

    # --- the mark ---

    def has_mark(self, checkpoint: Source) -> bool:
        """Whether the file still has the history that it had at a checkpoint."""
        length = min(checkpoint.end - checkpoint.mark_from, lib.PXL_LOG_MARK)
        try:
            return length >= 0 and any(self._mark(checkpoint.mark_from, length) == checkpoint.mark for _ in range(3))
        except CorruptSourceError:
            return False

    def _mark(self, start: int, length: int) -> int:
        octets = self._read(start, start + length)
        return int(lib.pxl_log_mark(self._header().raw, ffi.from_buffer(octets), start, length))

    def source(self, header: Header, end: int) -> Source:
        """What a build would note of this file if its last commit ended at `end`.

        Raises CorruptSourceError for a file that is shorter.
        """
        raw = header.raw
        raw.source.end = end
        start = lib.pxl_log_mark_from(raw, ffi.from_buffer(self._read(max(0, end - _LAST_BYTES), end)))
        status = os.fstat(self._file)
        return Source(
            path=self.path,
            format=header.format,
            version=raw.source.version,
            generation=header.generation,
            records=header.records,
            end=end,
            size_bytes=status.st_size,
            inode=self.inode,
            device=self.device,
            identity=header.identity,
            mark_from=start,
            mark=self._mark(start, min(end - start, lib.PXL_LOG_MARK)),
        )

    # --- the tail ---

    def changes(self, start: int, header: Header) -> tuple[list[Change], int]:
        """What was committed from offset `start`, a commit's end, up to the end that `header` names, in order; and
        the offset behind the last commit.

        Raises GapError when the stretch is too long or cannot be read as whole transactions.  Cost: the
        appended octets, and one small read a delete.
        """
        if header.end - start > TAIL_BYTES:
            raise GapError("too much was appended", path=self.path, expected=TAIL_BYTES, got=header.end - start)
        try:
            return self._patiently(lambda: self._changes(start, header))
        except CorruptSourceError as error:
            raise GapError(f"the appended records cannot be read: {error}", path=self.path) from error

    def _changes(self, start: int, header: Header) -> tuple[list[Change], int]:
        octets = self._read(start, header.end)
        changes: list[Change] = []
        began, committed = start, 0
        for record, behind in self._records(octets, start, header):
            if record.kind == lib.PXL_LOG_PUT:
                changes.append(Put(_copy(record.key), _copy(record.value)))
            elif record.kind == lib.PXL_LOG_DELETE:
                changes.append(self._deletion(record.link, record.offset, header))
            else:
                self._check_commit(record, began)
                began, committed = behind, len(changes)
        if began != header.end and header.format != "skiplist":
            raise CorruptSourceError("the last transaction has no commit", path=self.path, offset=header.end)
        return changes[:committed], began

    def _check_commit(self, record: Any, began: int) -> None:
        if record.link and record.link != began:
            raise CorruptSourceError(
                "a commit of another transaction",
                path=self.path,
                offset=record.offset,
                expected=began,
                got=record.link,
            )

    def _records(self, octets: bytes, start: int, header: Header) -> Iterator[tuple[Any, int]]:
        """(record, offset behind it) of each record; a record is good until the next."""
        tail = ffi.gc(lib.pxl_tail_new(header.raw), lib.pxl_tail_free)
        data, record, error = ffi.from_buffer(octets), ffi.new("pxl_logged *"), ffi.new("pxl_error *")
        lib.pxl_tail_start(tail, data, start, len(octets))
        while not (code := lib.pxl_tail_next(tail, record, error)):
            yield record, lib.pxl_tail_at(tail)
        if code < 0 and not (header.format == "skiplist" and _has_no_commit(octets[lib.pxl_tail_at(tail) - start :])):
            raise_core_error(error, self.path)

    def _deletion(self, link: int, offset: int, header: Header) -> Change:
        """What a delete at `offset` did: the record it points to is older, and either the deleted one or its
        successor.
        """
        before = header.format == "twoskip"
        if before and not link:
            return DeleteBefore(None)
        if not header.first <= link < offset:
            raise CorruptSourceError(
                "a delete points outside the log", path=self.path, offset=offset, expected=f"below {offset}", got=link
            )
        key = self._key_at(link, offset, header)
        return DeleteBefore(key) if before else Delete(key)

    def _key_at(self, offset: int, limit: int, header: Header) -> bytes:
        """The key of the record at `offset`, which ends at or before `limit`."""
        length = _RECORD_BYTES
        while True:
            end = min(offset + length, limit)
            try:
                record, _behind = next(self._records(self._read(offset, end), offset, header))
                if record.kind != lib.PXL_LOG_PUT or record.offset != offset:
                    raise CorruptSourceError("a delete points to no record", path=self.path, offset=offset)
                return _copy(record.key)
            except CorruptSourceError:
                if end == limit or length > 1 << 20:
                    raise
                length *= 8


def _has_no_commit(octets: bytes) -> bool:
    """Whether no word of the rest of a skiplist could be a commit: then a writer is at work there, or died."""
    return all(octets[at : at + 4] != _SKIPLIST_COMMIT for at in range(0, len(octets) - 3, 4))


def _described(header: Any) -> Header:
    source = header.source
    return Header(
        format=FORMATS[source.format],
        generation=source.generation,
        records=source.records,
        end=source.end,
        first=header.first,
        identity=bytes(header.identity).hex(),
        raw=header,
    )


def _copy(octets: Any) -> bytes:
    return ffi.buffer(octets.data, octets.len)[:] if octets.len else b""


def is_wholly_marked(source: Source) -> bool:
    """Whether a source's mark covers all of its last transaction."""
    return bool(source.end - source.mark_from <= lib.PXL_LOG_MARK)


def has_changed(source: Source) -> bool:
    """Whether the file that was read as `source`, which is no log, is another one by now or was written to."""
    try:
        status = os.stat(source.path)
        if (status.st_ino, status.st_dev) != (source.inode, source.device):
            return True
    except OSError:
        return True
    return (status.st_size, settled_mtime_ns(status)) != (source.size_bytes, source.mtime_ns or -1)
