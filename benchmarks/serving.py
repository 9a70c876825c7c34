"""The smallest IMAP server that answers LIST from an index: what pyxlist is asked through, over loopback."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
from types import TracebackType
from typing import Any

import pyxlist

__all__ = ["Serving"]

_ROOM = 1 << 20  # octets of answers that the kernel may keep for a client
_COPIED = 1 << 14  # more than that is not copied to go out with its last line


class _Connection(asyncio.Protocol):
    """Understands LOGIN and hands everything else to the view, one command a line."""

    def __init__(self, index: pyxlist.Index) -> None:
        self._index = index
        self._rest = b""
        self._view: pyxlist.View | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        # A long answer goes out in one call, without waiting for the client to have read the first of it.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        self._transport.write(b"* OK ready\r\n")

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            tag, _, command = line.partition(b" ")
            self._answer(tag, command)

    def _answer(self, tag: bytes, command: bytes) -> None:
        write = self._transport.write
        if command.upper().startswith(b"LOGIN "):
            self._view = self._index.view(command.split(b" ")[1].strip(b'"').decode())
            write(tag + b" OK logged in\r\n")
        elif self._view is None:
            write(tag + b" NO log in first\r\n")
        else:
            answer = self._view.respond(command)
            end = b"%s %s %s\r\n" % (tag, answer.status.encode(), answer.text.encode())
            if len(answer.untagged) < _COPIED:
                write(answer.untagged + end)
            else:
                write(answer.untagged)
                write(end)


async def _serve(path: str, port: Any) -> None:
    with pyxlist.open(path) as index:
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(index), "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()


def _run(path: str, port: Any) -> None:
    asyncio.run(_serve(path, port))


class Serving:
    """A context manager: a process that serves one index; its port."""

    def __init__(self, path: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._port, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(path, theirs), daemon=True)

    def __enter__(self) -> int:
        self._process.start()
        port: int = self._port.recv()
        return port

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()
