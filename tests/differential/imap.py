"""A raw IMAP session: what is sent and received are octets, so nothing is lost to anybody's parsing."""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Final, NamedTuple

_LITERAL: Final = re.compile(rb"\{(\d+)\}\r\n\Z")
# Answers are read while commands are still being sent only up to what the socket buffers hold.
_BATCH: Final = 400


class Reply(NamedTuple):
    """One command's outcome: OK, NO or BAD, the text behind it, and the untagged lines as they came."""

    status: str
    text: str
    untagged: bytes


class Session:
    """A connection to 127.0.0.1; raises OSError when the server is gone."""

    def __init__(self, port: int, timeout_s: float = 60.0) -> None:
        """Connects and reads the greeting."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._room = bytearray(1 << 18)
        self._stream = io.BufferedReader(socket.SocketIO(self._socket, "r"), 1 << 16)
        self._count = 0
        try:
            self.greeting = self._line()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._socket.close()

    def login(self, userid: str) -> Session:
        """Log in with any password; raises AssertionError when the server refuses."""
        try:
            reply = self.ask(b'LOGIN "%s" "x"' % userid.encode("latin-1"))
        except BaseException:
            self.close()
            raise
        assert reply.status == "OK", (userid, reply)
        return self

    def ask(self, command: bytes) -> Reply:
        """One command without tag and CRLF; literals in it are of the kind that needs no answer, `{n+}`."""
        return self.ask_all([command])[0]

    def ask_all(self, commands: Sequence[bytes]) -> list[Reply]:
        """Several, sent ahead of their answers, which a server gives in order."""
        replies = []
        for start in range(0, len(commands), _BATCH):
            batch = commands[start : start + _BATCH]
            tags = [b"t%d" % (self._count + n) for n in range(len(batch))]
            self._count += len(batch)
            self._socket.sendall(b"".join(b"%s %s\r\n" % pair for pair in zip(tags, batch, strict=True)))
            replies += [self._reply(tag) for tag in tags]
        return replies

    def count(self, command: bytes) -> int:
        """One command, of whose answer only the octets are counted: for measuring, since taking an answer apart
        line by line takes longer than a fast server does.
        """
        tag = b"t%d " % self._count
        self._socket.sendall(tag + command + b"\r\n")
        self._count += 1
        octets, end = 0, b"\r\n"
        while not (end.endswith(b"\r\n") and end[:-2].rpartition(b"\r\n")[2].startswith(tag)):
            # The stream holds nothing here: every answer before was read to its end.
            length = self._socket.recv_into(self._room)
            if not length:
                raise ConnectionResetError(f"the server hung up after {octets} octets")
            octets += length
            end = (end + self._room[max(0, length - 1024) : length])[-1024:]
        return octets

    def _reply(self, tag: bytes) -> Reply:
        untagged = []
        while not (line := self._line()).startswith(tag + b" "):
            untagged.append(line)
        _, status, text = line.rstrip(b"\r\n").decode("latin-1").split(" ", 2)
        return Reply(status, text, b"".join(untagged))

    def _line(self) -> bytes:
        """One line with its CRLF; a literal and what follows it belong to it."""
        parts: list[bytes] = []
        while True:
            line = self._stream.readline()
            if not line:
                raise ConnectionResetError(f"the server hung up after {b''.join(parts)!r}")
            parts.append(line)
            found = _LITERAL.search(line)
            if not found:
                return b"".join(parts)
            parts.append(self._stream.read(int(found[1])))
