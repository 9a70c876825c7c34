"""The smallest IMAP server that answers LIST from an index: what pyxlist is asked through, over loopback.

It waits for each client in a thread of its own, as an imapd does in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import socket
import socketserver
from types import TracebackType
from typing import Any

import pyxlist

__all__ = ["Serving"]

_ROOM = 1 << 20  # octets of answers that the kernel may keep for a client


class _Connection(socketserver.StreamRequestHandler):
    """Understands LOGIN and hands everything else to the view, one command a line."""

    server: _Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        # A long answer goes out in one call, without waiting for the client to have read the first of it.
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        self.request.sendall(b"* OK ready\r\n")
        view: pyxlist.View | None = None
        for line in self.rfile:
            tag, _, command = line.removesuffix(b"\r\n").partition(b" ")
            if command.upper().startswith(b"LOGIN "):
                view = self.server.index.view(command.split(b" ")[1].strip(b'"').decode())
                self.request.sendall(tag + b" OK logged in\r\n")
            elif view is None:
                self.request.sendall(tag + b" NO log in first\r\n")
            else:
                answer = view.respond(command)
                end = b"%s %s %s\r\n" % (tag, answer.status.encode(), answer.text.encode())
                self.request.sendall(answer.untagged + end)


class _Server(socketserver.ThreadingTCPServer):
    """All connections ask one index."""

    daemon_threads = True

    def __init__(self, index: pyxlist.Index) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.index = index


def _run(path: str, port: Any) -> None:
    with pyxlist.open(path) as index, _Server(index) as server:
        port.send(server.server_address[1])
        server.serve_forever()


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
