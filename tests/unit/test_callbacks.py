"""STATUS and METADATA in LIST, which the caller supplies, and answers too long to hold."""

from __future__ import annotations

import pathlib
import tracemalloc

import pytest

import pyxlist
from pyxlist import kernel
from pyxlist._pxl import ffi
from tests.worlds import FULL, Mailbox, World

CONFIG = pyxlist.Config(admins=("cyrus",), defaultdomain="internal.invalid")
ROWS = 100_000


def build(folder: pathlib.Path, made: World) -> pathlib.Path:
    """The world's index."""
    companions = made.write(folder)
    pyxlist.build(folder / "mailboxes.db", folder / "index", config=CONFIG, **companions)
    return folder / "index"


def small() -> World:
    """Ann's INBOX and two folders, one with a name that is neither atom nor quoted."""
    acl = (("ann", FULL),)
    names = (b"user\x1fann", b"user\x1fann\x1fa", b'user\x1fann\x1fq"u')
    return World({name: Mailbox(acl, "e", f"id{number:022}") for number, name in enumerate(names)})


def test_status_lines_come_from_the_caller(tmp_path: pathlib.Path) -> None:
    """One STATUS line after each row, with the items asked for, in the order asked (RFC 5819)."""
    asked: list[tuple[bytes, tuple[bytes, ...]]] = []

    def status(key: bytes, items: tuple[bytes, ...]) -> bytes | None:
        asked.append((key, items))
        return b"(MESSAGES 3 UNSEEN 1)"

    with pyxlist.open(build(tmp_path, small())) as index:
        view = index.view("ann", status=status)
        answer = view.respond(b'LIST "" "%" RETURN (STATUS (MESSAGES UNSEEN))')
        assert list(index.check()) == []
    assert answer.untagged == (
        b'* LIST (\\HasNoChildren) "/" INBOX\r\n* STATUS INBOX (MESSAGES 3 UNSEEN 1)\r\n'
        b'* LIST (\\HasNoChildren) "/" a\r\n* STATUS a (MESSAGES 3 UNSEEN 1)\r\n'
        b'* LIST (\\HasNoChildren) "/" {3}\r\nq"u\r\n* STATUS {3}\r\nq"u (MESSAGES 3 UNSEEN 1)\r\n'
    )
    assert asked == [(key, (b"MESSAGES", b"UNSEEN")) for key in small().mailboxes]


def test_a_mailbox_without_status_is_noselect(tmp_path: pathlib.Path) -> None:
    """RFC 5819: no STATUS line for what cannot be selected; the row says so."""
    with pyxlist.open(build(tmp_path, small())) as index:
        view = index.view("ann", status=lambda key, items: None)
        answer = view.respond(b'LIST "" "a" RETURN (STATUS (MESSAGES))')
    assert answer.untagged == b'* LIST (\\Noselect \\HasNoChildren) "/" a\r\n'


def test_without_callback_a_mailbox_is_empty(tmp_path: pathlib.Path) -> None:
    """All that a mailboxes.db can tell."""
    with pyxlist.open(build(tmp_path, small())) as index:
        answer = index.view("ann").respond(b'LIST "" "a" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY))')
    assert answer.untagged.endswith(b"* STATUS a (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1)\r\n")


def test_metadata_lines_come_from_the_caller(tmp_path: pathlib.Path) -> None:
    """Complete lines, or none; entries and options as the client sent them (RFC 9590)."""
    asked: list[tuple[bytes, tuple[bytes, ...], tuple[bytes, ...]]] = []

    def metadata(key: bytes, entries: tuple[bytes, ...], options: tuple[bytes, ...]) -> bytes | None:
        asked.append((key, entries, options))
        return b'* METADATA a (/shared/comment "x")\r\n' if key.endswith(b"\x1fa") else None

    with pyxlist.open(build(tmp_path, small())) as index:
        view = index.view("ann", metadata=metadata)
        answer = view.respond(b'LIST "" "%" RETURN (METADATA (/shared/comment))')
    assert answer.untagged == (
        b'* LIST (\\HasNoChildren) "/" INBOX\r\n'
        b'* LIST (\\HasNoChildren) "/" a\r\n* METADATA a (/shared/comment "x")\r\n'
        b'* LIST (\\HasNoChildren) "/" {3}\r\nq"u\r\n'
    )
    assert [key for key, _, _ in asked] == list(small().mailboxes)
    assert {(entries, options) for _, entries, options in asked} == {((b"/shared/comment",), ())}


