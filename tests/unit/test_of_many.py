"""STATUS and METADATA of many mailboxes at once: what a caller is asked, and where its answers go."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest

import pyxlist
from tests.worlds import FULL, Mailbox, World

FOLDERS = 600  # more than are asked about at once, twice
MOST = 256
ALL = b'LIST "" "*" RETURN (STATUS (MESSAGES))'


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An index of Ann's INBOX and folders; some have long names, so that fewer wait for an answer."""
    folder = tmp_path_factory.mktemp("of-many")
    names = [b"user\x1fann", *(b"user\x1fann\x1f%04d" % number for number in range(FOLDERS))]
    names += [b"user\x1fann\x1flong\x1f" + b"%03d" % number * 140 for number in range(200)]
    made = World({name: Mailbox((("ann", FULL),), "e", f"id{at:022}") for at, name in enumerate(names)})
    pyxlist.build(folder / "mailboxes.db", folder / "index", **made.write(folder))
    return folder / "index"


def number_of(key: bytes) -> bytes | None:
    """STATUS of a folder tells its name; of every seventh there is none."""
    told = re.sub(rb"\D", b"", key) or b"0"
    return None if int(told) % 7 == 3 else b"(MESSAGES %s)" % told[:9]


def expected(plain: bytes) -> bytes:
    """The answer with STATUS, line by line from one without and what `number_of` says of each."""
    lines = []
    for line in plain.splitlines(keepends=True):
        name = line.split()[-1]
        told = number_of(name)
        lines.append(line if told else line.replace(b"(", b"(\\Noselect "))
        if told:
            lines.append(b"* STATUS %s %s\r\n" % (name, told))
    return b"".join(lines)


def test_each_answer_follows_the_row_it_is_of(path: pathlib.Path) -> None:
    """One at a time or all at once: rows in the plain order, each with its own STATUS, or \\Noselect without one."""
    asked: list[list[bytes]] = []

    def many(keys: list[bytes], items: tuple[bytes, ...]) -> list[bytes | None]:
        assert items == (b"MESSAGES",)
        asked.append(keys)
        return [number_of(key) for key in keys]

    with pyxlist.open(path) as index:
        assert list(index.check()) == []
        wanted = expected(index.view("ann").respond(b'LIST "" "0%"').untagged)
        level = ALL.replace(b"*", b"0%")
        one = index.view("ann", status=lambda key, items: number_of(key))
        assert one.respond(level).untagged == wanted
        assert b"".join(one.stream(level)) == wanted
        view = index.view("ann", status=pyxlist.OfMany(many))
        assert view.respond(level).untagged == wanted
        assert [key for keys in asked for key in keys] == [b"user\x1fann\x1f%04d" % number for number in range(FOLDERS)]
        assert max(map(len, asked)) == MOST
        assert view.respond(ALL).untagged == one.respond(ALL).untagged == b"".join(view.stream(ALL))


def test_fewer_wait_where_names_are_long(path: pathlib.Path) -> None:
    """What waits is bounded by octets as well as by number."""
    sizes: list[int] = []

    def many(keys: list[bytes], items: tuple[bytes, ...]) -> list[bytes | None]:
        sizes.append(len(keys))
        return [b"(MESSAGES 1)"] * len(keys)

    with pyxlist.open(path) as index:
        answer = index.view("ann", status=pyxlist.OfMany(many)).respond(ALL.replace(b"*", b"long/*"))
    assert answer.untagged.count(b"* STATUS") == sum(sizes) == 200
    assert max(sizes) < 100


