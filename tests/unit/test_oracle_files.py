"""The oracle's file readers against a few octets put together by hand from the format descriptions."""

from __future__ import annotations

import struct

import pytest

from tests.oracle import (
    OWNER,
    Entry,
    World,
    parse_conf,
    read_annotations,
    read_entry,
    read_flat,
    read_skiplist,
    read_subscriptions,
    read_twoskip,
)
from tests.oracle.tiny import listed


def _twoskip_record(kind: bytes, name: bytes, value: bytes, *pointers: int) -> bytes:
    """A twoskip record; the checksums are not looked at."""
    head = kind + struct.pack(">BHI", len(pointers) - 1, len(name), len(value))
    body = name + value
    return head + struct.pack(f">{len(pointers)}Q8x", *pointers) + body + b"\0" * (-len(body) % 8)


def test_twoskip_is_walked_over_deletions_and_not_beyond_the_committed_size() -> None:
    """The list goes dummy, a, a deletion, c; the record after c was never committed."""
    a = 64 + 8 + 32 * 8 + 8  # behind the header and the dummy, which has 32 pointers
    deletion = a + 8 + 2 * 8 + 8 + 8
    c = deletion + 8 + 8 + 8
    end = c + 8 + 2 * 8 + 8 + 8
    records = (
        _twoskip_record(b"=", b"", b"", a, 0, *[0] * 30),
        _twoskip_record(b"+", b"Na", b"1", deletion, 0),
        _twoskip_record(b"-", b"", b"", c),
        _twoskip_record(b"+", b"Nc", b"2", 0, end),
        _twoskip_record(b"+", b"Nd", b"3", 0, 0),
    )
    header = b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0" + struct.pack(">IQQQQII", 1, 1, 2, 0, end, 0, 0)
    assert read_twoskip(header + b"".join(records)) == {b"Na": b"1", b"Nc": b"2"}


def test_skiplist_is_replayed_as_a_log() -> None:
    """A deletion names the offset of the record that goes."""

    def record(kind: int, name: bytes, value: bytes) -> bytes:
        fields = b"".join(struct.pack(">I", len(part)) + part + b"\0" * (-len(part) % 4) for part in (name, value))
        return struct.pack(">I", kind) + fields + b"\0\0\0\0\xff\xff\xff\xff"

    header = b"\xa1\x02\x8b\x0dskiplist file\0\0\0" + bytes(28)
    dummy, first, second = record(257, b"", b""), record(1, b"Na", b"one"), record(2, b"Nb", b"")
    deletion = struct.pack(">II", 4, len(header) + len(dummy))
    commit = struct.pack(">I", 255)
    assert read_skiplist(header + dummy + first + second + commit) == {b"Na": b"one", b"Nb": b""}
    assert read_skiplist(header + dummy + first + second + deletion + commit) == {b"Nb": b""}


def test_flat_escapes_and_subscriptions() -> None:
    """0xFF escapes TAB and itself; the version record is no subscription."""
    assert read_flat(b"k\tv\xff\x89w\xff\xff\n") == {b"k": b"v\tw\xff"}
    assert read_subscriptions(b"\x1fVER\x1f\t2\nNINBOX\t\nNG\x1fone\t\n") == ([b"G\x1fone", b"INBOX"], True)


def test_annotations() -> None:
    """Key uniqueid NUL entry NUL userid, value size in the first four of eight octets."""
    value = struct.pack(">I4x", 5) + b"\\Sent\0text/plain\0"
    flat = b"id1\0/specialuse\0" + OWNER.encode() + b"\0\t" + value + b"\nid1\0/comment\0\0\t" + value + b"\n"
    assert read_annotations(flat) == {(b"id1", OWNER): rb"\Sent"}


@pytest.mark.parametrize(
    ("value", "entry"),
    [
        (b"%(T e I u1 P default V 7 A %(anyone lrs))", Entry(((b"anyone", b"lrs"),), "e", "", b"u1", 7)),
        (b"%(T ei)", Entry((), "e", "i")),
        (b'%(T "" A %("joe smith" lr {3+}\r\nq"q l))', Entry(((b"joe smith", b"lr"), (b'q"q', b"l")))),
        (b"%(T cd H (%(N x V 1)) Z (a (b c)) A %(NIL l))", Entry(((b"NIL", b"l"),), "c", "d")),
        (b"0 default anyone\tlrs\talice\tl\t", Entry(((b"anyone", b"lrs"), (b"alice", b"l")))),
        (b"(uniqueid u2) 0 default anyone\tlrs\tbroken", Entry(((b"anyone", b"lrs"),), uniqueid=b"u2")),
        (b"0 default ", Entry()),
    ],
)
def test_values_of_mailboxes_db(value: bytes, entry: Entry) -> None:
    """Dlist and the two older forms; NIL is an atom, a missing or empty type is mail."""
    assert read_entry(value) == entry


def test_imapd_conf() -> None:
    """Comments and lines without colon are nothing."""
    assert parse_conf("# x: 1\naltnamespace: 1\n\nadmins: cyrus admin \n") == {
        "altnamespace": "1",
        "admins": "cyrus admin",
    }


def test_a_world_from_files_finds_subscriptions_by_the_inbox_record() -> None:
    """The uniqueid of the INBOX names the owner of a sub.db."""
    mailboxes = b"Nuser\x1fmar\t%(T e I u1 A %(mar lr))\nNpub\t%(T e I u2 A %(anyone lr))\n"
    subscriptions = {b"u1": b"\x1fVER\x1f\t2\nNpub\t\n"}
    judge = World.from_files(mailboxes, "defaultdomain: x\n", {}, subscriptions, None)
    assert listed(judge, "mar", 'LSUB "" *') == ['LSUB () "Shared Folders/pub"']
    assert listed(judge, "zed", 'LSUB "" *') == []