@pytest.mark.parametrize("option", ["STATUS (MESSAGES)", "METADATA (/shared/comment)"])
def test_what_a_callback_raises_comes_out(tmp_path: pathlib.Path, option: str) -> None:
    """The caller's own error, unchanged, and the view answers on."""

    def broken(*arguments: object) -> bytes | None:
        raise LookupError("the mail store is gone")

    command = f'LIST "" "%" RETURN ({option})'.encode()
    with pyxlist.open(build(tmp_path, small())) as index:
        view = index.view("ann", status=broken, metadata=broken)
        for _ in range(3):
            with pytest.raises(LookupError, match="the mail store is gone"):
                view.respond(command)
            with pytest.raises(LookupError, match="the mail store is gone"):
                list(view.stream(command))
        assert view.respond(b'LIST "" "a"').untagged == b'* LIST (\\HasNoChildren) "/" a\r\n'


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An index of many shared mailboxes that everybody sees."""
    box = (("anyone", "lrs"),)
    names = (f"pub\x1f{number // 100:04}\x1f{number % 100:02}".encode() for number in range(ROWS))
    made = World({name: Mailbox(box, "e", f"id{number:022}") for number, name in enumerate(names)})
    return build(tmp_path_factory.mktemp("wide"), made)


@pytest.mark.parametrize(
    "command",
    [
        b'LIST "" "*"', b'LIST "" "*" RETURN (MYRIGHTS)', b'LIST "" ("*" "%")',
        b'LIST "" "*" RETURN (STATUS (MESSAGES) MYRIGHTS)',
    ],
)  # fmt: skip
def test_a_long_answer_streams_in_constant_memory(wide: pathlib.Path, command: bytes) -> None:
    """The pieces are the whole answer, and never more than a few of them are in memory at once."""
    with pyxlist.open(wide) as index:
        view = index.view("ann", status=lambda key, items: b"(MESSAGES 1)")
        whole = view.respond(command).untagged
        for _piece in view.stream(command):  # what is made once is made now
            pass
        tracemalloc.start()
        try:
            at, largest = 0, 0
            for piece in view.stream(command):
                assert whole.startswith(piece, at)
                at, largest = at + len(piece), max(largest, len(piece))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert list(index.check()) == []
    assert at == len(whole) > 30 * ROWS
    assert largest < 1 << 17
    assert peak < 1 << 20


def test_a_stream_left_early_holds_nothing(wide: pathlib.Path) -> None:
    """A client that hangs up costs neither a snapshot nor a kernel: thousands may."""
    with pyxlist.open(wide) as index:
        view = index.view("ann")
        readers = index.stat()["readers"]
        for _ in range(2000):
            pieces = view.stream(b'LIST "" "*"')
            next(pieces)
            pieces.close()  # type: ignore[attr-defined]
        assert index.stat()["readers"] <= readers + 1


def test_an_interrupt_at_the_edge_of_a_callback_is_raised(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C between the C kernel's call and the callback's own code ends the answer; nothing is printed or lost."""

    class Interrupted:
        """The C library's door, at which Ctrl-C arrives once."""

        def __init__(self) -> None:
            self.calls = 0

        def __getattr__(self, name: str) -> object:
            return getattr(ffi, name)

        def from_handle(self, handle: object) -> object:
            self.calls += 1
            if self.calls == 1:
                raise KeyboardInterrupt
            return ffi.from_handle(handle)

    with pyxlist.open(build(tmp_path, small())) as index:
        view = index.view("ann")
        with monkeypatch.context() as patch:
            patch.setattr(kernel, "ffi", Interrupted())
            with pytest.raises(KeyboardInterrupt):
                view.respond(b'LIST "" "%" RETURN (STATUS (MESSAGES))')
        assert view.respond(b'LIST "" "%" RETURN (STATUS (MESSAGES))').untagged.count(b"* STATUS") == 3
    assert capfd.readouterr() == ("", "")
