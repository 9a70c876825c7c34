"""A twoskip database that changes as a server changes it: the tests' own writer, slow and plain.

It appends records and rewrites links in place exactly as cyrusdb_twoskip.c does (`relocate`,
`store_here`, `delete_here`, `stitch`, `_setloc`), so its file can be caught at any moment: after a
commit, in the middle of a transaction, or between two octets.
"""

from __future__ import annotations

import pathlib
import random
import struct
import zlib

MAX_LEVEL = 31
MAGIC = b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0"
HEADER = struct.Struct(">20sIQQQQI")
FILLER = b" BLANK\x07\xa0"
DUMMY_AT = 64


class Twoskip:
    """One database file in memory; `image` is what is on disk at this moment."""

    def __init__(self, seed: int = 0, generation: int = 1) -> None:
        self.random = random.Random(seed)
        self.generation = generation
        self.records = 0
        self.repack_size = 0
        self.dirty = False
        self.image = bytearray(64)
        self._append(b"=", MAX_LEVEL, b"", b"", [0] * (MAX_LEVEL + 1))
        self.size = self.repack_size = len(self.image)
        self._header()

    def put(self, key: bytes, value: bytes) -> None:
        """Add or replace a record in the open transaction."""
        back, exact, forward = self._find(key)
        old_level = self._level(exact) if exact else 0
        if exact:
            forward = [self._next(exact, level) for level in range(old_level)] + forward[old_level:]
        else:
            self.records += 1
        level = 1
        while level < MAX_LEVEL - 1 and self.random.random() < 0.5:
            level += 1
        self._open()
        at = self._append(b"+", level, key, value, [0, *forward[:level]])
        self._stitch(back, [*([at] * level), *forward[level:]], max(level, old_level))

    def delete(self, key: bytes) -> bool:
        """Delete a record in the open transaction; whether it was there."""
        back, exact, _forward = self._find(key)
        if not exact:
            return False
        level = self._level(exact)
        forward = [self._next(exact, number) for number in range(level)]
        after = self._skip_delete(forward[0])
        self.records -= 1
        self._open()
        at = self._append(b"-", 0, b"", b"", [after])
        self._stitch(back, [at, *forward[1:]], level)
        return True

    def commit(self) -> None:
        """End the transaction; one that changed nothing writes nothing."""
        if self.dirty:
            self._append(b"$", 0, b"", b"", [self.size])
            self.size, self.dirty = len(self.image), False
            self._header()

    def repack(self) -> None:
        """Write all live records into a new file of the next generation."""
        fresh = Twoskip(self.random.randrange(1 << 30), self.generation + 1)
        for key, value in self.items():
            fresh.put(key, value)
        fresh.commit()
        fresh.repack_size = fresh.size
        fresh._header()
        self.__dict__.update(fresh.__dict__)

    def items(self) -> list[tuple[bytes, bytes]]:
        """Live records in key order, the open transaction's included."""
        found = []
        at = self._skip_delete(self._next(DUMMY_AT, 0))
        while at:
            key, value = self._tail(at)
            found.append((key, value))
            at = self._skip_delete(self._next(at, 0))
        return found

    def write(self, path: pathlib.Path) -> pathlib.Path:
        """Bring a file, in place, to what this one is now."""
        with open(path, "r+b" if path.exists() else "wb") as file:
            file.write(self.image)
            file.truncate()
        return path

    # --- octets ---

    def _header(self) -> None:
        fields = HEADER.pack(
            MAGIC, 1, self.generation, self.records, self.repack_size, self.size, 1 if self.dirty else 0
        )
        self.image[:64] = fields + zlib.crc32(fields).to_bytes(4, "big")

    def _open(self) -> None:
        if not self.dirty:
            # The counters on disk stay those of the last commit until the next one.
            fields = bytearray(self.image[:60])
            fields[59] = 1
            self.image[:64] = fields + zlib.crc32(fields).to_bytes(4, "big")
            self.dirty = True

    def _append(self, kind: bytes, level: int, key: bytes, value: bytes, links: list[int]) -> int:
        head = kind + struct.pack(">BHI", level, len(key), len(value)) + struct.pack(f">{len(links)}Q", *links)
        tail = key + value + bytes(-len(key + value) % 8)
        length = len(head) + 8
        while (len(self.image) + 8) % 512 > (len(self.image) - 8 + length) % 512:
            self.image += FILLER
        at = len(self.image)
        self.image += head + struct.pack(">II", zlib.crc32(head), zlib.crc32(tail)) + tail
        return at

    def _level(self, at: int) -> int:
        return self.image[at + 1]

    def _tail(self, at: int) -> tuple[bytes, bytes]:
        _kind, level, key_len, value_len = struct.unpack_from(">BBHI", self.image, at)
        start = at + 8 + 8 * (level + 1) + 8
        return bytes(self.image[start : start + key_len]), bytes(self.image[start + key_len :][:value_len])

    def _links(self, at: int) -> list[int]:
        return list(struct.unpack_from(f">{self._level(at) + 1}Q", self.image, at + 8))

    def _next(self, at: int, level: int) -> int:
        links = self._links(at)
        if level:
            return links[level + 1]
        return max((link for link in links[:2] if link < len(self.image)), default=0)

    def _skip_delete(self, at: int) -> int:
        return self._links(at)[0] if at and self.image[at] == ord("-") else at

    # --- the list ---

    def _find(self, key: bytes) -> tuple[list[int], int, list[int]]:
        """For each level the record before `key` and its link; in the middle the record itself, or 0."""
        at, exact = DUMMY_AT, 0
        back, forward = [0] * MAX_LEVEL, [0] * MAX_LEVEL
        for level in reversed(range(MAX_LEVEL)):
            while True:
                link = self._next(at, level)
                target = self._skip_delete(link)
                if not target or self._tail(target)[0] >= key:
                    break
                at = target
            back[level], forward[level] = at, link
            exact = target if target and self._tail(target)[0] == key else 0
        return back, exact, forward

    def _stitch(self, back: list[int], forward: list[int], levels: int) -> None:
        for level in range(levels):
            at = back[level]
            links = self._links(at)
            if level:
                links[level + 1] = forward[level]
            else:
                self._set_lowest(links, forward[0])
            head = bytes(self.image[at : at + 8]) + struct.pack(f">{len(links)}Q", *links)
            self.image[at : at + len(head) + 4] = head + struct.pack(">I", zlib.crc32(head))

    def _set_lowest(self, links: list[int], target: int) -> None:
        """Overwrite the link of this transaction, or else the older of the two."""
        if links[0] >= self.size:
            links[0] = target
        elif links[1] >= self.size:
            links[1] = target
        else:
            links[0 if links[1] > links[0] else 1] = target
