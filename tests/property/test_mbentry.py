"""One mailboxes.db value: the C core reads what the slow oracle reads, and survives everything else."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from pyxlist._pxl import ffi, lib
from pyxlist.entry import Mbtype
from tests.oracle.entries import read_entry

ATOM = st.text("abcXYZ019._-+@:*&$#/~'[],=\x1f\x1d", min_size=1, max_size=12).map(str.encode)
TEXT = st.binary(max_size=16).map(lambda octets: octets.replace(b'"', b"'").replace(b"\\", b"/"))


def quoted(text: bytes) -> bytes:
    return b'"' + text + b'"'


def literal(text: bytes, sign: bytes = b"+") -> bytes:
    return b"{%d%s}\r\n" % (len(text), sign) + text


# (what is written, what it means)
STRING = (
    ATOM.map(lambda text: (text, text))
    | TEXT.map(lambda text: (quoted(text), text))
    | st.tuples(st.binary(max_size=16), st.sampled_from([b"+", b""])).map(lambda pair: (literal(*pair), pair[0]))
)
PAIRS = st.lists(st.tuples(STRING, STRING), max_size=5)
UNKNOWN = st.recursive(
    STRING.map(lambda string: string[0]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: b"(" + b" ".join(items) + b")")
        | st.lists(st.tuples(ATOM, inner), max_size=3).map(
            lambda items: b"%(" + b" ".join(key + b" " + item for key, item in items) + b")"
        )
    ),
    max_leaves=6,
)
LETTERS = st.sampled_from(["e", "n", "s", "p", "f", "b", "c", "a", ""])
FLAGS = st.sets(st.sampled_from("dmrzil")).map(lambda flags: "".join(sorted(flags)))


@st.composite
def dlists(draw: st.DrawFn) -> bytes:
    """A value with any of the known fields, in any order, between unknown ones."""
    fields = []
    if draw(st.booleans()):
        fields.append(b"T " + ((draw(LETTERS) + draw(FLAGS)).encode() or b'""'))
    if draw(st.booleans()):
        fields.append(b"I " + draw(STRING)[0])
    if draw(st.booleans()):
        fields.append(b"V %d" % draw(st.integers(0, 2**64 - 1)))
    if draw(st.booleans()):
        pairs = [who[0] + b" " + rights[0] for who, rights in draw(PAIRS)]
        fields.append(b"A %(" + b" ".join(pairs) + b")")
    names = draw(st.lists(st.sampled_from([b"Z", b"H", b"Q1", b"XY"]), max_size=3))
    fields += [name + b" " + draw(UNKNOWN) for name in names]
    return b"%(" + b" ".join(draw(st.permutations(fields))) + b")"


@st.composite
def legacies(draw: st.DrawFn) -> bytes:
    """A value as releases before 3.0 wrote it, its last pair perhaps cut."""
    plain = st.text("abc.@-", min_size=1, max_size=6)
    head = f"(uniqueid {draw(plain)} specialuse \\Sent) " if draw(st.booleans()) else ""
    server = draw(st.sampled_from(["", "host!"]))
    acl = "".join(f"{draw(plain)}\t{draw(plain)}\t" for _ in range(draw(st.integers(0, 4))))
    rest = draw(st.sampled_from(["", "x", "x\ty"]))
    return f"{head}0 {server}default {acl}{rest}".encode()


def text_of(piece: Any) -> bytes:
    return bytes(ffi.buffer(piece.data, piece.len)) if piece.len else b""


def parse(value: bytes) -> tuple[int, Any, list[tuple[bytes, bytes]]]:
    """(result, entry, ACL pairs); every slice must lie in the value."""
    data = ffi.from_buffer(value)
    entry, error = ffi.new("pxl_mbentry *"), ffi.new("pxl_error *")
    result = lib.pxl_mbentry_parse((data, len(value)), entry, error)
    if result < 0:
        assert result == lib.PXL_E_CORRUPT and error.message
        return result, entry, []
    start = int(ffi.cast("uintptr_t", data))
    for piece in (entry.uniqueid, entry.name, entry.partition, entry.server, entry.acl):
        if piece.len:
            assert start <= int(ffi.cast("uintptr_t", piece.data)) <= start + len(value) - piece.len
    rest, who, rights = ffi.new("pxl_slice *", entry.acl), ffi.new("pxl_slice *"), ffi.new("pxl_slice *")
    pairs = []
    while not (code := lib.pxl_acl_next(rest, entry.acl_tabs, who, rights)):
        pairs.append((text_of(who), text_of(rights)))
    return code if code < 0 else result, entry, pairs


@given(dlists() | legacies())
@example(b'%(T e A %({3+}\r\nq"q lr "joe smith" l {4}\r\n a)b {0+}\r\n))')
def test_the_core_reads_what_the_oracle_reads(value: bytes) -> None:
    """Type, uniqueid, uidvalidity and ACL of any well-formed value, in every spelling, order and company."""
    expected = read_entry(value)
    result, entry, pairs = parse(value)
    assert result == lib.PXL_OK
    assert pairs == list(expected.acl)
    assert text_of(entry.uniqueid) == expected.uniqueid
    assert entry.uidvalidity == expected.uidvalidity
    letters = Mbtype(entry.mbtype).letters
    assert letters[0] == expected.kind and set(letters[1:]) == set(expected.flags)


@given(dlists() | legacies(), st.data())
def test_damage_is_refused_or_read_within_bounds(value: bytes, data: st.DataObject) -> None:
    """Cut anywhere, an octet changed anywhere: an error or an entry, never a slice outside the value."""
    at = data.draw(st.integers(0, len(value) - 1))
    parse(value[:at])
    parse(value[:at] + data.draw(st.binary(min_size=1, max_size=1)) + value[at + 1 :])


@given(st.binary(max_size=80).map(lambda octets: b"%(" + octets) | st.binary(max_size=40))
def test_any_octets_are_survived(value: bytes) -> None:
    """Whatever a value holds."""
    parse(value)


def test_atoms_end_at_spaces_and_brackets_alone() -> None:
    """Any other octet, in atoms of any length up to three words, with every end and at the value's end."""
    for octet in sorted(set(range(256)) - set(b' (){"')):
        for length in range(1, 25):
            atom = bytes([octet]) * length
            value = b"%(S " + atom + b" A %(" + atom + b" " + atom + b") I " + atom + b")"
            result, entry, pairs = parse(value)
            assert result == lib.PXL_OK, value
            assert (text_of(entry.server), text_of(entry.uniqueid), pairs) == (atom, atom, [(atom, atom)])


def test_every_letter_has_its_right() -> None:
    """One bit a letter; the macros give both of theirs; other octets give none."""
    for octet in range(256):
        text = bytes([octet])
        at = b"lrswipkxtean0123456789".find(text)
        expected = {b"c": 0xC0, b"d": 0x300}.get(text, 1 << at if at >= 0 else 0)
        assert lib.pxl_rights_parse((ffi.from_buffer(text), 1)) == expected, text


def test_what_is_refused() -> None:
    """Escapes nobody writes, lists without end, depth without end, lengths that are not there."""
    refused = [
        b'%(I "a\\"b")',
        b"%(A %(x",
        b"%(" + b"Z (" * 500,
        b"%(I {99}\r\nx)",
        b"%(I {99999999999999999999}\r\nx)",
        b"%x",
        b"%",
        b"x",
        b"",
    ]
    assert [value for value in refused if parse(value)[0] == lib.PXL_OK] == []
