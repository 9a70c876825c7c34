"""A tiny IMAP server whose LIST is pyxlist: what a server has to do to use the package, and no more.

Tags, literals (with and without +), LOGIN with any password, CAPABILITY, NOOP, LOGOUT; every other command goes to
`View.respond`, and long answers go out through `View.stream`.  No mailbox can be selected.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import pyxlist

CAPABILITIES: Final = (
    b"IMAP4rev1 LITERAL+ ID NAMESPACE ACL RIGHTS=kxten LIST-EXTENDED LIST-MYRIGHTS SPECIAL-USE XLIST LIST-STATUS"
)
_LITERAL: Final = re.compile(rb"\{(\d+)(\+?)\}\r\n\Z")
_QUOTED: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"|(\S+)')
_LITERAL_LIMIT: Final = 1 << 16
_STREAMED: Final = (b"LIST", b"LSUB", b"XLIST", b"RLIST", b"RLSUB")

ViewOf = Callable[[str], pyxlist.View]


class Connection:
    """One client: reads commands, writes answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, view_of: ViewOf) -> None:
        """`view_of` makes the view of who logs in."""
        self._reader, self._writer, self._view_of = reader, writer, view_of
        self._view: pyxlist.View | None = None

    async def serve(self) -> None:
        """Until the client goes."""
        self._writer.write(b"* OK [CAPABILITY " + CAPABILITIES + b"] ready\r\n")
        while (line := await self._command()) is not None:
            tag, _, command = line.partition(b" ")
            if not await self._answer(tag, command):
                break
            await self._writer.drain()
        self._writer.close()

    async def _command(self) -> bytes | None:
        """One command with its literals inline and without its last CRLF; None at the end."""
        parts: list[bytes] = []
        while line := await self._reader.readline():
            parts.append(line)
            found = _LITERAL.search(line)
            if not found:
                return b"".join(parts).removesuffix(b"\r\n")
            if int(found[1]) > _LITERAL_LIMIT:
                return None
            if not found[2]:
                self._writer.write(b"+ go on\r\n")
                await self._writer.drain()
            parts.append(await self._reader.readexactly(int(found[1])))
        return None

    async def _answer(self, tag: bytes, command: bytes) -> bool:
        """Answer one command; False when it was the last."""
        verb = command.split(b" ", 1)[0].upper()
        if verb == b"LOGOUT":
            self._writer.write(b"* BYE\r\n" + tag + b" OK Completed\r\n")
            return False
        if verb == b"CAPABILITY":
            self._writer.write(b"* CAPABILITY " + CAPABILITIES + b"\r\n")
        elif verb == b"LOGIN":
            self._log_in(command)
        elif verb != b"NOOP":
            self._writer.write(await self._ask(tag, verb, command))
            return True
        self._writer.write(tag + b" OK Completed\r\n")
        return True

    def _log_in(self, command: bytes) -> None:
        found = _QUOTED.findall(command)[1]
        self._view = self._view_of((found[0] or found[1]).decode())

    async def _ask(self, tag: bytes, verb: bytes, command: bytes) -> bytes:
        """The last octets of an answer, after what was streamed; the tagged line is among them."""
        if self._view is None:
            return tag + b" BAD Please login first\r\n"
        if verb in _STREAMED:
            try:
                for piece in self._view.stream(command):
                    self._writer.write(piece)
                    await self._writer.drain()
            except pyxlist.CommandError as error:
                return b"%s %s %s\r\n" % (tag, error.status.encode(), error.text.encode())
            return tag + b" OK Completed\r\n"
        answer = self._view.respond(command)
        return answer.untagged + b"%s %s %s\r\n" % (tag, answer.status.encode(), answer.text.encode())


class ImapServer:
    """A context manager: serves an index on a free port of 127.0.0.1, from a thread of its own."""

    def __init__(self, view_of: ViewOf) -> None:
        """`view_of` makes the view of who logs in; the index it belongs to stays the caller's."""
        self._view_of = view_of
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await Connection(reader, writer, self._view_of).serve()
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                writer.close()
            finally:
                tasks.discard(task)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.sleep(0)
        await server.wait_closed()