def test_metadata_is_asked_of_what_has_a_status(path: pathlib.Path) -> None:
    """STATUS, MYRIGHTS, METADATA in this order after a row; of one that is \\Noselect the caller is not asked more."""
    asked: list[bytes] = []

    def many(keys: list[bytes], entries: tuple[bytes, ...], options: tuple[bytes, ...]) -> list[bytes | None]:
        assert (entries, options) == ((b"/shared/comment",), ())
        asked.extend(keys)
        return [b"* METADATA %s\r\n" % key[-4:] for key in keys]

    command = b'LIST "" "000%" RETURN (METADATA (/shared/comment) MYRIGHTS STATUS (MESSAGES))'
    with pyxlist.open(path) as index:
        view = index.view("ann", status=lambda key, items: number_of(key), metadata=pyxlist.OfMany(many))
        lines = view.respond(command).untagged.splitlines()
    assert lines[:5] == [
        b'* LIST (\\HasNoChildren) "/" 0000', b"* STATUS 0000 (MESSAGES 0000)", b"* MYRIGHTS 0000 lrswipkxtecdan",
        b"* METADATA 0000", b'* LIST (\\HasNoChildren) "/" 0001',
    ]  # fmt: skip
    assert lines[12:14] == [b'* LIST (\\Noselect \\HasNoChildren) "/" 0003', b'* LIST (\\HasNoChildren) "/" 0004']
    assert asked == [b"user\x1fann\x1f000%d" % number for number in range(10) if number != 3]


def test_a_callback_may_ask_for_a_list_itself(path: pathlib.Path) -> None:
    """Even of the same view and with STATUS again; each answer is as if it were alone."""
    with pyxlist.open(path) as index:
        inner = index.view("ann", status=lambda key, items: number_of(key))
        wanted = inner.respond(ALL).untagged

        def many(keys: list[bytes], items: tuple[bytes, ...]) -> list[bytes | None]:
            assert inner.respond(ALL).untagged == wanted
            return [number_of(key) for key in keys]

        assert index.view("ann", status=pyxlist.OfMany(many)).respond(ALL).untagged == wanted


@pytest.mark.parametrize("error", [KeyboardInterrupt, StopIteration, MemoryError])
def test_what_is_raised_in_the_middle_comes_out(path: pathlib.Path, error: type[BaseException]) -> None:
    """At a row behind those that were answered: the caller's own error, and nothing of it in the next answer."""
    raised = error("at one of many")

    def broken(key: bytes, items: tuple[bytes, ...]) -> bytes | None:
        if key.endswith(b"0400"):
            raise raised
        return number_of(key)

    with pyxlist.open(path) as index:
        view = index.view("ann", status=broken)
        with pytest.raises(error) as caught:
            view.respond(ALL)
        assert caught.value is raised
        assert view.respond(b'LIST "" "0401" RETURN (STATUS (MESSAGES))').untagged == (
            b'* LIST (\\HasNoChildren) "/" 0401\r\n* STATUS 0401 (MESSAGES 0401)\r\n'
        )


@pytest.mark.parametrize("count", [-1, 1])
def test_a_callback_answers_for_all_it_was_asked_about(path: pathlib.Path, count: int) -> None:
    """No row gets another's STATUS because a callback lost one."""
    with pyxlist.open(path) as index:
        view = index.view("ann", status=pyxlist.OfMany(lambda keys, items: [b"()"] * (len(keys) + count)))
        with pytest.raises(ValueError, match=f"expected 256 answers, got {MOST + count}"):
            view.respond(ALL)


@pytest.mark.parametrize("answer", ["(MESSAGES 1)", 7, [b"x"]])
def test_answers_that_are_no_octets_are_refused(path: pathlib.Path, answer: Any) -> None:
    """TypeError, as for any function of octets."""
    with pyxlist.open(path) as index:
        for status in (lambda key, items: answer, pyxlist.OfMany(lambda keys, items: [answer] * len(keys))):
            with pytest.raises(TypeError):
                index.view("ann", status=status).respond(ALL)


def test_names_that_hold_a_nul_are_told_apart(tmp_path: pathlib.Path) -> None:
    """The octet that stands between the names the kernel hands over may stand in one, in a database gone wrong."""
    keys = [b"user\x1fann", b"user\x1fann\x1fa\0b", b"user\x1fann\x1fc", b"user\x1fann\x1fd\0"]
    made = World({key: Mailbox((("ann", FULL),), "e", f"id{at:022}") for at, key in enumerate(keys)})
    pyxlist.build(tmp_path / "mailboxes.db", tmp_path / "index", **made.write(tmp_path))
    asked: list[bytes] = []
    with pyxlist.open(tmp_path / "index") as index:
        assert list(index.check()) == []
        index.view("ann", status=lambda key, items: asked.append(key)).respond(ALL)
    assert asked == keys
