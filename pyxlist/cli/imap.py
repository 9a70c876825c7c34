"""`pyxlist imap`: IMAP commands in, the server's answers out."""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Iterator
from typing import BinaryIO, Final

import click

from pyxlist.cli._arguments import asker, index_argument, view_of
from pyxlist.cli._output import write_octets
from pyxlist.command import Answer
from pyxlist.opened import open_index

_LIMIT_BYTES: Final = 1 << 20  # of a command, its literals included
_LITERAL: Final = re.compile(rb"\{([0-9]{1,10})(\+?)\}\r?\n\Z")


@click.command("imap", short_help="Answer IMAP commands from stdin.")
@index_argument
@asker
def command(index_path: pathlib.Path, user: str, groups: tuple[str, ...], admin: bool) -> None:
    """Read IMAP commands from stdin, one a line and without tags, and answer as the server answers USER.

    LIST in all its forms, LSUB, XLIST, RLIST, RLSUB, NAMESPACE, MYRIGHTS, GETACL and LISTRIGHTS are known.
    Each answer is its untagged lines and then one line that begins with OK, NO or BAD. A line that ends with
    a literal, {n} or {n+}, goes on with n octets and the line after them; nothing is said in between. Octets
    are printed as they are, except on a terminal.

    \b
    Example:
      echo 'LIST "" "*" RETURN (MYRIGHTS)' | pyxlist imap INDEX alice

    Exit status: 0, whatever the commands were; 3 INDEX cannot be used.
    """
    with open_index(index_path) as index:
        view = view_of(index, user, groups, admin)
        for octets in read_commands(sys.stdin.buffer):
            answer = Answer("BAD", "Command too long", b"") if octets is None else view.respond(octets)
            write_octets(answer.untagged + f"{answer.status} {answer.text}\r\n".encode())
            sys.stdout.flush()


def read_commands(stream: BinaryIO) -> Iterator[bytes | None]:
    """Commands with their literals inline and no line break at the end; None in the place of one beyond a MiB."""
    while line := stream.readline(_LIMIT_BYTES):
        yield _read_on(line, stream)


def _read_on(line: bytes, stream: BinaryIO) -> bytes | None:
    """The command that begins with a line; None if it is too long, and then its rest is behind us."""
    octets = b""
    while len(octets) + len(line) < _LIMIT_BYTES:
        octets += line.removesuffix(b"\n").removesuffix(b"\r")
        literal = _LITERAL.search(line)
        if literal is None:
            return octets
        size, unasked = int(literal[1]), literal[2]
        if size > _LIMIT_BYTES:
            # A client sends the octets of {n} only when told to go on, which it never is.
            _pass_octets(stream, size if unasked else 0)
            return None
        octets += b"\r\n" + stream.read(size)
        line = stream.readline(_LIMIT_BYTES)
    _pass_line(line, stream)
    return None


def _pass_octets(stream: BinaryIO, size: int) -> None:
    while size > 0 and (piece := stream.read(min(size, _LIMIT_BYTES))):
        size -= len(piece)


def _pass_line(line: bytes, stream: BinaryIO) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(_LIMIT_BYTES)
