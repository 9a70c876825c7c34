"""Where notifications come in: Cyrus' notify socket, in both its forms, or JSON on standard input.

    notifysocket: /run/notify         a unix datagram a notification:
                                      method 0 class 0 priority 0 user 0 mailbox 0 number 0 option 0 ... message 0
    notifysocket: dlist:/run/notify   a unix stream: NOTIFY %(METHOD ... MESSAGE {n+}CRLF ... FILEPATH NIL)CRLF,
                                      answered by OK ()CRLF; the server waits for it

A datagram has no answer, and one that finds the queue full is lost; a stream loses none while we live.

Source: imap/notify.c; lib/imclient.c, recorded on 3.6.1.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import socket
import stat
from collections.abc import Callable, Iterator
from typing import Final

from pyxlist.errors import StoreError

__all__ = ["DlistBuffer", "iter_json", "message_of_datagram", "serve"]

_FIELDS: Final = 5  # before the number of options: method, class, priority, user, mailbox
_DATAGRAM_BYTES: Final = 1 << 16
_BATCH: Final = 200
_LITERAL: Final = re.compile(rb"\{([0-9]{1,9})\+?\}\r\n")
_LINE_BYTES: Final = 1 << 16
_MESSAGE_BYTES: Final = 1 << 22
_ANSWER: Final = b"OK ()\r\n"

Handle = Callable[[list[bytes]], None]


def message_of_datagram(octets: bytes) -> bytes:
    """The message of one datagram.  Raises ValueError for what is none."""
    words = octets.split(b"\0")
    if len(words) < _FIELDS + 2 or not words[_FIELDS].isdigit() or len(words[_FIELDS]) > 4:
        raise ValueError("not a notification")
    at = _FIELDS + 1 + int(words[_FIELDS])
    if at >= len(words):
        raise ValueError("not a notification: its message is missing")
    return words[at]


class DlistBuffer:
    """Octets of a stream, in pieces of any size -> messages."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """The message of each notification that is whole now.  Raises ValueError for a stream that is none."""
        self._octets += octets
        while (found := self._take()) is not None:
            yield found

    def _take(self) -> bytes | None:
        """The next notification's last literal that follows MESSAGE (empty without one), or None for not yet."""
        at, message = 0, b""
        while True:
            line_end = self._octets.find(b"\r\n", at)
            if line_end < 0:
                if len(self._octets) - at > _LINE_BYTES:
                    raise ValueError("not a notification: a line without end")
                return None
            line = bytes(self._octets[at : line_end + 2])
            found = _LITERAL.search(line)
            if found is None:
                del self._octets[: line_end + 2]
                return message
            length = int(found[1])
            if length > _MESSAGE_BYTES:
                raise ValueError("not a notification: a literal too long")
            start = line_end + 2
            if len(self._octets) < start + length:
                return None
            if line[: found.start()].endswith(b"MESSAGE "):
                message = bytes(self._octets[start : start + length])
            at = start + length


def iter_json(text: str) -> Iterator[str]:
    """Each JSON text of several that follow one another, with or without line ends between.

    Raises ValueError at the first that is none.
    """
    decoder, at = json.JSONDecoder(), 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return
        _value, end = decoder.raw_decode(text, at)
        yield text[at:end]
        at = end


def serve(path: str, stream: bool, handle: Handle, stopped: Callable[[], bool], mode: int = 0o660) -> None:
    """Bind `path` and hand on messages, several at a time, until `stopped()`; the socket is removed at the end.

    With `stream` each message is answered after `handle` returned.  Raises StoreError when the path cannot be
    bound.
    """
    with _bound(path, stream, mode) as bound, selectors.DefaultSelector() as selector:
        selector.register(bound, selectors.EVENT_READ, None)
        try:
            while not stopped():
                for key, _events in selector.select(0.1):
                    if not stream:
                        handle(list(_drain(bound)))
                    elif key.data is None:
                        connection, _address = bound.accept()
                        connection.setblocking(False)
                        selector.register(connection, selectors.EVENT_READ, DlistBuffer())
                    elif not _answer(key.fileobj, key.data, handle):  # type: ignore[arg-type]
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]
        finally:
            for key in list(selector.get_map().values()):
                if key.data is not None:
                    key.fileobj.close()  # type: ignore[union-attr]


def _drain(bound: socket.socket) -> Iterator[bytes]:
    for _ in range(_BATCH):
        try:
            octets = bound.recv(_DATAGRAM_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        with contextlib.suppress(ValueError):
            yield message_of_datagram(octets)


def _answer(connection: socket.socket, buffer: DlistBuffer, handle: Handle) -> bool:
    """Take what came; whether the connection goes on."""
    try:
        octets = connection.recv(_DATAGRAM_BYTES)
        for message in buffer.feed(octets):
            handle([message])
            connection.sendall(_ANSWER)
    except (OSError, ValueError):
        return False
    return bool(octets)


@contextlib.contextmanager
def _bound(path: str, stream: bool, mode: int) -> Iterator[socket.socket]:
    """A bound socket in place of one that nobody listens on any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as bound:
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.lstat(path).st_mode) and not _is_served(path, stream):
                os.unlink(path)
        try:
            bound.bind(path)
            os.chmod(path, mode)
            if stream:
                bound.listen(64)
        except OSError as error:
            raise StoreError(f"cannot be bound: {error.strerror or error}", path=path) from error
        bound.setblocking(False)
        try:
            yield bound
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _is_served(path: str, stream: bool) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as other:
        try:
            other.connect(path)
        except OSError:
            return False
    return True
